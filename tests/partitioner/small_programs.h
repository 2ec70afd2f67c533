// Programs made by hand, small enough to be argued about line by line.
#pragma once

#include <vector>

#include "partitioner/program.h"

namespace spillway::partitioner::test {

/// Appends commands to a Program whose graph and layout are given. Boxes are logical; operands are placed densely.
class ProgramBuilder {
 public:
  explicit ProgramBuilder(Graph graph, Queues queues);

  [[nodiscard]] Operand dram(TensorId tensor, const Box& box) const;
  [[nodiscard]] Operand scratchpad(TensorId tensor, const Box& box, std::int64_t address) const;
  [[nodiscard]] Operand accumulators(TensorId tensor, const Box& box, std::int64_t address) const;

  std::int32_t kernel(Kernel kernel);
  /// Sets a vector command's work to what its kernel needs and a matrix command's shape to its node's.
  void add(CommandKind kind, int queue, std::int32_t kernel, const std::vector<Operand>& operands,
           const std::vector<Wait>& waits, const std::vector<Box>& boxes = {}, std::int64_t prior = 0);

  Program program;

 private:
  [[nodiscard]] Operand place(TensorId tensor, const Box& box, Space space, std::int64_t address,
                              configs::Format format) const;
};

[[nodiscard]] Box make_box(const std::vector<std::int32_t>& begin, const std::vector<std::int32_t>& extent);

/// y = Conv3x3(x, w, b) on 16 channels of 8 x 8, in four tiles of two rows: load (two slots, halo re-read), product
/// (two accumulator halves), drain (two slots), store. Every wait is there for one hazard that nothing else covers.
[[nodiscard]] Program convolution_program();
/// The graph alone.
[[nodiscard]] Graph convolution_graph();

/// y = NormApply(x, NormStatistics(x)) on 4 channels of 4 x 4 in two tiles of two rows, x loaded once and kept.
[[nodiscard]] Program normalisation_program();

/// y = Concat(a, b) along channels: two copies between placements, one store.
[[nodiscard]] Program concat_program();

}  // namespace spillway::partitioner::test
