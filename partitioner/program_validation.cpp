#include "partitioner/program_validation.h"

#include <fmt/format.h>

#include "configs/error.h"

namespace spillway::partitioner {

namespace {

template <typename... Args>
[[noreturn]] void bad(fmt::format_string<Args...> text, Args&&... args) {
  throw Error(ErrorKind::kBadInput, Place{}, fmt::format(text, std::forward<Args>(args)...),
              "the file is damaged; write it again with this version");
}

template <typename T>
bool in_range(std::int64_t id, const std::vector<T>& of) {
  return id >= 0 && id < static_cast<std::int64_t>(of.size());
}

void validate_storages(const Program& program) {
  for (const Storage& storage : program.layout.storages) {
    if (!in_range(storage.root, program.graph.tensors)) bad("storage '{}' has no root tensor", storage.name);
    std::int64_t elements = 1;
    for (int f = 0; f < storage.rank; ++f) {
      if (__builtin_mul_overflow(elements, std::int64_t{storage.extent[f]}, &elements) || elements > std::int64_t{1}
                                                                                                         << 56) {
        bad("storage '{}' has more than 2^56 elements", storage.name);
      }
    }
  }
}

void validate_views(const Program& program) {
  const Layout& layout = program.layout;
  if (layout.views.size() != program.graph.tensors.size()) {
    bad("{} views when there are {} tensors", layout.views.size(), program.graph.tensors.size());
  }
  if (layout.is_view_node.size() != program.graph.nodes.size()) {
    bad("{} view flags when there are {} nodes", layout.is_view_node.size(), program.graph.nodes.size());
  }
  for (std::size_t t = 0; t < layout.views.size(); ++t) {
    const TensorView& view = layout.views[t];
    const workloads::Tensor& tensor = program.graph.tensors[t];
    if (view.storage == kNone) continue;
    if (!in_range(view.storage, layout.storages)) bad("tensor '{}' views storage {}", tensor.name, view.storage);
    if (view.dims.size() != tensor.shape.size() || tensor.shape.size() > kMaxRank) {
      bad("the view of tensor '{}' has {} dimensions when the tensor has {} and the limit is {}", tensor.name,
          view.dims.size(), tensor.shape.size(), kMaxRank);
    }
    const Storage& storage = layout.storages[view.storage];
    for (std::size_t d = 0; d < view.dims.size(); ++d) {
      std::int64_t extent = 1;
      for (const FactorRef& ref : view.dims[d]) {
        if (ref.factor < 0 || ref.factor >= storage.rank || ref.extent < 1 || ref.offset < 0 ||
            ref.offset > storage.extent[ref.factor] - ref.extent) {
          bad("the view of tensor '{}' reaches outside storage '{}'", tensor.name, storage.name);
        }
        if (__builtin_mul_overflow(extent, std::int64_t{ref.extent}, &extent)) {
          bad("the view of tensor '{}' is too large", tensor.name);
        }
      }
      if (extent != tensor.shape[d]) {
        bad("dimension {} of the view of tensor '{}' is {} when it should be {}", d, tensor.name, extent,
            tensor.shape[d]);
      }
    }
  }
}

void validate_kernels(const Program& program) {
  for (std::size_t k = 0; k < program.kernels.size(); ++k) {
    const Kernel& kernel = program.kernels[k];
    for (std::size_t s = 0; s < kernel.steps.size(); ++s) {
      const KernelStep& step = kernel.steps[s];
      if (!in_range(step.node, program.graph.nodes)) bad("kernel {} runs node {}", k, step.node);
      for (const KernelInput& input : step.inputs) {
        if (input.tensor != kNone && !in_range(input.tensor, program.graph.tensors)) {
          bad("kernel {} reads tensor {}", k, input.tensor);
        }
        if (input.from == KernelInput::From::kStep && (input.index < 0 || input.index >= static_cast<int>(s))) {
          bad("step {} of kernel {} reads step {}", s, k, input.index);
        }
        if (input.from != KernelInput::From::kOmitted &&
            (input.tensor == kNone || program.layout.views[input.tensor].storage == kNone)) {
          bad("step {} of kernel {} reads a tensor that is nowhere", s, k);
        }
      }
    }
    for (const Kernel::Output& output : kernel.outputs) {
      if (!in_range(output.step, kernel.steps)) bad("kernel {} writes the result of step {}", k, output.step);
    }
  }
}

void validate_commands(const Program& program) {
  const auto within = [](std::size_t first, std::size_t count, const auto& pool) {
    return first <= pool.size() && count <= pool.size() - first;
  };
  for (std::size_t c = 0; c < program.commands.size(); ++c) {
    const Command& command = program.commands[c];
    if (command.queue < 0 || command.queue >= program.queues.count()) {
      bad("command {} is on queue {} of {}", c, command.queue, program.queues.count());
    }
    if (!in_range(command.group, program.group_names)) bad("command {} is of group {}", c, command.group);
    if (!within(command.first_operand, command.operands, program.operand_pool) ||
        !within(command.first_wait, command.waits, program.wait_pool) ||
        !within(command.first_box, command.boxes, program.box_pool)) {
      bad("command {} refers outside the pools", c);
    }
    if (command.kernel == kNone) continue;
    if (!in_range(command.kernel, program.kernels)) bad("command {} runs kernel {}", c, command.kernel);
    const Kernel& kernel = program.kernels[command.kernel];
    if (kernel.steps.size() != command.boxes) {
      bad("command {} has {} boxes when its kernel has {} steps", c, command.boxes, kernel.steps.size());
    }
    for (const KernelStep& step : kernel.steps) {
      for (const KernelInput& input : step.inputs) {
        if (input.from == KernelInput::From::kOperand && (input.index < 0 || input.index >= command.operands)) {
          bad("command {} reads operand {} of {}", c, input.index, command.operands);
        }
      }
    }
    for (const Kernel::Output& output : kernel.outputs) {
      if (output.operand < 0 || output.operand >= command.operands) {
        bad("command {} writes operand {} of {}", c, output.operand, command.operands);
      }
    }
  }
}

void validate_operands(const Program& program) {
  for (std::size_t i = 0; i < program.operand_pool.size(); ++i) {
    const Operand& operand = program.operand_pool[i];
    if (!in_range(operand.storage, program.layout.storages)) bad("operand {} is of storage {}", i, operand.storage);
    const Storage& storage = program.layout.storages[operand.storage];
    if (operand.box.rank != storage.rank || !storage.whole().contains(operand.box)) {
      bad("operand {} lies outside storage '{}'", i, storage.name);
    }
    if (operand.space == Space::kAccumulator && (operand.engine < 0 || operand.engine >= program.queues.matrix)) {
      bad("operand {} is in the accumulators of engine {} of {}", i, operand.engine, program.queues.matrix);
    }
  }
  for (std::size_t i = 0; i < program.wait_pool.size(); ++i) {
    if (program.wait_pool[i].queue < 0 || program.wait_pool[i].queue >= program.queues.count()) {
      bad("wait {} is for queue {} of {}", i, program.wait_pool[i].queue, program.queues.count());
    }
  }
}

}  // namespace

void validate_references(const Program& program) {
  validate_storages(program);
  validate_views(program);
  validate_kernels(program);
  validate_commands(program);
  validate_operands(program);
}

}  // namespace spillway::partitioner
