// Two saved plans of one graph beside each other: what was chosen otherwise, and what it costs.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "partitioner/plan_document.h"

namespace spillway::reports {

using configs::Bytes;
using configs::Cycles;

/// How groups of the first plan became groups of the second.
enum class GroupFate : std::uint8_t {
  kChosen,      ///< the same operators in another loop
  kNeighbours,  ///< the same loop; what it reads or makes lives elsewhere
  kSplit,
  kMerged,
  kRegrouped,  ///< several became several others
};
[[nodiscard]] std::string_view name_of(GroupFate fate);

struct PlanComparison {
  /// A setting that the plans were made with and do not share.
  struct Setting {
    std::string what, a, b;
  };
  struct Side {
    Cycles cycles = 0;
    partitioner::Moves moves;
    Bytes peak_scratchpad = 0;
    std::int64_t groups = 0, held = 0;  ///< held: residencies
  };
  /// Groups that are linked by their operators. Over all changes the differences of cycles and moves add up to those of
  /// the plans.
  struct GroupChange {
    GroupFate fate = GroupFate::kChosen;
    std::vector<int> a, b;  ///< indices of groups
    std::string name;       ///< of the first plan's largest of them
    std::string what;       ///< "tile 1x8x64 -> 1x4x64; double-buffered -> software-pipelined"
    Cycles cycles_a = 0, cycles_b = 0;
    Bytes moved_a = 0, moved_b = 0;
  };
  /// A tensor that lives elsewhere or moves other bytes. Over all changes the differences of bytes add up to those of
  /// the plans.
  struct TensorChange {
    std::string name;
    partitioner::StorageClass storage_class = partitioner::StorageClass::kActivation;
    Bytes bytes = 0;
    std::string fate_a, fate_b;  ///< "held", "through DRAM", "made again", "inside a group", ...
    Bytes moved_a = 0, moved_b = 0;
    double cycles_a = 0, cycles_b = 0;  ///< of the DRAM at its peak bandwidth
  };

  std::string graph;
  std::vector<Setting> settings;
  Side a, b;
  std::vector<GroupChange> groups;    ///< largest difference of cycles first, then of bytes
  std::vector<TensorChange> tensors;  ///< largest difference of bytes first
  std::int64_t unchanged_groups = 0;  ///< of the first plan
  std::int64_t moved_addresses = 0;   ///< unchanged groups and residencies that lie elsewhere in the scratchpad

  /// Nothing differs at all.
  [[nodiscard]] bool equal() const {
    return settings.empty() && groups.empty() && tensors.empty() && moved_addresses == 0;
  }
  /// By how much the second plan is worse: the larger of predicted cycles and moved bytes, as a share of the first's.
  /// 0 if it is worse in neither.
  [[nodiscard]] double worse_by() const;
};

/// nullopt if the plans are of different graphs.
[[nodiscard]] std::optional<PlanComparison> compare_plans(const partitioner::PlanDocument& a,
                                                          const partitioner::PlanDocument& b);

}  // namespace spillway::reports
