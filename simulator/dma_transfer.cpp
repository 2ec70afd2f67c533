#include "simulator/dma_transfer.h"

#include <algorithm>

namespace spillway::simulator {

using partitioner::CommandKind;
using partitioner::Operand;
using partitioner::Space;

namespace {

std::int64_t first_address(const Operand& operand) {
  std::int64_t address = operand.at.origin;
  for (int d = 0; d < operand.box.rank; ++d) address += operand.at.stride[d] * operand.box.begin[d];
  return address;
}

std::uint64_t on_interconnect(const Operand& operand) {
  const auto address = static_cast<std::uint64_t>(first_address(operand));
  return operand.space == Space::kScratchpad ? kScratchpadBase + address : address;
}

/// Fibonacci hashing (Knuth, The Art of Computer Programming 3, 6.4): spreads consecutive numbers evenly.
std::uint64_t scatter(std::uint64_t number) { return number * 0x9E3779B97F4A7C15ULL >> 17; }

}  // namespace

DmaTransfer::DmaTransfer(const partitioner::Program& program, const partitioner::Command& command, Bytes max_burst)
    : kind_(command.kind), max_burst_(max_burst) {
  const auto operands = program.operands(command);
  switch (kind_) {
    case CommandKind::kLoad:
    case CommandKind::kCopy:
      cursor_ = RunCursor(operands[0]);
      scratchpad_ = on_interconnect(operands[1]);
      break;
    case CommandKind::kStore:
      cursor_ = RunCursor(operands[1]);
      scratchpad_ = on_interconnect(operands[0]);
      break;
    case CommandKind::kGather: {
      const Operand& table = operands[1];
      const std::int64_t elements = operands[2].box.elements();
      rows_ = elements == 0 ? 0 : std::max<std::int64_t>(1, operands[0].box.elements());
      if (rows_ == 0) break;
      row_bytes_ = std::max<std::int64_t>(1, elements / rows_) * table.element_bytes();
      table_ = first_address(table);
      table_rows_ = std::max<std::int64_t>(1, table.bytes() / row_bytes_);
      scratchpad_ = on_interconnect(operands[2]);
      break;
    }
    case CommandKind::kMatrix:
    case CommandKind::kVector:
      internal_error("a DMA channel was given a command for an engine");
  }
}

DmaTransfer::Request DmaTransfer::next() {
  if (kind_ == CommandKind::kGather) {
    const auto place =
        static_cast<std::int64_t>(scatter(static_cast<std::uint64_t>(row_)) % static_cast<std::uint64_t>(table_rows_));
    const Bytes bytes = std::min(max_burst_, row_bytes_ - row_taken_);
    const std::int64_t source = table_ + place * row_bytes_ + row_taken_;
    row_taken_ += bytes;
    if (row_taken_ == row_bytes_) {
      row_taken_ = 0;
      ++row_;
      --rows_;
    }
    return {static_cast<std::uint64_t>(source), scratchpad_, bytes};
  }
  const RunCursor::Piece piece = cursor_.take(max_burst_);
  const auto memory = static_cast<std::uint64_t>(piece.address);
  switch (kind_) {
    case CommandKind::kStore:
      return {scratchpad_, memory, piece.bytes};
    case CommandKind::kCopy:
      return {kScratchpadBase + memory, scratchpad_, piece.bytes};
    default:
      return {memory, scratchpad_, piece.bytes};
  }
}

RequestWindow::RequestWindow(int outstanding) : in_flight_(static_cast<std::size_t>(std::max(1, outstanding)), 0) {}

void RequestWindow::begin(Cycles start, Cycles descriptor, Cycles latency) {
  next_issue_ = end_ = start + descriptor;
  latency_ = latency;
  std::fill(in_flight_.begin(), in_flight_.end(), next_issue_);
  oldest_ = 0;
  record_ = DmaRecord{};
  record_.descriptor = descriptor;
}

void RequestWindow::retire(Cycles end, bool dram) {
  Cycles waited = std::max<Cycles>(0, end - end_);
  end_ += waited;
  const Cycles on_the_way = std::min(waited, latency_);  // shows once: later requests' hides behind the earlier ones
  latency_ -= on_the_way;
  record_.port += on_the_way;
  waited -= on_the_way;
  (dram ? record_.dram : record_.port) += waited;
  in_flight_[oldest_] = end_;
  if (++oldest_ == in_flight_.size()) oldest_ = 0;
  next_issue_ = std::max(next_issue_ + 1, in_flight_[oldest_]);
}

}  // namespace spillway::simulator
