#include "workloads/operators/support.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "configs/error.h"

namespace spillway::workloads {

void bad_node(const Node& node, const std::string& problem, const std::string& help) {
  throw Error(ErrorKind::kBadInput, Place{.node = node.name}, node.op + ": " + problem, help);
}

const HostTensor& known_value(const InferContext& context, int i, const std::string& what) {
  if (const HostTensor* value = context.value(i)) return *value;
  const Node& node = context.node;
  throw UnknownUntilRun(ErrorKind::kBadInput, Place{.node = node.name, .tensor = context.graph.input(node, i).name},
                        node.op + ": " + what + " not known before the graph runs",
                        "bind every dynamic dimension so that the shape arithmetic can be folded; the reference "
                        "executor (spillway run --reference) takes shapes that depend on data");
}

void check_arity(const InferContext& context, int min_inputs, int max_inputs, int max_outputs) {
  const Node& node = context.node;
  const auto count = static_cast<int>(node.inputs.size());
  if (count > max_inputs) {
    bad_node(node, "has " + std::to_string(count) + " inputs when it takes at most " + std::to_string(max_inputs));
  }
  for (int i = 0; i < min_inputs; ++i) {
    if (!context.graph.has_input(node, i)) {
      bad_node(node, "input " + std::to_string(i) + " is missing; it needs " + std::to_string(min_inputs));
    }
  }
  const auto outputs = static_cast<int>(node.outputs.size());
  if (outputs < 1 || outputs > max_outputs) {
    bad_node(node, "has " + std::to_string(outputs) + " outputs when it has 1 to " + std::to_string(max_outputs));
  }
}

void set_output(InferContext& context, int i, DataType type, Shape shape) {
  if (i >= static_cast<int>(context.node.outputs.size()) || context.node.outputs[i] == kNone) return;
  static_cast<void>(elements_of(shape));  // refuses overflow before anyone multiplies
  Tensor& tensor = context.graph.tensors[context.node.outputs[i]];
  tensor.type = type;
  tensor.shape = std::move(shape);
}

void check_integer_input(const InferContext& context, int i) {
  const DataType type = context.graph.input(context.node, i).type;
  if (is_float(type) || type == DataType::kBool) {
    bad_node(context.node,
             "input " + std::to_string(i) + " is " + std::string(name_of(type)) + " when it should be an integer type");
  }
}

void check_float_input(const InferContext& context, int i) {
  const DataType type = context.graph.input(context.node, i).type;
  if (!is_float(type)) {
    bad_node(context.node, "input " + std::to_string(i) + " is " + std::string(name_of(type)) +
                               " when it should be a floating-point type");
  }
}

int normalise_axis(const Node& node, std::int64_t axis, int rank) {
  if (axis < -rank || axis >= rank) {
    bad_node(node, "axis " + std::to_string(axis) + " is outside a tensor of rank " + std::to_string(rank));
  }
  return static_cast<int>(axis < 0 ? axis + rank : axis);
}

std::vector<int> normalise_axes(const Node& node, const std::vector<std::int64_t>& axes, int rank) {
  std::vector<int> result;
  result.reserve(axes.size());
  for (const std::int64_t axis : axes) result.push_back(normalise_axis(node, axis, rank));
  std::sort(result.begin(), result.end());
  const auto twice = std::adjacent_find(result.begin(), result.end());
  if (twice != result.end()) bad_node(node, "axis " + std::to_string(*twice) + " is given twice");
  return result;
}

Shape broadcast(const Node& node, const Shape& a, const Shape& b) {
  const Shape& longer = a.size() >= b.size() ? a : b;
  const Shape& shorter = a.size() >= b.size() ? b : a;
  Shape result = longer;
  const std::size_t shift = longer.size() - shorter.size();
  for (std::size_t d = 0; d < shorter.size(); ++d) {
    std::int64_t& extent = result[shift + d];
    if (extent == 1) {
      extent = shorter[d];
    } else if (shorter[d] != 1 && shorter[d] != extent) {
      bad_node(node, "shapes " + to_string(a) + " and " + to_string(b) + " do not broadcast");
    }
  }
  return result;
}

std::int64_t elements_of(const Shape& shape, std::size_t from, std::size_t to) {
  return elements_of(
      Shape(shape.begin() + static_cast<std::ptrdiff_t>(from), shape.begin() + static_cast<std::ptrdiff_t>(to)));
}

namespace {

std::vector<std::int64_t> as_integers(const Node& node, int i, const HostTensor& value) {
  if (!value.holds_integer()) bad_node(node, "input " + std::to_string(i) + " should hold integers");
  return value.ints();
}

}  // namespace

std::optional<std::vector<std::int64_t>> integers_argument(const InferContext& context, const std::string& attribute,
                                                           int i) {
  const Node& node = context.node;
  if (node.attributes.contains(attribute)) return node.integers(attribute);
  if (!context.graph.has_input(node, i)) return std::nullopt;
  return as_integers(node, i, known_value(context, i, "its " + attribute + " are"));
}

std::optional<std::vector<std::int64_t>> integers_argument(const Graph& graph, const Node& node,
                                                           const std::string& attribute, int i) {
  if (node.attributes.contains(attribute)) return node.integers(attribute);
  if (!graph.has_input(node, i)) return std::nullopt;
  return as_integers(node, i, materialise(graph.input(node, i)));
}

std::optional<float> real_argument(const Graph& graph, const Node& node, const std::string& attribute, int i) {
  if (node.attributes.contains(attribute)) return node.real(attribute, 0.0F);
  if (!graph.has_input(node, i) || !graph.input(node, i).is_constant()) return std::nullopt;
  const HostTensor value = narrowed_to_float(materialise(graph.input(node, i)));
  if (elements_of(value.shape) != 1) bad_node(node, "input " + std::to_string(i) + " should hold one element");
  return value.holds_float() ? value.floats()[0] : static_cast<float>(value.ints()[0]);
}

Box no_region(const Graph& graph, const Node& node, int i) {
  Box box;
  box.rank = static_cast<int>(graph.input(node, i).shape.size());
  return box;
}

Box whole_input(const Graph& graph, const Node& node, int i) { return whole(graph.input(node, i).shape); }

Box broadcast_region(const Graph& graph, const Node& node, int i, const Box& out) {
  Box box = whole_input(graph, node, i);
  const int shift = out.rank - box.rank;
  for (int d = 0; d < box.rank; ++d) {
    if (box.extent[d] != 1) {
      box.set(d, out.begin[d + shift], out.extent[d + shift]);
    } else {
      box.extent[d] = std::min(1, out.extent[d + shift]);
    }
  }
  return box;
}

configs::VectorWork work_of(configs::VectorOp op, std::int64_t count) {
  configs::VectorWork work{};
  work[static_cast<std::size_t>(op)] = count;
  return work;
}

std::int64_t to_integer(DataType type, double value) {
  if (type == DataType::kBool) return value != 0.0 ? 1 : 0;
  if (std::isnan(value)) return 0;
  constexpr double kLimit = 9223372036854775808.0;     // 2^63
  if (type == DataType::kUint64 && value >= kLimit) {  // held by its bits
    return value >= 2.0 * kLimit ? -1 : static_cast<std::int64_t>(static_cast<std::uint64_t>(value));
  }
  if (value >= kLimit) return narrowed(type, std::numeric_limits<std::int64_t>::max());
  if (value < -kLimit) return narrowed(type, std::numeric_limits<std::int64_t>::min());
  return narrowed(type, static_cast<std::int64_t>(value));
}

DataType data_type_of(const Node& node, std::int64_t onnx_type) {
  // onnx.proto, enum TensorProto.DataType; strings, complex and 8-bit floats are not held.
  switch (onnx_type) {
    case 1:
      return DataType::kFloat32;
    case 2:
      return DataType::kUint8;
    case 3:
      return DataType::kInt8;
    case 4:
      return DataType::kUint16;
    case 5:
      return DataType::kInt16;
    case 6:
      return DataType::kInt32;
    case 7:
      return DataType::kInt64;
    case 9:
      return DataType::kBool;
    case 10:
      return DataType::kFloat16;
    case 11:
      return DataType::kFloat64;
    case 12:
      return DataType::kUint32;
    case 13:
      return DataType::kUint64;
    case 16:
      return DataType::kBFloat16;
    case 8:
      bad_node(node, "element type 8 (string) is not supported");
    default:
      bad_node(node, "element type " + std::to_string(onnx_type) + " is not supported");
  }
}

HostTensor make_tensor(DataType type, Shape shape) {
  HostTensor tensor;
  tensor.type = type;
  tensor.shape = std::move(shape);
  const auto count = static_cast<std::size_t>(elements_of(tensor.shape));
  if (type == DataType::kFloat64) {
    tensor.data = std::vector<double>(count);
  } else if (is_float(type)) {
    tensor.data = std::vector<float>(count);
  } else {
    tensor.data = std::vector<std::int64_t>(count);
  }
  return tensor;
}

std::vector<HostTensor> evaluate_by_kernel(const OpDef& def, const Graph& graph, const Node& node,
                                           std::span<const HostTensor* const> inputs) {
  if (def.kernel == nullptr) bad_node(node, "cannot be computed");
  std::vector<std::vector<float>> converted(inputs.size());
  std::vector<ConstRegionView> views(inputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i] == nullptr) continue;
    views[i].box = whole(inputs[i]->shape);
    if (inputs[i]->holds_float()) {
      views[i].data = inputs[i]->floats().data();
    } else {
      const auto& ints = inputs[i]->ints();
      converted[i].assign(ints.begin(), ints.end());
      views[i].data = converted[i].data();
    }
  }
  const Tensor& declared = graph.output(node);
  HostTensor result;
  result.type = declared.type;
  result.shape = declared.shape;
  std::vector<float> values(static_cast<std::size_t>(declared.elements()));
  def.kernel(graph, node, views, RegionView{whole(declared.shape), values.data()});
  if (is_float(declared.type)) {
    result.data = std::move(values);
  } else {
    std::vector<std::int64_t> ints(values.size());
    std::transform(values.begin(), values.end(), ints.begin(), [&](float v) { return to_integer(declared.type, v); });
    result.data = std::move(ints);
  }
  std::vector<HostTensor> results;
  results.push_back(std::move(result));
  return results;
}

namespace {

/// The node alone, with float32 in the place of float64.
Graph in_single_precision(const Graph& graph, const Node& node) {
  Graph single;
  single.opset = graph.opset;
  single.nodes.push_back(node);
  const auto copy = [&](std::vector<TensorId>& ids) {
    for (auto& id : ids) {
      if (id == kNone) continue;
      Tensor& tensor = single.tensors.emplace_back(graph.tensors[id]);
      id = static_cast<TensorId>(single.tensors.size() - 1);
      if (tensor.type != DataType::kFloat64) continue;
      if (tensor.is_constant()) {
        const auto value = std::make_shared<const HostTensor>(narrowed_to_float(materialise(tensor)));
        tensor.constant = Constant{value};
      }
      tensor.type = DataType::kFloat32;
    }
  };
  copy(single.nodes.front().inputs);
  copy(single.nodes.front().outputs);
  return single;
}

bool touches_float64(const Graph& graph, const Node& node) {
  const auto is_float64 = [&](TensorId id) { return id != kNone && graph.tensors[id].type == DataType::kFloat64; };
  return std::any_of(node.inputs.begin(), node.inputs.end(), is_float64) ||
         std::any_of(node.outputs.begin(), node.outputs.end(), is_float64);
}

}  // namespace

std::vector<HostTensor> evaluate_node(const OpDef& def, const Graph& graph, const Node& node,
                                      std::span<const HostTensor* const> inputs) {
  const auto run = [&](const Graph& g, const Node& n, std::span<const HostTensor* const> values) {
    return def.evaluate != nullptr ? def.evaluate(g, n, values) : evaluate_by_kernel(def, g, n, values);
  };
  if (def.float64 || !touches_float64(graph, node)) return run(graph, node, inputs);
  const Graph single = in_single_precision(graph, node);
  std::vector<HostTensor> narrowed_inputs(inputs.size());
  std::vector<const HostTensor*> values(inputs.begin(), inputs.end());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i] == nullptr || !inputs[i]->holds_double()) continue;
    narrowed_inputs[i] = narrowed_to_float(*inputs[i]);
    values[i] = &narrowed_inputs[i];
  }
  auto results = run(single, single.nodes.front(), values);
  for (std::size_t i = 0; i < results.size() && i < node.outputs.size(); ++i) {
    if (node.outputs[i] == kNone || graph.tensors[node.outputs[i]].type != DataType::kFloat64) continue;
    results[i] = held_as(std::move(results[i]), DataType::kFloat64);
  }
  return results;
}

Walk broadcast_walk(const Shape& shape, const Box& box, const Box& out) {
  Walk walk;
  const int shift = out.rank - box.rank;
  std::int64_t stride = 1;
  for (int d = box.rank - 1; d >= 0; --d) {
    const bool repeats = shape[static_cast<std::size_t>(d)] == 1 && out.extent[d + shift] != 1;
    const std::int64_t from = shape[static_cast<std::size_t>(d)] == 1 ? 0 : out.begin[d + shift];
    walk.offset += stride * (from - box.begin[d]);
    walk.stride[d + shift] = repeats ? 0 : stride;
    stride *= box.extent[d];
  }
  return walk;
}

Walk dense_walk(const Box& box, const Box& part) {
  Walk walk;
  std::int64_t stride = 1;
  for (int d = box.rank - 1; d >= 0; --d) {
    walk.stride[d] = stride;
    walk.offset += stride * (part.begin[d] - box.begin[d]);
    stride *= box.extent[d];
  }
  return walk;
}

}  // namespace spillway::workloads
