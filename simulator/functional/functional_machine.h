// Executes commands on real data: DMA copies bytes between the DRAM image and the scratchpad, engines compute on
// scratchpad bytes with the operators' own kernels. What a command does happens at the moment it completes.
#pragma once

#include <vector>

#include "partitioner/program.h"
#include "simulator/functional/memory.h"
#include "simulator/functional/storage_formats.h"

namespace spillway::simulator {

using workloads::Box;

class FunctionalMachine {
 public:
  /// `dram` holds the initial contents and, in the end, the outputs.
  FunctionalMachine(const partitioner::Program& program, const StorageFormats& formats, Memory& dram);

  /// Throws Error(kInternal) naming command, address and tensor if it reads what is not there.
  void execute(std::int32_t command);

 private:
  /// A part of a logical tensor, dense.
  struct Value {
    partitioner::TensorId tensor = partitioner::kNone;
    Box box;
    std::vector<float> data;
  };

  void transfer(const partitioner::Operand& source, const partitioner::Operand& destination);
  void gather(const partitioner::Command& command);
  void compute(const partitioner::Command& command);
  void accumulate(const partitioner::Command& command, const partitioner::Operand& operand, const Value& partial,
                  const Box& input);

  [[nodiscard]] Value run_step(const partitioner::Command& command, const partitioner::Kernel& kernel, std::size_t step,
                               const std::vector<Value>& before);
  [[nodiscard]] Value drain(const partitioner::Command& command, const partitioner::KernelStep& step, const Box& box);
  [[nodiscard]] Value step_input(const partitioner::Command& command, const partitioner::KernelStep& step,
                                 std::size_t input, const Box& box, const std::vector<Value>& before);

  void multiply(const partitioner::Command& command);
  [[nodiscard]] Value read(const partitioner::Operand& operand, partitioner::TensorId tensor, const Box& box);
  /// Elements as they lie there.
  [[nodiscard]] Value read_raw(const partitioner::Operand& operand, partitioner::TensorId tensor, const Box& box);
  void write(const partitioner::Operand& operand, const Value& value);
  void round_result(Value& value) const;
  void scale_sums(const workloads::Node& node, Value& sums) const;
  /// The part `box` of `tensor` out of a value of another view of the same storage.
  [[nodiscard]] Value reinterpret(const Value& value, partitioner::TensorId tensor, const Box& box) const;

  [[nodiscard]] Memory& memory_of(const partitioner::Operand& operand);
  [[nodiscard]] const workloads::Node& node_of(const partitioner::KernelStep& step) const;

  const partitioner::Program& program_;
  const StorageFormats& formats_;
  Memory& dram_;
  Memory scratchpad_;
  std::vector<Memory> accumulators_;  // by matrix engine
};

}  // namespace spillway::simulator
