#include <algorithm>
#include <chrono>
#include <ctime>
#include <optional>
#include <span>
#include <vector>

#include "simulator/accounting.h"
#include "simulator/child_process.h"
#include "simulator/functional/dram_image.h"
#include "simulator/functional/fidelity_probe.h"
#include "simulator/functional/functional_machine.h"
#include "simulator/npu_system.h"
#include "simulator/program_bounds.h"
#include "simulator/simulator.h"
#include "simulator/wire.h"

namespace spillway::simulator {

namespace {

using Clock = std::chrono::steady_clock;

/// Passes the count on now and then, so that telling costs nothing.
class Reporter {
 public:
  explicit Reporter(const Tell& tell) : tell_(tell) {}

  void operator()(std::int64_t completed) {
    constexpr std::int64_t kLook = 256;  // commands between looks at the clock
    constexpr auto kInterval = std::chrono::milliseconds(100);
    if (completed % kLook != 0) return;
    const auto time = Clock::now();
    if (time - told_ < kInterval) return;
    told_ = time;
    tell_(completed);
  }

 private:
  const Tell& tell_;
  Clock::time_point told_ = Clock::now();
};

/// Empty if nobody listens.
std::function<void(std::int64_t)> listener(const partitioner::Program& program, const Progress& progress) {
  if (!progress) return {};
  const auto all = static_cast<std::int64_t>(program.commands.size());
  return [&progress, all](std::int64_t completed) { progress(completed, all); };
}

/// CPU time of the calling thread.
double cpu_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

/// In the child process.
RawRun run_timing(const partitioner::Program& program, const configs::NpuConfig& npu, const Progress& progress) {
  check_bounds(program, npu);
  return raw_run_from(run_in_child(
      [&](const Tell& tell) {
        std::function<void(std::int64_t)> told;
        if (progress) told = Reporter(tell);
        return to_bytes(run_npu(program, npu, told));
      },
      listener(program, progress)));
}

Result account_for(const partitioner::Program& program, const configs::NpuConfig& npu, RawRun raw) {
  const double accounting = cpu_seconds();
  const double simulating = raw.cpu_seconds;
  Result result = account(program, npu, std::move(raw));
  result.host_seconds = simulating + cpu_seconds() - accounting;
  return result;
}

/// By command of `order`: the storages in DRAM that no later command touches, without those that are outputs.
std::vector<std::vector<partitioner::StorageId>> last_uses(const partitioner::Program& program,
                                                           const std::vector<std::int32_t>& order) {
  std::vector<std::vector<partitioner::StorageId>> ends(order.size());
  std::vector<bool> seen(program.layout.storages.size(), false);
  for (std::size_t i = order.size(); i-- > 0;) {
    for (const auto& operand : program.operands(program.commands[static_cast<std::size_t>(order[i])])) {
      const auto storage = static_cast<std::size_t>(operand.storage);
      if (operand.space != partitioner::Space::kDram || operand.storage < 0 || seen[storage]) continue;
      seen[storage] = true;
      if (!program.layout.storages[storage].is_output) ends[i].push_back(operand.storage);
    }
  }
  return ends;
}

}  // namespace

Result simulate(const partitioner::Program& program, const configs::NpuConfig& npu, const Progress& progress) {
  return account_for(program, npu, run_timing(program, npu, progress));
}

FunctionalResult simulate_functional(const partitioner::Program& program, const configs::NpuConfig& npu,
                                     const workloads::TensorMap& inputs, const FunctionalOptions& options) {
  StorageFormats formats(program, options.calibration);
  Memory dram("DRAM", program.dram_bytes, program.layout.storages, std::make_shared<workloads::BufferPool>());
  fill_dram(program, inputs, formats, dram);
  std::optional<FidelityProbe> probe;
  if (options.fidelity) probe.emplace(program, inputs);
  RawRun raw = run_timing(program, npu, {});
  const auto ends = last_uses(program, raw.order);
  FunctionalMachine machine(program, formats, dram, probe ? &*probe : nullptr);
  constexpr std::size_t kAtOnce = 32;
  for (std::size_t i = 0; i < raw.order.size(); i += kAtOnce) {
    const auto commands = std::span(raw.order).subspan(i, std::min(kAtOnce, raw.order.size() - i));
    machine.execute(commands);
    for (std::size_t k = i; k < i + commands.size(); ++k) {
      for (const auto id : ends[k]) dram.forget(id);
    }
    if (options.progress) {
      options.progress(static_cast<std::int64_t>(i + commands.size()), static_cast<std::int64_t>(raw.order.size()));
    }
  }
  FunctionalResult answer;
  answer.result = account_for(program, npu, std::move(raw));
  answer.outputs = read_outputs(program, formats, dram);
  if (probe) answer.layers = probe->layers();
  return answer;
}

}  // namespace spillway::simulator
