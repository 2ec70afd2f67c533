#include "simulator/functional/functional_machine.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "simulator/functional/integer_product.h"
#include "simulator/functional/tensor_access.h"
#include "simulator/run_cursor.h"
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
using workloads::ConstRegionView;
using workloads::Node;
using workloads::OpClass;
using workloads::OpDef;

namespace {

std::size_t at(std::int32_t id) { return static_cast<std::size_t>(id); }

std::int64_t spatial_elements(const Box& box) {
  std::int64_t n = 1;
  for (int d = 2; d < box.rank; ++d) n *= box.extent[at(d)];
  return n;
}

/// Whether both operands of a product are integers that stand for real numbers.
bool multiplies_integers(const Program& program, const StorageFormats& formats, const Command& command) {
  const auto operands = program.operands(command);
  return formats.quantised(operands[0].storage) && formats.quantised(operands[1].storage);
}

/// The output axis that the bias of a matrix operator runs along.
int bias_axis(const Node& node, int rank) { return node.op == "MatMul" ? rank - 1 : 1; }

}  // namespace

FunctionalMachine::FunctionalMachine(const Program& program, const StorageFormats& formats, Memory& dram)
    : program_(program), formats_(formats), dram_(dram), scratchpad_("scratchpad", program.scratchpad_bytes) {
  for (int e = 0; e < program.queues.matrix; ++e) {
    accumulators_.emplace_back("accumulators of matrix" + std::to_string(e), program.accumulator_bytes);
  }
}

void FunctionalMachine::execute(std::int32_t command) {
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

// Source and destination hold the same elements in the same order, in runs of different length.
void FunctionalMachine::transfer(const Operand& source, const Operand& destination) {
  Memory& from = memory_of(source);
  Memory& to = memory_of(destination);
  if (source.bytes() != destination.bytes()) internal_error("a transfer between boxes of different size");
  RunCursor reading(source), writing(destination);
  RunCursor::Piece in, out;
  while (true) {
    if (in.bytes == 0 && !reading.done()) in = reading.take(source.bytes());
    if (out.bytes == 0 && !writing.done()) out = writing.take(destination.bytes());
    const std::int64_t bytes = std::min(in.bytes, out.bytes);
    if (bytes == 0) return;
    to.copy_from(from, in.address, source.storage, out.address, destination.storage, bytes);
    in = {in.address + bytes, in.bytes - bytes};
    out = {out.address + bytes, out.bytes - bytes};
  }
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
  for (const float number : rows.data) {
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
    value.tensor = node.outputs[0];
    value.box = place;
    write(operands[2], value);
    for (int d = index_rank - 1; d >= 0 && ++index[at(d)] == wanted.extent[at(d)]; --d) index[at(d)] = 0;
  }
}

void FunctionalMachine::compute(const Command& command) {
  const Kernel& kernel = program_.kernels[at(command.kernel)];
  const auto operands = program_.operands(command);
  std::vector<Value> values;
  values.reserve(kernel.steps.size());
  for (std::size_t s = 0; s < kernel.steps.size(); ++s) values.push_back(run_step(command, kernel, s, values));
  for (const Kernel::Output& output : kernel.outputs) {
    const Operand& operand = operands[at(output.operand)];
    const Value& value = values[at(output.step)];
    const KernelStep& step = kernel.steps[at(output.step)];
    if (workloads::operator_of(node_of(step)).op_class == OpClass::kStatistics) {
      accumulate(command, operand, value, program_.boxes(command)[at(output.step)]);
    } else {
      write(operand, value);
    }
  }
}

void FunctionalMachine::accumulate(const Command& command, const Operand& operand, const Value& partial,
                                   const Box& input) {
  if (command.prior == 0) return write(operand, partial);
  Value sum = read(operand, partial.tensor, partial.box);
  for (std::size_t i = 0; i + 1 < sum.data.size(); i += 2) {
    workloads::merge_statistics(&sum.data[i], command.prior, &partial.data[i], spatial_elements(input));
  }
  write(operand, sum);
}

FunctionalMachine::Value FunctionalMachine::run_step(const Command& command, const Kernel& kernel, std::size_t s,
                                                     const std::vector<Value>& before) {
  const KernelStep& step = kernel.steps[s];
  const Node& node = node_of(step);
  const Box& box = program_.boxes(command)[s];
  if (kernel.drain && s == 0) return drain(command, step, box);
  const OpDef& def = workloads::operator_of(node);
  Value result;
  result.tensor = node.outputs[0];
  result.box = box;
  if (def.op_class == OpClass::kStatistics) {  // the box is of the input; [n, c, 2] of its channels come out
    result.box = workloads::whole(program_.graph.tensors[at(result.tensor)].shape);
    for (int d = 0; d < 2; ++d) result.box.set(d, box.begin[at(d)], box.extent[at(d)]);
  }
  std::vector<Value> inputs;
  std::vector<ConstRegionView> views;
  inputs.reserve(step.inputs.size());
  for (std::size_t i = 0; i < step.inputs.size(); ++i) {
    inputs.push_back(step_input(command, step, i, box, before));
    views.push_back({inputs.back().box, inputs.back().data.empty() ? nullptr : inputs.back().data.data()});
  }
  result.data.resize(static_cast<std::size_t>(result.box.elements()));
  def.kernel(program_.graph, node, views, {result.box, result.data.data()});
  // Products go to the accumulators as they are; statistics are gathered at the width that they are stored in.
  if (command.kind == CommandKind::kVector && def.op_class != OpClass::kStatistics) round_result(result);
  return result;
}

FunctionalMachine::Value FunctionalMachine::drain(const Command& command, const KernelStep& step, const Box& box) {
  const Node& node = node_of(step);
  const auto operands = program_.operands(command);
  Value sums = read(operands[at(step.inputs[0].index)], node.outputs[0], box);
  scale_sums(node, sums);
  constexpr int kBias = 2;  // of Conv, ConvTranspose and MatMul alike
  if (step.inputs.size() < 2 || step.inputs[1].from != KernelInput::From::kOperand) return sums;
  const Box wanted = workloads::operator_of(node).region(program_.graph, node, kBias, box);
  const Value bias = read(operands[at(step.inputs[1].index)], step.inputs[1].tensor, wanted);
  const int axis = bias_axis(node, box.rank);
  std::size_t inner = 1;
  for (int d = axis + 1; d < box.rank; ++d) inner *= at(box.extent[at(d)]);
  const std::size_t channels = at(box.extent[at(axis)]);
  for (std::size_t i = 0; i < sums.data.size(); ++i) sums.data[i] += bias.data[i / inner % channels];
  return sums;
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
    if (known) none.box.rank = static_cast<int>(program_.graph.tensors[at(node.inputs[input])].shape.size());
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
  round_result(value);
  return value;
}

void FunctionalMachine::round_result(Value& value) const {
  if (!workloads::is_float(program_.graph.tensors[at(value.tensor)].type)) return;
  round_to(program_.precision.vector, value.data);
}

// Sums of products of integers count in units of the operands' scales.
void FunctionalMachine::scale_sums(const Node& node, Value& sums) const {
  const auto& views = program_.layout.views;
  const TensorId a = node.inputs[0];
  const TensorId b = node.inputs[1];
  if (!formats_.quantised(views[at(a)].storage) || !formats_.quantised(views[at(b)].storage)) return;
  Box one = workloads::whole(program_.graph.tensors[at(a)].shape);
  for (int d = 0; d < one.rank; ++d) one.extent[at(d)] = 1;
  const float scale_a = formats_.scales(a, one)[0];
  // Along the output's channels, as the bias.
  const Box& box = sums.box;
  const int axis = bias_axis(node, box.rank);
  Box column = workloads::whole(program_.graph.tensors[at(b)].shape);
  for (int d = 0; d < column.rank; ++d) column.set(d, 0, 1);
  const int dim = node.op == "Conv" ? 0 : node.op == "ConvTranspose" ? 1 : column.rank - 1;
  const bool by_channel = node.op != "ConvTranspose" || node.integer("group", 1) == 1;
  if (by_channel) column.set(dim, box.begin[at(axis)], box.extent[at(axis)]);
  const std::vector<float> scales = formats_.scales(b, column);
  std::size_t inner = 1;
  for (int d = axis + 1; d < box.rank; ++d) inner *= at(box.extent[at(d)]);
  for (std::size_t i = 0; i < sums.data.size(); ++i) {
    sums.data[i] *= scale_a * scales[scales.size() == 1 ? 0 : i / inner % scales.size()];
  }
}

void FunctionalMachine::multiply(const Command& command) {
  const KernelStep& step = program_.kernels[at(command.kernel)].steps[0];
  const Node& node = node_of(step);
  const OpDef& def = workloads::operator_of(node);
  const auto operands = program_.operands(command);
  const Box& box = program_.boxes(command)[0];
  std::vector<Value> values(node.inputs.size());
  std::vector<ConstRegionView> views(node.inputs.size());
  for (std::size_t i = 0; i < 2; ++i) {
    const TensorId tensor = node.inputs[i];
    values[i] = read_raw(operands[i], tensor, def.region(program_.graph, node, static_cast<int>(i), box));
    formats_.centre(tensor, values[i].data);
    views[i] = {values[i].box, values[i].data.data()};
  }
  const std::vector<double> sums = integer_product(program_.graph, node, views, command.matrix.k, box);
  const Operand& to = operands[2];
  Memory& accumulators = memory_of(to);
  for_each_element(map_addresses(program_.layout.views[at(node.outputs[0])], to.at, box),
                   [&](std::int64_t address, std::int64_t i) {
                     const double sum = sums[static_cast<std::size_t>(i)];
                     if (to.format == Format::kInt32) {
                       accumulators.put_integer(address, to.format, to.storage, std::llrint(sum));  // saturates
                     } else {
                       accumulators.store(address, to.format, to.storage, static_cast<float>(sum));
                     }
                   });
}

FunctionalMachine::Value FunctionalMachine::read(const Operand& operand, TensorId tensor, const Box& box) {
  Value value = read_raw(operand, tensor, box);
  if (operand.space != Space::kAccumulator && formats_.quantised(operand.storage)) {
    formats_.decode(tensor, box, value.data);
  }
  return value;
}

FunctionalMachine::Value FunctionalMachine::read_raw(const Operand& operand, TensorId tensor, const Box& box) {
  Value value{tensor, box, {}};
  value.data.resize(static_cast<std::size_t>(box.elements()));
  if (box.empty()) return value;
  const Memory& memory = memory_of(operand);
  const AddressMap map = map_addresses(program_.layout.views[at(tensor)], operand.at, box);
  for_each_element(map, [&](std::int64_t address, std::int64_t i) {
    value.data[static_cast<std::size_t>(i)] = memory.load(address, operand.format, operand.storage);
  });
  return value;
}

void FunctionalMachine::write(const Operand& operand, const Value& value) {
  if (value.box.empty()) return;
  Memory& memory = memory_of(operand);
  std::vector<float> encoded;
  const std::vector<float>* data = &value.data;
  if (operand.space != Space::kAccumulator && formats_.quantised(operand.storage)) {
    encoded = value.data;
    formats_.encode(value.tensor, value.box, encoded);
    data = &encoded;
  }
  const AddressMap map = map_addresses(program_.layout.views[at(value.tensor)], operand.at, value.box);
  for_each_element(map, [&](std::int64_t address, std::int64_t i) {
    memory.store(address, operand.format, operand.storage, (*data)[static_cast<std::size_t>(i)]);
  });
}

FunctionalMachine::Value FunctionalMachine::reinterpret(const Value& value, TensorId tensor, const Box& box) const {
  const Box in_storage = program_.layout.to_storage(value.tensor, value.box);
  const partitioner::Placement at_zero = dense_placement(in_storage, 1);
  std::vector<float> elements(static_cast<std::size_t>(in_storage.elements()));
  for_each_element(map_addresses(program_.layout.views[at(value.tensor)], at_zero, value.box),
                   [&](std::int64_t address, std::int64_t i) {
                     elements[static_cast<std::size_t>(address)] = value.data[static_cast<std::size_t>(i)];
                   });
  Value result{tensor, box, {}};
  result.data.resize(static_cast<std::size_t>(box.elements()));
  for_each_element(map_addresses(program_.layout.views[at(tensor)], at_zero, box),
                   [&](std::int64_t address, std::int64_t i) {
                     result.data[static_cast<std::size_t>(i)] = elements[static_cast<std::size_t>(address)];
                   });
  return result;
}

}  // namespace spillway::simulator
