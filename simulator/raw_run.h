// What the simulated hardware measures while it runs; everything else in a Result is derived from it (accounting.h).
// Plain bytes, because it crosses from the child process to its parent.
#pragma once

#include <vector>

#include "simulator/simulator.h"

namespace spillway::simulator {

/// What one DMA command's cycles were: descriptor + dram + port == end - start.
struct DmaRecord {
  Cycles dram = 0;  ///< a DRAM transfer was what the channel waited for
  Cycles port = 0;  ///< interconnect or scratchpad port, interconnect latency included
  Cycles descriptor = 0;
  Bytes burst_bytes = 0;  ///< DRAM bytes including rounding to bursts
};

struct RawRun {
  std::vector<CommandTimes> commands;  ///< issue, start, end; the causes are derived
  /// By command: for how long fetch had run unhindered (one command a cycle) when it was fetched. Waiting for fetch
  /// beyond that is waiting for a full queue.
  std::vector<std::int32_t> fetch_cycles;
  std::vector<std::int32_t> order;        ///< commands as they completed
  std::vector<DmaRecord> dma;             ///< by command; zero for those of other engines
  std::vector<partitioner::Moves> moves;  ///< by group, as the DMA channels counted them
  DramUse dram;
  double cpu_seconds = 0;
};

}  // namespace spillway::simulator
