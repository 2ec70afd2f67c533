// Executes commands on real data: DMA copies bytes between the DRAM image and the scratchpad, engines compute on
// scratchpad bytes with the operators' own kernels. What a command does happens at the moment it completes.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "partitioner/program.h"
#include "simulator/functional/fidelity_probe.h"
#include "simulator/functional/kept_panels.h"
#include "simulator/functional/memory.h"
#include "simulator/functional/storage_formats.h"
#include "workloads/compute/strided.h"

namespace spillway::simulator {

using workloads::Box;

class FunctionalMachine {
 public:
  /// `dram` holds the initial contents and, in the end, the outputs. `panels` (may be nullptr) keeps what products make
  /// of constants.
  FunctionalMachine(const partitioner::Program& program, const StorageFormats& formats, Memory& dram,
                    KeptPanels* panels);

  /// All but `dram` is as it was at the start. `probe` (may be nullptr) sees what is stored from now on: with one,
  /// every command wants a wave of its own.
  void restart(FidelityProbe* probe);

  using Waves = std::vector<std::vector<std::int32_t>>;
  /// Commands as waves_of() has put them. Throws Error(kInternal) naming command, address and tensor if one reads what
  /// is not there.
  void execute(const Waves& waves);

 private:
  /// A part of a logical tensor: floats in a memory of the NPU, or in `buffer`, in any layout.
  struct Value {
    partitioner::TensorId tensor = partitioner::kNone;
    workloads::ConstStridedView view;
    std::shared_ptr<workloads::compute::Scratch> buffer;
  };

  void execute_wave(std::span<const std::int32_t> wave);
  void execute_one(std::int32_t command);
  /// What is better done before other commands run beside this one; false if nothing is left to do.
  [[nodiscard]] bool prepare(const partitioner::Command& command);
  [[nodiscard]] bool loads_constant(const partitioner::Operand& source, const partitioner::Operand& destination);
  void transfer(const partitioner::Operand& source, const partitioner::Operand& destination);
  [[nodiscard]] bool copy_floats(const partitioner::Operand& source, const partitioner::Operand& destination);
  void gather(const partitioner::Command& command);
  void compute(const partitioner::Command& command);
  void accumulate(const partitioner::Command& command, const partitioner::Operand& operand, const Value& partial,
                  const Box& input);

  [[nodiscard]] Value run_step(const partitioner::Command& command, const partitioner::Kernel& kernel, std::size_t step,
                               const std::vector<Value>& before, const partitioner::Operand* target);
  void drain(const partitioner::Command& command, const partitioner::KernelStep& step,
             const workloads::StridedView& out);
  [[nodiscard]] Value step_input(const partitioner::Command& command, const partitioner::KernelStep& step,
                                 std::size_t input, const Box& box, const std::vector<Value>& before);
  /// The operand that step `s` may write straight into: nothing that the command still reads lies there.
  [[nodiscard]] const partitioner::Operand* target_of(const partitioner::Command& command,
                                                      const partitioner::Kernel& kernel, std::size_t s) const;

  void multiply(const partitioner::Command& command);
  /// The same where the host has instructions for it; false if it has not.
  [[nodiscard]] bool multiply_bytes(const partitioner::Command& command);
  [[nodiscard]] Value read(const partitioner::Operand& operand, partitioner::TensorId tensor, const Box& box);
  [[nodiscard]] Value encoded(const Memory::Lent& values, const partitioner::Operand& operand,
                              partitioner::TensorId tensor, const Box& box) const;
  /// Elements as they lie there: in place where they are floats at even distances, otherwise a copy.
  [[nodiscard]] Value read_raw(const partitioner::Operand& operand, partitioner::TensorId tensor, const Box& box);
  /// Whether its elements may be wider than the vector engine holds them.
  [[nodiscard]] bool is_wider(const Value& value) const;
  void show(const partitioner::Operand& operand, partitioner::TensorId tensor, const Box& box);
  /// The product's sums, scaled if they are of integers.
  [[nodiscard]] Value sums_of(const partitioner::Operand& operand, const workloads::Node& node, const Box& box);
  void write(const partitioner::Operand& operand, const Value& value);
  /// The place of `box` of the tensor in the operand's memory, claimed for writing; false if it has no even layout.
  [[nodiscard]] bool claim(const partitioner::Operand& operand, partitioner::TensorId tensor, const Box& box,
                           workloads::StridedView& view);
  /// The part `box` of `tensor` out of a value of another view of the same storage.
  [[nodiscard]] Value reinterpret(const Value& value, partitioner::TensorId tensor, const Box& box) const;

  [[nodiscard]] Memory& memory_of(const partitioner::Operand& operand);
  [[nodiscard]] const workloads::Node& node_of(const partitioner::KernelStep& step) const;

  const partitioner::Program& program_;
  const StorageFormats& formats_;
  FidelityProbe* probe_ = nullptr;
  KeptPanels* panels_;
  Memory& dram_;
  Memory scratchpad_;
  std::vector<Memory> accumulators_;  // by matrix engine
};

}  // namespace spillway::simulator
