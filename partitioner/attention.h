// Internal: how a plan may treat attention (Options::attention), for comparison with what free planning finds.
#pragma once

#include "partitioner/group_model.h"
#include "partitioner/partitioner.h"

namespace spillway::partitioner {

/// Whether the group has a Softmax and a product of two activations: scores, or their product with the values.
[[nodiscard]] bool attends(const GroupModel& group);

/// Whether a plan with this attention may have the group. kUnfused: scores are a tensor of their own, so no group has
/// both. kSliced: whole score matrices, so nothing follows the product with the values, whose batch the slices are of.
[[nodiscard]] bool allows(Attention attention, const GroupModel& group);

}  // namespace spillway::partitioner
