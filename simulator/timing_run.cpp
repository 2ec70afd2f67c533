#include "simulator/timing_run.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <optional>

#include "simulator/accounting.h"
#include "simulator/npu_system.h"
#include "simulator/program_bounds.h"
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

RawRun told_run(const partitioner::Program& program, const configs::NpuConfig& npu, const Tell& tell) {
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

struct Unwanted {};

}  // namespace

Result timing_of(const partitioner::Program& program, const configs::NpuConfig& npu, const Progress& progress) {
  return account_for(program, npu, run_timing(program, npu, progress));
}

TimingUnderWay::TimingUnderWay(const partitioner::Program& program, const configs::NpuConfig& npu) {
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

TimingUnderWay::~TimingUnderWay() {
  unwanted_ = true;
  if (thread_.joinable()) thread_.join();
}

std::vector<std::int32_t> TimingUnderWay::next(std::size_t count) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return over_ || order_.size() - taken_ >= count; });
  if (problem_) std::rethrow_exception(problem_);
  const auto from = order_.begin() + static_cast<std::ptrdiff_t>(taken_);
  const std::size_t size = std::min(count, order_.size() - taken_);
  taken_ += size;
  return {from, from + static_cast<std::ptrdiff_t>(size)};
}

Result TimingUnderWay::finish() {
  thread_.join();
  if (problem_) std::rethrow_exception(problem_);
  return std::move(result_);
}

void TimingUnderWay::tell_of(std::int32_t command) {
  if (unwanted_) throw Unwanted{};  // ends the child
  const std::lock_guard lock(mutex_);
  order_.push_back(command);
  changed_.notify_all();
}

}  // namespace spillway::simulator
