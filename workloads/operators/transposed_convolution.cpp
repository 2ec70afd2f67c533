// ConvTranspose: every input position adds its weights, scaled, to a window of the output.
#include <Eigen/Core>
#include <algorithm>

#include "workloads/operators/families.h"
#include "workloads/operators/spatial.h"
#include "workloads/operators/support.h"

namespace spillway::workloads {

namespace {

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

struct Transposed {
  Window window;  // in terms of the output: output position = input * stride - pad_begin + tap * dilation
  std::vector<std::int64_t> out;
  std::int64_t groups = 1, in_channels = 0, out_channels = 0;  // of one group
};

std::vector<std::int64_t> list_or(const Node& node, const std::string& name, std::size_t length) {
  auto values = node.integers(name, std::vector<std::int64_t>(length, 0));
  if (values.size() != length) {
    bad_node(node,
             name + " has " + std::to_string(values.size()) + " entries when it should have " + std::to_string(length));
  }
  for (const std::int64_t v : values) {
    if (v < 0 || v >= std::int64_t{1} << 31) bad_node(node, name + " has an entry of " + std::to_string(v));
  }
  return values;
}

Transposed transposed_of(const Graph& graph, const Node& node) {
  const Shape& x = graph.input(node, 0).shape;
  const Shape& w = graph.input(node, 1).shape;
  if (x.size() < 3 || w.size() != x.size()) {
    bad_node(node, "input " + to_string(x) + " and weight " + to_string(w) + " should have one rank of at least 3");
  }
  Transposed t;
  t.groups = node.integer("group", 1);
  if (x[1] != w[0] || t.groups < 1 || t.groups > w[0] || w[0] % t.groups != 0) {
    bad_node(node, "input " + to_string(x) + " and weight " + to_string(w) + " do not divide into " +
                       std::to_string(t.groups) + " groups");
  }
  t.in_channels = w[0] / t.groups;
  t.out_channels = w[1];
  const std::size_t dims = x.size() - 2;
  // auto_pad of a transposed convolution fixes the output's extent, not the input's: resolved below.
  Node plain = node;
  plain.attributes.erase("auto_pad");
  t.window = window_of(plain, x, {w.begin() + 2, w.end()});
  const auto padding = list_or(node, "output_padding", dims);
  const std::string mode = node.text("auto_pad", "NOTSET");
  auto wanted = node.integers("output_shape");
  if (wanted.size() == dims + 2) wanted.erase(wanted.begin(), wanted.begin() + 2);
  for (std::size_t d = 0; d < dims; ++d) {
    const std::int64_t spread = t.window.stride[d] * (x[d + 2] - 1) + padding[d] + t.window.span(static_cast<int>(d));
    if (mode == "SAME_UPPER" || mode == "SAME_LOWER" || !wanted.empty()) {
      const std::int64_t out = wanted.empty() ? x[d + 2] * t.window.stride[d] : wanted.size() == dims ? wanted[d] : 0;
      if (out < 1) bad_node(node, "output_shape does not fit the input");
      const std::int64_t total = std::max<std::int64_t>(0, spread - out);
      t.window.pad_begin[d] = mode == "SAME_UPPER" ? total / 2 : total - total / 2;
      t.window.pad_end[d] = total - t.window.pad_begin[d];
      t.out.push_back(out);
    } else {
      t.out.push_back(spread - t.window.pad_begin[d] - t.window.pad_end[d]);
    }
    if (t.out.back() < 1) bad_node(node, "pads leave no output along spatial axis " + std::to_string(d));
  }
  return t;
}

void infer(InferContext& context) {
  check_arity(context, 2, 3);
  check_float_input(context, 0);
  const Node& node = context.node;
  const Graph& graph = context.graph;
  const Transposed t = transposed_of(graph, node);
  Shape out{graph.input(node, 0).shape[0], t.out_channels * t.groups};
  out.insert(out.end(), t.out.begin(), t.out.end());
  if (graph.has_input(node, 2) && graph.input(node, 2).shape != Shape{out[1]}) {
    bad_node(node, "bias is " + to_string(graph.input(node, 2).shape) + " when it should be " + std::to_string(out[1]));
  }
  set_output(context, 0, graph.input(node, 0).type, std::move(out));
}

Box region(const Graph& graph, const Node& node, int i, const Box& out) {
  if (out.empty()) return no_region(graph, node, i);
  Box box = whole_input(graph, node, i);
  if (i == 2) {
    box.set(0, out.begin[1], out.extent[1]);
    return box;
  }
  const Transposed t = transposed_of(graph, node);
  const auto [first, groups] = groups_of(out, t.out_channels);
  const auto channels = static_cast<std::int32_t>(groups * t.in_channels);
  const auto begin = static_cast<std::int32_t>(first * t.in_channels);
  if (i == 1) {
    box.set(0, begin, channels);
    // Several groups share the weight's channel axis: only one group's channels are a range of it.
    if (groups == 1) box.set(1, static_cast<std::int32_t>(out.begin[1] - first * t.out_channels), out.extent[1]);
    return box;
  }
  box.set(0, out.begin[0], out.extent[0]);
  box.set(1, begin, channels);
  for (int d = 0; d < t.window.dims(); ++d) {
    const std::int64_t stride = t.window.stride[d];
    const std::int64_t in = box.extent[d + 2];
    // input * stride - pad + tap * dilation lies in [begin, end) for some tap
    const std::int64_t lowest = out.begin[d + 2] + t.window.pad_begin[d] - (t.window.span(d) - 1);
    const std::int64_t highest = out.end(d + 2) - 1 + t.window.pad_begin[d];
    const std::int64_t lo = lowest <= 0 ? 0 : std::min(in, (lowest + stride - 1) / stride);
    const std::int64_t hi = std::clamp<std::int64_t>(highest / stride + 1, lo, in);
    box.set(d + 2, static_cast<std::int32_t>(lo), static_cast<std::int32_t>(hi - lo));
  }
  return box;
}

/// Adds one tap's products, one per input position of `in`, to the output positions they fall on.
void scatter(const Window& window, const std::array<std::int64_t, kMaxRank>& tap, const Box& in, const Box& out,
             const float* products, float* channel) {
  const int dims = window.dims();
  std::array<std::int64_t, kMaxRank> index{};
  while (true) {
    std::int64_t offset = 0;
    bool inside = true;
    for (int d = 0; d < dims; ++d) {
      const std::int64_t position = (in.begin[d + 2] + index[d]) * window.stride[d] - window.pad_begin[d] +
                                    tap[d] * window.dilation[d] - out.begin[d + 2];
      inside = inside && position >= 0 && position < out.extent[d + 2];
      offset = offset * out.extent[d + 2] + position;
    }
    if (inside) channel[offset] += *products;
    ++products;
    int d = dims - 1;
    while (d >= 0 && ++index[d] == in.extent[d + 2]) index[d--] = 0;
    if (d < 0) return;
  }
}

void kernel(const Graph& graph, const Node& node, std::span<const ConstRegionView> inputs, const RegionView& out) {
  if (out.box.empty()) return;
  const Transposed t = transposed_of(graph, node);
  const ConstRegionView& x = inputs[0];
  const ConstRegionView& w = inputs[1];
  std::int64_t positions = 1;
  std::int64_t sources = 1;
  std::int64_t taps = 1;
  for (int d = 0; d < t.window.dims(); ++d) {
    positions *= out.box.extent[d + 2];
    sources *= x.box.extent[d + 2];
    taps *= t.window.kernel[d];
  }
  const bool biased = inputs.size() > 2 && inputs[2].data != nullptr;
  const std::int64_t pitch = w.box.extent[1] * taps;  // elements of the weight between input channels
  Matrix products;
  for (std::int32_t n = 0; n < out.box.extent[0]; ++n) {
    const std::int64_t sample = out.box.begin[0] + n - x.box.begin[0];
    for (std::int32_t o = 0; o < out.box.extent[1]; ++o) {
      const std::int64_t channel = out.box.begin[1] + o;
      const std::int64_t group = channel / t.out_channels;
      float* y = out.data + (std::int64_t{n} * out.box.extent[1] + o) * positions;
      std::fill(y, y + positions, biased ? inputs[2].data[channel - inputs[2].box.begin[0]] : 0.0F);
      if (sources == 0) continue;
      const float* weights = w.data + (group * t.in_channels - w.box.begin[0]) * pitch +
                             (channel - group * t.out_channels - w.box.begin[1]) * taps;
      const float* source = x.data + (sample * x.box.extent[1] + group * t.in_channels - x.box.begin[1]) * sources;
      const Eigen::Map<const Matrix, 0, Eigen::OuterStride<>> wt(weights, t.in_channels, taps,
                                                                 Eigen::OuterStride<>(pitch));
      products.noalias() = wt.transpose() * Eigen::Map<const Matrix>(source, t.in_channels, sources);
      std::array<std::int64_t, kMaxRank> tap{};
      for (std::int64_t i = 0; i < taps; ++i) {
        scatter(t.window, tap, x.box, out.box, products.data() + i * sources, y);
        for (int d = t.window.dims() - 1; d >= 0 && ++tap[d] == t.window.kernel[d]; --d) tap[d] = 0;
      }
    }
  }
}

/// Every input position the box needs meets every tap: products that fall outside the box are work too.
configs::MatrixShape work(const Graph& graph, const Node& node, const Box& out) {
  const Transposed t = transposed_of(graph, node);
  configs::MatrixShape shape;
  if (out.empty()) return shape;
  const Box in = region(graph, node, 0, out);
  shape.m = in.extent[1] == 0 ? 0 : in.elements() / in.extent[1];
  shape.k = t.in_channels;
  split_channels(shape, out, groups_of(out, t.out_channels).count);
  for (const std::int64_t taps : t.window.kernel) shape.n *= taps;
  return shape;
}

constexpr OpDef kOperators[] = {
    {.name = "ConvTranspose",
     .op_class = OpClass::kMatrix,
     .infer = infer,
     .region = region,
     .kernel = kernel,
     .matrix_shape = work},
};

}  // namespace

std::span<const OpDef> transposed_convolution_operators() { return kOperators; }

}  // namespace spillway::workloads
