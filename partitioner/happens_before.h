// Which command is certain to have completed before which other starts, whatever the engines' speeds: vector clocks
// over the queues (Mattern, "Virtual time and global states of distributed systems", 1989; Fidge 1988).
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "partitioner/program.h"

namespace spillway::partitioner {

class HappensBefore {
 public:
  /// `bad_wait(command, wait)` is told of every wait that is not for a command earlier in the stream: such a wait can
  /// never be met in some interleaving of the queues' fetches, or orders nothing.
  HappensBefore(const Program& program, const std::function<void(std::int32_t, const Wait&)>& bad_wait);

  /// `first` has completed whenever `second` starts.
  [[nodiscard]] bool ordered(std::int32_t first, std::int32_t second) const {
    return index_[first] < clocks_[static_cast<std::size_t>(second) * queues_ + queue_[first]];
  }

  [[nodiscard]] std::int32_t queue_of(std::int32_t command) const { return queue_[command]; }

  /// The walk over the stream has come to `command`.
  void advance(std::int32_t command);

  /// `command` has completed before every command from the walk's position on starts: it can race with none of them.
  [[nodiscard]] bool settled(std::int32_t command) const { return index_[command] < frontier_[queue_[command]]; }

 private:
  std::size_t queues_ = 0;
  std::vector<std::int32_t> queue_;                 // by command
  std::vector<std::int32_t> index_;                 // by command: its number within its queue
  std::vector<std::int32_t> clocks_;                // by command and queue: commands known complete at its start
  std::vector<std::vector<std::int32_t>> streams_;  // by queue: its commands
  std::vector<std::size_t> next_;                   // by queue: first command not yet walked over
  std::vector<std::int32_t> frontier_;              // by queue: the least clock of any queue's next command
};

}  // namespace spillway::partitioner
