#include "cli/interrupt.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstddef>
#include <cstring>

namespace spillway::cli {

namespace {

// A signal handler can reach nothing but objects of static storage, and may only use lock-free ones.
constexpr std::size_t kMostPaths = 16;
constexpr std::size_t kLongestPath = 4096;
struct State {
  std::atomic<pid_t> process{0};
  std::atomic<std::size_t> paths{0};
  std::array<std::array<char, kLongestPath>, kMostPaths> path{};
};
State& state() {
  static State the_state;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables): see above
  return the_state;
}

void say(const char* text) {
  // Nothing can be done about a closed stderr here.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text, std::strlen(text));
}

extern "C" void on_signal(int signal) {
  const int exit_code = 128 + signal;
  State& s = state();
  // A forked simulation leaves quietly; the process that was started speaks.
  if (::getpid() == s.process.load()) {
    for (std::size_t i = 0; i < s.paths.load(); ++i) ::unlink(s.path[i].data());
    say("\ninterrupted: no unfinished file is left\n");
  }
  ::_exit(exit_code);
}

}  // namespace

void install_interrupt_handlers() {
  state().process = ::getpid();
  struct sigaction action {};
  action.sa_handler = on_signal;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

void remove_when_interrupted(const std::vector<std::string>& paths) {
  State& s = state();
  s.paths = 0;
  std::size_t n = 0;
  for (const std::string& path : paths) {
    if (n == kMostPaths || path.size() >= kLongestPath) continue;
    std::memcpy(s.path[n].data(), path.c_str(), path.size() + 1);
    ++n;
  }
  s.paths = n;
}

}  // namespace spillway::cli
