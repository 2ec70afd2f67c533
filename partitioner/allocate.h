// Internal: addresses in the scratchpad. Offline dynamic storage allocation: residents are rectangles of groups x
// bytes, and what they leave in each group must take that group's buffers (buffer_chain.h).
//
// An order of the residents, each at the lowest address that is free for its whole life, is a placement; some order
// gives a smallest one. Tried: largest first, longest first, most bytes x groups first; then a hill climb over orders,
// from the best of them, unless that is as good as can be. (Searching over orders instead of addresses is the idea of
// Arm Vela's HillClimb allocator.) The climb may also put reservations into the order: room for the buffers of a group
// that found none, which residents must then lie around. Kept is what fits, with fewest neighbours whose buffers
// collide, then fewest bytes that wait for the group before, then the lowest reach.
#pragma once

#include <optional>
#include <vector>

#include "partitioner/plan.h"

namespace spillway::partitioner {

struct AllocationFailure {
  int group = 0;           ///< whose buffers found no place: the residents around them leave too little in one piece
  Bytes over = 0;          ///< how far they reach over the budget, as well as they could be packed
  std::vector<int> order;  ///< of residencies, where that is least
};

/// Fills the addresses of `residencies` and of every group's buffers, and `report`; nullopt when all fit.
/// Deterministic. `start`: an order of residencies to try besides, as an earlier failure left it.
[[nodiscard]] std::optional<AllocationFailure> allocate(std::vector<Residency>& residencies, std::vector<Group>& groups,
                                                        Bytes budget, AllocationReport& report,
                                                        const std::vector<int>& start = {});

}  // namespace spillway::partitioner
