// MaxPool and AveragePool over sliding windows; GlobalAveragePool and GlobalMaxPool over everything spatial.
#include <algorithm>
#include <limits>

#include "workloads/operators/families.h"
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
  check_arity(context, 1, 1, 2);
  check_float_input(context, 0);
  const Graph& graph = context.graph;
  const Node& node = context.node;
  const Tensor& x = graph.input(node, 0);
  const Window window = pool_window(graph, node);
  Shape out{x.shape[0], x.shape[1]};
  for (int d = 0; d < window.dims(); ++d) {
    out.push_back(window_count(node, window, d, x.shape[d + 2], rounds_up(node)));
  }
  if (node.outputs.size() > 1 && node.outputs[1] != kNone) {
    const TensorId indices = node.outputs[1];
    if (node.op != "MaxPool" || !graph.tensors[indices].consumers.empty() || graph.is_output(indices)) {
      bad_node(node, "its second output is not supported");
    }
    set_output(context, 1, DataType::kInt64, out);
  }
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

/// One window's range along one axis: taps inside the input, and how many lie inside the input or its pads.
struct Range {
  std::int64_t first = 0, step = 1, count = 0, padded = 0;
};

Range range_of(const Window& window, int d, std::int64_t in, std::int64_t position) {
  Range r;
  r.step = window.dilation[d];
  const std::int64_t start = position * window.stride[d] - window.pad_begin[d];
  for (std::int64_t k = 0; k < window.kernel[d]; ++k) {
    const std::int64_t at = start + k * r.step;
    if (at < in + window.pad_end[d]) ++r.padded;
    if (at < 0 || at >= in) continue;
    if (r.count++ == 0) r.first = at;
  }
  return r;
}

template <bool kMax>
void pool_kernel(const Graph& graph, const Node& node, std::span<const ConstRegionView> inputs, const RegionView& out) {
  if (out.box.empty()) return;
  const Window window = pool_window(graph, node);
  const ConstRegionView& x = inputs[0];
  const Shape& in = graph.input(node, 0).shape;
  const bool count_pads = node.integer("count_include_pad", 0) != 0;
  const int dims = window.dims();
  std::vector<std::vector<Range>> ranges(static_cast<std::size_t>(dims));
  for (int d = 0; d < dims; ++d) {
    for (std::int32_t p = out.box.begin[d + 2]; p < out.box.end(d + 2); ++p) {
      ranges[d].push_back(range_of(window, d, in[d + 2], p));
    }
  }
  const Walk walk = dense_walk(x.box, x.box);
  std::array<std::int64_t, kMaxRank> index{};
  float* y = out.data;
  while (true) {
    std::int64_t offset = (out.box.begin[0] + index[0] - x.box.begin[0]) * walk.stride[0] +
                          (out.box.begin[1] + index[1] - x.box.begin[1]) * walk.stride[1];
    std::int64_t taps = 1;
    std::int64_t counted = 1;
    for (int d = 0; d < dims; ++d) {
      const Range& r = ranges[d][static_cast<std::size_t>(index[d + 2])];
      offset += (r.first - x.box.begin[d + 2]) * walk.stride[d + 2];
      taps *= r.count;
      counted *= count_pads ? r.padded : r.count;
    }
    float largest = -std::numeric_limits<float>::infinity();
    double sum = 0.0;
    std::array<std::int64_t, kMaxRank> tap{};
    for (std::int64_t t = 0; t < taps; ++t) {
      std::int64_t at = offset;
      for (int d = 0; d < dims; ++d) {
        at += tap[d] * ranges[d][static_cast<std::size_t>(index[d + 2])].step * walk.stride[d + 2];
      }
      if constexpr (kMax) {
        largest = std::max(largest, x.data[at]);
      } else {
        sum += x.data[at];
      }
      for (int d = dims - 1; d >= 0 && ++tap[d] == ranges[d][static_cast<std::size_t>(index[d + 2])].count; --d) {
        tap[d] = 0;
      }
    }
    *y++ = kMax ? largest : static_cast<float>(counted == 0 ? 0.0 : sum / static_cast<double>(counted));
    int d = out.box.rank - 1;
    while (d >= 0 && ++index[d] == out.box.extent[d]) index[d--] = 0;
    if (d < 0) return;
  }
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
     .region = pool_region,
     .kernel = pool_kernel<true>,
     .vector_work = pool_work<true>},
    {.name = "AveragePool",
     .op_class = OpClass::kWindow,
     .infer = infer_pool,
     .region = pool_region,
     .kernel = pool_kernel<false>,
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
};

}  // namespace

std::span<const OpDef> window_operators() { return kOperators; }

}  // namespace spillway::workloads
