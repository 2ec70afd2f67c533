// Internal: what a tile loop moves and computes, found by walking it once, before it is decided what lives in the
// scratchpad around it and how it is buffered. Both are then a matter of adding up, so that the many budgets and
// residents a group is asked about share its walks.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <vector>

#include "partitioner/walk.h"

namespace spillway::partitioner {

/// Where a storage lives while a group runs.
enum class Home : char {
  kDram,
  kScratchpad,  ///< whole
  kBoth,        ///< whole in the scratchpad; and whoever makes it stores it, too
};
/// By local of a group.
using Residents = std::vector<Home>;

/// Extents and movement of a window over a whole walk.
struct WindowUse {
  std::array<std::int32_t, kMaxRank> extent{};
  std::int64_t windows = 0;
  std::int64_t dwell = std::numeric_limits<std::int64_t>::max();  ///< fewest steps from one advance to the next

  /// `times` steps like this one, `since` steps after the window last advanced.
  void see(const Box& box, bool advance, double times, std::int64_t since) {
    for (int f = 0; f < box.rank; ++f) extent[f] = std::max(extent[f], box.extent[f]);
    if (!advance) return;
    if (windows > 0) dwell = std::min(dwell, since);
    windows += std::max<std::int64_t>(1, std::llround(times));
  }
};

/// What becomes of a group's locals, worked out once for all the loops that are priced with it.
struct Whereabouts {
  Whereabouts(const GroupModel& group, const Residents& residents);
  std::vector<char> resident;  ///< by local: in the scratchpad
  std::vector<char> stored;    ///< by local: goes to DRAM when it is made
};

/// Cycles by Pipelining.
using ByPipelining = std::array<Cycles, 3>;

/// Cycles of one step of a loop by engine, and of DMA by local, whichever its fate.
struct StepCost {
  /// Of a DMA channel, and of that on the DRAM bus, which all channels share.
  struct Transfer {
    Cycles channel = 0, bus = 0;
    void operator+=(const Transfer& o) { channel += o.channel, bus += o.bus; }
    bool operator==(const Transfer&) const = default;
  };
  Transfer load;  ///< whatever is resident
  Cycles matrix = 0, vector = 0;
  Cycles compute = 0;  ///< stages one after the other
  struct ByLocal {
    int local = 0;
    Transfer outside;   ///< of bringing it in, where it lives in DRAM
    Transfer resident;  ///< the same where it lives in the scratchpad
    Transfer store;     ///< of taking it out, if it leaves
    Cycles kept = 0;    ///< of `outside`: copying what a stage of the group made before and the step needs again
    bool operator==(const ByLocal&) const = default;
  };
  std::vector<ByLocal> locals;  ///< those that cost anything, in order
  bool operator==(const StepCost&) const = default;

  /// Of everything that is brought in.
  [[nodiscard]] Transfer load_with(const Whereabouts& where) const;
  /// Of the step among others like it.
  [[nodiscard]] ByPipelining cycles(const configs::NpuConfig& npu, const Whereabouts& where) const;
};

/// A loop with its residents decided.
struct LoopTotal {
  Moves moves;
  ByPipelining cycles{};
};

struct LoopCost {
  std::vector<WindowUse> stages;            ///< in domain coordinates
  std::vector<WindowUse> loads;             ///< by local
  std::vector<double> read, written;        ///< elements by local, if it lives in DRAM
  std::vector<std::array<Bytes, 3>> needs;  ///< by local and Pipelining: its buffer; what has none: 0
  Moves always;                             ///< moved whatever is resident
  std::vector<StepCost> kinds;              ///< steps that cost the same are one kind; the first step's is the first
  std::vector<double> times;                ///< how often each kind occurs
  std::vector<StepCost::Transfer> after;    ///< by local: storing statistics when the loop is done
  std::int64_t steps = 0;
  double macs = 0;     ///< of all steps, those included that make something again
  bool exact = false;  ///< walked to the end; else estimated from some of its steps
  bool legal = true;   ///< everything stored is made exactly once
  bool whole = true;   ///< every stage makes all of its results

  [[nodiscard]] LoopTotal total(const GroupModel& group, const Whereabouts& where) const;
};

/// Prices the loops of one group.
class LoopPricer {
 public:
  explicit LoopPricer(const GroupModel& group);

  /// Walks the whole loop. Stops early, not legal, where something stored would be made twice.
  [[nodiscard]] LoopCost walk(const std::array<std::int32_t, kMaxRank>& tile, const std::vector<int>& order);

  /// Only the windows of the first step: what the loop takes at least.
  [[nodiscard]] LoopCost first_windows(const std::array<std::int32_t, kMaxRank>& tile, const std::vector<int>& order);

  /// Only windows: of the first steps, of some in the middle, and of those that sample() looks at.
  [[nodiscard]] LoopCost windows(const std::array<std::int32_t, kMaxRank>& tile, const std::vector<int>& order);

  /// Window extents and prices from a few steps, found by what a step is like: it depends on which of the nested loops
  /// has just advanced. The first step counts as it is; one step in the middle stands for all in which the same loop
  /// advances. Short loops are walked whole.
  [[nodiscard]] LoopCost sample(const std::array<std::int32_t, kMaxRank>& tile, const std::vector<int>& order);

  /// Of one transfer between DRAM and the scratchpad.
  [[nodiscard]] StepCost::Transfer dma(const Storage& storage, const Box& box) const;

 private:
  struct Engines {
    Cycles matrix = 0, vector = 0;
    std::int64_t macs = 0;
  };

  [[nodiscard]] LoopCost start(std::int64_t steps) const;
  static void see_windows(const Step& step, LoopCost& loop);
  /// Adds a step that stands for `times` steps; `made` counts elements by stage. `since`: steps since a window last
  /// advanced, by stage and then by local.
  void add(const Step& step, double times, const std::vector<std::int64_t>& since, LoopCost& loop,
           std::vector<std::int64_t>& made);
  void finish(LoopCost& loop, const std::vector<std::int64_t>& made) const;
  [[nodiscard]] Engines engines(int stage, const Box& fresh);
  void bring(const StageModel& stage, const Box& fresh, double times, LoopCost& loop, StepCost& cost);
  [[nodiscard]] bool made_once(const StageModel& stage) const;
  [[nodiscard]] bool twice(const std::vector<std::int64_t>& made) const;
  [[nodiscard]] StepCost::Transfer copy(const Storage& storage, const Box& box) const;

  const GroupModel& group_;
  const Model& model_;
  const configs::NpuConfig& npu_;
  std::vector<std::map<std::array<std::int32_t, kMaxRank>, Engines>> priced_;  ///< by stage
  std::vector<StepCost::ByLocal> by_local_;                                    ///< of the step being added
};

}  // namespace spillway::partitioner
