// Internal: where groups may run once for each of the batch.
#pragma once

#include <vector>

#include "partitioner/order.h"

namespace spillway::partitioner {

/// How many slices the graph can run in: the extent that its inputs, by bytes, have outermost; 1 if they are too many.
[[nodiscard]] int batch_of(const Model& model);

/// By position of the sequence. Slices load weights again, of which there is a limit: they may be on the stretches with
/// the most activations whose weights, loaded `slices` - 1 times more, do not exceed it. A long stretch passes
/// everything on in slices; a short one must gather them at its ends.
[[nodiscard]] std::vector<char> where_to_slice(const Model& model, const Sequence& sequence, Bytes budget, int slices,
                                               double weights_again);

}  // namespace spillway::partitioner
