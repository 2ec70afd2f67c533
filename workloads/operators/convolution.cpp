// Conv in any number of spatial axes, with groups, strides, dilations and asymmetric pads: patches of the input are
// gathered in blocks (im2col) and multiplied with the weights (Chellapilla et al. 2006).
#include <Eigen/Core>
#include <algorithm>

#include "workloads/operators/families.h"
#include "workloads/operators/spatial.h"
#include "workloads/operators/support.h"

namespace spillway::workloads {

namespace {

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

struct Convolution {
  Window window;
  std::int64_t groups = 1, in_channels = 0, out_channels = 0;  // of one group
};

Convolution convolution_of(const Graph& graph, const Node& node) {
  const Shape& x = graph.input(node, 0).shape;
  const Shape& w = graph.input(node, 1).shape;
  if (x.size() < 3 || w.size() != x.size()) {
    bad_node(node, "input " + to_string(x) + " and weight " + to_string(w) + " should have one rank of at least 3");
  }
  Convolution c;
  c.window = window_of(node, x, {w.begin() + 2, w.end()});
  c.groups = node.integer("group", 1);
  c.in_channels = w[1];
  if (c.groups < 1 || c.groups > w[0] || w[0] % c.groups != 0) {
    bad_node(node,
             std::to_string(w[0]) + " output channels do not divide into " + std::to_string(c.groups) + " groups");
  }
  c.out_channels = w[0] / c.groups;
  if (x[1] % c.groups != 0 || x[1] / c.groups != c.in_channels) {
    bad_node(node, "input has " + std::to_string(x[1]) + " channels when " + std::to_string(c.groups) +
                       " groups of weight " + to_string(w) + " need " + std::to_string(c.in_channels) + " each");
  }
  return c;
}

void infer(InferContext& context) {
  check_arity(context, 2, 3);
  const Node& node = context.node;
  const Graph& graph = context.graph;
  check_float_input(context, 0);
  const Convolution c = convolution_of(graph, node);
  const Shape& x = graph.input(node, 0).shape;
  const Shape& w = graph.input(node, 1).shape;
  if (elements_of(w) == 0) bad_node(node, "weight " + to_string(w) + " is empty");
  const auto kernel = node.integers("kernel_shape");
  if (!kernel.empty() && kernel != c.window.kernel) {
    bad_node(node, "kernel_shape is " + to_string(kernel) + " for a weight of " + to_string(w));
  }
  if (graph.has_input(node, 2) && graph.input(node, 2).shape != Shape{w[0]}) {
    bad_node(node, "bias is " + to_string(graph.input(node, 2).shape) + " when it should be " + std::to_string(w[0]));
  }
  Shape out{x[0], w[0]};
  for (int d = 0; d < c.window.dims(); ++d) out.push_back(window_count(node, c.window, d, x[d + 2]));
  set_output(context, 0, graph.input(node, 0).type, std::move(out));
}

Box region(const Graph& graph, const Node& node, int i, const Box& out) {
  if (out.empty()) return no_region(graph, node, i);
  Box box = whole_input(graph, node, i);
  if (i > 0) {
    box.set(0, out.begin[1], out.extent[1]);
    return box;
  }
  const Convolution c = convolution_of(graph, node);
  const auto [group, groups] = groups_of(out, c.out_channels);
  box.set(0, out.begin[0], out.extent[0]);
  box.set(1, static_cast<std::int32_t>(group * c.in_channels), static_cast<std::int32_t>(groups * c.in_channels));
  for (int d = 0; d < c.window.dims(); ++d) {
    const auto [begin, count] = window_source(c.window, d, box.extent[d + 2], out.begin[d + 2], out.extent[d + 2]);
    box.set(d + 2, begin, count);
  }
  return box;
}

/// Gathers patches: column p of the result is the patch of the p-th output position of the block, in row-major order
/// over the spatial axes of the box; one row per (channel, tap).
class Patches {
 public:
  Patches(const Convolution& c, const Shape& x, const ConstRegionView& input, const Box& out)
      : c_(c), x_(x), input_(input), out_(out), dims_(c.window.dims()) {
    const Walk walk = dense_walk(input.box, input.box);
    stride_ = walk.stride;
    taps_ = 1;
    for (int d = 0; d < dims_; ++d) taps_ *= c.window.kernel[d];
  }

  [[nodiscard]] std::int64_t rows() const { return c_.in_channels * taps_; }

  /// Positions [from, from + count) for sample n and the channels of one group.
  void gather(std::int64_t n, std::int64_t group, std::int64_t from, std::int64_t count, Matrix& columns) const {
    const std::int64_t width = out_.extent[dims_ + 1];
    for (std::int64_t done = 0; done < count;) {  // one run per row of output positions
      const std::int64_t position = from + done;
      const std::int64_t column = position % width;
      const std::int64_t run = std::min(count - done, width - column);
      std::array<std::int64_t, kMaxRank> at{};  // output coordinates of the run's first position
      std::int64_t rest = position / width;
      for (int d = dims_ - 2; d >= 0; --d) {
        at[d] = out_.begin[d + 2] + rest % out_.extent[d + 2];
        rest /= out_.extent[d + 2];
      }
      at[dims_ - 1] = out_.begin[dims_ + 1] + column;
      gather_run(n, group, at, run, columns.data() + done, columns.cols());
      done += run;
    }
  }

 private:
  void gather_run(std::int64_t n, std::int64_t group, const std::array<std::int64_t, kMaxRank>& at, std::int64_t run,
                  float* to, std::int64_t pitch) const {
    const Window& w = c_.window;
    const int inner = dims_ - 1;
    std::array<std::int64_t, kMaxRank> tap{};
    for (std::int64_t t = 0; t < taps_; ++t) {
      std::int64_t offset = (n - input_.box.begin[0]) * stride_[0];
      bool inside = true;
      for (int d = 0; d < inner; ++d) {
        const std::int64_t position = at[d] * w.stride[d] - w.pad_begin[d] + tap[d] * w.dilation[d];
        inside = inside && position >= 0 && position < x_[d + 2];
        offset += (position - input_.box.begin[d + 2]) * stride_[d + 2];
      }
      const std::int64_t step = w.stride[inner];
      const std::int64_t start = at[inner] * step - w.pad_begin[inner] + tap[inner] * w.dilation[inner];
      // Output positions [lo, hi) of the run whose input lies inside the tensor.
      std::int64_t lo = start < 0 ? std::min(run, (-start + step - 1) / step) : 0;
      std::int64_t hi = start >= x_[inner + 2] ? 0 : std::min(run, (x_[inner + 2] - start + step - 1) / step);
      if (!inside || hi <= lo) lo = hi = 0;
      offset += start - input_.box.begin[inner + 2];
      for (std::int64_t channel = 0; channel < c_.in_channels; ++channel) {
        float* row = to + (channel * taps_ + t) * pitch;
        std::fill(row, row + lo, 0.0F);
        std::fill(row + hi, row + run, 0.0F);
        const std::int64_t from = offset + (group * c_.in_channels + channel - input_.box.begin[1]) * stride_[1];
        if (step == 1) {
          if (hi > lo) std::copy_n(input_.data + from + lo, hi - lo, row + lo);
        } else {
          for (std::int64_t i = lo; i < hi; ++i) row[i] = input_.data[from + i * step];
        }
      }
      for (int d = inner; d >= 0 && ++tap[d] == w.kernel[d]; --d) tap[d] = 0;
    }
  }

  const Convolution& c_;
  const Shape& x_;
  const ConstRegionView& input_;
  const Box& out_;
  int dims_;
  std::int64_t taps_ = 1;
  std::array<std::int64_t, kMaxRank> stride_{};
};

/// A 1x1 convolution over a region that is exactly its input's needs no gathering.
bool is_pointwise(const Window& w, const Box& in, const Box& out) {
  for (int d = 0; d < w.dims(); ++d) {
    if (w.kernel[d] != 1 || w.stride[d] != 1 || w.pad_begin[d] != 0 || w.pad_end[d] != 0) return false;
    if (in.begin[d + 2] != out.begin[d + 2] || in.extent[d + 2] != out.extent[d + 2]) return false;
  }
  return true;
}

void kernel(const Graph& graph, const Node& node, std::span<const ConstRegionView> inputs, const RegionView& out) {
  if (out.box.empty()) return;
  const Convolution c = convolution_of(graph, node);
  const ConstRegionView& x = inputs[0];
  const Patches patches(c, graph.input(node, 0).shape, x, out.box);
  std::int64_t positions = 1;
  for (int d = 2; d < out.box.rank; ++d) positions *= out.box.extent[d];
  constexpr std::int64_t kBlockElements = std::int64_t{1} << 18;  // patches that stay in the processor's cache
  const std::int64_t block = std::min(positions, std::max<std::int64_t>(kBlockElements / patches.rows(), 64));
  const bool pointwise = is_pointwise(c.window, x.box, out.box);
  const std::int64_t channel_step = x.box.elements() / std::max<std::int64_t>(1, x.box.extent[0] * x.box.extent[1]);
  Matrix columns(pointwise ? 0 : patches.rows(), pointwise ? 0 : std::min(block, positions));

  const auto [first, groups] = groups_of(out.box, c.out_channels);
  for (std::int32_t n = 0; n < out.box.extent[0]; ++n) {
    const std::int64_t sample = out.box.begin[0] + n;
    for (std::int64_t group = first; group < first + groups; ++group) {
      const std::int64_t from = std::max<std::int64_t>(out.box.begin[1], group * c.out_channels);
      const std::int64_t to = std::min<std::int64_t>(out.box.end(1), (group + 1) * c.out_channels);
      const Eigen::Map<const Matrix> weights(inputs[1].data + (from - inputs[1].box.begin[0]) * patches.rows(),
                                             to - from, patches.rows());
      Eigen::Map<Matrix> y(out.data + (n * out.box.extent[1] + from - out.box.begin[1]) * positions, to - from,
                           positions);
      if (pointwise) {
        const std::int64_t channel =
            (sample - x.box.begin[0]) * x.box.extent[1] + group * c.in_channels - x.box.begin[1];
        const Eigen::Map<const Matrix> source(x.data + channel * channel_step, c.in_channels, positions);
        y.noalias() = weights * source;
      } else {
        for (std::int64_t p = 0; p < positions; p += block) {
          const std::int64_t count = std::min(block, positions - p);
          patches.gather(sample, group, p, count, columns);
          y.middleCols(p, count).noalias() = weights * columns.leftCols(count);
        }
      }
      if (inputs.size() > 2 && inputs[2].data != nullptr) {
        y.colwise() += Eigen::Map<const Eigen::VectorXf>(inputs[2].data + (from - inputs[2].box.begin[0]), to - from);
      }
    }
  }
}

configs::MatrixShape work(const Graph& graph, const Node& node, const Box& out) {
  const Convolution c = convolution_of(graph, node);
  configs::MatrixShape shape;
  if (out.empty()) return shape;
  shape.m = out.elements() / out.extent[1];
  shape.k = c.in_channels;
  for (const std::int64_t taps : c.window.kernel) shape.k *= taps;
  split_channels(shape, out, groups_of(out, c.out_channels).count);
  return shape;
}

constexpr OpDef kOperators[] = {
    {.name = "Conv",
     .op_class = OpClass::kMatrix,
     .infer = infer,
     .region = region,
     .kernel = kernel,
     .matrix_shape = work},
};

}  // namespace

std::span<const OpDef> convolution_operators() { return kOperators; }

}  // namespace spillway::workloads
