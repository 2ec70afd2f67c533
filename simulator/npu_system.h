// Elaborates the modelled NPU and runs a Program on it. Once per process: the SystemC kernel cannot start again.
#pragma once

#include <functional>

#include "simulator/raw_run.h"

namespace spillway::simulator {

/// What is called as commands complete; either may be empty.
struct RunHooks {
  std::function<void(std::int32_t)> execute;   ///< with the command, at its end, in simulated order
  std::function<void(std::int64_t)> progress;  ///< with the number of completed commands
};

/// Throws what execute() throws, and Error(kInternal) naming the first command that never starts if the Program
/// dead-locks.
[[nodiscard]] RawRun run_npu(const partitioner::Program& program, const configs::NpuConfig& npu, const RunHooks& hooks);

}  // namespace spillway::simulator
