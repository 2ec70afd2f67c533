// Resize (opset 10 on) and Upsample: nearest, linear and cubic, one table of weighted source positions per axis.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>

#include "workloads/operators/families.h"
#include "workloads/operators/support.h"

namespace spillway::workloads {

namespace {

using configs::VectorOp;
using configs::VectorWork;

/// What a Resize is told by attribute (canonical graphs) or constant input; empty means absent.
struct Parameters {
  std::vector<float> scales;
  std::vector<std::int64_t> sizes;
  std::vector<float> roi;  ///< tf_crop_and_resize: starts, then ends
};

int scales_input(const Graph& graph, const Node& node) { return node.op == "Upsample" || graph.opset < 11 ? 1 : 2; }

/// The region of interest counts in this mode alone.
bool crops(const Node& node) { return node.text("coordinate_transformation_mode", "") == "tf_crop_and_resize"; }

Parameters parameters_of(const Graph& graph, const Node& node, const InferContext* context) {
  Parameters p;
  p.scales = node.reals("scales");
  if (node.attributes.contains("sizes")) p.sizes = node.integers("sizes");
  const auto given = [&](int i) -> std::optional<HostTensor> {
    if (!graph.has_input(node, i) || graph.input(node, i).elements() == 0) return std::nullopt;
    return context != nullptr ? known_value(*context, i, "its scales or sizes are") : materialise(graph.input(node, i));
  };
  p.roi = node.reals("roi");
  if (p.roi.empty() && crops(node)) {
    if (auto value = given(1)) p.roi = narrowed_to_float(std::move(*value)).floats();
  }
  const int scales = scales_input(graph, node);
  if (p.scales.empty()) {
    if (const auto value = given(scales); value && value->holds_float()) p.scales = value->floats();
  }
  if (p.sizes.empty() && scales == 2) {
    if (const auto value = given(3); value && value->holds_integer()) p.sizes = value->ints();
  }
  return p;
}

void check_mode(const Graph& graph, const Node& node) {
  const std::string mode = node.text("mode", "nearest");
  const bool since_11 = node.op != "Upsample" && graph.opset >= 11;
  if (mode != "nearest" && mode != "linear" && mode != "bilinear" && !(mode == "cubic" && since_11)) {
    bad_node(node, "mode '" + mode + "' is not supported", "nearest and linear are, and cubic from opset 11 on");
  }
  if (!since_11) return;
  const std::string transformation = node.text("coordinate_transformation_mode", "half_pixel");
  for (const char* known : {"half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_half_pixel_for_nn",
                            "half_pixel_symmetric", "tf_crop_and_resize"}) {
    if (transformation == known) {
      if (node.integer("antialias", 0) != 0) bad_node(node, "antialias is not supported");
      const std::string policy = node.text("keep_aspect_ratio_policy", "stretch");
      if (policy != "stretch" && policy != "not_larger" && policy != "not_smaller") {
        bad_node(node, "keep_aspect_ratio_policy '" + policy + "' is not known");
      }
      return;
    }
  }
  bad_node(node, "coordinate_transformation_mode '" + transformation + "' is not supported");
}

/// The axes that scales or sizes speak of: all, unless the attribute `axes` (opset 18) names some.
std::vector<int> named_axes(const Node& node, int rank, std::size_t count) {
  std::vector<int> axes;
  for (const std::int64_t axis : node.integers("axes")) axes.push_back(normalise_axis(node, axis, rank));
  if (axes.empty()) {
    for (int d = 0; d < rank; ++d) axes.push_back(d);
  }
  if (axes.size() != count) {
    bad_node(node, "has " + std::to_string(count) + " scales or sizes for " + std::to_string(axes.size()) + " axes");
  }
  return axes;
}

/// keep_aspect_ratio_policy (opset 18): the scale that all named axes get, the least or the largest that `sizes` asks.
std::optional<double> common_scale(const Node& node, const Shape& in, const std::vector<int>& axes,
                                   const std::vector<std::int64_t>& sizes) {
  const std::string policy = node.text("keep_aspect_ratio_policy", "stretch");
  if (policy == "stretch" || sizes.empty()) return std::nullopt;
  std::optional<double> common;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    if (in[axes[i]] == 0 || sizes[i] < 0 || sizes[i] > std::numeric_limits<std::int32_t>::max()) {
      bad_node(node, "cannot resize an extent of " + std::to_string(in[axes[i]]) + " to " + std::to_string(sizes[i]));
    }
    const double scale = static_cast<double>(sizes[i]) / static_cast<double>(in[axes[i]]);
    common = !common ? scale : policy == "not_larger" ? std::min(*common, scale) : std::max(*common, scale);
  }
  return common;
}

void infer(InferContext& context) {
  check_arity(context, 1, 4);
  const Graph& graph = context.graph;
  const Node& node = context.node;
  check_mode(graph, node);
  const Tensor& x = graph.input(node, 0);
  const auto rank = static_cast<int>(x.shape.size());
  const Parameters p = parameters_of(graph, node, &context);
  if (p.scales.empty() == p.sizes.empty()) bad_node(node, "needs either scales or sizes");
  Shape out = x.shape;
  const auto axes = named_axes(node, rank, std::max(p.scales.size(), p.sizes.size()));
  if (crops(node) && p.roi.size() != 2 * axes.size())
    bad_node(node, "roi should have a start and an end for each axis");
  const std::optional<double> common = common_scale(node, x.shape, axes, p.sizes);
  for (std::size_t i = 0; i < axes.size(); ++i) {
    if (common) {
      out[axes[i]] = static_cast<std::int64_t>(std::round(*common * static_cast<double>(x.shape[axes[i]])));
    } else if (!p.sizes.empty()) {
      out[axes[i]] = p.sizes[i];
    } else {
      const double part = crops(node) ? static_cast<double>(p.roi[i + axes.size()]) - p.roi[i] : 1.0;
      const double extent = std::floor(static_cast<double>(x.shape[axes[i]]) * part * p.scales[i]);
      if (!(p.scales[i] > 0.0F) || !(extent < 2147483648.0)) {
        bad_node(node, "scale of " + std::to_string(p.scales[i]) + " does not go with an extent of " +
                           std::to_string(x.shape[axes[i]]));
      }
      out[axes[i]] = static_cast<std::int64_t>(extent);
    }
    if (out[axes[i]] < 0 || (x.shape[axes[i]] == 0) != (out[axes[i]] == 0)) {
      bad_node(node, "cannot resize an extent of " + std::to_string(x.shape[axes[i]]) + " to " +
                         std::to_string(out[axes[i]]));
    }
  }
  set_output(context, 0, x.type, std::move(out));
}

/// From where an output position takes its value: `taps` positions from `first` on, weighted.
struct Source {
  static constexpr int kMostTaps = 4;
  std::int32_t first = 0;
  int taps = 1;
  std::array<float, kMostTaps> weight{1.0F};
};

/// Keys' cubic convolution kernel (IEEE Trans. ASSP 29(6), 1981) with its free coefficient a.
double keys(double distance, double a) {
  const double x = std::abs(distance);
  if (x <= 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
  if (x < 2.0) return ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a;
  return 0.0;
}

/// The resampling of one axis.
class Axis {
 public:
  Axis(const Graph& graph, const Node& node, std::int64_t in, std::int64_t out, float scale, float start, float end)
      : in_(in),
        out_(out),
        scale_(scale),
        start_(start),
        end_(end),
        mode_(mode_of(node)),
        cubic_coefficient_(node.real("cubic_coeff_a", -0.75F)),
        exclude_outside_(node.integer("exclude_outside", 0) != 0) {
    const bool old = node.op == "Upsample" || graph.opset < 11;
    transformation_ = old ? "asymmetric" : node.text("coordinate_transformation_mode", "half_pixel");
    rounding_ = old ? "floor" : node.text("nearest_mode", "round_prefer_floor");
    identity_ = in == out && scale == 1.0F && start == 0.0F && end == 1.0F;
  }

  /// Beyond the input, where tf_crop_and_resize puts extrapolation_value.
  [[nodiscard]] bool outside(std::int64_t position) const {
    if (transformation_ != "tf_crop_and_resize" || identity_) return false;
    const float at = origin(static_cast<float>(position));
    return at < 0.0F || at > static_cast<float>(in_ - 1);
  }

  [[nodiscard]] bool identity() const { return identity_; }
  /// Input positions that go into one output position, at most.
  [[nodiscard]] int most_taps() const {
    return identity_ || mode_ == Mode::kNearest ? 1 : mode_ == Mode::kLinear ? 2 : 4;
  }

  [[nodiscard]] Source source(std::int64_t position) const {
    Source s;
    if (identity_) {
      s.first = static_cast<std::int32_t>(position);
      return s;
    }
    const auto last = static_cast<double>(in_ - 1);
    const double at = origin(static_cast<float>(position));
    if (mode_ == Mode::kCubic) return cubic(at);
    if (mode_ == Mode::kNearest) {
      s.first = static_cast<std::int32_t>(std::clamp(rounded(at), 0.0, last));
      return s;
    }
    const double inside = std::clamp(at, 0.0, last);
    s.first = static_cast<std::int32_t>(inside);
    const auto weight = static_cast<float>(inside - s.first);
    if (weight == 0.0F) return s;
    s.taps = 2;
    s.weight = {1.0F - weight, weight};
    return s;
  }

 private:
  enum class Mode : std::uint8_t { kNearest, kLinear, kCubic };

  static Mode mode_of(const Node& node) {
    const std::string mode = node.text("mode", "nearest");
    return mode == "nearest" ? Mode::kNearest : mode == "cubic" ? Mode::kCubic : Mode::kLinear;
  }

  /// Four neighbours. One outside the input stands for the border element, or counts for nothing (exclude_outside, the
  /// other weights then add up to one).
  [[nodiscard]] Source cubic(double at) const {
    const std::int64_t floor =
        static_cast<std::int64_t>(std::clamp(std::floor(at), -4.0, static_cast<double>(in_) + 4.0));
    std::array<double, Source::kMostTaps> weight{};
    std::array<std::int64_t, Source::kMostTaps> place{};
    double sum = 0.0;
    for (int k = 0; k < Source::kMostTaps; ++k) {
      const std::int64_t neighbour = floor - 1 + k;
      place[k] = std::clamp<std::int64_t>(neighbour, 0, in_ - 1);
      if (!exclude_outside_ || place[k] == neighbour)
        weight[k] = keys(at - static_cast<double>(neighbour), cubic_coefficient_);
      sum += weight[k];
    }
    Source s;
    s.first = static_cast<std::int32_t>(place.front());
    s.taps = static_cast<int>(place.back() - place.front()) + 1;
    s.weight = {};
    const double scale = exclude_outside_ && sum != 0.0 ? 1.0 / sum : 1.0;
    for (int k = 0; k < Source::kMostTaps; ++k) {
      s.weight[place[k] - s.first] += static_cast<float>(weight[k] * scale);
    }
    return s;
  }

  /// Position in the input, by the formulas of the ONNX operator specification. In float, as runtimes compute it: an
  /// exact half between two elements stays one (6.5 / 1.3F is 5), where a wider type would tip it to one side.
  [[nodiscard]] float origin(float x) const {
    if (transformation_ == "asymmetric") return x / scale_;
    if (transformation_ == "align_corners") {
      return out_ == 1 ? 0.0F : x * static_cast<float>(in_ - 1) / static_cast<float>(out_ - 1);
    }
    if (transformation_ == "tf_crop_and_resize") {
      const auto last = static_cast<float>(in_ - 1);
      return out_ > 1 ? start_ * last + x * (end_ - start_) * last / static_cast<float>(out_ - 1)
                      : 0.5F * (start_ + end_) * last;
    }
    if (transformation_ == "pytorch_half_pixel") return out_ > 1 ? (x + 0.5F) / scale_ - 0.5F : 0.0F;
    if (transformation_ == "tf_half_pixel_for_nn") return (x + 0.5F) / scale_;
    if (transformation_ == "half_pixel_symmetric") {
      const float adjustment = static_cast<float>(out_) / (scale_ * static_cast<float>(in_));
      return static_cast<float>(in_) / 2.0F * (1.0F - adjustment) + (x + 0.5F) / scale_ - 0.5F;
    }
    return (x + 0.5F) / scale_ - 0.5F;
  }
  [[nodiscard]] double rounded(double at) const {
    if (rounding_ == "floor") return std::floor(at);
    if (rounding_ == "ceil") return std::ceil(at);
    if (rounding_ == "round_prefer_ceil") return std::floor(at + 0.5);
    return std::ceil(at - 0.5);
  }

  std::int64_t in_, out_;
  float scale_;
  float start_, end_;  ///< of the region of interest, as parts of the input
  Mode mode_;
  double cubic_coefficient_;
  bool exclude_outside_, identity_ = false;
  std::string transformation_, rounding_;
};

std::vector<Axis> axes_of(const Graph& graph, const Node& node) {
  const Shape& in = graph.input(node, 0).shape;
  const Shape& out = graph.output(node).shape;
  const Parameters p = parameters_of(graph, node, nullptr);
  std::vector<float> scales;
  for (std::size_t d = 0; d < in.size(); ++d) {
    scales.push_back(in[d] == 0 ? 1.0F : static_cast<float>(out[d]) / static_cast<float>(in[d]));
  }
  std::vector<float> starts(in.size(), 0.0F);
  std::vector<float> ends(in.size(), 1.0F);
  const auto named = named_axes(node, static_cast<int>(in.size()), std::max(p.scales.size(), p.sizes.size()));
  for (std::size_t i = 0; i < named.size(); ++i) {
    if (!p.scales.empty()) scales[named[i]] = p.scales[i];
    if (!crops(node)) continue;
    starts[named[i]] = p.roi[i];
    ends[named[i]] = p.roi[i + named.size()];
  }
  std::vector<Axis> axes;
  for (std::size_t d = 0; d < in.size(); ++d) {
    axes.emplace_back(graph, node, in[d], out[d], scales[d], starts[d], ends[d]);
  }
  return axes;
}

Box region(const Graph& graph, const Node& node, int i, const Box& out) {
  if (i > 0) return whole_input(graph, node, i);
  if (out.empty()) return no_region(graph, node, i);
  Box box = out;
  const auto axes = axes_of(graph, node);
  for (int d = 0; d < out.rank; ++d) {  // sources do not decrease with the position
    const std::int32_t low = axes[d].source(out.begin[d]).first;
    const Source last = axes[d].source(out.end(d) - 1);
    box.set(d, low, last.first + last.taps - low);
  }
  return box;
}

/// Resamples axis d of a dense array: [outer, extents[d], inner] -> [outer, sources.size(), inner].
std::vector<float> resample(const std::vector<float>& from, std::int64_t outer, std::int64_t extent, std::int64_t inner,
                            const std::vector<Source>& sources, std::int32_t begin) {
  std::vector<float> to(static_cast<std::size_t>(outer * inner) * sources.size());
  float* y = to.data();
  for (std::int64_t o = 0; o < outer; ++o) {
    for (const Source& s : sources) {
      const float* x = from.data() + (o * extent + s.first - begin) * inner;
      if (s.taps == 1 && s.weight[0] == 1.0F) {
        y = std::copy_n(x, inner, y);
        continue;
      }
      for (std::int64_t i = 0; i < inner; ++i) {
        float sum = s.weight[0] * x[i];
        for (int k = 1; k < s.taps; ++k) sum += s.weight[k] * x[k * inner + i];
        *y++ = sum;
      }
    }
  }
  return to;
}

/// Overwrites what lies beyond the input in any axis.
void extrapolate(const std::vector<Axis>& axes, float value, const RegionView& out) {
  std::array<std::vector<bool>, kMaxRank> outside;
  for (int d = 0; d < out.box.rank; ++d) {
    for (std::int32_t p = out.box.begin[d]; p < out.box.end(d); ++p) outside[d].push_back(axes[d].outside(p));
  }
  for (std::int64_t i = 0; i < out.box.elements(); ++i) {
    std::int64_t rest = i;
    for (int d = out.box.rank - 1; d >= 0; --d) {
      if (outside[d][static_cast<std::size_t>(rest % out.box.extent[d])]) out.data[i] = value;
      rest /= out.box.extent[d];
    }
  }
}

/// Where every element is a copy of one of the input: rows along the last axis by a table of their sources.
bool copy_nearest(const std::vector<Axis>& axes, const ConstRegionView& x, const RegionView& out) {
  const int last = out.box.rank - 1;
  const Walk walk = dense_walk(x.box, x.box);
  std::array<std::vector<std::int64_t>, kMaxRank> offset;
  for (int d = 0; d <= last; ++d) {
    if (axes[d].most_taps() > 1) return false;
    for (std::int32_t p = out.box.begin[d]; p < out.box.end(d); ++p) {
      offset[d].push_back((axes[d].source(p).first - x.box.begin[d]) * walk.stride[d]);
    }
  }
  const std::int64_t length = out.box.extent[last];
  std::int64_t before = -1;
  for (std::int64_t row = 0; row < out.box.elements() / length; ++row) {
    std::int64_t rest = row, from = 0;
    for (int d = last - 1; d >= 0; --d) {
      from += offset[d][static_cast<std::size_t>(rest % out.box.extent[d])];
      rest /= out.box.extent[d];
    }
    float* y = out.data + row * length;
    if (from == before) {
      std::copy_n(y - length, length, y);
      continue;
    }
    const std::int64_t* place = offset[last].data();
    for (std::int64_t i = 0; i < length; ++i) y[i] = x.data[from + place[i]];
    before = from;
  }
  return true;
}

void kernel(const Graph& graph, const Node& node, std::span<const ConstRegionView> inputs, const RegionView& out) {
  if (out.box.empty()) return;
  const auto axes = axes_of(graph, node);
  if (!crops(node) && out.box.rank > 0 && copy_nearest(axes, inputs[0], out)) return;
  const Box needed = region(graph, node, 0, out.box);
  // The needed part, dense; then one axis after the other.
  std::vector<float> values;
  values.reserve(static_cast<std::size_t>(needed.elements()));
  const Nest<1> nest(needed, {dense_walk(inputs[0].box, needed)});
  nest.for_each_row([&](const std::array<std::int64_t, 1>& at) {
    for (std::int64_t i = 0; i < nest.row_length(); ++i) {
      values.push_back(inputs[0].data[at[0] + i * nest.row_stride(0)]);
    }
  });
  Box current = needed;
  for (int d = 0; d < out.box.rank; ++d) {
    if (axes[d].identity()) continue;
    std::vector<Source> sources;
    for (std::int32_t p = out.box.begin[d]; p < out.box.end(d); ++p) sources.push_back(axes[d].source(p));
    std::int64_t outer = 1;
    std::int64_t inner = 1;
    for (int e = 0; e < d; ++e) outer *= current.extent[e];
    for (int e = d + 1; e < current.rank; ++e) inner *= current.extent[e];
    values = resample(values, outer, current.extent[d], inner, sources, current.begin[d]);
    current.set(d, out.box.begin[d], out.box.extent[d]);
  }
  std::copy(values.begin(), values.end(), out.data);
  if (crops(node)) extrapolate(axes, node.real("extrapolation_value", 0.0F), out);
}

/// Nearest moves an element; linear and cubic take two and four positions an interpolated axis: in two axes four and
/// sixteen products and sums.
VectorWork work(const Graph& graph, const Node& node, const Box& out) {
  if (node.text("mode", "nearest") == "nearest") return work_of(VectorOp::kMove, out.elements());
  std::int64_t positions = 1;
  for (const Axis& axis : axes_of(graph, node)) positions *= axis.most_taps();
  return work_of(VectorOp::kAddMul, positions * out.elements());
}

constexpr OpDef kOperators[] = {
    {.name = "Resize",
     .op_class = OpClass::kWindow,
     .infer = infer,
     .region = region,
     .kernel = kernel,
     .vector_work = work},
    {.name = "Upsample",
     .op_class = OpClass::kWindow,
     .infer = infer,
     .region = region,
     .kernel = kernel,
     .vector_work = work},
};

}  // namespace

std::span<const OpDef> resize_operators() { return kOperators; }

}  // namespace spillway::workloads
