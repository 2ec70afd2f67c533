// Internal: the atoms of planning.
#pragma once

#include <vector>

#include "partitioner/group_model.h"

namespace spillway::partitioner {

using Nodes = std::vector<NodeId>;

/// One primitive a group, in execution order: convolution or product with bias, normalisation with its activation,
/// softmax, element-wise, resize... (DESIGN: layer-by-layer).
[[nodiscard]] std::vector<Nodes> primitives(const Model& model);

/// `nodes` with the virtual Concats that feed them, in execution order.
[[nodiscard]] Nodes with_virtual(const Model& model, const Nodes& nodes);

}  // namespace spillway::partitioner
