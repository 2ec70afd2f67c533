// The energy that a plan is predicted to take, by the model that the simulator accounts with.
#pragma once

#include "configs/configs.h"
#include "partitioner/plan.h"
#include "partitioner/program.h"

namespace spillway::partitioner {

/// In picojoules, by where it goes; simulator::Energy names the same parts.
struct Energy {
  double mac_pj = 0, vector_pj = 0, scratchpad_pj = 0, accumulator_pj = 0, dram_pj = 0, static_pj = 0;
  [[nodiscard]] double total_pj() const {
    return mac_pj + vector_pj + scratchpad_pj + accumulator_pj + dram_pj + static_pj;
  }
  Energy& operator+=(const Energy& other);
  [[nodiscard]] Energy operator*(double times) const;
};

/// Of a plan made for this graph and NPU: every group's loop, walked; static power for the predicted cycles. What it
/// cannot know is where runs that start within a DRAM burst begin; they count by the mean over all they could.
[[nodiscard]] Energy energy_of(const Graph& graph, const configs::NpuConfig& npu, const Plan& plan);

}  // namespace spillway::partitioner
