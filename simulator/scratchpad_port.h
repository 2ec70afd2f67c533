// The scratchpad's banks as one wide port: banks * bank_port_bytes per cycle.
//
// Engines come first: a matrix or vector command streams its bytes evenly over its duration (configs/timing.h has
// charged it for the port already). DMA gets what the engines leave at that moment, and never less than one bank.
// Which bank an address lies in is not modelled.
#pragma once

#include <vector>

#include "configs/configs.h"
#include "simulator/link.h"

namespace spillway::simulator {

class ScratchpadPort {
 public:
  ScratchpadPort(const configs::ScratchpadConfig& config, int engines);

  /// Engine `engine` reads and writes `bytes` during [from, until).
  void stream(int engine, configs::Cycles from, configs::Cycles until, configs::Bytes bytes);

  /// When a DMA access of `bytes` that is asked for at `at` is done.
  configs::Cycles access(configs::Cycles at, configs::Bytes bytes);

 private:
  /// Bytes per cycle in units of 1 / kFraction, so that sums are exact.
  static constexpr std::int64_t kFraction = 1024;
  struct Stream {
    configs::Cycles from = 0, until = 0;
    std::int64_t rate = 0;
  };

  std::int64_t width_ = 0, least_ = 0;  // in 1 / kFraction bytes per cycle
  std::vector<Stream> streams_;         // by engine, which runs one command at a time
  Link link_;
};

}  // namespace spillway::simulator
