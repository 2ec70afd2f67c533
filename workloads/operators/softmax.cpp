// Softmax and LogSoftmax: along one axis since opset 13; before, over all axes from `axis` on, taken as one.
#include <Eigen/Core>
#include <cmath>
#include <limits>

#include "workloads/compute/simd.h"
#include "workloads/compute/strided.h"
#include "workloads/operators/families.h"
#include "workloads/operators/reduction.h"

namespace spillway::workloads {

namespace {

using configs::VectorOp;

std::vector<bool> normalised_axes(const Graph& graph, const Node& node) {
  const auto rank = static_cast<int>(graph.input(node, 0).shape.size());
  std::vector<bool> whole(static_cast<std::size_t>(rank), false);
  if (graph.opset >= 13) {
    whole[normalise_axis(node, node.integer("axis", -1), rank)] = true;
    return whole;
  }
  const std::int64_t axis = node.integer("axis", 1);
  if (axis == rank) return whole;  // every element on its own
  for (int d = normalise_axis(node, axis, rank); d < rank; ++d) whole[d] = true;
  return whole;
}

void infer(InferContext& context) {
  check_arity(context, 1, 1);
  check_float_input(context, 0);
  const Tensor& x = context.graph.input(context.node, 0);
  if (x.shape.empty()) bad_node(context.node, "its input is a scalar");
  static_cast<void>(normalised_axes(context.graph, context.node));
  set_output(context, 0, x.type, x.shape);
}

Box region(const Graph& graph, const Node& node, int i, const Box& out) {
  Box box = out;
  const Box all = whole_input(graph, node, i);
  const auto whole = normalised_axes(graph, node);
  for (int d = 0; d < box.rank; ++d) {
    if (whole[d]) box.set(d, 0, all.extent[d]);
  }
  return box;
}

template <bool kLog>
void kernel(const Graph& graph, const Node& node, std::span<const ConstRegionView> inputs, const RegionView& out) {
  if (out.box.empty()) return;
  const auto whole = normalised_axes(graph, node);
  const Box needed = region(graph, node, 0, out.box);
  const Reduction loops(inputs[0].box, needed, whole);
  // What of each normalised row is written: all of it, unless the output's region cuts the row.
  Walk kept;
  Box written = out.box;
  Walk from = dense_walk(inputs[0].box, out.box);
  Walk to = dense_walk(out.box, out.box);
  const Walk first = dense_walk(inputs[0].box, needed);
  for (int d = 0; d < out.box.rank; ++d) {
    if (whole[d]) continue;
    kept.stride[d] = to.stride[d];
    written.extent[d] = 1;
  }
  from.offset -= first.offset;
  const Nest<2> rows(written, {from, to});

  const float* const data = inputs[0].data;
  loops.for_each_kept(kept, [&](std::int64_t x_at, std::int64_t y_at) {
    const float* x = data + x_at;
    float* y = out.data + y_at;
    float largest = -std::numeric_limits<float>::infinity();
    loops.for_each_run([&](std::int64_t at, std::int64_t n, std::int64_t step) {
      for (std::int64_t i = 0; i < n; ++i) largest = std::max(largest, x[at + i * step]);
    });
    double sum = 0.0;
    loops.for_each_run([&](std::int64_t at, std::int64_t n, std::int64_t step) {
      const Eigen::Map<const Eigen::ArrayXf, 0, Eigen::InnerStride<>> row(x + at, n, Eigen::InnerStride<>(step));
      sum += static_cast<double>((row - largest).exp().sum());
    });
    const auto scale = static_cast<float>(kLog ? std::log(sum) : 1.0 / sum);
    rows.for_each_row([&](const std::array<std::int64_t, 2>& at) {
      using ConstRow = Eigen::Map<const Eigen::ArrayXf, 0, Eigen::InnerStride<>>;
      const std::int64_t n = rows.row_length();
      const ConstRow source(x + at[0], n, Eigen::InnerStride<>(rows.row_stride(0)));
      Eigen::Map<Eigen::ArrayXf, 0, Eigen::InnerStride<>> row(y + at[1], n, Eigen::InnerStride<>(rows.row_stride(1)));
      if constexpr (kLog) {
        row = source - largest - scale;
      } else {
        row = (source - largest).exp() * scale;
      }
    });
  });
}

/// Rows whose elements lie side by side go through the vector loops; any other layout through a dense copy.
template <bool kLog>
void strided_kernel(const Graph& graph, const Node& node, std::span<const ConstStridedView> inputs,
                    const StridedView& out, compute::Sums /*sums*/) {
  if (out.box.empty()) return;
  const auto whole = normalised_axes(graph, node);
  const ConstStridedView& x = inputs[0];
  const int last = out.box.rank - 1;
  const Box all = whole_input(graph, node, 0);
  bool simple = !kLog && out.box.extent[last] == all.extent[last] && x.box.extent[last] == all.extent[last];
  for (int d = 0; d <= last; ++d) simple = simple && whole[static_cast<std::size_t>(d)] == (d == last);
  const std::int64_t n = out.box.extent[last];
  simple = simple && (n == 1 || (x.stride[last] == 1 && out.stride[last] == 1));
  if (!simple) return compute::through_dense(kernel<kLog>, graph, node, inputs, out);
  Box rows = out.box;
  rows.extent[last] = 1;
  Box first = out.box;
  first.begin[last] = x.box.begin[last];
  const float* from = x.data + compute::offset_in(x, first);
  const std::int64_t count = rows.elements();
  constexpr std::int64_t kPack = 1 << 14;  // elements
  const std::int64_t pack = std::max<std::int64_t>(1, kPack / n);
  compute::parallel_for((count + pack - 1) / pack, [&](std::int64_t p) {
    for (std::int64_t i = p * pack; i < std::min(count, (p + 1) * pack); ++i) {
      std::int64_t rest = i, at_x = 0, at_y = 0;
      for (int d = last - 1; d >= 0; --d) {
        at_x += rest % rows.extent[d] * x.stride[d];
        at_y += rest % rows.extent[d] * out.stride[d];
        rest /= rows.extent[d];
      }
      compute::simd().softmax(n, from + at_x, out.data + at_y);
    }
  });
}

/// Maximum, subtraction, exponential, sum, product with the reciprocal of the sum (or subtraction of its logarithm).
template <bool kLog>
configs::VectorWork work(const Graph& graph, const Node& node, const Box& out) {
  const std::int64_t elements = region(graph, node, 0, out).elements();
  const auto whole = normalised_axes(graph, node);
  std::int64_t rows = 1;
  for (int d = 0; d < out.rank; ++d) rows *= whole[d] ? 1 : out.extent[d];
  configs::VectorWork work{};
  work[static_cast<int>(VectorOp::kCompare)] = elements;
  work[static_cast<int>(VectorOp::kAddMul)] = 2 * elements + out.elements();
  work[static_cast<int>(VectorOp::kExp)] = elements + (kLog ? rows : 0);
  work[static_cast<int>(VectorOp::kDiv)] = kLog ? 0 : rows;
  return work;
}

constexpr OpDef kOperators[] = {
    {.name = "Softmax",
     .op_class = OpClass::kRow,
     .infer = infer,
     .region = region,
     .kernel = compute::dense_kernel<strided_kernel<false>>,
     .strided = strided_kernel<false>,
     .vector_work = work<false>,
     .input_passes = 3,
     .carries_scale = true},
    {.name = "LogSoftmax",
     .op_class = OpClass::kRow,
     .infer = infer,
     .region = region,
     .kernel = compute::dense_kernel<strided_kernel<true>>,
     .strided = strided_kernel<true>,
     .vector_work = work<true>,
     .input_passes = 3},
};

}  // namespace

std::span<const OpDef> softmax_operators() { return kOperators; }

}  // namespace spillway::workloads
