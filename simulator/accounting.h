// From what the hardware measured to a Result: pure sums over commands and times, no simulation.
#pragma once

#include "simulator/kernel_traffic.h"
#include "simulator/raw_run.h"

namespace spillway::simulator {

/// Everything of a Result but host_seconds. `run` is consumed.
[[nodiscard]] Result account(const partitioner::Program& program, const configs::NpuConfig& npu, RawRun run);

// The parts, in the order in which account() fills them in.

/// By queue: its commands in order.
using QueueOrder = std::vector<std::vector<std::int32_t>>;
[[nodiscard]] QueueOrder queue_order(const partitioner::Program& program);

/// The command whose completion let `command` start: the latest to finish of those that its waits name and of its
/// predecessor in the queue, the earliest issued among equals; kNone if it waited for nothing.
[[nodiscard]] std::int32_t binding_predecessor(const partitioner::Program& program, const QueueOrder& order,
                                               const std::vector<CommandTimes>& times,
                                               const std::vector<std::int32_t>& place_in_queue, std::int32_t command);

/// How a command's own cycles count: its engine's cause; a vector command's port share and a DMA command's parts apart.
[[nodiscard]] std::array<Cycles, kCauseCount> causes_of(const partitioner::Program& program,
                                                        const configs::NpuConfig& npu, const KernelTraffic& traffic,
                                                        const RawRun& run, std::int32_t command);

/// Fills peak_scratchpad, peak_group, peak_dram_activation and working_buffer (occupancy.cpp).
void account_occupancy(const partitioner::Program& program, const KernelTraffic& traffic, Result& result);

}  // namespace spillway::simulator
