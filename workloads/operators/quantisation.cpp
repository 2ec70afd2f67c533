// QuantizeLinear and DequantizeLinear, per tensor or per index of an axis, and FakeQuantize: the former followed by the
// latter, which canonicalise() makes of the pairs that quantised exports put on every activation. What is stored in
// which format is the config's precision, not the graph's; the rounding and the operations are the graph's.
#include <algorithm>
#include <cmath>
#include <limits>

#include "workloads/operators/families.h"
#include "workloads/operators/support.h"

namespace spillway::workloads {

namespace {

using configs::VectorOp;
using configs::VectorWork;

struct Limits {
  float low = 0, high = 255;
};

Limits limits_of(const Node& node, DataType type) {
  switch (type) {
    case DataType::kUint8:
      return {0.0F, 255.0F};
    case DataType::kInt8:
      return {-128.0F, 127.0F};
    case DataType::kUint16:
      return {0.0F, 65535.0F};
    case DataType::kInt16:
      return {-32768.0F, 32767.0F};
    default:
      bad_node(node, "quantises to " + std::string(name_of(type)) + " when 8 and 16 bit integers are supported");
  }
}

bool per_axis(const Tensor& scale) { return scale.shape.size() == 1 && scale.shape[0] != 1; }

int axis_of(const Graph& graph, const Node& node) {
  return normalise_axis(node, node.integer("axis", 1), static_cast<int>(graph.input(node, 0).shape.size()));
}

/// Scale and zero point: one element, or one for each index of the axis.
void check_parameters(const InferContext& context) {
  check_arity(context, 2, 3);
  check_float_input(context, 1);
  const Graph& graph = context.graph;
  const Node& node = context.node;
  if (node.integer("block_size", 0) != 0) bad_node(node, "block_size is not supported");
  const Shape& x = graph.input(node, 0).shape;
  for (int i = 1; i < 3; ++i) {
    if (!graph.has_input(node, i)) continue;
    const Tensor& parameter = graph.input(node, i);
    const bool one = parameter.shape.empty() || parameter.shape == Shape{1};
    if (!one && (parameter.shape.size() != 1 || parameter.shape[0] != x[axis_of(graph, node)])) {
      bad_node(node, "has a scale or zero point of shape " + to_string(parameter.shape) + " for an input of shape " +
                         to_string(x));
    }
  }
  if (graph.has_input(node, 2) && elements_of(graph.input(node, 2).shape) != elements_of(graph.input(node, 1).shape)) {
    bad_node(node, "has another number of zero points than of scales");
  }
}

void infer_quantize(InferContext& context) {
  check_parameters(context);
  check_float_input(context, 0);
  const Graph& graph = context.graph;
  const Node& node = context.node;
  DataType type = DataType::kUint8;
  if (const std::int64_t given = node.integer("output_dtype", 0); given != 0) type = data_type_of(node, given);
  if (graph.has_input(node, 2)) type = graph.input(node, 2).type;
  static_cast<void>(limits_of(node, type));
  set_output(context, 0, type, graph.input(node, 0).shape);
}

void infer_dequantize(InferContext& context) {
  check_parameters(context);
  const Tensor& x = context.graph.input(context.node, 0);
  if (is_float(x.type) || x.type == DataType::kBool) {
    bad_node(context.node, "input is " + std::string(name_of(x.type)) + " when it should be an integer");
  }
  set_output(context, 0, context.graph.input(context.node, 1).type, x.shape);
}

void infer_fake(InferContext& context) {
  check_parameters(context);
  check_float_input(context, 0);
  set_output(context, 0, context.graph.input(context.node, 0).type, context.graph.input(context.node, 0).shape);
}

Box region(const Graph& graph, const Node& node, int i, const Box& out) {
  if (i == 0) return out;
  Box box = whole_input(graph, node, i);
  if (out.empty()) return no_region(graph, node, i);
  if (per_axis(graph.input(node, i))) {
    const int axis = axis_of(graph, node);
    box.set(0, out.begin[axis], out.extent[axis]);
  }
  return box;
}

/// Applies f(x, scale, zero point) element by element.
template <typename F>
void apply(const Graph& graph, const Node& node, std::span<const ConstRegionView> inputs, const RegionView& out, F f) {
  if (out.box.empty()) return;
  const bool has_zero = graph.has_input(node, 2);
  std::array<Walk, 4> walks{dense_walk(out.box, out.box), dense_walk(inputs[0].box, out.box), {}, {}};
  if (per_axis(graph.input(node, 1))) {
    const int axis = axis_of(graph, node);
    for (int i = 1; i < (has_zero ? 3 : 2); ++i) {
      walks[i + 1].offset = out.box.begin[axis] - inputs[i].box.begin[0];
      walks[i + 1].stride[axis] = 1;
    }
  }
  const Nest<4> nest(out.box, walks);
  nest.for_each_row([&](const std::array<std::int64_t, 4>& at) {
    for (std::int64_t k = 0; k < nest.row_length(); ++k) {
      const float zero = has_zero ? inputs[2].data[at[3] + k * nest.row_stride(3)] : 0.0F;
      out.data[at[0] + k * nest.row_stride(0)] =
          f(inputs[0].data[at[1] + k * nest.row_stride(1)], inputs[1].data[at[2] + k * nest.row_stride(2)], zero);
    }
  });
}

/// Half to even, then saturated (ONNX QuantizeLinear). NaN becomes the least value.
float quantised(float x, float scale, float zero, Limits limits) {
  const float rounded = std::nearbyint(x / scale) + zero;
  return rounded >= limits.low ? std::min(rounded, limits.high) : limits.low;
}

void quantize_kernel(const Graph& graph, const Node& node, std::span<const ConstRegionView> inputs,
                     const RegionView& out) {
  const Limits limits = limits_of(node, graph.output(node).type);
  apply(graph, node, inputs, out, [&](float x, float scale, float zero) { return quantised(x, scale, zero, limits); });
}

void dequantize_kernel(const Graph& graph, const Node& node, std::span<const ConstRegionView> inputs,
                       const RegionView& out) {
  apply(graph, node, inputs, out, [](float x, float scale, float zero) { return (x - zero) * scale; });
}

void fake_kernel(const Graph& graph, const Node& node, std::span<const ConstRegionView> inputs, const RegionView& out) {
  const Limits limits{node.real("low", 0.0F), node.real("high", 255.0F)};
  apply(graph, node, inputs, out,
        [&](float x, float scale, float zero) { return (quantised(x, scale, zero, limits) - zero) * scale; });
}

/// Scale and shift; both bounds.
VectorWork quantize_work(const Graph&, const Node&, const Box& out) {
  VectorWork work = work_of(VectorOp::kAddMul, 2 * out.elements());
  work[static_cast<std::size_t>(VectorOp::kCompare)] = 2 * out.elements();
  return work;
}

VectorWork dequantize_work(const Graph&, const Node&, const Box& out) {
  return work_of(VectorOp::kAddMul, 2 * out.elements());
}

constexpr OpDef kOperators[] = {
    {.name = "QuantizeLinear",
     .op_class = OpClass::kElementwise,
     .infer = infer_quantize,
     .region = region,
     .kernel = quantize_kernel,
     .vector_work = quantize_work},
    {.name = "DequantizeLinear",
     .op_class = OpClass::kElementwise,
     .infer = infer_dequantize,
     .region = region,
     .kernel = dequantize_kernel,
     .vector_work = dequantize_work},
    {.name = "FakeQuantize",
     .op_class = OpClass::kElementwise,
     .infer = infer_fake,
     .region = region,
     .kernel = fake_kernel,
     .vector_work = quantize_work},
};

}  // namespace

std::span<const OpDef> quantisation_operators() { return kOperators; }

}  // namespace spillway::workloads
