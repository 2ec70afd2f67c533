// Internal: addresses in the scratchpad. Residents first (largest first, lowest address that is free for their whole
// life), then each group's buffers in the gaps that its residents leave, from alternating ends so that the next group's
// loads need not wait for this group's buffers.
#pragma once

#include <optional>
#include <vector>

#include "partitioner/plan.h"

namespace spillway::partitioner {

struct AllocationFailure {
  int group = 0;  ///< whose buffers found no gap: the residents around it leave too little in one piece
};

/// Fills the addresses of `residencies` and of every group's buffers; nullopt when all fit.
[[nodiscard]] std::optional<AllocationFailure> allocate(std::vector<Residency>& residencies, std::vector<Group>& groups,
                                                        Bytes budget);

}  // namespace spillway::partitioner
