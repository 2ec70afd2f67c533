// What a DMA channel does with one command: the requests it makes, and how its cycles are accounted. Plain classes.
#pragma once

#include <cstdint>
#include <vector>

#include "simulator/raw_run.h"
#include "simulator/run_cursor.h"

namespace spillway::simulator {

/// Address of the scratchpad's first byte on the interconnect; DRAM starts at 0.
inline constexpr std::uint64_t kScratchpadBase = std::uint64_t{1} << 62;

/// The requests of a command, in order: its DRAM operand's runs (kCopy: the source's) cut into max_burst bytes.
/// The scratchpad side of a request carries the same bytes at the box's first address: banks are not modelled.
///
/// kGather: which rows are wanted is data, and timing must not depend on data; rows are taken to lie at addresses
/// scattered over the table by a fixed hash, one run a row.
class DmaTransfer {
 public:
  struct Request {
    std::uint64_t source = 0, destination = 0;
    Bytes bytes = 0;
  };

  DmaTransfer() = default;
  DmaTransfer(const partitioner::Program& program, const partitioner::Command& command, Bytes max_burst);

  [[nodiscard]] bool done() const { return rows_ == 0 && cursor_.done(); }
  Request next();

 private:
  partitioner::CommandKind kind_ = partitioner::CommandKind::kLoad;
  Bytes max_burst_ = 0;
  RunCursor cursor_;
  std::uint64_t scratchpad_ = 0;
  // kGather
  std::int64_t rows_ = 0, row_ = 0, row_taken_ = 0, table_rows_ = 0, table_ = 0;
  Bytes row_bytes_ = 0;
};

/// The channel's requests in flight: when the next may go out, and what each wait was for. Requests retire in order.
class RequestWindow {
 public:
  explicit RequestWindow(int outstanding);

  /// A command starts; its descriptor takes `descriptor` cycles; every request spends `latency` on the interconnect.
  void begin(Cycles start, Cycles descriptor, Cycles latency);

  /// One request a cycle, and not more than `outstanding` in flight.
  [[nodiscard]] Cycles next_issue() const { return next_issue_; }

  /// The request that went out at next_issue() is done at `end`; `dram` if it was the DRAM that it waited for.
  void retire(Cycles end, bool dram);

  /// When everything is done.
  [[nodiscard]] Cycles end() const { return end_; }
  [[nodiscard]] DmaRecord& record() { return record_; }

 private:
  std::vector<Cycles> in_flight_;  // ring of completion times
  std::size_t oldest_ = 0;
  Cycles next_issue_ = 0, end_ = 0, latency_ = 0;
  DmaRecord record_;
};

}  // namespace spillway::simulator
