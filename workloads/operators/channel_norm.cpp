// The semantic forms of group, instance and batch normalisation (canonical.h): NormStatistics gathers per channel,
// NormApply finishes the statistics of each group and applies them, ChannelAffine is a fixed scale and shift a channel.
#include <cmath>

#include "workloads/compute/simd.h"
#include "workloads/compute/strided.h"
#include "workloads/operators/families.h"
#include "workloads/operators/statistics.h"
#include "workloads/operators/support.h"

namespace spillway::workloads {

void merge_statistics(float* mean_m2, std::int64_t prior, const float* partial, std::int64_t count) {
  if (count <= 0) return;
  if (prior <= 0) {
    mean_m2[0] = partial[0];
    mean_m2[1] = partial[1];
    return;
  }
  const auto na = static_cast<double>(prior);
  const auto nb = static_cast<double>(count);
  const double delta = double{partial[0]} - double{mean_m2[0]};
  mean_m2[0] = static_cast<float>(mean_m2[0] + delta * nb / (na + nb));
  mean_m2[1] = static_cast<float>(double{mean_m2[1]} + double{partial[1]} + delta * delta * na * nb / (na + nb));
}

namespace {

using configs::VectorOp;
using configs::VectorWork;

void check_image(const InferContext& context) {
  check_float_input(context, 0);
  const Shape& x = context.graph.input(context.node, 0).shape;
  if (x.size() < 2) bad_node(context.node, "input is " + to_string(x) + " when it should have a channel axis");
}

void check_per_channel(const InferContext& context, int i) {
  if (!context.graph.has_input(context.node, i)) return;
  const Shape wanted{context.graph.input(context.node, 0).shape[1]};
  const Shape& found = context.graph.input(context.node, i).shape;
  if (found != wanted) {
    bad_node(context.node,
             "input " + std::to_string(i) + " is " + to_string(found) + " when it should be " + to_string(wanted));
  }
}

std::int64_t spatial_elements(const Box& box) {
  std::int64_t n = 1;
  for (int d = 2; d < box.rank; ++d) n *= box.extent[d];
  return n;
}

/// body(offset, length, step): runs of positions of one channel.
template <typename Body>
void for_each_position(const Box& box, const std::array<std::int64_t, kMaxRank>& stride, const Body& body) {
  const Nest<1> nest(box, {Walk{.offset = 0, .stride = stride}});
  nest.for_each_row([&](const std::array<std::int64_t, 1>& at) { body(at[0], nest.row_length(), nest.row_stride(0)); });
}

double strided_sum(const float* x, std::int64_t n, std::int64_t step) {
  if (step == 1) return compute::simd().sum(n, x);
  double sum = 0.0;
  for (std::int64_t i = 0; i < n; ++i) sum += x[i * step];
  return sum;
}

double strided_deviations(const float* x, std::int64_t n, std::int64_t step, double mean) {
  if (step == 1) return compute::simd().squared_deviations(n, x, mean);
  double sum = 0.0;
  for (std::int64_t i = 0; i < n; ++i) sum += (x[i * step] - mean) * (x[i * step] - mean);
  return sum;
}

// --- NormStatistics ---

void infer_statistics(InferContext& context) {
  check_arity(context, 1, 1);
  check_image(context);
  const Shape& x = context.graph.input(context.node, 0).shape;
  set_output(context, 0, DataType::kFloat32, {x[0], x[1], 2});
}

Box statistics_region(const Graph& graph, const Node& node, int i, const Box& out) {
  Box box = whole_input(graph, node, i);
  box.set(0, out.begin[0], out.extent[0]);
  box.set(1, out.begin[1], out.extent[1]);
  return box;
}

/// Mean and sum of squared deviations over the spatial part that the input's box holds: all of it, or a tile of it.
void statistics_kernel(const Graph& /*graph*/, const Node& /*node*/, std::span<const ConstStridedView> inputs,
                       const StridedView& out, compute::Sums /*sums*/) {
  const ConstStridedView& x = inputs[0];
  const std::int64_t count = spatial_elements(x.box);
  if (out.box.empty() || count == 0) return;
  const auto put = [&](std::int32_t n, std::int64_t c, double mean, double m2) {
    const float values[2] = {static_cast<float>(mean), static_cast<float>(m2)};
    float* y = out.data + n * out.stride[0] + c * out.stride[1];
    for (std::int32_t k = 0; k < out.box.extent[2]; ++k) y[k * out.stride[2]] = values[out.box.begin[2] + k];
  };
  Box spatial = x.box;
  spatial.extent[0] = spatial.extent[1] = 1;
  const std::int64_t channels = out.box.extent[1];
  // Channels side by side are summed side by side, a block of them on each core.
  const bool side_by_side = x.stride[1] == 1 && channels > 1;
  const std::int64_t block = side_by_side ? 64 : 1;
  const std::int64_t blocks = (channels + block - 1) / block;
  const bool share = count * channels > (1 << 14);
  const auto run = [&](std::int64_t i) {
    const auto n = static_cast<std::int32_t>(i / blocks);
    const std::int64_t c = i % blocks * block;
    const std::int64_t width = std::min(block, channels - c);
    const float* data = x.data + (out.box.begin[0] + n - x.box.begin[0]) * x.stride[0] +
                        (out.box.begin[1] + c - x.box.begin[1]) * x.stride[1];
    const auto each = [&](const auto& body) { for_each_position(spatial, x.stride, body); };
    if (!side_by_side) {
      double sum = 0.0;
      each([&](std::int64_t at, std::int64_t length, std::int64_t step) {
        sum += strided_sum(data + at, length, step);
      });
      const double mean = sum / static_cast<double>(count);
      double m2 = 0.0;
      each([&](std::int64_t at, std::int64_t length, std::int64_t step) {
        m2 += strided_deviations(data + at, length, step, mean);
      });
      return put(n, c, mean, m2);
    }
    double means[64]{}, squares[64]{};
    each([&](std::int64_t at, std::int64_t length, std::int64_t step) {
      for (std::int64_t p = 0; p < length; ++p) compute::simd().add_columns(width, data + at + p * step, means);
    });
    for (std::int64_t k = 0; k < width; ++k) means[k] /= static_cast<double>(count);
    each([&](std::int64_t at, std::int64_t length, std::int64_t step) {
      for (std::int64_t p = 0; p < length; ++p) {
        compute::simd().add_squares(width, data + at + p * step, means, squares);
      }
    });
    for (std::int64_t k = 0; k < width; ++k) put(n, c + k, means[k], squares[k]);
  };
  const std::int64_t all = out.box.extent[0] * blocks;
  if (share) return compute::parallel_for(all, run);
  for (std::int64_t i = 0; i < all; ++i) run(i);
}

/// Running mean and deviation cost an addition, a product and an addition an element. `box` may be of the output (its
/// whole channels are meant) or of the input (a tile that is accumulated).
VectorWork statistics_work(const Graph& graph, const Node& node, const Box& box) {
  const Shape& x = graph.input(node, 0).shape;
  const bool of_output = box.rank == 3 && (x.size() != 3 || (box.begin[2] == 0 && box.extent[2] == 2));
  const std::int64_t elements = of_output ? statistics_region(graph, node, 0, box).elements() : box.elements();
  return work_of(VectorOp::kAddMul, 3 * elements);
}

// --- NormApply ---

std::int64_t channels_of_group(const Graph& graph, const Node& node) {
  const std::int64_t channels = graph.input(node, 0).shape[1];
  const std::int64_t groups = node.integer("groups", 1);
  if (groups < 1 || groups > std::max<std::int64_t>(channels, 1) || channels % groups != 0) {
    bad_node(node, std::to_string(channels) + " channels do not divide into " + std::to_string(groups) + " groups");
  }
  return channels / groups;
}

void infer_apply(InferContext& context) {
  check_arity(context, 2, 4);
  check_image(context);
  const Graph& graph = context.graph;
  const Node& node = context.node;
  static_cast<void>(channels_of_group(graph, node));
  const Tensor& x = graph.input(node, 0);
  const Shape wanted{x.shape[0], x.shape[1], 2};
  if (graph.input(node, 1).shape != wanted) {
    bad_node(node,
             "statistics are " + to_string(graph.input(node, 1).shape) + " when they should be " + to_string(wanted));
  }
  check_per_channel(context, 2);
  check_per_channel(context, 3);
  set_output(context, 0, x.type, x.shape);
}

/// First channel of the groups that channels of the box touch, and the number of groups.
std::pair<std::int64_t, std::int64_t> groups_of(std::int64_t per_group, const Box& out) {
  const std::int64_t first = out.begin[1] / per_group;
  return {first, (out.end(1) - 1) / per_group - first + 1};
}

Box apply_region(const Graph& graph, const Node& node, int i, const Box& out) {
  if (out.empty()) return no_region(graph, node, i);
  if (i == 0) return out;
  Box box = whole_input(graph, node, i);
  if (i > 1) {
    box.set(0, out.begin[1], out.extent[1]);
    return box;
  }
  const std::int64_t per_group = channels_of_group(graph, node);
  const auto [first, groups] = groups_of(per_group, out);
  box.set(0, out.begin[0], out.extent[0]);
  box.set(1, static_cast<std::int32_t>(first * per_group), static_cast<std::int32_t>(groups * per_group));
  return box;
}

/// y = (x - center) * scale + shift, a channel each of the box.
struct Affine {
  std::vector<float> center, scale, shift;
};

void scale_channels(const ConstStridedView& x, const StridedView& out, std::int32_t n, const Affine& a) {
  const auto& [center, scale, shift] = a;
  Box part = out.box;
  part.set(0, out.box.begin[0] + n, 1);
  const float* from = x.data + compute::offset_in(x, part);
  float* to = out.data + n * out.stride[0];
  const auto channels = static_cast<std::int64_t>(scale.size());
  if (x.stride[1] == 1 && out.stride[1] == 1) {  // channels side by side
    part.extent[1] = 1;
    const compute::Loops<2> loops(part, {out.stride, x.stride});
    return loops.for_each_row([&](const std::array<std::int64_t, 2>& at, std::int64_t length) {
      for (std::int64_t i = 0; i < length; ++i) {
        compute::simd().affine(channels, from + at[1] + i * loops.step(1), center.data(), scale.data(), shift.data(), 1,
                               to + at[0] + i * loops.step(0));
      }
    });
  }
  part.extent[1] = 1;
  for (std::int64_t c = 0; c < channels; ++c) {
    const auto k = static_cast<std::size_t>(c);
    const compute::Loops<2> loops(part, {out.stride, x.stride});
    loops.for_each_row([&](const std::array<std::int64_t, 2>& at, std::int64_t length) {
      const float* source = from + c * x.stride[1] + at[1];
      float* target = to + c * out.stride[1] + at[0];
      const std::int64_t step_x = loops.step(1), step_y = loops.step(0);
      if (step_x == 1 && step_y == 1) {
        compute::simd().affine(length, source, &center[k], &scale[k], &shift[k], 0, target);
      } else {
        // Through the same loop, so that the result does not depend on the layout.
        constexpr std::int64_t kPiece = 128;
        float values[kPiece];
        for (std::int64_t first = 0; first < length; first += kPiece) {
          const std::int64_t count = std::min(kPiece, length - first);
          for (std::int64_t i = 0; i < count; ++i) values[i] = source[(first + i) * step_x];
          compute::simd().affine(count, values, &center[k], &scale[k], &shift[k], 0, values);
          for (std::int64_t i = 0; i < count; ++i) target[(first + i) * step_y] = values[i];
        }
      }
    });
  }
}

/// y = (x - mean) * scale + bias in exact arithmetic: the mean is subtracted first, where it cancels without loss.
struct ChannelFactors {
  double mean = 0.0, scale = 1.0, bias = 0.0;
};

/// With the factors that make(channel) returns.
template <typename Make>
void apply_by_channel(const ConstStridedView& x, const StridedView& out, std::int32_t n, Make make) {
  Affine affine;
  for (std::int32_t c = 0; c < out.box.extent[1]; ++c) {
    const ChannelFactors f = make(std::int64_t{out.box.begin[1]} + c);
    const auto center = static_cast<float>(f.mean);
    affine.center.push_back(center);
    affine.scale.push_back(static_cast<float>(f.scale));
    affine.shift.push_back(static_cast<float>(f.bias + (double{center} - f.mean) * f.scale));
  }
  scale_channels(x, out, n, affine);
}

float channel_value(std::span<const ConstStridedView> inputs, std::size_t i, std::int64_t channel, float fallback) {
  if (i >= inputs.size() || inputs[i].data == nullptr) return fallback;
  return inputs[i].data[(channel - inputs[i].box.begin[0]) * inputs[i].stride[0]];
}

struct Moments {
  double mean = 0.0, variance = 0.0;
};

/// The channels' statistics merged (Chan et al.): all have the same number of elements.
Moments finish_group(const ConstStridedView& statistics, std::int64_t sample, std::int64_t first, std::int64_t channels,
                     std::int64_t elements) {
  const float* s = statistics.data + (sample - statistics.box.begin[0]) * statistics.stride[0] +
                   (first - statistics.box.begin[1]) * statistics.stride[1];
  const std::int64_t step = statistics.stride[1];
  Moments m;
  for (std::int64_t c = 0; c < channels; ++c) m.mean += s[c * step];
  m.mean /= static_cast<double>(channels);
  for (std::int64_t c = 0; c < channels; ++c) {
    const double delta = s[c * step] - m.mean;
    m.variance += s[c * step + statistics.stride[2]] + delta * delta * static_cast<double>(elements);
  }
  m.variance /= static_cast<double>(channels * elements);
  return m;
}

void apply_kernel(const Graph& graph, const Node& node, std::span<const ConstStridedView> inputs,
                  const StridedView& out, compute::Sums /*sums*/) {
  if (out.box.empty()) return;
  const std::int64_t per_group = channels_of_group(graph, node);
  const std::int64_t elements = spatial_elements(whole_input(graph, node, 0));
  const double epsilon = node.real("epsilon", 1e-5F);
  for (std::int32_t n = 0; n < out.box.extent[0]; ++n) {
    std::int64_t finished = -1;
    Moments moments;
    apply_by_channel(inputs[0], out, n, [&](std::int64_t channel) {
      if (channel / per_group != finished) {
        finished = channel / per_group;
        moments = finish_group(inputs[1], out.box.begin[0] + n, finished * per_group, per_group, elements);
      }
      const double scale = channel_value(inputs, 2, channel, 1.0F) / std::sqrt(moments.variance + epsilon);
      return ChannelFactors{moments.mean, scale, channel_value(inputs, 3, channel, 0.0F)};
    });
  }
}

/// A product and a sum an element; and to finish: mean and deviation over the channels of a group, one square root and
/// one division a group, scale and shift a channel.
VectorWork apply_work(const Graph& graph, const Node& node, const Box& out) {
  VectorWork work{};
  if (out.empty()) return work;
  const std::int64_t per_group = channels_of_group(graph, node);
  const auto [first, groups] = groups_of(per_group, out);
  const std::int64_t samples = out.extent[0];
  static_cast<void>(first);
  work[static_cast<int>(VectorOp::kAddMul)] =
      2 * out.elements() + samples * (5 * groups * per_group + 3 * groups + 3 * std::int64_t{out.extent[1]});
  work[static_cast<int>(VectorOp::kSqrt)] = samples * groups;
  work[static_cast<int>(VectorOp::kDiv)] = samples * groups;
  return work;
}

// --- ChannelAffine ---

void infer_affine(InferContext& context) {
  check_arity(context, 3, 3);
  check_image(context);
  check_per_channel(context, 1);
  check_per_channel(context, 2);
  const Tensor& x = context.graph.input(context.node, 0);
  set_output(context, 0, x.type, x.shape);
}

Box affine_region(const Graph& graph, const Node& node, int i, const Box& out) {
  if (i == 0) return out;
  Box box = whole_input(graph, node, i);
  box.set(0, out.begin[1], out.extent[1]);
  return box;
}

void affine_kernel(const Graph& /*graph*/, const Node& /*node*/, std::span<const ConstStridedView> inputs,
                   const StridedView& out, compute::Sums /*sums*/) {
  if (out.box.empty()) return;
  for (std::int32_t n = 0; n < out.box.extent[0]; ++n) {
    apply_by_channel(inputs[0], out, n, [&](std::int64_t channel) {
      return ChannelFactors{0.0, channel_value(inputs, 1, channel, 1.0F), channel_value(inputs, 2, channel, 0.0F)};
    });
  }
}

VectorWork affine_work(const Graph& /*graph*/, const Node& /*node*/, const Box& out) {
  return work_of(VectorOp::kAddMul, 2 * out.elements());
}

// --- BatchNormalization as exported; canonicalise() makes a ChannelAffine of it where its statistics are constants ---

void infer_batch_norm(InferContext& context) {
  check_arity(context, 5, 5, 5);
  check_image(context);
  for (int i = 1; i < 5; ++i) check_per_channel(context, i);
  if (context.node.integer("training_mode", 0) != 0) bad_node(context.node, "training_mode is not supported");
  const Graph& graph = context.graph;
  for (std::size_t i = 1; i < context.node.outputs.size(); ++i) {
    const TensorId extra = context.node.outputs[i];
    if (extra != kNone && (!graph.tensors[extra].consumers.empty() || graph.is_output(extra))) {
      bad_node(context.node, "outputs of training are not supported");
    }
    set_output(context, static_cast<int>(i), graph.input(context.node, 1).type, graph.input(context.node, 1).shape);
  }
  const Tensor& x = graph.input(context.node, 0);
  set_output(context, 0, x.type, x.shape);
}

void batch_norm_kernel(const Graph& /*graph*/, const Node& node, std::span<const ConstStridedView> inputs,
                       const StridedView& out, compute::Sums /*sums*/) {
  if (out.box.empty()) return;
  const double epsilon = node.real("epsilon", 1e-5F);
  for (std::int32_t n = 0; n < out.box.extent[0]; ++n) {
    apply_by_channel(inputs[0], out, n, [&](std::int64_t channel) {
      const double scale =
          channel_value(inputs, 1, channel, 1.0F) / std::sqrt(channel_value(inputs, 4, channel, 1.0F) + epsilon);
      return ChannelFactors{channel_value(inputs, 3, channel, 0.0F), scale, channel_value(inputs, 2, channel, 0.0F)};
    });
  }
}

VectorWork batch_norm_work(const Graph& /*graph*/, const Node& /*node*/, const Box& out) {
  VectorWork work = work_of(VectorOp::kAddMul, 2 * out.elements() + 4 * out.extent[1]);
  work[static_cast<int>(VectorOp::kSqrt)] = out.extent[1];
  work[static_cast<int>(VectorOp::kDiv)] = out.extent[1];
  return work;
}

constexpr OpDef kOperators[] = {
    {.name = "NormStatistics",
     .op_class = OpClass::kStatistics,
     .infer = infer_statistics,
     .region = statistics_region,
     .kernel = compute::dense_kernel<statistics_kernel>,
     .strided = statistics_kernel,
     .vector_work = statistics_work},
    {.name = "NormApply",
     .op_class = OpClass::kElementwise,
     .infer = infer_apply,
     .region = apply_region,
     .kernel = compute::dense_kernel<apply_kernel>,
     .strided = apply_kernel,
     .vector_work = apply_work,
     .carries_scale = true},
    {.name = "ChannelAffine",
     .op_class = OpClass::kElementwise,
     .infer = infer_affine,
     .region = affine_region,
     .kernel = compute::dense_kernel<affine_kernel>,
     .strided = affine_kernel,
     .vector_work = affine_work,
     .carries_scale = true},
    {.name = "BatchNormalization",
     .op_class = OpClass::kElementwise,
     .infer = infer_batch_norm,
     .region = affine_region,
     .kernel = compute::dense_kernel<batch_norm_kernel>,
     .strided = batch_norm_kernel,
     .vector_work = batch_norm_work},
};

}  // namespace

std::span<const OpDef> channel_norm_operators() { return kOperators; }

}  // namespace spillway::workloads
