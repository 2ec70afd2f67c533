// The queue between the command processor and one engine.
#pragma once

#include <array>

#include "configs/configs.h"

namespace spillway::simulator {

/// Commands that an engine's queue holds; a full queue stops fetch. Commands are fetched in issue order and wait only
/// on commands issued earlier, so that a legal Program always moves on.
inline constexpr int kQueueDepth = 32;

class CommandQueue {
 public:
  struct Entry {
    std::int32_t command = 0;
    configs::Cycles available = 0;  ///< when it has been fetched
  };

  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] bool full() const { return size_ == kQueueDepth; }
  [[nodiscard]] const Entry& front() const { return entries_[first_]; }
  void push(const Entry& entry) { entries_[static_cast<std::size_t>((first_ + size_++) % kQueueDepth)] = entry; }
  void pop() {
    first_ = (first_ + 1) % kQueueDepth;
    --size_;
  }

 private:
  std::array<Entry, kQueueDepth> entries_{};
  int first_ = 0, size_ = 0;
};

}  // namespace spillway::simulator
