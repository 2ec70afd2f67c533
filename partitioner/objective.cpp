#include "partitioner/objective.h"

#include <algorithm>

#include "configs/error.h"

namespace spillway::partitioner {

double objective_value(Objective objective, Cycles cycles, Bytes moved, const std::function<double()>& energy_pj) {
  switch (objective) {
    case Objective::kLatency:
      return static_cast<double>(cycles);
    case Objective::kMoves:
      return static_cast<double>(moved);
    case Objective::kEnergy:
      return energy_pj();
    case Objective::kEdp:
      return static_cast<double>(cycles) * energy_pj();
  }
  internal_error("unknown objective");
}

std::size_t best_of(Objective objective, const std::vector<Bid>& bids) {
  const auto by_value = [](const Bid& a, const Bid& b) { return a.value < b.value; };
  const double least = std::min_element(bids.begin(), bids.end(), by_value)->value;
  // Cycles vary with the schedule by less than a tie; bytes are exact.
  const double tie = objective == Objective::kMoves ? 0 : kTie;
  const auto otherwise = [&](const Bid& bid) { return objective == Objective::kMoves ? bid.cycles : bid.moved; };
  std::size_t best = bids.size();
  for (std::size_t i = 0; i < bids.size(); ++i) {
    if (bids[i].value > (1 + tie) * least) continue;
    if (best == bids.size() || otherwise(bids[i]) < otherwise(bids[best])) best = i;
  }
  return best;
}

}  // namespace spillway::partitioner
