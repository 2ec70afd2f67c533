// Conv in any number of spatial axes, with groups, strides, dilations and asymmetric pads: patches of the input are
// gathered in blocks (im2col) and multiplied with the weights (Chellapilla et al. 2006).
#include <algorithm>
#include <memory>
#include <optional>

#include "workloads/compute/product.h"
#include "workloads/compute/simd.h"
#include "workloads/compute/strided.h"
#include "workloads/operators/families.h"
#include "workloads/operators/spatial.h"
#include "workloads/operators/support.h"

namespace spillway::workloads {

namespace {

using compute::common_step;

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

using compute::Product;

/// What of the input each tap of the window meets: lines are output positions, row-major over the spatial axes of the
/// output's box; k runs over (channel, tap), or (tap, channel) where the channels of a position are adjacent.
class Patches final : public compute::Packer {
 public:
  Patches(const Convolution& c, const Shape& x, const ConstStridedView& input, const Box& out, std::int64_t sample,
          std::int64_t group)
      : c_(c), x_(x), out_(out), dims_(c.window.dims()), channels_last_(input.stride[1] == 1 && c.in_channels > 1) {
    for (int d = 0; d < dims_; ++d) taps_ *= c.window.kernel[d];
    stride_ = input.stride;
    // Element (sample, first channel of the group, 0, ..., 0), which may lie before the region.
    data_ = input.data;
    origin_ = stride_[0] * (sample - input.box.begin[0]) + stride_[1] * (group * c.in_channels - input.box.begin[1]);
    for (int d = 0; d < dims_; ++d) origin_ -= stride_[d + 2] * input.box.begin[d + 2];
  }

  [[nodiscard]] bool channels_last() const { return channels_last_; }
  [[nodiscard]] std::int64_t depth() const { return c_.in_channels * taps_; }

  void panel(std::int64_t k0, std::int64_t k, std::int64_t first, std::int64_t count, std::int64_t width,
             float* to) const override {
    if (channels_last_) {
      const compute::Scratch lines(k * count);
      rows(k0, k, first, count, lines.get());
      for (std::int64_t i = 0; i < k; ++i) std::fill(to + i * width + count, to + (i + 1) * width, 0.0F);
      compute::simd().transpose(count, k, lines.get(), k, to, width);
      return;
    }
    const std::vector<Stretch> stretches = stretches_of(first, count);
    std::vector<compute::Run> runs;
    for (std::int64_t t = 0; t < taps_; ++t) {
      // k = channel * taps + t
      const std::int64_t channel = k0 <= t ? 0 : (k0 - t + taps_ - 1) / taps_;
      const std::int64_t end = std::min(c_.in_channels, (k0 + k - t + taps_ - 1) / taps_);
      if (channel >= end) continue;
      runs_of(t, stretches, runs);
      compute::simd().gather(runs.data(), static_cast<int>(runs.size()), end - channel, data_ + channel * stride_[1],
                             stride_[1], width, to + (channel * taps_ + t - k0) * width, taps_ * width);
    }
  }

  void rows(std::int64_t k0, std::int64_t k, std::int64_t first, std::int64_t count, float* to) const override {
    if (!channels_last_) {
      // By panels, which are as wide as registers allow.
      const std::int64_t width = std::int64_t{2} * compute::simd().lanes;
      const compute::Scratch panel_of(k * width);
      for (std::int64_t done = 0; done < count; done += width) {
        const std::int64_t lines = std::min(width, count - done);
        panel(k0, k, first + done, lines, width, panel_of.get());
        compute::simd().transpose(k, lines, panel_of.get(), width, to + done * k, k);
      }
      return;
    }
    // k = t * channels + channel
    const std::vector<Stretch> stretches = stretches_of(first, count);
    std::vector<compute::Run> runs;
    for (std::int64_t t = k0 / c_.in_channels; t * c_.in_channels < k0 + k; ++t) {
      const std::int64_t from_channel = std::max<std::int64_t>(k0 - t * c_.in_channels, 0);
      const std::int64_t to_channel = std::min(k0 + k - t * c_.in_channels, c_.in_channels);
      float* column = to + t * c_.in_channels + from_channel - k0;
      runs_of(t, stretches, runs);
      std::int64_t line = 0;
      const auto clear = [&](std::int64_t end) {
        for (; line < end; ++line) std::fill_n(column + line * k, to_channel - from_channel, 0.0F);
      };
      for (const compute::Run& run : runs) {
        clear(run.to);
        for (std::int64_t i = 0; i < run.count; ++i, ++line) {
          std::copy_n(data_ + run.from + i * run.step + from_channel, to_channel - from_channel, column + line * k);
        }
      }
      clear(count);
    }
  }

 private:
  /// Lines [to, to + count) of a block lie in one row of output positions, from `column` on.
  struct Stretch {
    std::int64_t to = 0, count = 0, column = 0;
    std::array<std::int64_t, kMaxRank> position{};  ///< of the row, by outer spatial axis: of its first tap's input
  };

  [[nodiscard]] std::vector<Stretch> stretches_of(std::int64_t first, std::int64_t count) const {
    const int inner = dims_ - 1;
    const std::int64_t width = out_.extent[inner + 2];
    std::vector<Stretch> stretches;
    stretches.reserve(static_cast<std::size_t>(count / width + 2));
    std::int64_t column = first % width, row = first / width;
    for (std::int64_t done = 0; done < count; column = 0, ++row) {
      Stretch& s = stretches.emplace_back();
      s.to = done;
      s.count = std::min(count - done, width - column);
      s.column = (out_.begin[inner + 2] + column) * c_.window.stride[inner] - c_.window.pad_begin[inner];
      std::int64_t rest = row;
      for (int d = inner - 1; d >= 0; --d) {
        s.position[d] = (out_.begin[d + 2] + rest % out_.extent[d + 2]) * c_.window.stride[d] - c_.window.pad_begin[d];
        rest /= out_.extent[d + 2];
      }
      done += s.count;
    }
    return stretches;
  }

  /// What a tap meets: lines in no run meet padding.
  void runs_of(std::int64_t t, const std::vector<Stretch>& stretches, std::vector<compute::Run>& runs) const {
    runs.clear();
    const Window& w = c_.window;
    std::array<std::int64_t, kMaxRank> tap{};
    for (int d = dims_ - 1; d >= 0; --d) {
      tap[d] = t % w.kernel[d] * w.dilation[d];
      t /= w.kernel[d];
    }
    const int inner = dims_ - 1;
    const std::int64_t step = w.stride[inner], size = x_[inner + 2], pitch = stride_[inner + 2];
    for (const Stretch& s : stretches) {
      std::int64_t from = origin_;
      bool inside = true;
      for (int d = 0; d < inner; ++d) {
        const std::int64_t position = s.position[d] + tap[d];
        inside = inside && position >= 0 && position < x_[d + 2];
        from += position * stride_[d + 2];
      }
      if (!inside) continue;
      // Positions [lo, hi) of the row whose input lies inside the tensor.
      const std::int64_t start = s.column + tap[inner], last = start + (s.count - 1) * step;
      const std::int64_t lo = start < 0 ? std::min(s.count, (-start + step - 1) / step) : 0;
      const std::int64_t hi = last < size ? s.count : start >= size ? 0 : (size - start + step - 1) / step;
      if (hi <= lo) continue;
      const compute::Run run{s.to + lo, hi - lo, from + (start + lo * step) * pitch, step * pitch};
      compute::Run* before = runs.empty() ? nullptr : &runs.back();
      if (before != nullptr && before->to + before->count == run.to && before->step == run.step &&
          before->from + before->count * before->step == run.from) {
        before->count += run.count;
      } else {
        runs.push_back(run);
      }
    }
  }

  const Convolution& c_;
  const Shape& x_;
  Box out_;
  int dims_;
  bool channels_last_;
  std::int64_t taps_ = 1;
  std::array<std::int64_t, kMaxRank> stride_{};
  const float* data_ = nullptr;
  std::int64_t origin_ = 0;
};

/// The weights of one group's output channels in the order of Patches.
class Kernels final : public compute::Packer {
 public:
  Kernels(const Convolution& c, const ConstStridedView& w, std::int64_t first, bool channels_last)
      : data_(w.data + (first - w.box.begin[0]) * w.stride[0]), line_(w.stride[0]) {
    const int dims = c.window.dims();
    std::int64_t taps = 1;
    for (int d = 0; d < dims; ++d) taps *= c.window.kernel[d];
    // Mostly nothing is to be reordered.
    if (const std::int64_t step = even_step(c, w, taps, channels_last); step != 0) {
      step_ = step;
      return;
    }
    offset_.resize(static_cast<std::size_t>(taps * c.in_channels));
    for (std::int64_t t = 0; t < taps; ++t) {
      std::int64_t rest = t, at = 0;
      for (int d = dims - 1; d >= 0; --d) {
        at += rest % c.window.kernel[d] * w.stride[d + 2];
        rest /= c.window.kernel[d];
      }
      for (std::int64_t channel = 0; channel < c.in_channels; ++channel) {
        const std::int64_t k = channels_last ? t * c.in_channels + channel : channel * taps + t;
        offset_[static_cast<std::size_t>(k)] = at + channel * w.stride[1];
      }
    }
    // Where a line lies without gaps, the other way round: which k each of its elements is.
    std::vector<std::int64_t> place(offset_.size(), -1);
    for (std::size_t k = 0; k < offset_.size(); ++k) {
      if (offset_[k] < 0 || offset_[k] >= static_cast<std::int64_t>(place.size())) return;
      place[static_cast<std::size_t>(offset_[k])] = static_cast<std::int64_t>(k);
    }
    if (std::find(place.begin(), place.end(), -1) != place.end()) return;
    place_ = std::move(place);
    taps_ = taps;
    for (std::size_t i = 0; i + static_cast<std::size_t>(taps) < place_.size(); ++i) {
      if (place_[i + static_cast<std::size_t>(taps)] != place_[i] + 1) taps_ = 0;
    }
  }

  /// Whether k steps by a constant.
  [[nodiscard]] bool even() const { return step_ != 0; }
  [[nodiscard]] compute::Lines lines() const { return {data_, line_, step_}; }

  void panel(std::int64_t k0, std::int64_t k, std::int64_t first, std::int64_t count, std::int64_t width,
             float* to) const override {
    const float* from = data_ + first * line_;
    const auto whole = static_cast<std::int64_t>(place_.size());
    if (k0 == 0 && k > 0 && k == whole) {
      constexpr std::int64_t kChannels = 16;
      const std::int64_t at_once = kChannels * std::max<std::int64_t>(taps_, 1);
      const compute::Scratch transposed(at_once * width);
      for (std::int64_t i = 0; i < k; i += at_once) {
        const std::int64_t elements = std::min(at_once, k - i);
        // Lines lie too far apart for the processor to guess what comes next.
        constexpr std::int64_t kCacheLine = 16;
        for (std::int64_t j = 0; j < count; ++j) {
          const std::int64_t next = j * line_ + i + elements;
          for (std::int64_t e = 0; e < std::min(at_once, k - i - elements); e += kCacheLine) {
            __builtin_prefetch(from + next + e);
          }
        }
        compute::simd().transpose(count, elements, from + i, line_, transposed.get(), width);
        for (std::int64_t t = 0; t < taps_; ++t) {
          compute::simd().pack(elements / taps_, transposed.get() + t * width, taps_ * width, count, width,
                               to + place_[static_cast<std::size_t>(i + t)] * width);
        }
        if (taps_ > 0) continue;
        for (std::int64_t e = 0; e < elements; ++e) {
          float* row = to + place_[static_cast<std::size_t>(i + e)] * width;
          std::copy_n(transposed.get() + e * width, count, row);
          std::fill(row + count, row + width, 0.0F);
        }
      }
      return;
    }
    for (std::int64_t i = 0; i < k; ++i, to += width) {
      const float* source = from + offset_[static_cast<std::size_t>(k0 + i)];
      for (std::int64_t j = 0; j < count; ++j) to[j] = source[j * line_];
      std::fill(to + count, to + width, 0.0F);
    }
  }
  void rows(std::int64_t k0, std::int64_t k, std::int64_t first, std::int64_t count, float* to) const override {
    for (std::int64_t j = 0; j < count; ++j) {
      const float* source = data_ + (first + j) * line_;
      for (std::int64_t i = 0; i < k; ++i) *to++ = source[offset_[static_cast<std::size_t>(k0 + i)]];
    }
  }

 private:
  /// The step from one k to the next, or 0 if there is none.
  static std::int64_t even_step(const Convolution& c, const ConstStridedView& w, std::int64_t taps,
                                bool channels_last) {
    if (taps == 1) return w.stride[1];
    if (c.in_channels > 1 && channels_last) return 0;
    const int last = c.window.dims() + 1;
    std::int64_t expected = w.stride[last];
    for (int d = last; d >= 2; --d) {
      if (w.stride[d] != expected) return 0;
      expected *= c.window.kernel[d - 2];
    }
    return c.in_channels == 1 || w.stride[1] == expected ? w.stride[last] : 0;
  }

  const float* data_;
  std::int64_t line_;
  std::vector<std::int64_t> offset_;  ///< by k
  std::vector<std::int64_t> place_;   ///< k by offset; empty where lines have gaps
  std::int64_t taps_ = 0;             ///< if every so many elements of a line are neighbours in k
  std::int64_t step_ = 0;             ///< from one k to the next; if it is constant there are no tables
};

/// A 1x1 convolution over a region that is exactly its input's needs no gathering.
bool is_pointwise(const Window& w, const Box& in, const Box& out) {
  for (int d = 0; d < w.dims(); ++d) {
    if (w.kernel[d] != 1 || w.stride[d] != 1 || w.pad_begin[d] != 0 || w.pad_end[d] != 0) return false;
    if (in.begin[d + 2] != out.begin[d + 2] || in.extent[d + 2] != out.extent[d + 2]) return false;
  }
  return true;
}

/// The step that walks the spatial axes, which is zero where the view broadcasts over all of them.
std::optional<std::int64_t> spatial_step(const ConstStridedView& view) {
  int axes = 0, repeated = 0;
  for (int d = 2; d < view.box.rank; ++d) {
    if (view.box.extent[d] == 1) continue;
    ++axes;
    if (view.stride[d] == 0) ++repeated;
  }
  if (repeated == axes) return 0;
  const std::int64_t step = repeated == 0 ? common_step(view.box, view.stride, 2, view.box.rank) : 0;
  return step != 0 ? std::optional(step) : std::nullopt;
}

/// All products of the region: one a sample and group.
void multiply_regions(const Convolution& c, const Shape& shape, std::span<const ConstStridedView> inputs,
                      const Tail& tail, const StridedView& out, compute::Sums sums) {
  const ConstStridedView& x = inputs[0];
  const int rank = out.box.rank;
  std::int64_t positions = 1;
  for (int d = 2; d < rank; ++d) positions *= out.box.extent[d];
  const std::int64_t input_step = is_pointwise(c.window, x.box, out.box) ? common_step(x.box, x.stride, 2, rank) : 0;
  const std::int64_t out_step = common_step(out.box, out.stride, 2, rank);
  const bool biased = inputs.size() > 2 && inputs[2].data != nullptr;
  std::vector<float> bias(biased ? static_cast<std::size_t>(out.box.extent[1]) : 0);
  for (std::size_t i = 0; i < bias.size(); ++i) {
    bias[i] =
        inputs[2]
            .data[inputs[2].stride[0] * (out.box.begin[1] - inputs[2].box.begin[0] + static_cast<std::int64_t>(i))];
  }
  std::vector<std::unique_ptr<compute::Packer>> packers;
  std::vector<Product> products;
  const auto [first, groups] = groups_of(out.box, c.out_channels);
  for (std::int32_t n = 0; n < out.box.extent[0]; ++n) {
    const std::int64_t sample = out.box.begin[0] + n;
    for (std::int64_t group = first; group < first + groups; ++group) {
      const std::int64_t from = std::max<std::int64_t>(out.box.begin[1], group * c.out_channels);
      const std::int64_t to = std::min<std::int64_t>(out.box.end(1), (group + 1) * c.out_channels);
      auto patches = std::make_unique<Patches>(c, shape, x, out.box, sample, group);
      auto kernels = std::make_unique<Kernels>(c, inputs[1], from, patches->channels_last());
      Product p;
      p.m = to - from;
      p.n = positions;
      p.k = patches->depth();
      if (kernels->even()) {
        p.a = kernels->lines();
      } else {
        p.pack_a = kernels.get();
      }
      p.kept_a = inputs[1].packed;
      p.key_a = {kernels->lines().data, p.m, p.k, kernels->lines().line, patches->channels_last() ? -1 : -2};
      if (input_step != 0) {
        p.b = {
            x.data + (sample - x.box.begin[0]) * x.stride[0] + (group * c.in_channels - x.box.begin[1]) * x.stride[1],
            input_step, x.stride[1]};
      } else {
        p.pack_b = patches.get();
      }
      p.c = out.data + n * out.stride[0] + (from - out.box.begin[1]) * out.stride[1];
      p.c_row = out.stride[1];
      p.c_column = out_step;
      p.bias_i = biased ? bias.data() + (from - out.box.begin[1]) : nullptr;
      for (std::size_t i = 0; i < tail.plus.size(); ++i) {
        const ConstStridedView& plus = tail.plus[i];
        if (plus.data == nullptr) continue;
        p.plus[i] = {plus.data + n * plus.stride[0] + (from - out.box.begin[1]) * plus.stride[1], plus.stride[1],
                     spatial_step(plus).value()};
      }
      p.rectify = tail.rectify;
      products.push_back(p);
      packers.push_back(std::move(patches));
      packers.push_back(std::move(kernels));
    }
  }
  multiply(products, sums);
}

void strided_with_tail(const Graph& graph, const Node& node, std::span<const ConstStridedView> inputs, const Tail& tail,
                       const StridedView& out, compute::Sums sums) {
  if (out.box.empty()) return;
  const Convolution c = convolution_of(graph, node);
  const Shape& shape = graph.input(node, 0).shape;
  Tail walkable = tail;
  std::vector<compute::Scratch> copies;
  for (ConstStridedView& plus : walkable.plus) {
    if (plus.data == nullptr || spatial_step(plus)) continue;
    const StridedView copy{plus.box, copies.emplace_back(plus.box.elements()).get(), compute::dense_strides(plus.box)};
    compute::copy(plus, copy);
    plus = compute::readable(copy);
  }
  if (common_step(out.box, out.stride, 2, out.box.rank) != 0) {
    return multiply_regions(c, shape, inputs, walkable, out, sums);
  }
  // Rows of the output with gaps behind them: through an array without.
  const compute::Scratch values(out.box.elements());
  const StridedView whole = compute::channels_last(out.box, values.get());
  multiply_regions(c, shape, inputs, walkable, whole, sums);
  compute::copy(compute::readable(whole), out);
}

void strided_kernel(const Graph& graph, const Node& node, std::span<const ConstStridedView> inputs,
                    const StridedView& out, compute::Sums sums) {
  strided_with_tail(graph, node, inputs, {}, out, sums);
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
     .kernel = compute::dense_kernel<strided_kernel>,
     .strided = strided_kernel,
     .strided_with_tail = strided_with_tail,
     .matrix_shape = work},
};

}  // namespace

std::span<const OpDef> convolution_operators() { return kOperators; }

}  // namespace spillway::workloads
