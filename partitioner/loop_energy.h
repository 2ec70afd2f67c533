// Internal: what the commands of a tile loop take in energy, found by walking it as loop_cost.h does for cycles, before
// it is decided what lives in the scratchpad around it. The model is the simulator's (its accounting): every byte that
// a command reads or writes, every operation, whole DRAM bursts, and static power for as long as the loop takes.
#pragma once

#include <map>
#include <vector>

#include "partitioner/energy.h"
#include "partitioner/loop_cost.h"

namespace spillway::partitioner {

struct LoopEnergy {
  /// Of moving one local's bytes; the parts that scratchpad and DRAM take.
  struct Transfer {
    double scratchpad_pj = 0, dram_pj = 0;
    Transfer& operator+=(const Transfer& o) {
      scratchpad_pj += o.scratchpad_pj, dram_pj += o.dram_pj;
      return *this;
    }
  };
  struct ByLocal {
    Transfer outside;   ///< of bringing it in, where it lives in DRAM
    Transfer resident;  ///< the same where it lives in the scratchpad
    Transfer store;     ///< of taking it out, if it leaves
  };
  Energy always;  ///< whatever is resident; without static power
  std::vector<ByLocal> locals;
  bool exact = false;  ///< walked to the end; else estimated from some of its steps

  /// With static power for `cycles`.
  [[nodiscard]] Energy total(const GroupModel& group, const Residents& residents, Cycles cycles) const;
};

/// Prices the loops of one group.
class EnergyPricer {
 public:
  explicit EnergyPricer(const GroupModel& group);

  /// The whole loop, or (not `exactly`) a few steps that stand for it; short loops are walked whole.
  [[nodiscard]] LoopEnergy price(const std::array<std::int32_t, kMaxRank>& tile, const std::vector<int>& order,
                                 bool exactly);

  /// Of one transfer between DRAM and the scratchpad.
  [[nodiscard]] LoopEnergy::Transfer dma(int local, const Box& box) const;

 private:
  /// Extents of a box, and which borders of its storage it touches: operands are clipped there.
  using Shape = std::pair<std::array<std::int32_t, kMaxRank>, std::uint32_t>;

  void add(const Step& step, double times, LoopEnergy& loop);
  void bring(const StageModel& stage, const Box& fresh, double times, LoopEnergy& loop) const;
  [[nodiscard]] Shape shape_of(int stage, const Box& box) const;
  [[nodiscard]] const Energy& stage_energy(int stage, const Box& fresh);
  [[nodiscard]] Energy block_energy(const StageModel& stage, const Box& block) const;
  void add_product(const StageModel& stage, const Box& block, Energy& energy) const;
  void add_chain(const StageModel& stage, const Box& block, Energy& energy) const;
  [[nodiscard]] double bytes(int local, const Box& box) const;
  [[nodiscard]] LoopEnergy::Transfer copy(int local, const Box& box) const;

  const GroupModel& group_;
  const Model& model_;
  const configs::NpuConfig& npu_;
  std::vector<std::map<Shape, Energy>> regions_, blocks_;  ///< by stage
};

}  // namespace spillway::partitioner
