#include <chrono>
#include <ctime>
#include <memory>

#include "simulator/accounting.h"
#include "simulator/child_process.h"
#include "simulator/functional/dram_image.h"
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

/// `make_execute` runs in the child and makes what commands do there.
Result run(const partitioner::Program& program, const configs::NpuConfig& npu,
           const std::function<std::function<void(std::int32_t)>()>& make_execute, const Progress& progress) {
  check_bounds(program, npu);
  const std::string answer = run_in_child(
      [&](const Tell& tell) {
        RunHooks hooks;
        if (make_execute) hooks.execute = make_execute();
        if (progress) hooks.progress = Reporter(tell);
        return to_bytes(run_npu(program, npu, hooks));
      },
      listener(program, progress));
  const double accounting = cpu_seconds();
  RawRun raw = raw_run_from(answer);
  const double simulating = raw.cpu_seconds;
  Result result = account(program, npu, std::move(raw));
  result.host_seconds = simulating + cpu_seconds() - accounting;
  return result;
}

}  // namespace

Result simulate(const partitioner::Program& program, const configs::NpuConfig& npu, const Progress& progress) {
  return run(program, npu, {}, progress);
}

FunctionalResult simulate_functional(const partitioner::Program& program, const configs::NpuConfig& npu,
                                     const workloads::TensorMap& inputs, const Progress& progress,
                                     const workloads::Calibration* calibration) {
  StorageFormats formats(program, calibration);
  Memory dram("DRAM", program.dram_bytes);
  fill_dram(program, inputs, formats, dram);
  FunctionalResult answer;
  answer.result = run(
      program, npu,
      [&]() -> std::function<void(std::int32_t)> {
        auto machine = std::make_shared<FunctionalMachine>(program, formats, dram);
        return [machine](std::int32_t command) { machine->execute(command); };
      },
      progress);
  answer.outputs = read_outputs(program, formats, dram);
  return answer;
}

}  // namespace spillway::simulator
