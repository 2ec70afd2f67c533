// Tokens: how many commands each queue has completed, and who waits for the next.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "partitioner/program.h"

namespace spillway::simulator {

class TokenBoard {
 public:
  explicit TokenBoard(int queues)
      : completed_(static_cast<std::size_t>(queues), 0), waiters_(static_cast<std::size_t>(queues)) {}

  [[nodiscard]] std::int32_t completed(int queue) const { return completed_[static_cast<std::size_t>(queue)]; }

  /// The first wait that is not met; nullptr if all are.
  [[nodiscard]] const partitioner::Wait* first_unmet(std::span<const partitioner::Wait> waits) const {
    for (const partitioner::Wait& wait : waits) {
      if (completed(wait.queue) < wait.count) return &wait;
    }
    return nullptr;
  }

  /// `engine` sleeps until `wait` is met.
  void await(int engine, const partitioner::Wait& wait) {
    waiters_[static_cast<std::size_t>(wait.queue)].push_back({engine, wait.count});
  }

  /// Queue `queue` has completed one more command: calls wake(engine) for those whose wait is now met.
  template <typename Wake>
  void complete(int queue, Wake wake) {
    const std::int32_t count = ++completed_[static_cast<std::size_t>(queue)];
    auto& waiters = waiters_[static_cast<std::size_t>(queue)];
    for (std::size_t i = 0; i < waiters.size();) {
      if (waiters[i].count > count) {
        ++i;
        continue;
      }
      const int engine = waiters[i].engine;
      waiters.erase(waiters.begin() + static_cast<std::ptrdiff_t>(i));
      wake(engine);
    }
  }

 private:
  struct Waiter {
    int engine = 0;
    std::int32_t count = 0;
  };
  std::vector<std::int32_t> completed_;
  std::vector<std::vector<Waiter>> waiters_;
};

}  // namespace spillway::simulator
