#include "partitioner/happens_before.h"

#include <algorithm>
#include <limits>

namespace spillway::partitioner {

HappensBefore::HappensBefore(const Program& program, const std::function<void(std::int32_t, const Wait&)>& bad_wait) {
  const std::size_t commands = program.commands.size();
  queues_ = static_cast<std::size_t>(program.queues.count());
  queue_.resize(commands);
  index_.resize(commands);
  clocks_.resize(commands * queues_);
  streams_.resize(queues_);
  next_.resize(queues_);
  frontier_.resize(queues_);
  for (std::size_t c = 0; c < commands; ++c) {
    const Command& command = program.commands[c];
    auto& own = streams_[command.queue];
    queue_[c] = command.queue;
    index_[c] = static_cast<std::int32_t>(own.size());
    const auto clock = clocks_.begin() + static_cast<std::ptrdiff_t>(c * queues_);
    const auto learn = [&](std::int32_t completed) {
      const auto other = clocks_.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(completed) * queues_);
      for (std::size_t q = 0; q < queues_; ++q) clock[q] = std::max(clock[q], other[q]);
      clock[queue_[completed]] = std::max(clock[queue_[completed]], index_[completed] + 1);
    };
    if (!own.empty()) learn(own.back());
    for (const Wait& wait : program.waits(command)) {
      const auto& other = streams_[wait.queue];
      if (wait.count < 1 || wait.count > static_cast<std::int32_t>(other.size())) {
        bad_wait(static_cast<std::int32_t>(c), wait);
      } else {
        learn(other[wait.count - 1]);
      }
    }
    own.push_back(static_cast<std::int32_t>(c));
  }
}

void HappensBefore::advance(std::int32_t command) {
  std::fill(frontier_.begin(), frontier_.end(), std::numeric_limits<std::int32_t>::max());
  for (std::size_t p = 0; p < queues_; ++p) {
    while (next_[p] < streams_[p].size() && streams_[p][next_[p]] < command) ++next_[p];
    if (next_[p] == streams_[p].size()) continue;
    const std::size_t clock = static_cast<std::size_t>(streams_[p][next_[p]]) * queues_;
    for (std::size_t q = 0; q < queues_; ++q) frontier_[q] = std::min(frontier_[q], clocks_[clock + q]);
  }
}

}  // namespace spillway::partitioner
