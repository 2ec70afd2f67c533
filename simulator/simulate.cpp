#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <ctime>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
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

  void operator()(std::int32_t /*command*/) {
    const std::int64_t completed = ++completed_;
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
  std::int64_t completed_ = 0;
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
        std::function<void(std::int32_t)> completes;
        if (progress) completes = Reporter(tell);
        return to_bytes(run_npu(program, npu, completes));
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

/// The storages in DRAM that may be forgotten once every command that touches them has been executed.
class Uses {
 public:
  explicit Uses(const partitioner::Program& program) : program_(program), left_(program.layout.storages.size(), 0) {
    for (const partitioner::Command& command : program.commands) {
      for_each_storage(command, [this](std::size_t storage) { ++left_[storage]; });
    }
  }

  template <typename Forget>
  void executed(std::int32_t command, Forget forget) {
    for_each_storage(program_.commands[static_cast<std::size_t>(command)], [&](std::size_t storage) {
      if (--left_[storage] == 0 && !program_.layout.storages[storage].is_output) {
        forget(static_cast<partitioner::StorageId>(storage));
      }
    });
  }

 private:
  template <typename Visit>
  void for_each_storage(const partitioner::Command& command, Visit visit) const {
    for (const partitioner::Operand& operand : program_.operands(command)) {
      if (operand.space == partitioner::Space::kDram && operand.storage >= 0) {
        visit(static_cast<std::size_t>(operand.storage));
      }
    }
  }

  const partitioner::Program& program_;
  std::vector<std::int64_t> left_;
};

/// The timing simulation, under way in a child while what it has told of so far is executed here.
class TimingUnderWay {
 public:
  TimingUnderWay(const partitioner::Program& program, const configs::NpuConfig& npu) {
    thread_ = std::thread([this, &program, &npu] {
      try {
        check_bounds(program, npu);
        const std::string answer =
            run_in_child([&](const Tell& tell) { return to_bytes(told_run(program, npu, tell)); },
                         [this](std::int64_t command) { tell_of(static_cast<std::int32_t>(command)); });
        result_ = account_for(program, npu, raw_run_from(answer));
      } catch (...) {
        problem_ = std::current_exception();
      }
      const std::lock_guard lock(mutex_);
      over_ = true;
      changed_.notify_all();
    });
  }
  TimingUnderWay(const TimingUnderWay&) = delete;
  TimingUnderWay& operator=(const TimingUnderWay&) = delete;
  ~TimingUnderWay() {
    unwanted_ = true;
    if (thread_.joinable()) thread_.join();
  }

  /// The next commands in the order of their completion: `count` of them, fewer at the end, none behind it.
  [[nodiscard]] std::vector<std::int32_t> next(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return over_ || order_.size() - taken_ >= count; });
    if (problem_) std::rethrow_exception(problem_);
    const auto from = order_.begin() + static_cast<std::ptrdiff_t>(taken_);
    const std::size_t size = std::min(count, order_.size() - taken_);
    taken_ += size;
    return {from, from + static_cast<std::ptrdiff_t>(size)};
  }

  [[nodiscard]] Result finish() {
    thread_.join();
    if (problem_) std::rethrow_exception(problem_);
    return std::move(result_);
  }

 private:
  struct Unwanted {};

  static RawRun told_run(const partitioner::Program& program, const configs::NpuConfig& npu, const Tell& tell) {
    constexpr std::size_t kTogether = 128;
    std::vector<std::int64_t> completed;
    const auto flush = [&] {
      tell(completed);
      completed.clear();
    };
    RawRun run = run_npu(program, npu, [&](std::int32_t command) {
      completed.push_back(command);
      if (completed.size() == kTogether) flush();
    });
    flush();
    return run;
  }

  void tell_of(std::int32_t command) {
    if (unwanted_) throw Unwanted{};  // ends the child
    const std::lock_guard lock(mutex_);
    order_.push_back(command);
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::int32_t> order_;
  std::size_t taken_ = 0;
  bool over_ = false;
  std::atomic<bool> unwanted_ = false;
  Result result_;
  std::exception_ptr problem_;
  std::thread thread_;
};

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
  TimingUnderWay timing(program, npu);
  Uses uses(program);
  FunctionalMachine machine(program, formats, dram, probe ? &*probe : nullptr);
  constexpr std::size_t kAtOnce = 32;
  std::int64_t executed = 0;
  for (auto commands = timing.next(kAtOnce); !commands.empty(); commands = timing.next(kAtOnce)) {
    machine.execute(commands);
    for (const std::int32_t command : commands) {
      uses.executed(command, [&](partitioner::StorageId storage) { dram.forget(storage); });
    }
    executed += static_cast<std::int64_t>(commands.size());
    if (options.progress) options.progress(executed, static_cast<std::int64_t>(program.commands.size()));
  }
  FunctionalResult answer;
  answer.result = timing.finish();
  answer.outputs = read_outputs(program, formats, dram);
  if (probe) answer.layers = probe->layers();
  return answer;
}

}  // namespace spillway::simulator
