// Elaborates the modelled NPU and runs a Program on it. Once per process: the SystemC kernel cannot start again.
#pragma once

#include <functional>

#include "simulator/raw_run.h"

namespace spillway::simulator {

/// `completes` (may be empty) is told every command as it completes. Throws Error(kInternal) naming the first command
/// that never starts if the Program dead-locks.
[[nodiscard]] RawRun run_npu(const partitioner::Program& program, const configs::NpuConfig& npu,
                             const std::function<void(std::int32_t)>& completes);

}  // namespace spillway::simulator
