// Operators of shape arithmetic: folded at import, or run by the reference executor, but never by the NPU.
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "workloads/operators/families.h"
#include "workloads/operators/support.h"

namespace spillway::workloads {

namespace {

std::vector<HostTensor> one(HostTensor tensor) {
  std::vector<HostTensor> results;
  results.push_back(std::move(tensor));
  return results;
}

HostTensor integers(Shape shape, std::vector<std::int64_t> values) {
  HostTensor tensor;
  tensor.type = DataType::kInt64;
  tensor.shape = std::move(shape);
  tensor.data = std::move(values);
  return tensor;
}

// --- Shape (attributes start and end since opset 15) and Size: of the input only the shape is read ---

Shape shape_slice(const Graph& graph, const Node& node) {
  const Shape& shape = graph.input(node, 0).shape;
  const auto rank = static_cast<std::int64_t>(shape.size());
  const auto bound = [&](const char* name, std::int64_t fallback) {
    const std::int64_t given = node.integer(name, fallback);
    return std::clamp<std::int64_t>(given < 0 ? given + rank : given, 0, rank);
  };
  const std::int64_t start = bound("start", 0);
  const std::int64_t end = std::max(start, bound("end", rank));
  return {shape.begin() + start, shape.begin() + end};
}

void infer_shape(InferContext& context) {
  check_arity(context, 1, 1);
  set_output(context, 0, DataType::kInt64,
             {static_cast<std::int64_t>(shape_slice(context.graph, context.node).size())});
}

std::vector<HostTensor> evaluate_shape(const Graph& graph, const Node& node, std::span<const HostTensor* const>) {
  Shape shape = shape_slice(graph, node);
  const auto rank = static_cast<std::int64_t>(shape.size());
  return one(integers({rank}, std::move(shape)));
}

void infer_size(InferContext& context) {
  check_arity(context, 1, 1);
  set_output(context, 0, DataType::kInt64, {});
}

std::vector<HostTensor> evaluate_size(const Graph& graph, const Node& node, std::span<const HostTensor* const>) {
  return one(integers({}, {graph.input(node, 0).elements()}));
}

// --- Constant: one of the attributes value, value_float(s), value_int(s) ---

HostTensor constant_value(const Node& node) {
  if (const auto it = node.attributes.find("value"); it != node.attributes.end()) {
    const auto* held = std::get_if<std::shared_ptr<const HostTensor>>(&it->second);
    if (held == nullptr || *held == nullptr) bad_node(node, "attribute value is not a tensor");
    return **held;
  }
  if (node.attributes.contains("value_int")) return integers({}, {node.integer("value_int", 0)});
  if (node.attributes.contains("value_ints")) {
    auto values = node.integers("value_ints");
    const auto count = static_cast<std::int64_t>(values.size());
    return integers({count}, std::move(values));
  }
  HostTensor tensor;
  if (node.attributes.contains("value_float")) {
    tensor.data = std::vector<float>{node.real("value_float", 0.0F)};
    return tensor;
  }
  if (node.attributes.contains("value_floats")) {
    tensor.data = node.reals("value_floats");
    tensor.shape = {static_cast<std::int64_t>(tensor.floats().size())};
    return tensor;
  }
  bad_node(node, "has none of the attributes value, value_int, value_ints, value_float, value_floats");
}

void infer_constant(InferContext& context) {
  check_arity(context, 0, 0);
  const HostTensor value = constant_value(context.node);
  set_output(context, 0, value.type, value.shape);
}

std::vector<HostTensor> evaluate_constant(const Graph&, const Node& node, std::span<const HostTensor* const>) {
  return one(constant_value(node));
}

// --- ConstantOfShape ---

HostTensor fill_value(const Node& node) {
  if (node.attributes.contains("value")) {
    HostTensor value = constant_value(node);
    if (elements_of(value.shape) != 1) bad_node(node, "attribute value should hold one element");
    return value;
  }
  return make_tensor(DataType::kFloat32, {1});
}

void infer_constant_of_shape(InferContext& context) {
  check_arity(context, 0, 1);
  const auto shape = integers_argument(context, "shape", 0);
  if (!shape) bad_node(context.node, "its shape is missing");
  set_output(context, 0, fill_value(context.node).type, *shape);
}

std::vector<HostTensor> evaluate_constant_of_shape(const Graph& graph, const Node& node,
                                                   std::span<const HostTensor* const>) {
  const HostTensor value = fill_value(node);
  HostTensor tensor = make_tensor(value.type, graph.output(node).shape);
  const auto fill = [&]<typename T>(std::vector<T>& values) {
    std::fill(values.begin(), values.end(), std::get<std::vector<T>>(value.data)[0]);
  };
  std::visit(fill, tensor.data);
  return one(std::move(tensor));
}

// --- Range ---

template <typename T>
T scalar(const Node& node, const HostTensor* tensor) {
  const auto* values = tensor == nullptr ? nullptr : std::get_if<std::vector<T>>(&tensor->data);
  if (values == nullptr || values->size() != 1) bad_node(node, "start, limit and delta should be scalars of one type");
  return (*values)[0];
}

/// max(ceil((limit - start) / delta), 0), refusing what no tensor can hold.
std::int64_t range_count(const Node& node, const HostTensor* start, const HostTensor* limit, const HostTensor* delta) {
  constexpr double kMost = 2147483647.0;
  double count = 0;
  const auto steps = [&]<typename T>(T from) {
    const double step = scalar<T>(node, delta);
    if (step == 0.0) bad_node(node, "delta is 0");
    return std::ceil((static_cast<double>(scalar<T>(node, limit)) - from) / step);
  };
  if (start != nullptr && start->holds_float()) {
    count = steps(scalar<float>(node, start));
  } else if (start != nullptr && start->holds_double()) {
    count = steps(scalar<double>(node, start));
  } else {
    const auto step = scalar<std::int64_t>(node, delta);
    const auto from = scalar<std::int64_t>(node, start);
    const auto to = scalar<std::int64_t>(node, limit);
    if (step == 0) bad_node(node, "delta is 0");
    std::int64_t distance = 0;
    if (__builtin_sub_overflow(to, from, &distance)) bad_node(node, "the range overflows");
    if (distance == 0 || (distance < 0) != (step < 0)) return 0;
    const std::int64_t whole_steps = distance / step;
    count = static_cast<double>(whole_steps) + (whole_steps * step != distance ? 1.0 : 0.0);
  }
  if (!(count <= kMost)) bad_node(node, "the range has too many elements");
  return std::max<std::int64_t>(0, static_cast<std::int64_t>(count));
}

void infer_range(InferContext& context) {
  check_arity(context, 3, 3);
  for (int i = 0; i < 3; ++i) static_cast<void>(known_value(context, i, "its bounds are"));
  const std::int64_t count = range_count(context.node, context.value(0), context.value(1), context.value(2));
  set_output(context, 0, context.graph.input(context.node, 0).type, {count});
}

std::vector<HostTensor> evaluate_range(const Graph& graph, const Node& node,
                                       std::span<const HostTensor* const> inputs) {
  const std::int64_t count = range_count(node, inputs[0], inputs[1], inputs[2]);
  HostTensor tensor = make_tensor(graph.output(node).type, {count});
  const auto fill = [&]<typename T>(std::vector<T>& values) {
    const T start = scalar<T>(node, inputs[0]);
    const T delta = scalar<T>(node, inputs[2]);
    for (std::int64_t i = 0; i < count; ++i) values[i] = start + static_cast<T>(i) * delta;
  };
  std::visit(fill, tensor.data);
  return one(std::move(tensor));
}

// --- EyeLike ---

void infer_eye_like(InferContext& context) {
  check_arity(context, 1, 1);
  const Tensor& x = context.graph.input(context.node, 0);
  if (x.shape.size() != 2) bad_node(context.node, "input of shape " + to_string(x.shape) + " is not a matrix");
  const auto type =
      context.node.attributes.contains("dtype") ? data_type_of(context.node, context.node.integer("dtype", 1)) : x.type;
  set_output(context, 0, type, x.shape);
}

std::vector<HostTensor> evaluate_eye_like(const Graph& graph, const Node& node, std::span<const HostTensor* const>) {
  const Tensor& declared = graph.output(node);
  HostTensor tensor = make_tensor(declared.type, declared.shape);
  const std::int64_t rows = declared.shape[0];
  const std::int64_t columns = declared.shape[1];
  const std::int64_t k = std::clamp(node.integer("k", 0), -rows, columns);
  const auto fill = [&]<typename T>(std::vector<T>& values) {
    for (std::int64_t row = std::max<std::int64_t>(0, -k); row < rows && row + k < columns; ++row) {
      values[row * columns + row + k] = T{1};
    }
  };
  std::visit(fill, tensor.data);
  return one(std::move(tensor));
}

OpDef shape_operator(std::string_view name, void (*infer)(InferContext&), decltype(OpDef::evaluate) evaluate) {
  return {.name = name, .op_class = OpClass::kShape, .infer = infer, .evaluate = evaluate, .float64 = true};
}

}  // namespace

std::span<const OpDef> shape_operators() {
  static const std::vector<OpDef> table = {
      shape_operator("Shape", infer_shape, evaluate_shape),
      shape_operator("Size", infer_size, evaluate_size),
      shape_operator("Constant", infer_constant, evaluate_constant),
      shape_operator("ConstantOfShape", infer_constant_of_shape, evaluate_constant_of_shape),
      shape_operator("Range", infer_range, evaluate_range),
      shape_operator("EyeLike", infer_eye_like, evaluate_eye_like),
  };
  return table;
}

}  // namespace spillway::workloads
