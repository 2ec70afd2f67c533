// How many bytes a command moves between its engine, the scratchpad and the accumulators.
#pragma once

#include <vector>

#include "simulator/simulator.h"

namespace spillway::simulator {

struct Traffic {
  Bytes scratchpad_read = 0, scratchpad_written = 0;
  Bytes accumulator = 0;  ///< read and written
  [[nodiscard]] Bytes scratchpad() const { return scratchpad_read + scratchpad_written; }
};

/// The Program's operand directions and passes, worked out once per kernel.
///
/// Matrix: the streamed operand is read once for every fold along the output columns, ceil(n / cols) times; the
/// stationary one once; partial sums are written once for every fold along the contraction and read back for all but
/// the first. Vector: an operand is read once for every pass that its operators make over it (OpDef::input_passes:
/// softmax three, layer normalisation two); a statistics output that has accumulated before is read as well.
/// DMA: its scratchpad operands once.
class KernelTraffic {
 public:
  explicit KernelTraffic(const partitioner::Program& program);

  [[nodiscard]] Traffic of(const partitioner::Command& command, const configs::MatrixConfig& matrix) const;

  /// Whether the command writes its i-th operand (else it reads it).
  [[nodiscard]] bool writes(const partitioner::Command& command, int operand) const;

 private:
  struct KernelUse {
    std::vector<std::int8_t> passes;  // by operand; 0: an output, -1: an output that accumulates (statistics)
  };
  [[nodiscard]] int passes(const partitioner::Command& command, int operand) const;

  const partitioner::Program& program_;
  std::vector<KernelUse> kernels_;
};

}  // namespace spillway::simulator
