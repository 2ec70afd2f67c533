// The timing simulation of a Program: by itself, or beside whoever executes the commands as they complete.
#pragma once

#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "simulator/child_process.h"
#include "simulator/simulator.h"

namespace spillway::simulator {

/// In a child process; its accounts are made here.
[[nodiscard]] Result timing_of(const partitioner::Program& program, const configs::NpuConfig& npu,
                               const Progress& progress);

/// The timing simulation, under way in a child while what it has told of so far is executed here.
class TimingUnderWay {
 public:
  TimingUnderWay(const partitioner::Program& program, const configs::NpuConfig& npu);
  TimingUnderWay(const TimingUnderWay&) = delete;
  TimingUnderWay& operator=(const TimingUnderWay&) = delete;
  ~TimingUnderWay();

  /// The next commands in the order of their completion: `count` of them or more, fewer at the end, none behind it.
  [[nodiscard]] std::vector<std::int32_t> next(std::size_t count);

  [[nodiscard]] Result finish();

 private:
  void tell_of(std::int32_t command);

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

}  // namespace spillway::simulator
