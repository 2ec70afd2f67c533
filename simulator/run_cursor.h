// The memory runs of an operand, one bounded piece at a time: partitioner::for_each_run() for a caller that must stop
// between pieces, as a DMA channel does between requests.
#pragma once

#include "partitioner/program.h"

namespace spillway::simulator {

class RunCursor {
 public:
  struct Piece {
    std::int64_t address = 0;
    configs::Bytes bytes = 0;
  };

  RunCursor() = default;  ///< done()
  explicit RunCursor(const partitioner::Operand& operand);

  [[nodiscard]] bool done() const { return done_; }
  /// What is left of the current run, at most `limit` (> 0) bytes. Not when done().
  Piece take(configs::Bytes limit);

 private:
  int outer_ = 0;  // dimensions that are stepped through; those behind are one dense run
  configs::Bytes run_ = 0;
  configs::Bytes taken_ = 0;  // of the current run
  std::int64_t address_ = 0;  // of the current run
  bool done_ = true;
  std::array<std::int32_t, workloads::kMaxRank> extent_{}, index_{};
  std::array<std::int64_t, workloads::kMaxRank> stride_{};
};

}  // namespace spillway::simulator
