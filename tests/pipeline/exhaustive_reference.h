// The least that any schedule of a small graph costs, found by trying them all; written without looking at how the
// planner searches.
//
// The space: the sequence of primitives is cut into groups of at most kMostPrimitives, kMostStages and kMostProducts;
// of each result that later groups read, one of
//   - it stays in the scratchpad up to its last reader;
//   - it goes to DRAM;
//   - both: it stays up to any reader but the last and goes to DRAM for those after it;
//   - it is dropped, and each later group that reads it makes it again, as remake() says, from what is still there.
// A group costs what Search::best() says, walked to the end, in exactly the room that is left to it; nothing if all
// that it makes is dropped.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "partitioner/remake.h"
#include "partitioner/schedule.h"
#include "partitioner/search.h"

namespace spillway::test {

class ExhaustiveReference {
 public:
  /// `extra_macs`: that all remaking together may cost.
  ExhaustiveReference(const partitioner::Model& model, partitioner::Search& search,
                      const partitioner::Sequence& sequence, partitioner::Bytes budget, double extra_macs);

  struct Answer {
    double cost = 0;
    std::string how;         ///< groups and homes, to be read by people
    std::size_t states = 0;  ///< different situations that were met
  };
  /// nullopt if nothing fits. Partial schedules that cost more than `ceiling` are not pursued.
  [[nodiscard]] std::optional<Answer> minimum(double ceiling);

 private:
  using StorageId = partitioner::StorageId;
  static constexpr int kMostPrimitives = partitioner::kLength;
  static constexpr std::size_t kMostStages = partitioner::kMaxStages;
  static constexpr int kMostProducts = partitioner::kMaxProducts;

  struct Held {
    StorageId storage = partitioner::kNone;
    partitioner::Home home = partitioner::Home::kScratchpad;
    int until = 0;  ///< position of the last reader that finds it
    auto operator<=>(const Held&) const = default;
  };
  /// All that the rest of a schedule depends on; storages ascend.
  struct Situation {
    std::vector<Held> held;
    std::vector<StorageId> gone;    ///< dropped, still to be read
    std::vector<StorageId> stored;  ///< in DRAM, and may still be read
    std::int64_t macs = 0;          ///< of operators that ran again
    auto operator<=>(const Situation&) const = default;
  };
  struct Past {
    double cost = 0;
    const std::pair<const Situation, Past>* before = nullptr;
    std::string step;
  };
  using Layer = std::map<Situation, Past>;
  struct Group {
    partitioner::GroupModel model;
    partitioner::Search::Structure* structure = nullptr;
    std::int64_t macs = 0;
    bool ok = false;
  };
  struct Step {
    int i = 0, j = 0;
    const Layer::value_type* from = nullptr;
    const Group* group = nullptr;
    std::vector<StorageId> dropped;
    std::vector<int> results;  ///< locals
  };

  void follow(const Layer::value_type& from, int i, int j);
  void choose_homes(Step& step, std::vector<Held>& homes);
  void take(const Step& step, const std::vector<Held>& homes);
  [[nodiscard]] bool keep_frontiers(const Step& step, Situation& after) const;
  void forget(int j, Situation& s) const;
  const Group& group_of(int i, int j, const std::vector<StorageId>& remade, const std::vector<StorageId>& dropped);
  const partitioner::Remake* remake_of(StorageId s) const { return remakes_[s] ? &*remakes_[s] : nullptr; }
  [[nodiscard]] int last_reader(StorageId s) const {
    return sequence_.readers[s].empty() ? partitioner::kNone : sequence_.readers[s].back();
  }
  [[nodiscard]] partitioner::Bytes room(StorageId s) const {
    return (model_.layout.storages[s].bytes() + 63) / 64 * 64;
  }
  [[nodiscard]] std::string describe(const Step& step, const std::vector<Held>& homes, double cost) const;

  const partitioner::Model& model_;
  partitioner::Search& search_;
  const partitioner::Sequence& sequence_;
  partitioner::Bytes budget_;
  double extra_macs_;
  double ceiling_ = 0;
  std::vector<std::optional<partitioner::Remake>> remakes_;  ///< by storage
  std::vector<int> base_until_;  ///< by storage: the last group start at which something made from it may be dropped
  std::vector<Layer> layers_;    ///< by position
  std::map<std::tuple<int, int, std::vector<StorageId>, std::vector<StorageId>>, std::unique_ptr<Group>> groups_;
};

}  // namespace spillway::test
