// Internal: the tile loops a group could run with, priced. docs/partitioner.md describes the space.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "partitioner/loop_cost.h"

namespace spillway::partitioner {

/// Tile extents, loop order and buffering of a group, with what they cost.
struct Candidate {
  std::array<std::int32_t, kMaxRank> tile{};
  std::vector<int> order;
  Pipelining pipelining = Pipelining::kNone;
  Bytes scratchpad = 0;  ///< all buffers
  Moves moves;           ///< exact
  Cycles cycles = 0;     ///< cost model
  double score = 0;      ///< the objective; smaller is better
  std::int64_t steps = 0;
};

[[nodiscard]] Bytes bytes_of(const std::vector<Buffer>& buffers);

class Search {
 public:
  Search(const Model& model, Objective objective, bool bytes_first)
      : model_(model), objective_(objective), bytes_first_(bytes_first) {}

  /// The best-scoring tile loop that fits `budget`, or nullptr. Remembered by structure: groups of the same shape are
  /// searched once. Stays valid as long as the Search.
  [[nodiscard]] const Candidate* best(const GroupModel& group, const Residents& residents, Bytes budget);

  /// Buffers that a candidate's walk needs: for every local that has one.
  [[nodiscard]] std::vector<Buffer> buffers(const GroupModel& group, const Candidate& candidate,
                                            const Residents& residents);

  /// The buffers of the tile of the group that needs least scratchpad: of all its steps, or as far as some of them
  /// show.
  [[nodiscard]] std::vector<Buffer> smallest(const GroupModel& group, bool exactly = false) const;

  [[nodiscard]] double score(const Moves& moves, Cycles cycles) const;

 private:
  using Tile = std::array<std::int32_t, kMaxRank>;
  /// What is known of groups that look alike.
  struct Structure {
    bool possible = true;                                         ///< executed whole by a tile of everything
    std::map<std::pair<Tile, std::vector<int>>, LoopCost> loops;  ///< by tile and order
    std::map<std::pair<std::string, Bytes>, std::optional<Candidate>> answers;  ///< by residents and budget
  };
  [[nodiscard]] std::optional<Candidate> search(Structure& structure, const GroupModel& group,
                                                const Residents& residents, Bytes budget) const;
  [[nodiscard]] std::string structure_of(const GroupModel& group) const;

  const Model& model_;
  Objective objective_;
  bool bytes_first_;
  std::map<std::string, Structure> structures_;
};

}  // namespace spillway::partitioner
