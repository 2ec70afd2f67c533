// OneHot(indices, depth, [off, on]), attribute axis.
#include <algorithm>

#include "workloads/operators/families.h"
#include "workloads/operators/support.h"

namespace spillway::workloads {

namespace {

using configs::VectorOp;
using configs::VectorWork;

std::int64_t depth_of(const Node& node, const HostTensor& value) {
  if (elements_of(value.shape) != 1) bad_node(node, "depth should be a scalar");
  const std::int64_t depth =
      value.holds_integer() ? value.ints()[0] : to_integer(DataType::kInt64, narrowed_to_float(value).floats()[0]);
  if (depth < 1) bad_node(node, "depth " + std::to_string(depth) + " should be positive");
  return depth;
}

int one_hot_axis(const Node& node, std::size_t rank) {
  return normalise_axis(node, node.integer("axis", -1), static_cast<int>(rank) + 1);
}

void infer_one_hot(InferContext& context) {
  check_arity(context, 3, 3);
  const Tensor& indices = context.graph.input(context.node, 0);
  const Tensor& values = context.graph.input(context.node, 2);
  if (values.shape != Shape{2}) bad_node(context.node, "values should hold the off and the on value");
  Shape shape = indices.shape;
  shape.insert(shape.begin() + one_hot_axis(context.node, shape.size()),
               depth_of(context.node, known_value(context, 1, "its depth is")));
  set_output(context, 0, values.type, std::move(shape));
}

std::vector<HostTensor> evaluate_one_hot(const Graph& graph, const Node& node,
                                         std::span<const HostTensor* const> inputs) {
  const HostTensor& indices = *inputs[0];
  const Tensor& declared = graph.output(node);
  const auto axis = static_cast<std::size_t>(one_hot_axis(node, indices.shape.size()));
  const std::int64_t depth = declared.shape[axis];
  const std::int64_t inner = elements_of(indices.shape, axis, indices.shape.size());
  HostTensor tensor = make_tensor(declared.type, declared.shape);
  const auto fill = [&]<typename T>(std::vector<T>& values) {
    const auto& off_on = std::get<std::vector<T>>(inputs[2]->data);
    std::fill(values.begin(), values.end(), off_on[0]);
    const std::int64_t count = elements_of(indices.shape);
    for (std::int64_t i = 0; i < count; ++i) {
      std::int64_t index =
          indices.holds_float() ? to_integer(DataType::kInt64, indices.floats()[i]) : indices.ints()[i];
      if (index < 0) index += depth;
      if (index < 0 || index >= depth) continue;  // ONNX: all off
      values[(i / inner * depth + index) * inner + i % inner] = off_on[1];
    }
  };
  std::visit(fill, tensor.data);
  std::vector<HostTensor> results;
  results.push_back(std::move(tensor));
  return results;
}

Box region(const Graph& graph, const Node& node, int i, const Box& out) {
  if (i != 0) return whole_input(graph, node, i);
  if (out.empty()) return no_region(graph, node, i);
  Box box = whole_input(graph, node, i);
  const int axis = one_hot_axis(node, static_cast<std::size_t>(box.rank));
  for (int d = 0; d < box.rank; ++d) {
    const int from = d < axis ? d : d + 1;
    box.set(d, out.begin[from], out.extent[from]);
  }
  return box;
}

void kernel(const Graph& graph, const Node& node, std::span<const ConstRegionView> inputs, const RegionView& out) {
  if (out.box.empty()) return;
  const Box needed = region(graph, node, 0, out.box);
  const int axis = one_hot_axis(node, static_cast<std::size_t>(needed.rank));
  const std::int64_t depth = graph.output(node).shape[axis];
  const Walk narrow = dense_walk(inputs[0].box, needed);
  Walk from{.offset = narrow.offset, .stride = {}};
  for (int d = 0; d < needed.rank; ++d) from.stride[d < axis ? d : d + 1] = narrow.stride[d];
  const float off = inputs[2].data[0];
  const float on = inputs[2].data[1];
  Box slice = out.box;
  Walk to = dense_walk(out.box, out.box);
  for (std::int32_t c = out.box.begin[axis]; c < out.box.end(axis); ++c) {
    slice.set(axis, c, 1);
    const Nest<2> nest(slice, {to, from});
    nest.for_each_row([&](const std::array<std::int64_t, 2>& at) {
      for (std::int64_t i = 0; i < nest.row_length(); ++i) {
        const std::int64_t index = to_integer(DataType::kInt64, inputs[0].data[at[1] + i * nest.row_stride(1)]);
        out.data[at[0] + i * nest.row_stride(0)] = index == c || index + depth == c ? on : off;
      }
    });
    to.offset += to.stride[axis];
  }
}

/// One comparison-and-select an element.
VectorWork work(const Graph&, const Node&, const Box& out) { return work_of(VectorOp::kCompare, out.elements()); }

constexpr OpDef kOperators[] = {
    {.name = "OneHot",
     .op_class = OpClass::kMove,
     .infer = infer_one_hot,
     .evaluate = evaluate_one_hot,
     .region = region,
     .kernel = kernel,
     .vector_work = work},
};

}  // namespace

std::span<const OpDef> one_hot_operators() { return kOperators; }

}  // namespace spillway::workloads
