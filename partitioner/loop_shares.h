// Internal: the cost model's cycles of a loop, by what they are spent on.
#pragma once

#include "partitioner/cycle_shares.h"
#include "partitioner/loop_cost.h"

namespace spillway::partitioner {

/// Asks LoopCost::total() what each kind of step costs with only its transfers, only its compute, and both: which of
/// them counts is then known without repeating its formulas.
[[nodiscard]] CycleShares shares_of(const LoopCost& loop, const GroupModel& group, const Residents& residents,
                                    Pipelining pipelining);

}  // namespace spillway::partitioner
