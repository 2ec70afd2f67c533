// Elaborates the modelled NPU and runs a Program on it. Once per process: the SystemC kernel cannot start again.
#pragma once

#include <functional>

#include "simulator/raw_run.h"

namespace spillway::simulator {

/// `progress` (may be empty) is told the number of completed commands. Throws Error(kInternal) naming the first command
/// that never starts if the Program dead-locks.
[[nodiscard]] RawRun run_npu(const partitioner::Program& program, const configs::NpuConfig& npu,
                             const std::function<void(std::int64_t)>& progress);

}  // namespace spillway::simulator
