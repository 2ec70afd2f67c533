// Why a Plan is as it is: where groups end, what bounds them, what came second, what was not recomputed, and what more
// scratchpad would buy. Every figure is the cost model's, found by asking it the question that the text answers.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "partitioner/cycle_shares.h"
#include "partitioner/fates.h"

namespace spillway::partitioner {

/// Why something is not done.
enum class Why : std::uint8_t {
  kNothing,     ///< nothing is in the way
  kEnd,         ///< the graph ends
  kNoSource,    ///< a tensor that can only be read
  kAsked,       ///< the options say so
  kSlices,      ///< what follows runs for another part of the batch
  kNotOne,      ///< the operators cannot run in one tile loop
  kWhole,       ///< operators are executed whole, and nobody in the group needs part of a result
  kDoesNotFit,  ///< no tile fits beside what stays in the scratchpad
  kNoLoop,      ///< no tile loop that fits makes every result once
  kMacs,        ///< more operations than recomputing may add
  kGone,        ///< what it would be made from is no longer there
  kCostsMore,   ///< in what is to be least, or by the score of the search
  kLimit,       ///< more operators than the search looks at in one group
  kNotFound,    ///< it would be better; the search is a heuristic and chose otherwise
};
/// In a word or two: "does not fit".
[[nodiscard]] std::string_view name_of(Why why);

/// A difference of predicted costs to the plan as it is.
struct Difference {
  Cycles cycles = 0;
  Bytes moved = 0;
  Bytes weights = 0;      ///< of that
  std::int64_t macs = 0;  ///< of what is made more than once
  CycleShares spent;      ///< of cycles; they may be negative
  bool operator==(const Difference& o) const {
    return cycles == o.cycles && moved == o.moved && weights == o.weights && macs == o.macs;
  }
};

/// Why a group does not go on.
struct Boundary {
  Why why = Why::kNothing;
  int with = kNone;                     ///< it was tried as one group with all up to this one
  std::string detail;                   ///< kNotOne: what is in the way; kLimit: which
  std::string tensor;                   ///< kNotOne: that it is about, if any
  Bytes demand = 0;                     ///< kDoesNotFit: of its smallest tile
  Bytes available = 0;                  ///< beside what stays in the scratchpad
  std::vector<Infeasible::Term> terms;  ///< of the demand, largest first
  Difference costs;                     ///< where it fits: as one group, against the groups apart
  bool compared = false;                ///< `costs` says so
};

/// Another loop for the same group.
struct OtherLoop {
  std::array<std::int32_t, kMaxRank> tile{};
  std::vector<int> order;
  Pipelining pipelining = Pipelining::kNone;
  std::int64_t steps = 0;
  Bytes scratchpad = 0;
  Difference costs;
};

struct GroupExplanation {
  Boundary end;
  CycleShares spent;
  Bytes available = 0;                 ///< for its buffers, beside what stays in the scratchpad
  std::optional<OtherLoop> next;       ///< the best that was not taken; nothing: no other fits
  std::optional<OtherLoop> with_more;  ///< the best with more scratchpad and all else as it is; nothing: no better one
};

/// A computed tensor that goes through DRAM, and why it is not made again instead.
struct TensorExplanation {
  TensorFate fate;
  Why why = Why::kNothing;
  Why besides = Why::kNothing;  ///< kMacs: what else is in the way
  std::string detail;
  int reader = kNone;               ///< the group that could not make it again
  int readers = 0;                  ///< groups that would make it again
  int operators = 0;                ///< that each would run
  std::int64_t macs = 0;            ///< that this adds in all
  std::int64_t most_macs = -1;      ///< that may be added beside what the plan adds already; negative: any number
  Bytes saved = 0;                  ///< its stores and loads
  Bytes read_instead = 0;           ///< what is read to make it, weights included; negative: other transfers go with it
  Cycles saved_cycles = 0;          ///< `saved` at peak bandwidth: what its transfers take where nothing hides them
  Cycles operator_cycles = 0;       ///< of the operators run again
  Bytes demand = 0, available = 0;  ///< kDoesNotFit
  Difference costs;                 ///< by group, priced with all else in the plan as it is
  bool compared = false;
};

/// The whole planned anew with more scratchpad.
struct MoreScratchpad {
  Bytes more = 0;
  Difference costs;
  int groups = 0;  ///< of the new plan
  struct Change {
    std::string tensor;
    Bytes bytes = 0;
    Fate before = Fate::kSpill, after = Fate::kSpill;
  };
  std::vector<Change> changes;  ///< largest tensor first; those that travel between groups in both plans
};

struct Explanation {
  std::vector<GroupExplanation> groups;
  std::vector<TensorExplanation> tensors;  ///< largest first
  Bytes more = 0;                          ///< what `with_more` adds
};

/// `plan` is partition()'s, or one that was proven; `options` those it was made with.
[[nodiscard]] Explanation explain(const Graph& graph, const configs::NpuConfig& npu, const Options& options,
                                  const Plan& plan, Bytes more = Bytes{1} << 20);

/// Plans anew, which takes as long as planning does.
[[nodiscard]] MoreScratchpad plan_with_more(const Graph& graph, const configs::NpuConfig& npu, const Options& options,
                                            const Plan& plan, Bytes more = Bytes{1} << 20);

}  // namespace spillway::partitioner
