// Progress on stderr, for what takes longer than a second: a line that renews itself on a terminal, a sparse line
// elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>

namespace spillway::cli {

class Progress {
 public:
  Progress(bool quiet, bool verbose);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// A new stage: "sd15/unet: simulating". Ends the one before.
  void stage(const std::string& what);
  /// `total` 0: unknown. Safe to call from several threads.
  void update(std::int64_t done, std::int64_t total, const std::string& unit);
  /// The same for arithmetic: GFLOP/s, and the time left by the operations still to do.
  void compute(std::int64_t done, std::int64_t total, const std::string& unit, std::int64_t operations_done,
               std::int64_t operations);
  void finish();

 private:
  using Clock = std::chrono::steady_clock;
  /// Whether a line is due now; the lock is held.
  bool due(Clock::time_point now);
  void show(const std::string& text);
  void clear();

  std::mutex mutex_;
  bool quiet_, verbose_, terminal_;
  std::string what_;
  Clock::time_point started_, shown_;
  bool on_screen_ = false;
};

}  // namespace spillway::cli
