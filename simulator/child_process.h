// Runs a job in a forked child and brings its answer back as bytes.
//
// The SystemC kernel is one per process and cannot start twice; a child per simulation makes simulate() an ordinary
// function that can be called again, and from several threads at once. The child never returns to the caller's code,
// runs no exit handlers and flushes no inherited stream (_exit).
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "simulator/simulator.h"

namespace spillway::simulator {

/// What the job may tell its parent while it runs: numbers, one by one or several with one system call.
class Tell {
 public:
  explicit Tell(std::function<void(std::span<const std::int64_t>)> send) : send_(std::move(send)) {}
  void operator()(std::int64_t number) const { send_({&number, 1}); }
  void operator()(std::span<const std::int64_t> numbers) const { send_(numbers); }

 private:
  std::function<void(std::span<const std::int64_t>)> send_;
};
/// Runs in the child; what it returns is handed to the parent. What it throws is thrown again in the parent, an Error
/// with all its fields.
using Job = std::function<std::string(const Tell& tell)>;

/// Throws what the job threw; Error(kInternal) naming the signal if the child died. `told` runs in the parent, for
/// every number; if it throws, the child is killed and the exception travels on.
[[nodiscard]] std::string run_in_child(const Job& job, const std::function<void(std::int64_t)>& told);

}  // namespace spillway::simulator
