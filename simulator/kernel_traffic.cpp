#include "simulator/kernel_traffic.h"

#include <algorithm>

namespace spillway::simulator {

using partitioner::Command;
using partitioner::CommandKind;
using partitioner::KernelInput;
using partitioner::kNone;
using partitioner::Operand;
using partitioner::Space;

KernelTraffic::KernelTraffic(const partitioner::Program& program) : program_(program) {
  kernels_.reserve(program.kernels.size());
  for (const partitioner::Kernel& kernel : program.kernels) {
    KernelUse use;
    const auto at = [&use](int operand) -> std::int8_t& {
      if (operand >= static_cast<int>(use.passes.size())) use.passes.resize(static_cast<std::size_t>(operand) + 1, 1);
      return use.passes[static_cast<std::size_t>(operand)];
    };
    for (std::size_t s = 0; s < kernel.steps.size(); ++s) {
      const partitioner::KernelStep& step = kernel.steps[s];
      const bool drains = kernel.drain && s == 0;
      const auto* def = workloads::find_operator(program.graph.nodes[static_cast<std::size_t>(step.node)].op);
      for (std::size_t i = 0; i < step.inputs.size(); ++i) {
        if (step.inputs[i].from != KernelInput::From::kOperand) continue;
        std::int8_t& passes = at(step.inputs[i].index);
        if (!drains && i == 0 && def != nullptr) {
          passes = std::max(passes, static_cast<std::int8_t>(def->input_passes));
        }
      }
    }
    for (const partitioner::Kernel::Output& output : kernel.outputs) {
      const partitioner::KernelStep& step = kernel.steps[static_cast<std::size_t>(output.step)];
      const auto* def = workloads::find_operator(program.graph.nodes[static_cast<std::size_t>(step.node)].op);
      at(output.operand) = def != nullptr && def->op_class == workloads::OpClass::kStatistics ? -1 : 0;
    }
    kernels_.push_back(std::move(use));
  }
}

int KernelTraffic::passes(const Command& command, int operand) const {
  switch (command.kind) {
    case CommandKind::kLoad:
    case CommandKind::kStore:
    case CommandKind::kCopy:
      return operand == 1 ? 0 : 1;
    case CommandKind::kGather:
    case CommandKind::kMatrix:
      return operand == 2 ? 0 : 1;
    case CommandKind::kVector:
      break;
  }
  // Without a kernel (timing only) the last operand is the output.
  if (command.kernel == kNone) return operand + 1 == command.operands ? 0 : 1;
  const auto& list = kernels_[static_cast<std::size_t>(command.kernel)].passes;
  return operand < static_cast<int>(list.size()) ? list[static_cast<std::size_t>(operand)] : 1;
}

bool KernelTraffic::writes(const Command& command, int operand) const { return passes(command, operand) <= 0; }

Traffic KernelTraffic::of(const Command& command, const configs::MatrixConfig& matrix) const {
  Traffic traffic;
  const auto operands = program_.operands(command);
  const bool product = command.kind == CommandKind::kMatrix;
  for (int i = 0; i < static_cast<int>(operands.size()); ++i) {
    const Operand& operand = operands[static_cast<std::size_t>(i)];
    const int times = passes(command, i);
    const Bytes bytes = operand.bytes();
    if (operand.space == Space::kAccumulator) {
      const std::int64_t folds = product ? (command.matrix.k + matrix.rows - 1) / matrix.rows : 1;
      traffic.accumulator += bytes * (product ? std::max<std::int64_t>(1, 2 * folds - 1) : 1);
    } else if (operand.space == Space::kScratchpad) {
      if (times <= 0) {
        traffic.scratchpad_written += bytes;
        if (times < 0 && command.prior > 0) traffic.scratchpad_read += bytes;
      } else {
        const std::int64_t columns = (command.matrix.n + matrix.cols - 1) / matrix.cols;
        traffic.scratchpad_read += bytes * (product && i == 0 ? std::max<std::int64_t>(1, columns) : times);
      }
    }
  }
  return traffic;
}

}  // namespace spillway::simulator
