#include "simulator/functional/functional_machine.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "simulator/functional/byte_product.h"
#include "simulator/functional/even_region.h"
#include "simulator/functional/integer_product.h"
#include "simulator/functional/narrow_access.h"
#include "simulator/functional/tensor_access.h"
#include "simulator/functional/waves.h"
#include "simulator/run_cursor.h"
#include "workloads/compute/simd.h"
#include "workloads/operators/statistics.h"

namespace spillway::simulator {

using configs::Format;
using partitioner::Command;
using partitioner::CommandKind;
using partitioner::Kernel;
using partitioner::KernelInput;
using partitioner::KernelStep;
using partitioner::kNone;
using partitioner::Operand;
using partitioner::Program;
using partitioner::Space;
using partitioner::TensorId;
using workloads::Node;
using workloads::OpClass;
using workloads::OpDef;
using workloads::compute::dense_strides;
using workloads::compute::Scratch;

namespace {

std::size_t at(std::int32_t id) { return static_cast<std::size_t>(id); }

std::int64_t spatial_elements(const Box& box) {
  std::int64_t n = 1;
  for (int d = 2; d < box.rank; ++d) n *= box.extent[at(d)];
  return n;
}

std::vector<float> dense_floats(const workloads::ConstStridedView& view) {
  std::vector<float> values(static_cast<std::size_t>(view.box.elements()));
  workloads::compute::copy(view, {view.box, values.data(), dense_strides(view.box)});
  return values;
}

/// Whether both operands of a product are integers that stand for real numbers.
bool multiplies_integers(const Program& program, const StorageFormats& formats, const Command& command) {
  const auto operands = program.operands(command);
  return formats.quantised(operands[0].storage) && formats.quantised(operands[1].storage);
}

/// Whether the operand's bytes may be another's too.
bool overlaps_another(std::span<const Operand> operands, std::size_t index) {
  const Operand& operand = operands[index];
  const auto [begin, end] = range_of(operand);
  return std::any_of(operands.begin(), operands.end(), [&](const Operand& other) {
    if (&other == &operand || other.space != operand.space || other.engine != operand.engine) return false;
    const auto [first, last] = range_of(other);
    return first < end && begin < last;
  });
}

/// The output axis that the bias of a matrix operator runs along.
int bias_axis(const Node& node, int rank) { return node.op == "MatMul" ? rank - 1 : 1; }

}  // namespace

FunctionalMachine::FunctionalMachine(const Program& program, const StorageFormats& formats, Memory& dram,
                                     KeptPanels* panels)
    : program_(program),
      formats_(formats),
      panels_(panels),
      dram_(dram),
      scratchpad_("scratchpad", program.scratchpad_bytes) {
  for (int e = 0; e < program.queues.matrix; ++e) {
    accumulators_.emplace_back("accumulators of matrix" + std::to_string(e), program.accumulator_bytes);
  }
}

void FunctionalMachine::restart(FidelityProbe* probe) {
  const auto storages = static_cast<std::int32_t>(program_.layout.storages.size());
  scratchpad_.restart(storages);
  for (Memory& memory : accumulators_) memory.restart(storages);
  probe_ = probe;
}

void FunctionalMachine::execute(const Waves& waves) {
  for (const auto& wave : waves) execute_wave(wave);
}

void FunctionalMachine::execute_wave(std::span<const std::int32_t> wave) {
  std::vector<std::int32_t> left;
  for (const std::int32_t command : wave) {
    if (prepare(program_.commands[at(command)])) left.push_back(command);
  }
  // Less than a thread needs to wake up is not worth sharing.
  constexpr std::int64_t kWorthSharing = 65536;
  std::int64_t bytes = 0;
  for (const std::int32_t command : left) {
    for (const Operand& operand : program_.operands(program_.commands[at(command)])) bytes += operand.bytes();
  }
  if (left.size() == 1 || bytes < kWorthSharing) {
    for (const std::int32_t command : left) execute_one(command);
    return;
  }
  // Engines first: what they do takes longest.
  std::stable_partition(left.begin(), left.end(),
                        [&](std::int32_t c) { return program_.commands[at(c)].kind == CommandKind::kMatrix; });
  workloads::compute::parallel_for(static_cast<std::int64_t>(left.size()),
                                   [&](std::int64_t i) { execute_one(left[static_cast<std::size_t>(i)]); });
}

bool FunctionalMachine::prepare(const Command& command) {
  const auto operands = program_.operands(command);
  if (command.kind == CommandKind::kLoad && loads_constant(operands[0], operands[1])) return false;
  for (std::size_t o = 0; o < operands.size(); ++o) {
    if (operands[o].space == Space::kAccumulator) continue;
    Memory::Use use = Memory::Use::kRead;
    if (writes_operand(program_, command, o)) {
      use = overlaps_another(operands, o) ? Memory::Use::kWritten : Memory::Use::kReplaced;
    }
    memory_of(operands[o]).prepare(operands[o], use);
  }
  return true;
}

/// A tile of a constant need not be copied before somebody asks for its bytes.
bool FunctionalMachine::loads_constant(const Operand& source, const Operand& destination) {
  constexpr std::int64_t kWorthWaiting = 16384;  // bytes
  if (source.space != Space::kDram || destination.space != Space::kScratchpad) return false;
  if (source.format != destination.format || !(source.box == destination.box)) return false;
  if (source.format != Format::kFp32 && source.format != Format::kInt8) return false;  // what products read in place
  if (destination.bytes() < kWorthWaiting) return false;
  const Memory::Lent* lent = dram_.lent(source);
  std::optional<Memory::Lent> constant;
  if (lent == nullptr) {
    constant = dram_.constant(source);
    if (constant) lent = &*constant;
  }
  return lent != nullptr &&
         scratchpad_.alias(destination, *lent, panels_ != nullptr ? panels_->of(*lent, source.box) : nullptr);
}

void FunctionalMachine::execute_one(std::int32_t command) {
  const Command& c = program_.commands[at(command)];
  try {
    const auto operands = program_.operands(c);
    switch (c.kind) {
      case CommandKind::kLoad:
      case CommandKind::kStore:
      case CommandKind::kCopy:
        return transfer(operands[0], operands[1]);
      case CommandKind::kGather:
        return gather(c);
      case CommandKind::kMatrix:
        return multiplies_integers(program_, formats_, c) ? multiply(c) : compute(c);
      case CommandKind::kVector:
        return compute(c);
    }
  } catch (const WrongRead& wrong) {
    const auto name_of_storage = [&](partitioner::StorageId s) { return program_.layout.storages[at(s)].name; };
    throw Error(ErrorKind::kInternal, Place{.tensor = name_of_storage(wrong.wanted)},
                "command " + std::to_string(command) + " (" + std::string(name_of(c.kind)) + " of group '" +
                    program_.group_names[at(c.group)] + "') reads " + wrong.memory + " address " +
                    std::to_string(wrong.address) +
                    (wrong.owner == kNone ? ", which nothing has written"
                                          : ", which holds '" + name_of_storage(wrong.owner) + "'"));
  }
}

Memory& FunctionalMachine::memory_of(const Operand& operand) {
  switch (operand.space) {
    case Space::kDram:
      return dram_;
    case Space::kScratchpad:
      return scratchpad_;
    case Space::kAccumulator:
      return accumulators_[at(operand.engine)];
  }
  internal_error("unknown memory");
}

const Node& FunctionalMachine::node_of(const KernelStep& step) const { return program_.graph.nodes[at(step.node)]; }

// Source and destination hold the same elements in the same order.
void FunctionalMachine::transfer(const Operand& source, const Operand& destination) {
  if (source.bytes() != destination.bytes()) internal_error("a transfer between boxes of different size");
  if (source.space != destination.space && copy_floats(source, destination)) return;
  Memory& from = memory_of(source);
  Memory& to = memory_of(destination);
  RunCursor reading(source), writing(destination);
  RunCursor::Piece in, out;
  while (true) {
    if (in.bytes == 0 && !reading.done()) in = reading.take(source.bytes());
    if (out.bytes == 0 && !writing.done()) out = writing.take(destination.bytes());
    const std::int64_t bytes = std::min(in.bytes, out.bytes);
    if (bytes == 0) return;
    // Read before written: a halo is shifted down over itself.
    const std::byte* data = from.read(in.address, bytes, source.storage);
    std::memmove(to.write(out.address, bytes, destination.storage), data, static_cast<std::size_t>(bytes));
    in = {in.address + bytes, in.bytes - bytes};
    out = {out.address + bytes, out.bytes - bytes};
  }
}

/// Factor by factor between two memories; false if that does not do.
bool FunctionalMachine::copy_floats(const Operand& source, const Operand& destination) {
  if (source.format != Format::kFp32 || destination.format != Format::kFp32) return false;
  if (source.box.rank != destination.box.rank || source.box.extent != destination.box.extent || source.box.empty()) {
    return false;
  }
  const Memory& from = memory_of(source);
  Memory& to = memory_of(destination);
  // All of a memory's bytes are one array: any stretch's address tells where it begins.
  const auto base_of = [&](const Operand& operand, auto access) {
    std::byte* base = nullptr;
    partitioner::for_each_run(operand, [&](std::int64_t address, std::int64_t bytes) {
      base = const_cast<std::byte*>(access(address, bytes, operand.storage)) - address;
    });
    return base;
  };
  const Memory::Lent* lent = from.lent(source);
  const std::byte* in_base = lent != nullptr ? lent->data : base_of(source, [&](auto... a) { return from.read(a...); });
  const auto in = floats_at(in_base, lent != nullptr ? lent->lies : source.at, source.box);
  if (!in) return false;
  const std::byte* out_base = base_of(destination, [&](auto... a) { return to.write(a...); });
  const auto out = floats_at(out_base, destination.at, destination.box);
  if (!out) return false;
  workloads::compute::copy(*in, {out->box, const_cast<float*>(out->data), out->stride});
  return true;
}

// Output axes are the table's before `axis`, the indices' in the place of `axis`, the table's after it.
void FunctionalMachine::gather(const Command& command) {
  const auto operands = program_.operands(command);
  const KernelStep& step = program_.kernels[at(command.kernel)].steps[0];
  const Node& node = node_of(step);
  const TensorId table = node.inputs[0];
  const TensorId indices = node.inputs[1];
  const auto& table_shape = program_.graph.tensors[at(table)].shape;
  const int table_rank = static_cast<int>(table_shape.size());
  const int index_rank = static_cast<int>(program_.graph.tensors[at(indices)].shape.size());
  const auto axis = static_cast<int>((node.integer("axis", 0) + table_rank) % table_rank);
  const Box& out = program_.boxes(command)[0];

  Box wanted{.rank = index_rank};
  for (int d = 0; d < index_rank; ++d) wanted.set(d, out.begin[at(axis + d)], out.extent[at(axis + d)]);
  const Value rows = read(operands[0], indices, wanted);
  Box row{.rank = table_rank};
  for (int d = 0; d < table_rank; ++d) {
    const int o = d < axis ? d : d + index_rank - 1;
    if (d != axis) row.set(d, out.begin[at(o)], out.extent[at(o)]);
  }
  Box place = out;
  std::array<std::int32_t, workloads::kMaxRank> index{};
  const std::vector<float> numbers = dense_floats(rows.view);
  for (const float number : numbers) {
    auto id = static_cast<std::int64_t>(number);
    const std::int64_t size = table_shape[at(axis)];
    if (id < 0) id += size;
    if (id < 0 || id >= size) {
      throw Error(ErrorKind::kBadInput, Place{.node = node.name},
                  "index " + std::to_string(static_cast<std::int64_t>(number)) + " is outside of a table of " +
                      std::to_string(size));
    }
    row.set(axis, static_cast<std::int32_t>(id), 1);
    Value value = read(operands[1], table, row);
    for (int d = 0; d < index_rank; ++d) place.set(axis + d, wanted.begin[at(d)] + index[at(d)], 1);
    // The row has the axis where the output has the indices' axes.
    workloads::ConstStridedView view{place, value.view.data, {}};
    for (int d = 0; d < table_rank; ++d) {
      if (d != axis) view.stride[at(d < axis ? d : d + index_rank - 1)] = value.view.stride[at(d)];
    }
    value.tensor = node.outputs[0];
    value.view = view;
    write(operands[2], value);
    for (int d = index_rank - 1; d >= 0 && ++index[at(d)] == wanted.extent[at(d)]; --d) index[at(d)] = 0;
  }
}

void FunctionalMachine::compute(const Command& command) {
  const Kernel& kernel = program_.kernels[at(command.kernel)];
  const auto operands = program_.operands(command);
  std::vector<Value> values;
  std::vector<const Operand*> targets;
  values.reserve(kernel.steps.size());
  for (std::size_t s = 0; s < kernel.steps.size(); ++s) {
    targets.push_back(target_of(command, kernel, s));
    values.push_back(run_step(command, kernel, s, values, targets[s]));
  }
  for (const Kernel::Output& output : kernel.outputs) {
    const Operand& operand = operands[at(output.operand)];
    const Value& value = values[at(output.step)];
    const KernelStep& step = kernel.steps[at(output.step)];
    if (workloads::operator_of(node_of(step)).op_class == OpClass::kStatistics) {
      accumulate(command, operand, value, program_.boxes(command)[at(output.step)]);
    } else if (value.buffer != nullptr || targets[at(output.step)] != &operand) {
      write(operand, value);
    }
  }
}

const Operand* FunctionalMachine::target_of(const Command& command, const Kernel& kernel, std::size_t s) const {
  const auto operands = program_.operands(command);
  const auto output = std::find_if(kernel.outputs.begin(), kernel.outputs.end(),
                                   [&](const Kernel::Output& o) { return at(o.step) == s; });
  if (output == kernel.outputs.end()) return nullptr;
  const Operand& target = operands[at(output->operand)];
  if (target.format != Format::kFp32 || probe_ != nullptr) return nullptr;
  if (command.kind == CommandKind::kVector && program_.precision.vector != Format::kFp32) return nullptr;
  if (workloads::operator_of(node_of(kernel.steps[s])).op_class == OpClass::kStatistics) return nullptr;
  return overlaps_another(operands, at(output->operand)) ? nullptr : &target;
}

void FunctionalMachine::accumulate(const Command& command, const Operand& operand, const Value& partial,
                                   const Box& input) {
  if (command.prior == 0) return write(operand, partial);
  const Box& box = partial.view.box;
  const std::vector<float> fresh = dense_floats(partial.view);
  std::vector<float> sum = dense_floats(read(operand, partial.tensor, box).view);
  for (std::size_t i = 0; i + 1 < sum.size(); i += 2) {
    workloads::merge_statistics(&sum[i], command.prior, &fresh[i], spatial_elements(input));
  }
  write(operand, {partial.tensor, {box, sum.data(), dense_strides(box)}, nullptr});
}

FunctionalMachine::Value FunctionalMachine::run_step(const Command& command, const Kernel& kernel, std::size_t s,
                                                     const std::vector<Value>& before, const Operand* target) {
  const KernelStep& step = kernel.steps[s];
  const Node& node = node_of(step);
  const OpDef& def = workloads::operator_of(node);
  const Box& given = program_.boxes(command)[s];
  const TensorId tensor = node.outputs[0];
  const bool drains = kernel.drain && s == 0;
  Box box = given;
  if (!drains && def.op_class == OpClass::kStatistics) {  // the box is of the input; [n, c, 2] of its channels come out
    box = workloads::whole(program_.graph.tensors[at(tensor)].shape);
    for (int d = 0; d < 2; ++d) box.set(d, given.begin[at(d)], given.extent[at(d)]);
  }
  std::vector<Value> inputs;
  std::vector<workloads::ConstStridedView> views;
  if (!drains) {
    inputs.reserve(step.inputs.size());
    for (std::size_t i = 0; i < step.inputs.size(); ++i) {
      inputs.push_back(step_input(command, step, i, given, before));
      views.push_back(inputs.back().view);
    }
  }
  workloads::StridedView out;
  Value result{tensor, {}, nullptr};
  if (target == nullptr || !claim(*target, tensor, box, out)) {
    result.buffer = std::make_shared<Scratch>(box.elements());
    // As images lie in the scratchpad: channels innermost.
    out = box.rank == 4 && !box.empty() ? workloads::compute::channels_last(box, result.buffer->get())
                                        : workloads::StridedView{box, result.buffer->get(), dense_strides(box)};
  }
  result.view = workloads::compute::readable(out);
  if (drains) {
    drain(command, step, out);
  } else if (def.strided != nullptr) {
    def.strided(program_.graph, node, views, out, workloads::compute::Sums::kFloat);
  } else {
    workloads::compute::through_dense(def.kernel, program_.graph, node, views, out);
  }
  // Products go to the accumulators as they are; statistics are gathered at the width that they are stored in.
  if (command.kind == CommandKind::kVector && !drains && def.op_class != OpClass::kStatistics && is_wider(result)) {
    round_to(program_.precision.vector, {result.buffer->get(), static_cast<std::size_t>(box.elements())});
  }
  return result;
}

void FunctionalMachine::drain(const Command& command, const KernelStep& step, const workloads::StridedView& out) {
  const Node& node = node_of(step);
  const auto operands = program_.operands(command);
  const Value sums = sums_of(operands[at(step.inputs[0].index)], node, out.box);
  constexpr int kBias = 2;  // of Conv, ConvTranspose and MatMul alike
  if (step.inputs.size() < 2 || step.inputs[1].from != KernelInput::From::kOperand) {
    return workloads::compute::copy(sums.view, out);
  }
  const Box wanted = workloads::operator_of(node).region(program_.graph, node, kBias, out.box);
  const Value bias = read(operands[at(step.inputs[1].index)], step.inputs[1].tensor, wanted);
  std::array<std::int64_t, workloads::kMaxRank> along{};
  along[at(bias_axis(node, out.box.rank))] = bias.view.stride[0];
  const workloads::compute::Loops<3> loops(out.box, {out.stride, sums.view.stride, along});
  const std::int64_t step_y = loops.step(0), step_x = loops.step(1), step_b = loops.step(2);
  loops.for_each_row([&](const std::array<std::int64_t, 3>& at, std::int64_t n) {
    float* y = out.data + at[0];
    const float* x = sums.view.data + at[1];
    const float* b = bias.view.data + at[2];
    if (step_y == 1 && step_x == 1 && (step_b == 0 || step_b == 1)) {
      return workloads::compute::simd().add(n, x, 1, b, static_cast<int>(step_b), y);
    }
    for (std::int64_t i = 0; i < n; ++i) y[i * step_y] = x[i * step_x] + b[i * step_b];
  });
}

FunctionalMachine::Value FunctionalMachine::step_input(const Command& command, const KernelStep& step,
                                                       std::size_t input, const Box& box,
                                                       const std::vector<Value>& before) {
  const Node& node = node_of(step);
  const OpDef& def = workloads::operator_of(node);
  const KernelInput& given = step.inputs[input];
  if (given.from == KernelInput::From::kOmitted) {
    const bool known = input < node.inputs.size() && node.inputs[input] != kNone;
    Value none;
    if (known) none.view.box.rank = static_cast<int>(program_.graph.tensors[at(node.inputs[input])].shape.size());
    return none;
  }
  const int i = static_cast<int>(input);
  Box wanted = box;
  if (def.op_class != OpClass::kStatistics || i != 0) {
    wanted = def.region != nullptr ? def.region(program_.graph, node, i, box)
                                   : workloads::whole(program_.graph.tensors[at(given.tensor)].shape);
  }
  if (given.from == KernelInput::From::kOperand) {
    return read(program_.operands(command)[at(given.index)], given.tensor, wanted);
  }
  const Value& earlier = before[at(given.index)];
  Value value = earlier.tensor == given.tensor ? earlier : reinterpret(earlier, given.tensor, wanted);
  // Drained sums are as wide as the accumulators until the vector engine takes them.
  const bool drained = given.index == 0 && program_.kernels[at(command.kernel)].drain;
  if (drained && is_wider(value)) {
    Floats rounded = rounded_to(program_.precision.vector, value.view);
    value.view = rounded.view;
    value.buffer = std::move(rounded.buffer);
  }
  return value;
}

bool FunctionalMachine::is_wider(const Value& value) const {
  return program_.precision.vector != Format::kFp32 && !value.view.box.empty() &&
         workloads::is_float(program_.graph.tensors[at(value.tensor)].type);
}

// Sums of products of integers count in units of the operands' scales.
FunctionalMachine::Value FunctionalMachine::sums_of(const Operand& operand, const Node& node, const Box& box) {
  const TensorId tensor = node.outputs[0];
  const auto& views = program_.layout.views;
  const TensorId a = node.inputs[0], b = node.inputs[1];
  if (!formats_.quantised(views[at(a)].storage) || !formats_.quantised(views[at(b)].storage)) {
    return read(operand, tensor, box);
  }
  const int axis = bias_axis(node, box.rank);    // the output's channels lie along it
  const float alpha = node.real("alpha", 1.0F);  // which integers leave to the drain
  const auto scales = formats_.product_scales(node, box.begin[at(axis)], box.extent[at(axis)], alpha);
  Floats sums = read_sums(memory_of(operand), {views[at(tensor)], operand, tensor, box}, formats_, axis, scales);
  return {tensor, sums.view, std::move(sums.buffer)};
}

bool FunctionalMachine::multiply_bytes(const Command& command) {
  const auto operands = program_.operands(command);
  if (operands[0].format != Format::kInt8 || operands[1].format != Format::kInt8 ||
      operands[2].format != Format::kInt32) {
    return false;
  }
  const Node& node = node_of(program_.kernels[at(command.kernel)].steps[0]);
  const Box& box = program_.boxes(command)[0];
  const auto& views = program_.layout.views;
  const auto read = [&](int input, const Box& region, std::span<const int> order) {
    const Operand& operand = operands[at(input)];
    const TensorId tensor = node.inputs[static_cast<std::size_t>(input)];
    return bytes_in_order(memory_of(operand), {views[at(tensor)], operand, tensor, region}, order, program_.layout);
  };
  Memory& accumulators = memory_of(operands[2]);
  const TensorId product = node.outputs[0];
  const auto place = [&](std::span<const int> order) {
    return place_in_order(accumulators, {views[at(product)], operands[2], product, box}, order);
  };
  const auto sums =
      byte_product(program_.graph, node, box,
                   {formats_.zero_point(node.inputs[0]), formats_.zero_point(node.inputs[1])}, read, place);
  if (!sums) return false;
  if (sums->buffer != nullptr) {
    const AddressMap map = map_addresses(views[at(product)], operands[2].at, box);
    write_sums(accumulators, map.ordered(sums->order), operands[2].storage, sums->values);
  }
  return true;
}

void FunctionalMachine::multiply(const Command& command) {
  if (multiply_bytes(command)) return;
  const KernelStep& step = program_.kernels[at(command.kernel)].steps[0];
  const Node& node = node_of(step);
  const OpDef& def = workloads::operator_of(node);
  const auto operands = program_.operands(command);
  const Box& box = program_.boxes(command)[0];
  std::array<std::vector<float>, 2> values;
  std::vector<workloads::ConstRegionView> views(node.inputs.size());
  for (std::size_t i = 0; i < 2; ++i) {
    const TensorId tensor = node.inputs[i];
    const Box region = def.region(program_.graph, node, static_cast<int>(i), box);
    values[i] = dense_floats(read_raw(operands[i], tensor, region).view);
    formats_.centre(tensor, values[i]);
    views[i] = {region, values[i].data()};
  }
  const std::vector<double> sums = integer_product(program_.graph, node, views, command.matrix.k, box);
  const Operand& to = operands[2];
  const AddressMap map = map_addresses(program_.layout.views[at(node.outputs[0])], to.at, box);
  if (to.format == Format::kInt32) {
    std::vector<std::int64_t> whole(sums.size());
    std::transform(sums.begin(), sums.end(), whole.begin(), [](double sum) { return std::llrint(sum); });
    write_integers(memory_of(to), map, to.format, to.storage, whole.data());  // saturates
  } else {
    const std::vector<float> narrow(sums.begin(), sums.end());
    write_floats(memory_of(to), map, to.format, to.storage, narrow.data());
  }
}

FunctionalMachine::Value FunctionalMachine::read(const Operand& operand, TensorId tensor, const Box& box) {
  if (operand.format == Format::kFp32) return read_raw(operand, tensor, box);
  if (operand.space == Space::kDram) {
    if (const Memory::Lent* values = dram_.lent_values(operand)) return encoded(*values, operand, tensor, box);
  }
  Floats floats = read_narrow(memory_of(operand), {program_.layout.views[at(tensor)], operand, tensor, box}, formats_);
  return {tensor, floats.view, std::move(floats.buffer)};
}

/// What elements that are not encoded yet will stand for.
FunctionalMachine::Value FunctionalMachine::encoded(const Memory::Lent& values, const Operand& operand, TensorId tensor,
                                                    const Box& box) const {
  Value value{tensor, {box, nullptr, dense_strides(box)}, std::make_shared<Scratch>(box.elements())};
  value.view.data = value.buffer->get();
  if (box.empty()) return value;
  EvenRegion region;
  if (!region.of(program_.layout.views[at(tensor)], values.lies, box, sizeof(float))) {
    internal_error("a constant's elements lie unevenly");
  }
  const auto* first = reinterpret_cast<const float*>(values.data + region.first());
  workloads::compute::copy({box, first, region.strides()}, {box, value.buffer->get(), value.view.stride});
  ElementCodec(operand.format, *formats_.only_quantiser(tensor)).round(box.elements(), value.buffer->get());
  return value;
}

FunctionalMachine::Value FunctionalMachine::read_raw(const Operand& operand, TensorId tensor, const Box& box) {
  const Memory& memory = memory_of(operand);
  Value value{tensor, {box, nullptr, dense_strides(box)}, nullptr};
  if (box.empty()) return value;
  const partitioner::TensorView& view = program_.layout.views[at(tensor)];
  const auto in_place = [&](const std::byte* base, const EvenRegion& region) {
    if (reinterpret_cast<std::uintptr_t>(base + region.first()) % alignof(float) != 0) return false;
    value.view.data = reinterpret_cast<const float*>(base + region.first());
    value.view.stride = region.strides();
    return true;
  };
  if (operand.format == Format::kFp32) {
    const auto elsewhere = [&](const auto* contents) {
      EvenRegion region;
      return contents != nullptr && region.of(view, contents->lies, box, sizeof(float)) &&
             in_place(contents->data, region);
    };
    if (elsewhere(memory.lent(operand))) return value;
    const Memory::Alias* alias = memory.aliased(operand, program_.layout.to_storage(tensor, box));
    if (elsewhere(alias)) {
      value.view.packed = alias->packed.get();
      return value;
    }
  }
  if (memory.lent(operand) != nullptr) internal_error("a constant's elements lie unevenly");
  EvenRegion region;
  if (operand.format == Format::kFp32 && region.of(view, operand.at, box, sizeof(float))) {
    const std::byte* base = nullptr;
    region.for_each([&](std::int64_t address, std::int64_t bytes) {
      base = memory.read(address, bytes, operand.storage) - address;
    });
    if (in_place(base, region)) return value;
  }
  value.buffer = std::make_shared<Scratch>(box.elements());
  read_floats(memory, map_addresses(view, operand.at, box), operand.format, operand.storage, value.buffer->get());
  value.view.data = value.buffer->get();
  return value;
}

bool FunctionalMachine::claim(const Operand& operand, TensorId tensor, const Box& box, workloads::StridedView& view) {
  if (box.empty() || operand.format != Format::kFp32) return false;
  EvenRegion region;
  if (!region.of(program_.layout.views[at(tensor)], operand.at, box, sizeof(float))) return false;
  if (region.first() % static_cast<std::int64_t>(alignof(float)) != 0) return false;
  Memory& memory = memory_of(operand);
  std::byte* first = nullptr;
  region.for_each([&](std::int64_t address, std::int64_t bytes) {
    std::byte* data = memory.write(address, bytes, operand.storage);
    if (first == nullptr) first = data - (address - region.first());
  });
  view = {box, reinterpret_cast<float*>(first), region.strides()};
  return true;
}

void FunctionalMachine::write(const Operand& operand, const Value& value) {
  const Box& box = value.view.box;
  if (box.empty()) return;
  const partitioner::TensorView& view = program_.layout.views[at(value.tensor)];
  workloads::StridedView target;
  if (operand.format != Format::kFp32) {
    write_narrow(memory_of(operand), {view, operand, value.tensor, box}, formats_, value.view);
  } else if (claim(operand, value.tensor, box, target)) {
    workloads::compute::copy(value.view, target);
  } else {
    write_floats(memory_of(operand), map_addresses(view, operand.at, box), operand.format, operand.storage,
                 dense_floats(value.view).data());
  }
  if (probe_ != nullptr && operand.space != Space::kAccumulator) show(operand, value.tensor, box);
}

/// What has just been stored, as real numbers.
void FunctionalMachine::show(const Operand& operand, TensorId tensor, const Box& box) {
  const workloads::NodeId producer = program_.graph.tensors[at(tensor)].producer;
  if (producer == kNone) return;
  const bool partial =
      workloads::operator_of(program_.graph.nodes[at(producer)]).op_class == OpClass::kStatistics;  // until the last
  if (partial || !workloads::is_float(program_.graph.tensors[at(tensor)].type)) return;
  probe_->see(tensor, box, dense_floats(read(operand, tensor, box).view));
}

FunctionalMachine::Value FunctionalMachine::reinterpret(const Value& value, TensorId tensor, const Box& box) const {
  // Through the storage that both are views of.
  const Box in_storage = program_.layout.to_storage(value.tensor, value.view.box);
  const partitioner::Placement at_zero = dense_placement(in_storage, 1);
  const partitioner::TensorView &from = program_.layout.views[at(value.tensor)],
                                &to = program_.layout.views[at(tensor)];
  const auto elements = std::make_shared<Scratch>(in_storage.elements());
  if (EvenRegion place; place.of(from, at_zero, value.view.box, 1)) {
    workloads::compute::copy(value.view, {value.view.box, elements->get() + place.first(), place.strides()});
  } else {
    const std::vector<float> values = dense_floats(value.view);
    for_each_run(map_addresses(from, at_zero, value.view.box),
                 [&](std::int64_t address, std::int64_t i, std::int64_t count, std::int64_t step) {
                   for (std::int64_t k = 0; k < count; ++k)
                     elements->get()[address + k * step] = values[static_cast<std::size_t>(i + k)];
                 });
  }
  if (EvenRegion place; place.of(to, at_zero, box, 1)) {
    return {tensor, {box, elements->get() + place.first(), place.strides()}, elements};
  }
  Value result{tensor, {box, nullptr, dense_strides(box)}, std::make_shared<Scratch>(box.elements())};
  float* data = result.buffer->get();
  for_each_run(map_addresses(to, at_zero, box),
               [&](std::int64_t address, std::int64_t i, std::int64_t count, std::int64_t step) {
                 for (std::int64_t k = 0; k < count; ++k) data[i + k] = elements->get()[address + k * step];
               });
  result.view.data = data;
  return result;
}

}  // namespace spillway::simulator
