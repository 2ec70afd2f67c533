// MaxPool, AveragePool, LpPool over sliding windows and MaxUnpool; GlobalAveragePool and GlobalMaxPool over everything
// spatial.
#include <algorithm>
#include <cmath>
#include <limits>

#include "workloads/compute/strided.h"
#include "workloads/operators/families.h"
#include "workloads/operators/host.h"
#include "workloads/operators/pool_kernel.h"
#include "workloads/operators/reduction.h"
#include "workloads/operators/spatial.h"

namespace spillway::workloads {

namespace {

using configs::VectorOp;
using configs::VectorWork;

Window pool_window(const Graph& graph, const Node& node) {
  const auto kernel = node.integers("kernel_shape");
  Window window = window_of(node, graph.input(node, 0).shape, kernel);
  if (elements_of(kernel) >= std::int64_t{1} << 31) bad_node(node, "its window has 2^31 elements or more");
  for (int d = 0; d < window.dims(); ++d) {
    if (window.pad_begin[d] >= window.span(d) || window.pad_end[d] >= window.span(d)) {
      bad_node(node, "a pad is as large as the window of " + std::to_string(window.span(d)));
    }
  }
  return window;
}

bool rounds_up(const Node& node) { return node.integer("ceil_mode", 0) != 0; }

void infer_pool(InferContext& context) {
  const Graph& graph = context.graph;
  const Node& node = context.node;
  check_arity(context, 1, 1, node.op == "MaxPool" ? 2 : 1);
  const Tensor& x = graph.input(node, 0);
  const bool eight_bits = x.type == DataType::kInt8 || x.type == DataType::kUint8;
  if (node.op != "MaxPool" || !eight_bits) check_float_input(context, 0);
  const Window window = pool_window(graph, node);
  Shape out{x.shape[0], x.shape[1]};
  for (int d = 0; d < window.dims(); ++d) {
    out.push_back(window_count(node, window, d, x.shape[d + 2], rounds_up(node)));
  }
  set_output(context, 1, DataType::kInt64, out);
  set_output(context, 0, x.type, std::move(out));
}

Box pool_region(const Graph& graph, const Node& node, int i, const Box& out) {
  if (out.empty()) return no_region(graph, node, i);
  const Window window = pool_window(graph, node);
  const Box all = whole_input(graph, node, i);
  Box box = out;
  for (int d = 0; d < window.dims(); ++d) {
    const auto [begin, count] = window_source(window, d, all.extent[d + 2], out.begin[d + 2], out.extent[d + 2]);
    box.set(d + 2, begin, count);
  }
  return box;
}

template <bool kMax>
void pool_kernel(const Graph& graph, const Node& node, std::span<const ConstStridedView> inputs, const StridedView& out,
                 compute::Sums /*sums*/) {
  const Window window = pool_window(graph, node);
  const Shape& in = graph.input(node, 0).shape;
  if (kMax) return pool_largest(window, in, inputs[0], out);
  pool_mean(window, in, node.integer("count_include_pad", 0) != 0, inputs[0], out);
}

/// Calls body(window, place) for every output of a pool, in order, and every tap of it inside the input, in order; a
/// place is an element of the plane that the output pools.
template <typename Body, typename End>
void for_each_tap(const Window& window, const Shape& in, const Shape& out, Body body, End end) {
  const int dims = window.dims();
  const std::int64_t count = elements_of(out, 2, out.size());
  std::array<TapRange, kMaxRank> range;
  for (std::int64_t k = 0; k < count; ++k) {
    std::int64_t rest = k;
    std::int64_t taps = 1;
    for (int d = dims - 1; d >= 0; --d) {
      range[d] = taps_of(window, d, in[d + 2], rest % out[d + 2]);
      rest /= out[d + 2];
      taps *= range[d].count;
    }
    std::array<std::int64_t, kMaxRank> tap{};
    for (std::int64_t t = 0; t < taps; ++t) {
      std::int64_t at = 0;
      for (int d = 0; d < dims; ++d) at = at * in[d + 2] + range[d].first + tap[d] * range[d].step;
      body(at);
      for (int d = dims - 1; d >= 0 && ++tap[d] == range[d].count; --d) tap[d] = 0;
    }
    end(k);
  }
}

/// A place in a row-major plane, counted with the first spatial axis fastest.
std::int64_t column_major(std::int64_t place, const Shape& in) {
  std::array<std::int64_t, kMaxRank> at{};
  for (auto d = in.size() - 1; d >= 2; --d) {
    at[d] = place % in[d];
    place /= in[d];
  }
  std::int64_t result = 0;
  for (auto d = in.size() - 1; d >= 2; --d) result = result * in[d] + at[d];
  return result;
}

/// MaxPool, with the places of the largest elements (in the whole input, flattened) if they are wanted: which no
/// engine gives.
std::vector<HostTensor> evaluate_max_pool(const Graph& graph, const Node& node,
                                          std::span<const HostTensor* const> inputs) {
  const OpDef pool{.name = node.op, .kernel = compute::dense_kernel<pool_kernel<true>>};
  auto results = evaluate_by_kernel(pool, graph, node, inputs);
  if (node.outputs.size() < 2) return results;
  const Shape& in = inputs[0]->shape;
  results.push_back(make_tensor(DataType::kInt64, results[0].shape));
  const Window window = pool_window(graph, node);
  const std::int64_t plane = elements_of(in, 2, in.size());
  const std::int64_t outputs = elements_of(results[0].shape, 2, in.size());
  const bool columns = node.integer("storage_order", 0) != 0;
  const auto find = [&](const auto& x) {
    for (std::int64_t c = 0; c < in[0] * in[1] && outputs > 0; ++c) {
      const auto* from = x.data() + c * plane;
      std::int64_t best = -1;
      for_each_tap(
          window, in, results[0].shape, [&](std::int64_t at) { best = best < 0 || from[at] > from[best] ? at : best; },
          [&](std::int64_t k) {
            const std::int64_t place = columns ? column_major(best, in) : best;
            results[1].ints()[static_cast<std::size_t>(c * outputs + k)] = c * plane + place;
            best = -1;
          });
    }
  };
  std::visit(find, inputs[0]->data);
  return results;
}

// --- LpPool: the norm of a window; MaxUnpool: what a MaxPool took, back in its places ---

std::int64_t norm_of(const Node& node) {
  const std::int64_t p = node.integer("p", 2);
  if (p < 1 || p > 1024) bad_node(node, "p is " + std::to_string(p) + " when it should be from 1 to 1024");
  return p;
}

void infer_lp_pool(InferContext& context) {
  infer_pool(context);
  static_cast<void>(norm_of(context.node));
}

std::vector<HostTensor> evaluate_lp_pool(const Graph& graph, const Node& node,
                                         std::span<const HostTensor* const> inputs) {
  HostTensor y = make_tensor(graph.output(node).type, graph.output(node).shape);
  const Shape& in = inputs[0]->shape;
  const Window window = pool_window(graph, node);
  const std::int64_t plane = elements_of(in, 2, in.size());
  const std::int64_t outputs = elements_of(y.shape, 2, in.size());
  const auto p = static_cast<double>(norm_of(node));
  for (std::int64_t c = 0; c < in[0] * in[1]; ++c) {
    const float* x = inputs[0]->floats().data() + c * plane;
    double sum = 0.0;
    for_each_tap(
        window, in, y.shape, [&](std::int64_t at) { sum += std::pow(std::abs(double{x[at]}), p); },
        [&](std::int64_t k) {
          y.floats()[static_cast<std::size_t>(c * outputs + k)] = static_cast<float>(std::pow(sum, 1.0 / p));
          sum = 0.0;
        });
  }
  std::vector<HostTensor> results;
  results.push_back(std::move(y));
  return results;
}

/// The shape that the pooled tensor had, as far as the window tells: what the places count in.
Shape unpooled_shape(const Graph& graph, const Node& node) {
  const Shape& x = graph.input(node, 0).shape;
  const Window window = window_of(node, x, node.integers("kernel_shape"));
  Shape shape{x[0], x[1]};
  for (int d = 0; d < window.dims(); ++d) {
    const std::int64_t extent =
        (x[d + 2] - 1) * window.stride[d] + window.span(d) - window.pad_begin[d] - window.pad_end[d];
    shape.push_back(std::max<std::int64_t>(0, extent));
  }
  return shape;
}

void infer_unpool(InferContext& context) {
  check_arity(context, 2, 3);
  check_integer_input(context, 1);
  const Node& node = context.node;
  const Tensor& x = context.graph.input(node, 0);
  if (context.graph.input(node, 1).shape != x.shape) bad_node(node, "its values and places differ in shape");
  const Shape pooled = unpooled_shape(context.graph, node);
  const auto given = integers_argument(context, "output_shape", 2);
  bool larger = !given || given->size() == pooled.size();
  for (std::size_t d = 0; given && larger && d < pooled.size(); ++d) larger = (*given)[d] >= pooled[d];
  if (!larger) bad_node(node, "output_shape " + to_string(*given) + " does not hold " + to_string(pooled));
  set_output(context, 0, x.type, given.value_or(pooled));
}

std::vector<HostTensor> evaluate_unpool(const Graph& graph, const Node& node,
                                        std::span<const HostTensor* const> inputs) {
  HostTensor y = make_tensor(graph.output(node).type, graph.output(node).shape);
  const Shape pooled = unpooled_shape(graph, node);
  const std::int64_t count = elements_of(pooled);
  const auto place = [&]<typename T>(std::vector<T>& out) {
    const auto& x = std::get<std::vector<T>>(inputs[0]->data);
    for (std::size_t i = 0; i < x.size(); ++i) {
      std::int64_t rest = inputs[1]->ints()[i];
      if (rest < 0 || rest >= count)
        bad_node(node, "place " + std::to_string(rest) + " is outside " + to_string(pooled));
      std::int64_t at = 0;
      std::int64_t stride = 1;
      for (auto d = pooled.size(); d-- > 0;) {
        at += rest % pooled[d] * stride;
        rest /= pooled[d];
        stride *= y.shape[d];
      }
      out[static_cast<std::size_t>(at)] = x[i];
    }
  };
  std::visit(place, y.data);
  std::vector<HostTensor> results;
  results.push_back(std::move(y));
  return results;
}

template <bool kMax>
VectorWork pool_work(const Graph& /*graph*/, const Node& node, const Box& out) {
  const std::int64_t taps = elements_of(node.integers("kernel_shape"));
  if (kMax) return work_of(VectorOp::kCompare, out.elements() * taps);
  return work_of(VectorOp::kAddMul, out.elements() * (taps + 1));
}

// --- GlobalAveragePool, GlobalMaxPool ---

void infer_global(InferContext& context) {
  check_arity(context, 1, 1);
  check_float_input(context, 0);
  const Tensor& x = context.graph.input(context.node, 0);
  if (x.shape.size() < 3)
    bad_node(context.node, "input is " + to_string(x.shape) + " when it should have rank 3 or more");
  Shape out(x.shape.size(), 1);
  out[0] = x.shape[0];
  out[1] = x.shape[1];
  set_output(context, 0, x.type, std::move(out));
}

Box global_region(const Graph& graph, const Node& node, int i, const Box& out) {
  Box box = whole_input(graph, node, i);
  box.set(0, out.begin[0], out.extent[0]);
  box.set(1, out.begin[1], out.extent[1]);
  return box;
}

template <bool kMax>
void global_kernel(const Graph& graph, const Node& node, std::span<const ConstRegionView> inputs,
                   const RegionView& out) {
  if (out.box.empty()) return;
  std::vector<bool> whole(static_cast<std::size_t>(out.box.rank), true);
  whole[0] = whole[1] = false;
  const Box needed = global_region(graph, node, 0, out.box);
  const Reduction loops(inputs[0].box, needed, whole);
  const Walk to = dense_walk(out.box, out.box);
  Walk kept;
  kept.stride[0] = to.stride[0];
  kept.stride[1] = to.stride[1];
  const double count = static_cast<double>(needed.elements()) / (double{1} * needed.extent[0] * needed.extent[1]);
  loops.for_each_kept(kept, [&](std::int64_t x_at, std::int64_t y_at) {
    float largest = -std::numeric_limits<float>::infinity();
    double sum = 0.0;
    loops.for_each_run([&](std::int64_t at, std::int64_t n, std::int64_t step) {
      for (std::int64_t i = 0; i < n; ++i) {
        const float v = inputs[0].data[x_at + at + i * step];
        largest = std::max(largest, v);
        sum += v;
      }
    });
    out.data[y_at] = kMax ? largest : static_cast<float>(sum / count);
  });
}

template <bool kMax>
VectorWork global_work(const Graph& graph, const Node& node, const Box& out) {
  const std::int64_t read = global_region(graph, node, 0, out).elements();
  return kMax ? work_of(VectorOp::kCompare, read) : work_of(VectorOp::kAddMul, read + out.elements());
}

constexpr OpDef kOperators[] = {
    {.name = "MaxPool",
     .op_class = OpClass::kWindow,
     .infer = infer_pool,
     .evaluate = evaluate_max_pool,
     .region = pool_region,
     .kernel = compute::dense_kernel<pool_kernel<true>>,
     .strided = pool_kernel<true>,
     .vector_work = pool_work<true>},
    {.name = "AveragePool",
     .op_class = OpClass::kWindow,
     .infer = infer_pool,
     .region = pool_region,
     .kernel = compute::dense_kernel<pool_kernel<false>>,
     .strided = pool_kernel<false>,
     .vector_work = pool_work<false>},
    {.name = "GlobalMaxPool",
     .op_class = OpClass::kRow,
     .infer = infer_global,
     .region = global_region,
     .kernel = global_kernel<true>,
     .vector_work = global_work<true>},
    {.name = "GlobalAveragePool",
     .op_class = OpClass::kRow,
     .infer = infer_global,
     .region = global_region,
     .kernel = global_kernel<false>,
     .vector_work = global_work<false>},
    host_operator("LpPool", infer_lp_pool, evaluate_lp_pool),
    host_operator("MaxUnpool", infer_unpool, evaluate_unpool, true),
};

}  // namespace

std::span<const OpDef> window_operators() { return kOperators; }

}  // namespace spillway::workloads
