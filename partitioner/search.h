// Internal: the tile loops a group could run with, priced. docs/partitioner.md describes the space.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "partitioner/walk.h"

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

/// Which storages live whole in the scratchpad while the group runs; by StorageId.
using Residents = std::vector<char>;

/// Buffers that a candidate's walk needs: for every local that has one.
[[nodiscard]] std::vector<Buffer> buffers_of(const GroupModel& group, const Candidate& candidate,
                                             const Residents& residents);

class Search {
 public:
  Search(const Model& model, Objective objective, bool bytes_first)
      : model_(model), objective_(objective), bytes_first_(bytes_first) {}

  /// The best-scoring tile loop that fits `budget`, or nullptr. Remembered by structure: groups of the same shape are
  /// searched once. Stays valid as long as the Search.
  [[nodiscard]] const Candidate* best(const GroupModel& group, const Residents& residents, Bytes budget);

  /// The smallest scratchpad any tile of the group can run in.
  [[nodiscard]] Bytes smallest(const GroupModel& group);

  [[nodiscard]] double score(const Moves& moves, Cycles cycles) const;

 private:
  [[nodiscard]] std::optional<Candidate> search(const GroupModel& group, const Residents& residents, Bytes budget) const;
  [[nodiscard]] std::string signature(const GroupModel& group, const Residents& residents, Bytes budget) const;

  const Model& model_;
  Objective objective_;
  bool bytes_first_;
  std::map<std::string, std::optional<Candidate>> known_;
};

}  // namespace spillway::partitioner
