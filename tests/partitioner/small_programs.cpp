#include "tests/partitioner/small_programs.h"

namespace spillway::partitioner::test {

namespace {

using workloads::Constant;
using workloads::Generator;
using workloads::Tensor;
using From = KernelInput::From;

TensorId add_tensor(Graph& graph, const std::string& name, const workloads::Shape& shape, bool constant = false) {
  Tensor tensor;
  tensor.name = name;
  tensor.shape = shape;
  if (constant) tensor.constant = Constant{Generator{.seed = 7, .scale = 0.5F}};
  graph.tensors.push_back(tensor);
  return static_cast<TensorId>(graph.tensors.size()) - 1;
}

Node make_node(const std::string& op, std::vector<TensorId> inputs, TensorId output) {
  Node node;
  node.name = op + "_0";
  node.op = op;
  node.inputs = std::move(inputs);
  node.outputs = {output};
  return node;
}

constexpr std::int64_t kAligned = 4096;

}  // namespace

Box make_box(const std::vector<std::int32_t>& begin, const std::vector<std::int32_t>& extent) {
  Box box;
  box.rank = static_cast<int>(begin.size());
  for (int d = 0; d < box.rank; ++d) box.set(d, begin[d], extent[d]);
  return box;
}

ProgramBuilder::ProgramBuilder(Graph graph, Queues queues) {
  workloads::connect(graph);
  program.name = graph.name;
  program.precision = configs::uniform_precision("fp32");
  program.layout = make_layout(graph, program.precision);
  program.graph = std::move(graph);
  program.queues = queues;
  program.scratchpad_bytes = 1 << 16;
  program.accumulator_bytes = 1 << 14;
  program.group_names = {"all"};
  for (Storage& storage : program.layout.storages) {
    storage.dram_address = program.dram_bytes;
    program.dram_bytes += (storage.bytes() + kAligned - 1) / kAligned * kAligned;
  }
}

Operand ProgramBuilder::place(TensorId tensor, const Box& box, Space space, std::int64_t address,
                              configs::Format format) const {
  Operand operand;
  operand.storage = program.layout.views[tensor].storage;
  operand.space = space;
  operand.format = format;
  operand.box = program.layout.to_storage(tensor, box);
  std::int64_t stride = operand.element_bytes();
  operand.at.origin = address;
  for (int f = operand.box.rank - 1; f >= 0; --f) {
    operand.at.stride[f] = stride;
    operand.at.origin -= stride * operand.box.begin[f];
    stride *= operand.box.extent[f];
  }
  return operand;
}

Operand ProgramBuilder::scratchpad(TensorId tensor, const Box& box, std::int64_t address) const {
  return place(tensor, box, Space::kScratchpad, address,
               program.layout.storages[program.layout.views[tensor].storage].format);
}

Operand ProgramBuilder::accumulators(TensorId tensor, const Box& box, std::int64_t address) const {
  return place(tensor, box, Space::kAccumulator, address, program.precision.accumulator);
}

Operand ProgramBuilder::dram(TensorId tensor, const Box& box) const {
  const Storage& storage = program.layout.storages[program.layout.views[tensor].storage];
  Operand operand = place(tensor, box, Space::kDram, 0, storage.format);
  std::int64_t stride = storage.element_bytes();
  operand.at.origin = storage.dram_address;
  for (int f = storage.rank - 1; f >= 0; --f) {
    operand.at.stride[f] = stride;
    stride *= storage.extent[f];
  }
  return operand;
}

std::int32_t ProgramBuilder::kernel(Kernel kernel) {
  program.kernels.push_back(std::move(kernel));
  return static_cast<std::int32_t>(program.kernels.size()) - 1;
}

void ProgramBuilder::add(CommandKind kind, int queue, std::int32_t kernel, const std::vector<Operand>& operands,
                         const std::vector<Wait>& waits, const std::vector<Box>& boxes, std::int64_t prior) {
  Command command;
  command.kind = kind;
  command.queue = static_cast<std::int16_t>(queue);
  command.kernel = kernel;
  command.prior = prior;
  command.first_operand = static_cast<std::uint32_t>(program.operand_pool.size());
  command.first_wait = static_cast<std::uint32_t>(program.wait_pool.size());
  command.first_box = static_cast<std::uint32_t>(program.box_pool.size());
  command.operands = static_cast<std::uint16_t>(operands.size());
  command.waits = static_cast<std::uint16_t>(waits.size());
  command.boxes = static_cast<std::uint16_t>(boxes.size());
  program.operand_pool.insert(program.operand_pool.end(), operands.begin(), operands.end());
  program.wait_pool.insert(program.wait_pool.end(), waits.begin(), waits.end());
  program.box_pool.insert(program.box_pool.end(), boxes.begin(), boxes.end());
  for (std::size_t s = 0; s < boxes.size(); ++s) {
    const Node& node = program.graph.nodes[program.kernels[kernel].steps[s].node];
    const workloads::OpDef& def = workloads::operator_of(node);
    if (kind == CommandKind::kMatrix) {
      command.matrix = def.matrix_shape(program.graph, node, boxes[s]);
    } else if (kind == CommandKind::kVector && program.kernels[kernel].drain && s == 0) {
      command.vector[0] += boxes[s].elements();
    } else if (kind == CommandKind::kVector) {
      const auto work = def.vector_work(program.graph, node, boxes[s]);
      for (std::size_t k = 0; k < work.size(); ++k) command.vector[k] += work[k];
    }
  }
  program.commands.push_back(command);
}

Graph convolution_graph() {
  Graph graph;
  graph.name = "convolution";
  graph.opset = 17;
  const TensorId x = add_tensor(graph, "x", {1, 16, 8, 8});
  const TensorId w = add_tensor(graph, "w", {16, 16, 3, 3}, true);
  const TensorId b = add_tensor(graph, "b", {16}, true);
  const TensorId y = add_tensor(graph, "y", {1, 16, 8, 8});
  graph.inputs = {x};
  graph.outputs = {y};
  Node conv = make_node("Conv", {x, w, b}, y);
  conv.attributes["kernel_shape"] = std::vector<std::int64_t>{3, 3};
  conv.attributes["pads"] = std::vector<std::int64_t>{1, 1, 1, 1};
  graph.nodes = {conv};
  return graph;
}

Program convolution_program() {
  enum : int { kLoads, kStores, kArray, kLanes };
  enum : TensorId { kX, kW, kB, kY };
  ProgramBuilder make(convolution_graph(), Queues{.dma = 2, .matrix = 1, .vector = 1});
  const std::int32_t product = make.kernel(
      {.steps = {{.node = 0, .inputs = {{From::kOperand, 0, kX}, {From::kOperand, 1, kW}, {}}}}, .outputs = {{0, 2}}});
  const std::int32_t drain =
      make.kernel({.steps = {{.node = 0, .inputs = {{From::kOperand, 0, kY}, {From::kOperand, 1, kB}}}},
                   .outputs = {{0, 2}},
                   .drain = true});
  const Box weights = make_box({0, 0, 0, 0}, {16, 16, 3, 3});
  const Box bias = make_box({0}, {16});
  constexpr std::int64_t kWeightsAt = 0, kBiasAt = 9216, kInputAt = 10240, kOutputAt = 16384;
  constexpr std::int64_t kInputSlot = 2048, kOutputSlot = 1024, kHalf = 1024;  // 4 x 8 x 16 and 2 x 8 x 16 floats
  const auto x_rows = [](int tile) {
    const int first = std::max(0, 2 * tile - 1);
    return make_box({0, 0, first, 0}, {1, 16, std::min(8, 2 * tile + 3) - first, 8});
  };
  const auto y_rows = [](int tile) { return make_box({0, 0, 2 * tile, 0}, {1, 16, 2, 8}); };

  make.add(CommandKind::kLoad, kLoads, kNone, {make.dram(kW, weights), make.scratchpad(kW, weights, kWeightsAt)}, {});
  make.add(CommandKind::kLoad, kLoads, kNone, {make.dram(kB, bias), make.scratchpad(kB, bias, kBiasAt)}, {});
  for (int t = 0; t < 4; ++t) {
    const Operand x = make.scratchpad(kX, x_rows(t), kInputAt + (t % 2) * kInputSlot);
    const Operand sums = make.accumulators(kY, y_rows(t), (t % 2) * kHalf);
    const Operand y = make.scratchpad(kY, y_rows(t), kOutputAt + (t % 2) * kOutputSlot);
    std::vector<Wait> slot_free, product_ready{{kLoads, t + 3}}, sums_ready{{kArray, t + 1}};
    if (t >= 2) {
      slot_free.push_back({kArray, t - 1});      // tile t - 2 has been read from this slot
      product_ready.push_back({kLanes, t - 1});  // its sums have been drained from this half
      sums_ready.push_back({kStores, t - 1});    // its outputs have been stored from this slot
    }
    make.add(CommandKind::kLoad, kLoads, kNone, {make.dram(kX, x_rows(t)), x}, slot_free);
    make.add(CommandKind::kMatrix, kArray, product, {x, make.scratchpad(kW, weights, kWeightsAt), sums}, product_ready,
             {y_rows(t)});
    make.add(CommandKind::kVector, kLanes, drain, {sums, make.scratchpad(kB, bias, kBiasAt), y}, sums_ready,
             {y_rows(t)});
    make.add(CommandKind::kStore, kStores, kNone, {y, make.dram(kY, y_rows(t))}, {{kLanes, t + 1}});
  }
  return make.program;
}

Program normalisation_program() {
  enum : int { kDma, kArray, kLanes };
  Graph graph;
  graph.name = "normalisation";
  graph.opset = 17;
  const TensorId x = add_tensor(graph, "x", {1, 4, 4, 4});
  const TensorId statistics = add_tensor(graph, "statistics", {1, 4, 2});
  const TensorId y = add_tensor(graph, "y", {1, 4, 4, 4});
  graph.inputs = {x};
  graph.outputs = {y};
  Node apply = make_node("NormApply", {x, statistics}, y);
  apply.attributes["groups"] = std::int64_t{2};
  apply.attributes["epsilon"] = 1e-5F;
  graph.nodes = {make_node("NormStatistics", {x}, statistics), apply};
  ProgramBuilder make(std::move(graph), Queues{});
  const std::int32_t gather =
      make.kernel({.steps = {{.node = 0, .inputs = {{From::kOperand, 0, x}}}}, .outputs = {{0, 1}}});
  const std::int32_t use =
      make.kernel({.steps = {{.node = 1, .inputs = {{From::kOperand, 0, x}, {From::kOperand, 1, statistics}}}},
                   .outputs = {{0, 2}}});
  const Box whole = make_box({0, 0, 0, 0}, {1, 4, 4, 4});
  const Box all = make_box({0, 0, 0}, {1, 4, 2});
  const auto rows = [](int tile) { return make_box({0, 0, 2 * tile, 0}, {1, 4, 2, 4}); };
  // The rows of x and y are placed as parts of the whole tensors.
  const Operand whole_x = make.scratchpad(x, whole, 0);
  const Operand whole_y = make.scratchpad(y, whole, 256);
  const auto part = [&](Operand operand, TensorId tensor, int tile) {
    operand.box = make.program.layout.to_storage(tensor, rows(tile));
    return operand;
  };
  const Operand partial = make.scratchpad(statistics, all, 512);
  make.add(CommandKind::kLoad, kDma, kNone, {make.dram(x, whole), whole_x}, {});
  for (int t = 0; t < 2; ++t) {
    std::vector<Wait> waits;
    if (t == 0) waits = {{kDma, 1}};
    make.add(CommandKind::kVector, kLanes, gather, {part(whole_x, x, t), partial}, waits, {rows(t)}, t * 8);
  }
  for (int t = 0; t < 2; ++t) {
    make.add(CommandKind::kVector, kLanes, use, {part(whole_x, x, t), partial, part(whole_y, y, t)}, {}, {rows(t)});
    make.add(CommandKind::kStore, kDma, kNone, {part(whole_y, y, t), make.dram(y, rows(t))}, {{kLanes, t + 3}});
  }
  return make.program;
}

Program concat_program() {
  enum : int { kLoads, kStores };
  Graph graph;
  graph.name = "concat";
  graph.opset = 17;
  const TensorId a = add_tensor(graph, "a", {1, 4, 4, 4});
  const TensorId b = add_tensor(graph, "b", {1, 8, 4, 4});
  const TensorId y = add_tensor(graph, "y", {1, 12, 4, 4});
  graph.inputs = {a, b};
  graph.outputs = {y};
  Node concat = make_node("Concat", {a, b}, y);
  concat.attributes["axis"] = std::int64_t{1};
  graph.nodes = {concat};
  ProgramBuilder make(std::move(graph), Queues{.dma = 2});
  const Box whole = make_box({0, 0, 0, 0}, {1, 12, 4, 4});
  const Operand whole_y = make.scratchpad(y, whole, 4096);
  std::int32_t channel = 0;
  for (const TensorId input : {a, b}) {
    const auto channels = static_cast<std::int32_t>(make.program.graph.tensors[input].shape[1]);
    const Box from = make_box({0, 0, 0, 0}, {1, channels, 4, 4});
    const Box to = make_box({0, channel, 0, 0}, {1, channels, 4, 4});
    channel += channels;
    const Operand source = make.scratchpad(input, from, input * 1024);
    Operand piece = whole_y;
    piece.box = make.program.layout.to_storage(y, to);
    make.add(CommandKind::kLoad, kLoads, kNone, {make.dram(input, from), source}, {});
    KernelStep step{.node = 0, .inputs = std::vector<KernelInput>(2)};
    step.inputs[input] = {From::kOperand, 0, input};
    make.add(CommandKind::kCopy, kLoads, make.kernel({.steps = {step}, .outputs = {{0, 1}}}), {source, piece}, {},
             {to});
  }
  make.add(CommandKind::kStore, kStores, kNone, {whole_y, make.dram(y, whole)}, {{kLoads, 4}});
  return make.program;
}

}  // namespace spillway::partitioner::test
