#include "simulator/scratchpad_port.h"

#include <algorithm>

namespace spillway::simulator {

ScratchpadPort::ScratchpadPort(const configs::ScratchpadConfig& config, int engines)
    : width_(config.banks * config.bank_port_bytes * kFraction),
      least_(config.bank_port_bytes * kFraction),
      streams_(static_cast<std::size_t>(engines)) {}

void ScratchpadPort::stream(int engine, configs::Cycles from, configs::Cycles until, configs::Bytes bytes) {
  Stream& stream = streams_.at(static_cast<std::size_t>(engine));
  stream.from = from;
  stream.until = until;
  stream.rate = until > from ? bytes * kFraction / (until - from) : 0;
}

configs::Cycles ScratchpadPort::access(configs::Cycles at, configs::Bytes bytes) {
  std::int64_t taken = 0;
  for (const Stream& stream : streams_) {
    if (stream.from <= at && at < stream.until) taken += stream.rate;
  }
  const std::int64_t left = std::max(least_, width_ - taken);
  return link_.reserve(at, (bytes * kFraction + left - 1) / left);
}

}  // namespace spillway::simulator
