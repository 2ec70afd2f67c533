// Internal: the tile loop of a group, step by step. What a step needs is found backwards from its tile; what the step
// before left in a buffer is kept, shifted to the new window where it overlaps, and only the rest is made afresh.
// Planning counts these steps; lowering turns the same steps into commands: that is why predicted moves are exact.
#pragma once

#include <functional>
#include <vector>

#include "partitioner/group_model.h"

namespace spillway::partitioner {

/// What one step does to a window (a stage's outputs, or an outside storage's buffer).
struct Window {
  bool used = false;     ///< the step needs it at all
  bool advance = false;  ///< the window moved: a new slot
  Box have;              ///< what the buffer holds afterwards
  Box overlap;           ///< kept from the previous window (only where advance)
  Box fresh;             ///< to be loaded or computed in this step; may be empty
};

struct Step {
  std::vector<Window> stages;  ///< by stage, in its domain's coordinates
  std::vector<Window> loads;   ///< by local; only outside locals that are read through a buffer
};

class Walker {
 public:
  /// Over the group's region. `tile` by factor of the root's domain; `order` lists all its factors, outermost loop
  /// first.
  Walker(const GroupModel& group, const std::array<std::int32_t, kMaxRank>& tile, std::vector<int> order);

  [[nodiscard]] std::int64_t steps() const { return steps_; }
  /// Goes on from these tiles (by factor, counted), with nothing kept.
  void jump_to(const std::array<std::int64_t, kMaxRank>& tiles);
  /// False when the loop is done.
  bool next(Step& step);

 private:
  struct Cache {
    bool valid = false;
    Box have;
  };
  static Window move_window(Cache& cache, const Box& need);

  const GroupModel& group_;
  const Box& region_;
  std::array<std::int32_t, kMaxRank> tile_;
  std::vector<int> order_;
  std::array<std::int32_t, kMaxRank> at_{};
  bool done_ = false;
  std::int64_t steps_ = 1;
  std::vector<Cache> stage_cache_, load_cache_;
  std::vector<Box> need_;  ///< by local, of the step being made
  std::vector<char> needed_;
  std::vector<bool> keeps_;  ///< by stage: another stage reads its outputs, so its window is worth keeping
};

/// Loops of so few steps are walked rather than sampled.
inline constexpr std::int64_t kShortLoop = 16;

/// Visits a few steps that stand for a long loop: what a step is like depends on which of the nested loops has just
/// advanced. `visit(step, times, period)`: the first step once, then, for every loop, steps in which it advances, each
/// for the `times` that this happens, every `period` steps.
void sample_steps(const GroupModel& group, const std::array<std::int32_t, kMaxRank>& tile,
                  const std::vector<int>& order,
                  const std::function<void(const Step& step, double times, std::int64_t period)>& visit);

}  // namespace spillway::partitioner
