// Internal: what a plan comes to in an objective, and which of several plans is taken.
#pragma once

#include <functional>
#include <vector>

#include "partitioner/plan.h"

namespace spillway::partitioner {

/// Plans this close in the objective differ in what else they cost.
inline constexpr double kTie = 0.005;

/// Smaller is better. The energy is asked for only where it counts.
[[nodiscard]] double objective_value(Objective objective, Cycles cycles, Bytes moved,
                                     const std::function<double()>& energy_pj);

/// What of a plan counts for the choice.
struct Bid {
  double value = 0;  ///< objective_value()
  Cycles cycles = 0;
  Bytes moved = 0;
};
/// The index of the best, of one at least: of those within kTie of the least value, the one of fewest bytes; for kMoves,
/// which is exact, of those of fewest bytes the one of fewest cycles. The first of equals.
[[nodiscard]] std::size_t best_of(Objective objective, const std::vector<Bid>& bids);

}  // namespace spillway::partitioner
