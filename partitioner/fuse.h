// Internal: which operators run together.
#pragma once

#include <vector>

#include "partitioner/search.h"

namespace spillway::partitioner {

using Nodes = std::vector<NodeId>;

/// One primitive a group, in execution order: convolution or product with bias, normalisation with its activation,
/// softmax, element-wise, resize... (DESIGN: layer-by-layer).
[[nodiscard]] std::vector<Nodes> primitives(const Model& model);

/// Primitives merged with their consumers wherever the cost model gains, in execution order.
[[nodiscard]] std::vector<Nodes> fuse(const Model& model, Search& search, Bytes budget);

/// `nodes` with the virtual Concats that feed them, in execution order.
[[nodiscard]] Nodes with_virtual(const Model& model, const Nodes& nodes);

}  // namespace spillway::partitioner
