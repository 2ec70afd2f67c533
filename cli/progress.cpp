#include "cli/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace spillway::cli {

namespace {

using std::chrono::duration;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr auto kSilent = seconds(1);
constexpr auto kTerminalEvery = milliseconds(200);
constexpr auto kLineEvery = seconds(10);

}  // namespace

Progress::Progress(bool quiet, bool verbose)
    : quiet_(quiet), verbose_(verbose), terminal_(::isatty(STDERR_FILENO) == 1), started_(Clock::now()) {}

Progress::~Progress() { finish(); }

void Progress::stage(const std::string& what) {
  finish();
  const std::lock_guard lock(mutex_);
  what_ = what;
  started_ = Clock::now();
  shown_ = started_;
  if (verbose_ && !quiet_ && !terminal_) show(what_);
}

bool Progress::due(Clock::time_point now) {
  if (now - started_ < kSilent) return false;
  // The first line comes after a second; then a terminal is renewed often, a log file seldom.
  const bool first = shown_ == started_;
  if (!first && now - shown_ < (terminal_ ? Clock::duration(kTerminalEvery) : Clock::duration(kLineEvery)))
    return false;
  shown_ = now;
  return true;
}

void Progress::update(std::int64_t done, std::int64_t total, const std::string& unit) {
  if (quiet_) return;
  const std::lock_guard lock(mutex_);
  const auto now = Clock::now();
  if (!due(now)) return;
  const double elapsed = duration<double>(now - started_).count();
  std::string text = what_;
  if (total > 0) {
    text += fmt::format(": {:.0f} %, {} of {} {}, {:.3g} {}/s",
                        100.0 * static_cast<double>(done) / static_cast<double>(total), done, total, unit,
                        static_cast<double>(done) / elapsed, unit);
  }
  show(text);
}

void Progress::compute(std::int64_t done, std::int64_t total, const std::string& unit, std::int64_t operations_done,
                       std::int64_t operations) {
  if (quiet_) return;
  const std::lock_guard lock(mutex_);
  const auto now = Clock::now();
  if (!due(now)) return;
  const double elapsed = duration<double>(now - started_).count();
  const auto part = static_cast<double>(operations_done) / static_cast<double>(std::max<std::int64_t>(operations, 1));
  std::string text = fmt::format("{}: {:.0f} %, {} of {} {}, {:.3g} GFLOP/s", what_, 100.0 * part, done, total, unit,
                                 static_cast<double>(operations_done) / elapsed / 1e9);
  if (part > 0) text += fmt::format(", {:.0f} s left", elapsed * (1.0 - part) / part);
  show(text);
}

void Progress::finish() {
  const std::lock_guard lock(mutex_);
  if (on_screen_) clear();
  if (verbose_ && !quiet_ && !what_.empty()) {
    std::fprintf(stderr, "%s: %.2f s\n", what_.c_str(), duration<double>(Clock::now() - started_).count());
  }
  what_.clear();
}

void Progress::show(const std::string& text) {
  if (terminal_) {
    std::fprintf(stderr, "\r\033[K%s", text.c_str());
    std::fflush(stderr);
    on_screen_ = true;
  } else {
    std::fprintf(stderr, "%s\n", text.c_str());
  }
}

void Progress::clear() {
  std::fputs("\r\033[K", stderr);
  std::fflush(stderr);
  on_screen_ = false;
}

}  // namespace spillway::cli
