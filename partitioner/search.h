// Internal: the tile loops a group could run with, priced. docs/partitioner.md describes the space.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "partitioner/attention.h"
#include "partitioner/loop_cost.h"
#include "partitioner/loop_energy.h"

namespace spillway::partitioner {

/// Tile extents, loop order and buffering of a group, with what they cost.
struct Candidate {
  std::array<std::int32_t, kMaxRank> tile{};
  std::vector<int> order;
  Pipelining pipelining = Pipelining::kNone;
  Bytes scratchpad = 0;  ///< all buffers
  Moves moves;           ///< exact
  Cycles cycles = 0;     ///< cost model
  double energy_pj = 0;  ///< cost model; only where the objective asks for it
  double score = 0;      ///< the objective; smaller is better
  std::int64_t steps = 0;
  double extra_macs = 0;  ///< of what the loop makes more than once
};

[[nodiscard]] Bytes bytes_of(const std::vector<Buffer>& buffers);

/// Of a buffer or resident: whole beats of the interconnect.
[[nodiscard]] inline Bytes aligned(Bytes bytes) {
  constexpr Bytes kAlignment = 64;
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

/// What a plan takes, in the two that kEdp multiplies.
struct Expense {
  double cycles = 0, energy_pj = 0;
};

class Search {
 public:
  /// For kEdp, aim() follows.
  Search(const Model& model, Objective objective, bool bytes_first, Attention attention = Attention::kFused)
      : model_(model), objective_(objective), bytes_first_(bytes_first), attention_(attention) {}

  /// Whether the plan may have the group.
  [[nodiscard]] bool allowed(const GroupModel& group) const { return allows(attention_, group); }

  /// Searches for another objective from now on; the walked loops are kept, the answers are not. kEdp takes what a plan
  /// near the one that is looked for takes: a product is no sum over groups, so cycles and energy are added in the
  /// proportion in which they change it there (docs/partitioner.md).
  void aim(Objective objective, const Expense& near = {});
  /// For kLatency: moving a byte counts as so many times the cycles that its transfer takes, besides the cycles of the
  /// group. 1 until this is called; the answers are not kept.
  void weigh_bytes(double times);

  /// What is known of groups that look alike: they are searched once.
  struct Structure;
  [[nodiscard]] Structure& structure_of(const GroupModel& group);

  /// Loops judged by a few of their steps, or walked to the end.
  enum class Care { kEstimate, kExact };
  /// The best-scoring tile loop that fits `budget`, or nullptr. Stays valid as long as the Search.
  [[nodiscard]] const Candidate* best(Structure& structure, const GroupModel& group, const Residents& residents,
                                      Bytes budget, Care care);
  [[nodiscard]] const Candidate* best(const GroupModel& group, const Residents& residents, Bytes budget) {
    return best(structure_of(group), group, residents, budget, Care::kExact);
  }

  /// The best-scoring one that is not `chosen`: another tile, loop order or buffering. nullopt if nothing else fits.
  [[nodiscard]] std::optional<Candidate> next_best(const GroupModel& group, const Residents& residents, Bytes budget,
                                                   const Candidate& chosen);
  /// A loop that somebody has decided on (tile, order, buffering), priced.
  [[nodiscard]] Candidate priced(const GroupModel& group, const Residents& residents, Candidate candidate);
  /// Of a candidate, walked to the end.
  [[nodiscard]] const LoopCost& loop_of(const GroupModel& group, const Candidate& candidate);

  /// Buffers that a candidate's walk needs: for every local that has one.
  [[nodiscard]] std::vector<Buffer> buffers(const GroupModel& group, const Candidate& candidate,
                                            const Residents& residents);

  /// Of all loops the buffers of the one that needs least scratchpad, as far as samples show.
  [[nodiscard]] std::vector<Buffer> least(const GroupModel& group, const Residents& residents);

  /// The buffers of the tile of the group that needs least scratchpad: of all its steps, or as far as some of them
  /// show.
  [[nodiscard]] std::vector<Buffer> smallest(const GroupModel& group, bool exactly = false) const;
  [[nodiscard]] std::vector<Buffer> smallest(const GroupModel& group, const Residents& residents,
                                             bool exactly = false) const;

  /// The objective alone, without what decides ties.
  [[nodiscard]] double objective(const Candidate& candidate) const;

 private:
  using Tile = std::array<std::int32_t, kMaxRank>;
  struct Loop;
  struct Spot;
  void lay_out(Structure& structure, const GroupModel& group) const;
  /// Prices a loop by some of its steps, unless it has been priced.
  static void sample(Loop& loop, LoopPricer& pricer, const GroupModel& group);
  /// Prices a loop by all of them.
  static void walk(Loop& loop, LoopPricer& pricer, const GroupModel& group);
  [[nodiscard]] static bool fits_at_least(Structure& structure, std::size_t spot, LoopPricer& pricer,
                                          const GroupModel& group, const Residents& residents, Bytes budget);
  /// The loop of a spot, sampled at least.
  static Loop& loop_at(Structure& structure, std::size_t spot, LoopPricer& pricer, const GroupModel& group);
  [[nodiscard]] std::optional<Candidate> search(Structure& structure, const GroupModel& group,
                                                const Residents& residents, Bytes budget, Care care,
                                                const Candidate* except = nullptr) const;
  [[nodiscard]] double score(const Candidate& candidate) const;
  [[nodiscard]] bool weighs_energy() const {
    return !bytes_first_ && (objective_ == Objective::kEnergy || objective_ == Objective::kEdp);
  }
  [[nodiscard]] double macs_once(const GroupModel& group) const;
  [[nodiscard]] std::string key_of(const GroupModel& group) const;

  const Model& model_;
  Objective objective_;
  bool bytes_first_;
  Attention attention_;
  double bytes_weigh_ = 1;    ///< kLatency
  double cycles_per_pj_ = 0;  ///< kEdp: what energy weighs against time
  std::unordered_map<std::string, Structure>
      structures_;  ///< keys are long and begin alike; never gone through in order
};

struct Search::Loop {
  Tile tile{};
  std::vector<int> order;
  LoopCost cost;
  bool priced = false;
  LoopEnergy energy;  ///< where it has been asked for
};

/// A loop of the lattice: most are never priced, since already their first step does not fit.
struct Search::Spot {
  std::vector<Bytes> least;  ///< by local: its buffer in the first step
  Loop* loop = nullptr;      ///< once it has been priced
};

struct Search::Structure {
  /// What fits a budget best also does so in any smaller one that it still fits.
  struct Answer {
    Bytes least = 0, most = 0;  ///< of the budgets that it is the answer for
    std::optional<Candidate> candidate;
  };
  std::size_t walked = 0;                                   ///< loops that had been judged by samples before
  bool possible = true;                                     ///< executed whole by a tile of everything
  double macs = 0;                                          ///< if nothing is made twice
  std::map<std::pair<Tile, std::vector<int>>, Loop> loops;  ///< those priced, by tile and order
  std::map<std::string, std::array<std::deque<Answer>, 2>, std::less<>> answers;  ///< by residents; by Care
  // The lattice: every tile of channels with every one of the batch and of rows, in each order.
  std::vector<Tile> channels, batches, rows;
  std::array<std::vector<int>, 2> orders;  ///< rows outermost, channels outermost
  std::vector<Spot> spots;                 ///< channels slowest, then batch, rows, order

  [[nodiscard]] std::size_t spot(std::size_t channel, std::size_t batch, std::size_t row) const {
    return ((channel * batches.size() + batch) * rows.size() + row) * orders.size();
  }
  [[nodiscard]] Tile tile_of(std::size_t spot) const;
  /// Where nothing but one kind of loop makes trips, all orders are the same.
  [[nodiscard]] std::size_t orders_of(std::size_t channel, std::size_t batch, std::size_t row) const {
    return channel > 0 && (batch > 0 || row > 0) ? orders.size() : 1;
  }
};

}  // namespace spillway::partitioner
