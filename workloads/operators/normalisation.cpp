// Normalisations that look at whole axes: LayerNormalization (opset 17), InstanceNormalization, GroupNormalization
// (opset 18: scale and bias per group; opset 21: per channel).
#include <cmath>

#include "workloads/compute/simd.h"
#include "workloads/operators/families.h"
#include "workloads/operators/reduction.h"

namespace spillway::workloads {

namespace {

using configs::VectorOp;
using configs::VectorWork;

struct Moments {
  double mean = 0.0, inverse_deviation = 0.0;
};

/// Two passes in double: accurate however far the mean is from zero.
Moments moments_of(const Reduction& loops, const float* x, double epsilon) {
  double sum = 0.0;
  std::int64_t count = 0;
  loops.for_each_run([&](std::int64_t at, std::int64_t n, std::int64_t step) {
    count += n;
    if (step == 1) {
      sum += compute::simd().sum(n, x + at);
      return;
    }
    for (std::int64_t i = 0; i < n; ++i) sum += x[at + i * step];
  });
  Moments m;
  m.mean = sum / static_cast<double>(count);
  double squares = 0.0;
  loops.for_each_run([&](std::int64_t at, std::int64_t n, std::int64_t step) {
    if (step == 1) {
      squares += compute::simd().squared_deviations(n, x + at, m.mean);
      return;
    }
    for (std::int64_t i = 0; i < n; ++i) {
      const double delta = x[at + i * step] - m.mean;
      squares += delta * delta;
    }
  });
  m.inverse_deviation = 1.0 / std::sqrt(squares / static_cast<double>(count) + epsilon);
  return m;
}

/// Five operations an element (mean; deviation and its square; scale and shift), a root and a division a row.
VectorWork normalisation_work(std::int64_t read, std::int64_t rows) {
  VectorWork work = work_of(VectorOp::kAddMul, 5 * read);
  work[static_cast<int>(VectorOp::kSqrt)] = rows;
  work[static_cast<int>(VectorOp::kDiv)] = rows;
  return work;
}

// --- LayerNormalization ---

int first_axis(const Graph& graph, const Node& node) {
  return normalise_axis(node, node.integer("axis", -1), static_cast<int>(graph.input(node, 0).shape.size()));
}

void infer_layer(InferContext& context) {
  check_arity(context, 1, 3, 3);
  check_float_input(context, 0);
  const Graph& graph = context.graph;
  const Node& node = context.node;
  const Tensor& x = graph.input(node, 0);
  if (x.shape.empty()) bad_node(node, "its input is a scalar");
  const int axis = first_axis(graph, node);
  const Shape normalised(x.shape.begin() + axis, x.shape.end());
  for (int i = 1; i < 3; ++i) {
    if (!graph.has_input(node, i)) continue;
    const Shape& found = graph.input(node, i).shape;
    if (found.size() > x.shape.size() || broadcast(node, found, x.shape) != x.shape) {
      bad_node(node, "input " + std::to_string(i) + " is " + to_string(found) + " when it should be " +
                         to_string(normalised));
    }
  }
  Shape kept = x.shape;
  for (auto d = static_cast<std::size_t>(axis); d < kept.size(); ++d) kept[d] = 1;
  for (std::size_t i = 1; i < node.outputs.size(); ++i)
    set_output(context, static_cast<int>(i), DataType::kFloat32, kept);
  set_output(context, 0, x.type, x.shape);
}

Box layer_region(const Graph& graph, const Node& node, int i, const Box& out) {
  if (i > 0) return broadcast_region(graph, node, i, out);
  Box box = out;
  const Box all = whole_input(graph, node, 0);
  for (int d = first_axis(graph, node); d < box.rank; ++d) box.set(d, 0, all.extent[d]);
  return box;
}

void layer_kernel(const Graph& graph, const Node& node, std::span<const ConstRegionView> inputs,
                  const RegionView& out) {
  if (out.box.empty()) return;
  const int axis = first_axis(graph, node);
  const double epsilon = node.real("epsilon", 1e-5F);
  const Box needed = layer_region(graph, node, 0, out.box);
  std::vector<bool> whole(static_cast<std::size_t>(out.box.rank), false);
  Box row = out.box;  // the part of a row that is written
  Walk kept;
  const Walk to = dense_walk(out.box, out.box);
  for (int d = 0; d < out.box.rank; ++d) {
    whole[d] = d >= axis;
    if (whole[d]) continue;
    kept.stride[d] = to.stride[d];
    row.extent[d] = 1;
  }
  const Reduction loops(inputs[0].box, needed, whole);
  Walk from = dense_walk(inputs[0].box, out.box);
  from.offset -= dense_walk(inputs[0].box, needed).offset;

  // Scale and bias usually repeat for every row; where they vary, so do their walks with the kept axes.
  const float one = 1.0F;
  const float zero = 0.0F;
  const float* scale = &one;
  const float* bias = &zero;
  std::array<Walk, 2> affine{};
  for (int i = 1; i < 3; ++i) {
    if (i >= static_cast<int>(inputs.size()) || inputs[i].data == nullptr) continue;
    (i == 1 ? scale : bias) = inputs[i].data;
    affine[i - 1] = broadcast_walk(graph.input(node, i).shape, inputs[i].box, out.box);
  }
  const std::array<Walk, 4> walks = {from, to, affine[0], affine[1]};
  const Nest<4> rows(row, walks);
  Box kept_box = out.box;
  for (int d = axis; d < kept_box.rank; ++d) kept_box.extent[d] = 1;
  std::array<std::int64_t, kMaxRank> index{};
  loops.for_each_kept(kept, [&](std::int64_t x_at, std::int64_t y_at) {
    const float* x = inputs[0].data + x_at;
    const Moments m = moments_of(loops, x, epsilon);
    std::int64_t scale_at = 0;
    std::int64_t bias_at = 0;
    for (int d = 0; d < axis; ++d) {
      scale_at += index[d] * affine[0].stride[d];
      bias_at += index[d] * affine[1].stride[d];
    }
    const bool plain = rows.row_stride(0) == 1 && rows.row_stride(1) == 1 && rows.row_stride(2) == rows.row_stride(3) &&
                       rows.row_stride(2) <= 1;
    rows.for_each_row([&](const std::array<std::int64_t, 4>& at) {
      if (plain) {
        return compute::simd().normalise(rows.row_length(), x + at[0], m.mean, m.inverse_deviation,
                                         scale + scale_at + at[2], bias + bias_at + at[3],
                                         static_cast<int>(rows.row_stride(2)), out.data + y_at + at[1]);
      }
      for (std::int64_t i = 0; i < rows.row_length(); ++i) {
        const double normal = (x[at[0] + i * rows.row_stride(0)] - m.mean) * m.inverse_deviation;
        out.data[y_at + at[1] + i * rows.row_stride(1)] = static_cast<float>(
            normal * scale[scale_at + at[2] + i * rows.row_stride(2)] + bias[bias_at + at[3] + i * rows.row_stride(3)]);
      }
    });
    for (int d = axis - 1; d >= 0 && ++index[d] == kept_box.extent[d]; --d) index[d] = 0;
  });
}

/// With Mean and InvStdDev, which only the reference executor gives.
std::vector<HostTensor> evaluate_layer(const Graph& graph, const Node& node,
                                       std::span<const HostTensor* const> inputs) {
  auto results = evaluate_by_kernel({.name = node.op, .kernel = layer_kernel}, graph, node, inputs);
  if (node.outputs.size() < 2) return results;
  const HostTensor& x = *inputs[0];
  const auto axis = static_cast<std::size_t>(first_axis(graph, node));
  const std::int64_t row = elements_of(x.shape, axis, x.shape.size());
  Shape kept = x.shape;
  std::fill(kept.begin() + static_cast<std::ptrdiff_t>(axis), kept.end(), 1);
  for (int i = 0; i < 2; ++i) results.push_back(make_tensor(DataType::kFloat32, kept));
  const Box box = whole(Shape{row});
  const Reduction loops(box, box, {true});
  for (std::size_t r = 0; r < results[1].held(); ++r) {
    const Moments m =
        moments_of(loops, x.floats().data() + static_cast<std::int64_t>(r) * row, node.real("epsilon", 1e-5F));
    results[1].floats()[r] = static_cast<float>(m.mean);
    results[2].floats()[r] = static_cast<float>(m.inverse_deviation);
  }
  return results;
}

VectorWork layer_work(const Graph& graph, const Node& node, const Box& out) {
  std::int64_t rows = 1;
  for (int d = 0; d < first_axis(graph, node); ++d) rows *= out.extent[d];
  return normalisation_work(layer_region(graph, node, 0, out).elements(), rows);
}

// --- InstanceNormalization and GroupNormalization ---

/// Channels that are normalised together.
std::int64_t channels_of_group(const Graph& graph, const Node& node) {
  const std::int64_t channels = graph.input(node, 0).shape[1];
  if (node.op == "InstanceNormalization") return 1;
  const std::int64_t groups = node.integer("num_groups", 0);
  if (groups < 1 || groups > channels || channels % groups != 0) {
    bad_node(node, std::to_string(channels) + " channels do not divide into " + std::to_string(groups) + " groups");
  }
  return channels / groups;
}

void infer_group(InferContext& context) {
  check_arity(context, 3, 3);
  check_float_input(context, 0);
  const Graph& graph = context.graph;
  const Node& node = context.node;
  const Tensor& x = graph.input(node, 0);
  const bool instance = node.op == "InstanceNormalization";
  if (x.shape.size() < 2) bad_node(node, "input is " + to_string(x.shape) + " when it should have a channel axis");
  const std::int64_t per_group = channels_of_group(graph, node);
  for (int i = 1; i < 3; ++i) {
    const Shape& found = graph.input(node, i).shape;
    const bool per_channel = found == Shape{x.shape[1]};
    if (!per_channel && (instance || found != Shape{x.shape[1] / per_group})) {
      bad_node(node,
               "input " + std::to_string(i) + " is " + to_string(found) + " for an input of " + to_string(x.shape));
    }
  }
  set_output(context, 0, x.type, x.shape);
}

Box group_region(const Graph& graph, const Node& node, int i, const Box& out) {
  if (out.empty()) return no_region(graph, node, i);
  Box box = whole_input(graph, node, i);
  const std::int64_t per_group = channels_of_group(graph, node);
  const std::int64_t first = out.begin[1] / per_group;
  const std::int64_t groups = (out.end(1) - 1) / per_group - first + 1;
  if (i == 0) {
    box.set(0, out.begin[0], out.extent[0]);
    box.set(1, static_cast<std::int32_t>(first * per_group), static_cast<std::int32_t>(groups * per_group));
  } else if (box.extent[0] == graph.input(node, 0).shape[1]) {
    box.set(0, out.begin[1], out.extent[1]);
  } else {
    box.set(0, static_cast<std::int32_t>(first), static_cast<std::int32_t>(groups));
  }
  return box;
}

void group_kernel(const Graph& graph, const Node& node, std::span<const ConstRegionView> inputs,
                  const RegionView& out) {
  if (out.box.empty()) return;
  const std::int64_t per_group = channels_of_group(graph, node);
  const double epsilon = node.real("epsilon", 1e-5F);
  const auto parameter = [&](int i, std::int64_t channel) {
    const bool per_channel = graph.input(node, i).shape[0] == graph.input(node, 0).shape[1];
    return double{inputs[i].data[(per_channel ? channel : channel / per_group) - inputs[i].box.begin[0]]};
  };
  std::vector<bool> whole(static_cast<std::size_t>(out.box.rank), true);
  for (std::int32_t n = 0; n < out.box.extent[0]; ++n) {
    for (std::int32_t c = 0; c < out.box.extent[1];) {
      const std::int64_t group = (out.box.begin[1] + c) / per_group;
      Box one = out.box;
      one.set(0, out.box.begin[0] + n, 1);
      one.set(1, out.box.begin[1] + c, 1);
      const Box needed = group_region(graph, node, 0, one);
      const Reduction loops(inputs[0].box, needed, whole);
      const Moments m = moments_of(loops, inputs[0].data + dense_walk(inputs[0].box, needed).offset, epsilon);
      for (; c < out.box.extent[1] && (out.box.begin[1] + c) / per_group == group; ++c) {
        one.set(1, out.box.begin[1] + c, 1);
        const double scale = parameter(1, one.begin[1]);
        const double bias = parameter(2, one.begin[1]);
        const Nest<2> nest(one, {dense_walk(inputs[0].box, one), dense_walk(out.box, one)});
        nest.for_each_row([&](const std::array<std::int64_t, 2>& at) {
          if (nest.row_stride(0) == 1 && nest.row_stride(1) == 1) {
            const auto factor = static_cast<float>(scale), shift = static_cast<float>(bias);
            return compute::simd().normalise(nest.row_length(), inputs[0].data + at[0], m.mean, m.inverse_deviation,
                                             &factor, &shift, 0, out.data + at[1]);
          }
          for (std::int64_t i = 0; i < nest.row_length(); ++i) {
            const double normal = (inputs[0].data[at[0] + i * nest.row_stride(0)] - m.mean) * m.inverse_deviation;
            out.data[at[1] + i * nest.row_stride(1)] = static_cast<float>(normal * scale + bias);
          }
        });
      }
    }
  }
}

VectorWork group_work(const Graph& graph, const Node& node, const Box& out) {
  if (out.empty()) return {};
  const Box in = group_region(graph, node, 0, out);
  return normalisation_work(in.elements(), std::int64_t{in.extent[0]} * in.extent[1] / channels_of_group(graph, node));
}

/// An instance normalisation is a group normalisation of one channel a group.
constexpr OpDef group_operator(std::string_view name) {
  return {.name = name,
          .op_class = OpClass::kRow,
          .infer = infer_group,
          .region = group_region,
          .kernel = group_kernel,
          .vector_work = group_work,
          .input_passes = 2,
          .carries_scale = true};
}

constexpr OpDef kOperators[] = {
    {.name = "LayerNormalization",
     .op_class = OpClass::kRow,
     .infer = infer_layer,
     .evaluate = evaluate_layer,
     .region = layer_region,
     .kernel = layer_kernel,
     .vector_work = layer_work,
     .input_passes = 2,
     .carries_scale = true},
    group_operator("InstanceNormalization"),
    group_operator("GroupNormalization"),
};

}  // namespace

std::span<const OpDef> normalisation_operators() { return kOperators; }

}  // namespace spillway::workloads
