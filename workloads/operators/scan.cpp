// Operators that walk along one axis: ArgMax, ArgMin, CumSum, and TopK (reference only: no engine sorts).
#include <algorithm>
#include <numeric>

#include "workloads/operators/families.h"
#include "workloads/operators/reduction.h"

namespace spillway::workloads {

namespace {

using configs::VectorOp;
using configs::VectorWork;

std::vector<bool> only(int rank, int axis) {
  std::vector<bool> whole(static_cast<std::size_t>(rank), false);
  whole[axis] = true;
  return whole;
}

// --- ArgMax, ArgMin ---

int arg_axis(const Graph& graph, const Node& node) {
  return normalise_axis(node, node.integer("axis", 0), static_cast<int>(graph.input(node, 0).shape.size()));
}

void infer_arg(InferContext& context) {
  check_arity(context, 1, 1);
  Shape shape = context.graph.input(context.node, 0).shape;
  const int axis = arg_axis(context.graph, context.node);
  if (shape[axis] == 0) bad_node(context.node, "its axis " + std::to_string(axis) + " is empty");
  if (context.node.integer("keepdims", 1) != 0) {
    shape[axis] = 1;
  } else {
    shape.erase(shape.begin() + axis);
  }
  set_output(context, 0, DataType::kInt64, std::move(shape));
}

Box arg_region(const Graph& graph, const Node& node, int i, const Box& out) {
  Box box = whole_input(graph, node, i);
  const int axis = arg_axis(graph, node);
  const bool keep = node.integer("keepdims", 1) != 0;
  for (int d = 0; d < box.rank; ++d) {
    if (d == axis) continue;
    const int from = d > axis && !keep ? d - 1 : d;
    box.set(d, out.begin[from], out.extent[from]);
  }
  return box;
}

template <bool kLargest, typename T, typename Index>
void find(const Graph& graph, const Node& node, const Box& in, const T* x, const Box& out, Index* y) {
  if (out.empty()) return;
  const int axis = arg_axis(graph, node);
  const bool keep = node.integer("keepdims", 1) != 0;
  const bool last = node.integer("select_last_index", 0) != 0;
  const Reduction loops(in, arg_region(graph, node, 0, out), only(in.rank, axis));
  const Walk to = dense_walk(out, out);
  Walk kept;
  for (int d = 0; d < in.rank; ++d) {
    if (d != axis) kept.stride[d] = to.stride[d > axis && !keep ? d - 1 : d];
  }
  loops.for_each_kept(kept, [&](std::int64_t x_at, std::int64_t y_at) {
    std::int64_t best = 0;
    loops.for_each_run([&](std::int64_t at, std::int64_t n, std::int64_t step) {
      const T* row = x + x_at + at;
      for (std::int64_t i = 1; i < n; ++i) {
        const T a = row[i * step];
        const T b = row[best * step];
        if ((kLargest ? a > b : a < b) || (last && a == b)) best = i;
      }
    });
    y[y_at] = static_cast<Index>(best);
  });
}

template <bool kLargest>
void arg_kernel(const Graph& graph, const Node& node, std::span<const ConstRegionView> inputs, const RegionView& out) {
  find<kLargest>(graph, node, inputs[0].box, inputs[0].data, out.box, out.data);
}

template <bool kLargest>
std::vector<HostTensor> arg_evaluate(const Graph& graph, const Node& node, std::span<const HostTensor* const> inputs) {
  std::vector<HostTensor> results;
  results.push_back(make_tensor(DataType::kInt64, graph.output(node).shape));
  const Box in = whole(inputs[0]->shape);
  const Box out = whole(results[0].shape);
  std::visit([&](const auto& x) { find<kLargest>(graph, node, in, x.data(), out, results[0].ints().data()); },
             inputs[0]->data);
  return results;
}

VectorWork arg_work(const Graph& graph, const Node& node, const Box& out) {
  return work_of(VectorOp::kCompare, arg_region(graph, node, 0, out).elements());
}

// --- CumSum ---

int cumsum_axis(const Node& node, const std::optional<std::vector<std::int64_t>>& axis, int rank) {
  if (!axis || axis->size() != 1) bad_node(node, "its axis should be one known number");
  return normalise_axis(node, axis->front(), rank);
}

int cumsum_axis(const Graph& graph, const Node& node) {
  return cumsum_axis(node, integers_argument(graph, node, "axis", 1),
                     static_cast<int>(graph.input(node, 0).shape.size()));
}

void infer_cumsum(InferContext& context) {
  check_arity(context, 1, 2);
  const Tensor& x = context.graph.input(context.node, 0);
  static_cast<void>(cumsum_axis(context.node, integers_argument(context, "axis", 1), static_cast<int>(x.shape.size())));
  set_output(context, 0, x.type, x.shape);
}

Box cumsum_region(const Graph& graph, const Node& node, int i, const Box& out) {
  if (i > 0) return whole_input(graph, node, i);
  Box box = out;
  const int axis = cumsum_axis(graph, node);
  box.set(axis, 0, whole_input(graph, node, 0).extent[axis]);
  return box;
}

template <typename Sum, typename T>
void accumulate(const Graph& graph, const Node& node, const Box& in, const T* x, const Box& out, T* y) {
  if (out.empty()) return;
  const int axis = cumsum_axis(graph, node);
  const bool exclusive = node.integer("exclusive", 0) != 0;
  const bool reverse = node.integer("reverse", 0) != 0;
  const Reduction loops(in, cumsum_region(graph, node, 0, out), only(in.rank, axis));
  Walk kept = dense_walk(out, out);
  const std::int64_t pitch = kept.stride[axis];
  kept.stride[axis] = 0;
  loops.for_each_kept(kept, [&](std::int64_t x_at, std::int64_t y_at) {
    loops.for_each_run([&](std::int64_t at, std::int64_t n, std::int64_t step) {
      Sum sum = 0;
      for (std::int64_t k = 0; k < n; ++k) {
        const std::int64_t i = reverse ? n - 1 - k : k;
        const auto value = static_cast<Sum>(x[x_at + at + i * step]);
        if (!exclusive) sum += value;
        if (i >= out.begin[axis] && i < out.end(axis)) y[y_at + (i - out.begin[axis]) * pitch] = static_cast<T>(sum);
        if (exclusive) sum += value;
      }
    });
  });
}

void cumsum_kernel(const Graph& graph, const Node& node, std::span<const ConstRegionView> inputs,
                   const RegionView& out) {
  accumulate<double>(graph, node, inputs[0].box, inputs[0].data, out.box, out.data);
}

std::vector<HostTensor> cumsum_evaluate(const Graph& graph, const Node& node,
                                        std::span<const HostTensor* const> inputs) {
  std::vector<HostTensor> results;
  results.push_back(make_tensor(inputs[0]->type, inputs[0]->shape));
  const Box box = whole(inputs[0]->shape);
  if (inputs[0]->holds_float()) {
    accumulate<double>(graph, node, box, inputs[0]->floats().data(), box, results[0].floats().data());
  } else if (inputs[0]->holds_double()) {
    accumulate<double>(graph, node, box, inputs[0]->doubles().data(), box, results[0].doubles().data());
  } else {
    accumulate<std::int64_t>(graph, node, box, inputs[0]->ints().data(), box, results[0].ints().data());
  }
  return results;
}

VectorWork cumsum_work(const Graph& graph, const Node& node, const Box& out) {
  return work_of(VectorOp::kAddMul, cumsum_region(graph, node, 0, out).elements());
}

// --- TopK ---

void infer_topk(InferContext& context) {
  check_arity(context, 1, 2, 2);
  const Tensor& x = context.graph.input(context.node, 0);
  // Before opset 10 an attribute.
  const bool attribute = context.node.attributes.contains("k");
  if (!attribute && !context.graph.has_input(context.node, 1)) bad_node(context.node, "its k is missing");
  const HostTensor* given = attribute ? nullptr : &known_value(context, 1, "its k is");
  if (given != nullptr && (!given->holds_integer() || given->held() != 1))
    bad_node(context.node, "its k should be one integer");
  const std::int64_t k = attribute ? context.node.integer("k", 0) : given->ints()[0];
  const int axis = normalise_axis(context.node, context.node.integer("axis", -1), static_cast<int>(x.shape.size()));
  if (k < 0 || k > x.shape[axis]) {
    bad_node(context.node, "takes " + std::to_string(k) + " of " + std::to_string(x.shape[axis]));
  }
  const DataType type = x.type;
  Shape shape = x.shape;
  shape[axis] = k;
  set_output(context, 0, type, shape);
  set_output(context, 1, DataType::kInt64, shape);
}

template <typename T>
void select(const Node& node, const Shape& in, int axis, const std::vector<T>& x, std::int64_t k,
            std::vector<T>& values, std::vector<std::int64_t>& indices) {
  const bool largest = node.integer("largest", 1) != 0;
  const std::int64_t extent = in[axis];
  const std::int64_t inner = elements_of(in, static_cast<std::size_t>(axis) + 1, in.size());
  const std::int64_t outer = elements_of(in, 0, static_cast<std::size_t>(axis));
  std::vector<std::int64_t> order(static_cast<std::size_t>(extent));
  for (std::int64_t o = 0; o < outer; ++o) {
    for (std::int64_t i = 0; i < inner; ++i) {
      const T* row = x.data() + o * extent * inner + i;
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
        return largest ? row[a * inner] > row[b * inner] : row[a * inner] < row[b * inner];
      });
      for (std::int64_t j = 0; j < k; ++j) {
        values[(o * k + j) * inner + i] = row[order[j] * inner];
        indices[(o * k + j) * inner + i] = order[j];
      }
    }
  }
}

std::vector<HostTensor> topk_evaluate(const Graph& graph, const Node& node, std::span<const HostTensor* const> inputs) {
  const HostTensor& x = *inputs[0];
  const int axis = normalise_axis(node, node.integer("axis", -1), static_cast<int>(x.shape.size()));
  const Shape& shape = graph.output(node).shape;
  const std::int64_t k = shape[axis];
  std::vector<HostTensor> results;
  results.push_back(make_tensor(x.type, shape));
  results.push_back(make_tensor(DataType::kInt64, shape));
  const auto run = [&]<typename T>(std::vector<T>& values) {
    select(node, x.shape, axis, std::get<std::vector<T>>(x.data), k, values, results[1].ints());
  };
  std::visit(run, results[0].data);
  return results;
}

constexpr OpDef kOperators[] = {
    {.name = "ArgMax",
     .op_class = OpClass::kRow,
     .infer = infer_arg,
     .evaluate = arg_evaluate<true>,
     .float64 = true,
     .region = arg_region,
     .kernel = arg_kernel<true>,
     .vector_work = arg_work},
    {.name = "ArgMin",
     .op_class = OpClass::kRow,
     .infer = infer_arg,
     .evaluate = arg_evaluate<false>,
     .float64 = true,
     .region = arg_region,
     .kernel = arg_kernel<false>,
     .vector_work = arg_work},
    {.name = "CumSum",
     .op_class = OpClass::kRow,
     .infer = infer_cumsum,
     .evaluate = cumsum_evaluate,
     .float64 = true,
     .region = cumsum_region,
     .kernel = cumsum_kernel,
     .vector_work = cumsum_work},
    {.name = "TopK", .op_class = OpClass::kRow, .infer = infer_topk, .evaluate = topk_evaluate, .float64 = true},
};

}  // namespace

std::span<const OpDef> scan_operators() { return kOperators; }

}  // namespace spillway::workloads
