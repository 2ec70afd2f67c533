#include "workloads/zoo/layers.h"

#include <cmath>
#include <limits>

namespace spillway::workloads::zoo {
namespace {

// Small, so that they show in a comparison of results and do not drive the activations.
constexpr float kBiasDeviation = 0.02F;

// Variance-preserving: the sum of fan_in products of unit-variance terms has unit variance (LeCun et al., 1998).
Generator fan_in_scaled(std::int64_t fan_in, float gain) {
  return uniform(gain / std::sqrt(static_cast<float>(fan_in)));
}

Shape with_last(Shape shape, std::int64_t extent) {
  shape.back() = extent;
  return shape;
}

// Traced `x // divisor` and `x * factor` of scalars. The division goes through Python's integer, hence the casts.
Value divided(Builder& b, const Value& x, std::int64_t divisor) {
  const Value quotient = b.node("Div", {x, b.integer(divisor)}, {});
  return b.cast(b.cast(quotient, DataType::kInt64), DataType::kInt64);
}
Value times(Builder& b, const Value& x, std::int64_t factor) {
  return factor == 1 ? x : b.node("Mul", {x, b.integer(factor)}, {});
}

}  // namespace

Value conv(Builder& b, const std::string& module, const Value& x, const ConvSpec& spec) {
  const Builder::Scope scope(b, module);
  const std::int64_t in = x.shape.at(1);
  const std::int64_t pad = spec.padded ? spec.kernel / 2 : 0;
  const Value weight = b.weight("weight", {spec.channels, in, spec.kernel, spec.kernel},
                                fan_in_scaled(in * spec.kernel * spec.kernel, spec.gain));
  const Value bias = b.weight("bias", {spec.channels}, uniform(kBiasDeviation));
  const auto extent = [&](std::int64_t size) { return (size + 2 * pad - spec.kernel) / spec.stride + 1; };
  return b.node("Conv", {x, weight, bias}, {x.shape.at(0), spec.channels, extent(x.shape.at(2)), extent(x.shape.at(3))},
                {{"dilations", std::vector<std::int64_t>{1, 1}},
                 {"group", std::int64_t{1}},
                 {"kernel_shape", std::vector<std::int64_t>{spec.kernel, spec.kernel}},
                 {"pads", std::vector<std::int64_t>{pad, pad, pad, pad}},
                 {"strides", std::vector<std::int64_t>{spec.stride, spec.stride}}});
}

Value linear(Builder& b, const std::string& module, const Value& x, const LinearSpec& spec) {
  const Builder::Scope scope(b, module);
  const std::int64_t in = x.shape.back();
  const Value weight = b.weight("weight", {in, spec.width}, fan_in_scaled(in, spec.gain));
  const Shape shape = with_last(x.shape, spec.width);
  Value product = b.node("MatMul", {x, weight}, shape);
  if (!spec.bias) return product;
  const Value bias = b.weight("bias", {spec.width}, uniform(kBiasDeviation));
  return b.node("Add", {bias, product}, shape);
}

Value gemm(Builder& b, const std::string& module, const Value& x, std::int64_t width) {
  const Builder::Scope scope(b, module);
  const std::int64_t in = x.shape.at(1);
  const Value weight = b.weight("weight", {width, in}, fan_in_scaled(in, 1.0F));
  const Value bias = b.weight("bias", {width}, uniform(kBiasDeviation));
  return b.node("Gemm", {x, weight, bias}, {x.shape.at(0), width},
                {{"alpha", 1.0F}, {"beta", 1.0F}, {"transB", std::int64_t{1}}});
}

Value group_norm(Builder& b, const std::string& module, const Value& x, std::int64_t groups, float epsilon) {
  const Builder::Scope scope(b, module);
  const Value grouped = b.reshape(x, {0, groups, -1});
  const Shape per_group{groups};
  const auto n = static_cast<std::size_t>(groups);
  const Value one = b.floats(per_group, std::vector<float>(n, 1.0F), b.float_type());
  const Value zero = b.floats(per_group, std::vector<float>(n, 0.0F), b.float_type());
  const Value normal = b.node("InstanceNormalization", {grouped, one, zero}, grouped.shape, {{"epsilon", epsilon}});
  const Value shape = b.node("Shape", {x}, {static_cast<std::int64_t>(x.shape.size())}, DataType::kInt64);
  const Value back = b.reshape(normal, shape, x.shape);

  Shape per_channel(x.shape.size() - 1, 1);  // broadcasts over the spatial axes
  per_channel[0] = x.shape.at(1);
  const Value scale = b.weight("weight", per_channel, uniform(1.0F));
  const Value bias = b.weight("bias", per_channel, uniform(kBiasDeviation));
  return b.node("Add", {b.node("Mul", {back, scale}, x.shape), bias}, x.shape);
}

Value layer_norm(Builder& b, const std::string& module, const Value& x) {
  const Builder::Scope scope(b, module);
  const std::int64_t width = x.shape.back();
  const Shape row = with_last(x.shape, 1);
  const Builder::Attributes last_axis{{"axes", std::vector<std::int64_t>{-1}}};
  const Value centred = b.node("Sub", {x, b.node("ReduceMean", {x}, row, last_axis)}, x.shape);
  const Value squared = b.node("Pow", {centred, b.number(2.0F)}, x.shape);
  const Value variance = b.node("ReduceMean", {squared}, row, last_axis);
  const Value deviation = b.node("Sqrt", {b.node("Add", {variance, b.number(1e-5F)}, row)}, row);
  const Value normal = b.node("Div", {centred, deviation}, x.shape);
  const Value scale = b.weight("weight", {width}, uniform(1.0F));
  const Value bias = b.weight("bias", {width}, uniform(kBiasDeviation));
  return b.node("Add", {b.node("Mul", {normal, scale}, x.shape), bias}, x.shape);
}

Value silu(Builder& b, const std::string& module, const Value& x) {
  const Builder::Scope scope(b, module);
  return b.node("Mul", {x, b.node("Sigmoid", {x}, x.shape)}, x.shape);
}

Value quick_gelu(Builder& b, const std::string& module, const Value& x) {
  const Builder::Scope scope(b, module);
  const Value scaled = b.node("Mul", {x, b.number(1.702F)}, x.shape);
  return b.node("Mul", {x, b.node("Sigmoid", {scaled}, x.shape)}, x.shape);
}

Value gelu(Builder& b, const Value& x) {
  const Value scaled = b.node("Div", {x, b.number(std::sqrt(2.0F))}, x.shape);
  const Value erf = b.node("Erf", {scaled}, x.shape);
  const Value gate = b.node("Add", {erf, b.number(1.0F)}, x.shape);
  const Value product = b.node("Mul", {x, gate}, x.shape);
  return b.node("Mul", {product, b.number(0.5F)}, x.shape);
}

std::vector<Value> halves(Builder& b, const Value& x, std::int64_t axis, int take) {
  const auto rank = static_cast<std::int64_t>(x.shape.size());
  Shape half = x.shape;
  half.at(static_cast<std::size_t>(axis < 0 ? axis + rank : axis)) /= 2;

  const Shape one{1};
  const Value shape = b.node("Shape", {x}, {rank}, DataType::kInt64);
  const Value axes = b.ints({axis});
  const Value extent = b.node("Gather", {shape, axes}, one, {{"axis", std::int64_t{0}}});
  Value begin = b.ints({0});
  const Value padded = b.node("Add", {extent, b.ints({1})}, one);
  const Value step = b.node("Div", {padded, b.ints({2})}, one);
  std::vector<Value> parts;
  for (std::int64_t i = 1; i <= take; ++i) {
    const Value end = b.node("Mul", {step, b.ints({i})}, one);
    parts.push_back(b.node("Slice", {x, begin, end, axes}, half));
    begin = end;
  }
  return parts;
}

Value rescale(Builder& b, const Value& x) { return b.node("Div", {x, b.number(1.0F)}, x.shape); }

Value extent(Builder& b, const Value& x, std::int64_t axis) {
  const Value shape = b.node("Shape", {x}, {static_cast<std::int64_t>(x.shape.size())}, DataType::kInt64);
  return b.node("Gather", {shape, b.integer(axis)}, {}, {{"axis", std::int64_t{0}}});
}

Value shape_of(Builder& b, const std::vector<Value>& extents) {
  std::vector<Value> parts;
  parts.reserve(extents.size());
  for (const auto& value : extents) {
    parts.push_back(value.shape.empty() ? b.node("Unsqueeze", {value, b.ints({0})}, {1}) : value);
  }
  return b.node("Concat", parts, {static_cast<std::int64_t>(parts.size())}, {{"axis", std::int64_t{0}}});
}

Value heads_to_batch(Builder& b, const Value& x, std::int64_t heads, Shapes shapes) {
  const std::int64_t n = x.shape.at(0);
  const std::int64_t tokens = x.shape.at(1);
  const std::int64_t depth = x.shape.at(2) / heads;
  const Shape split{n, tokens, heads, depth};
  const Shape folded{n * heads, tokens, depth};
  if (shapes == Shapes::kStatic) return b.reshape(b.transpose(b.reshape(x, split), {0, 2, 1, 3}), folded);

  const Value n_now = extent(b, x, 0);
  const Value tokens_now = extent(b, x, 1);
  const Value depth_now = divided(b, extent(b, x, 2), heads);
  const Value apart = b.reshape(x, shape_of(b, {n_now, tokens_now, b.ints({heads}), depth_now}), split);
  const Value by_head = b.transpose(apart, {0, 2, 1, 3});
  return b.reshape(by_head, shape_of(b, {times(b, n_now, heads), tokens_now, depth_now}), folded);
}

Value heads_from_batch(Builder& b, const Value& x, std::int64_t heads, Shapes shapes) {
  const std::int64_t n = x.shape.at(0) / heads;
  const std::int64_t tokens = x.shape.at(1);
  const std::int64_t depth = x.shape.at(2);
  const Shape split{n, heads, tokens, depth};
  const Shape joined{n, tokens, heads * depth};
  if (shapes == Shapes::kStatic) return b.reshape(b.transpose(b.reshape(x, split), {0, 2, 1, 3}), joined);

  const Value batch_now = extent(b, x, 0);
  const Value tokens_now = extent(b, x, 1);
  const Value depth_now = extent(b, x, 2);
  const Value n_now = divided(b, batch_now, heads);
  const Value apart = b.reshape(x, shape_of(b, {n_now, b.ints({heads}), tokens_now, depth_now}), split);
  const Value by_token = b.transpose(apart, {0, 2, 1, 3});
  return b.reshape(by_token, shape_of(b, {n_now, tokens_now, times(b, depth_now, heads)}), joined);
}

Value scores(Builder& b, const Value& q, const Value& k) {
  return b.node("MatMul", {q, b.transpose(k, {0, 2, 1})}, {q.shape.at(0), q.shape.at(1), k.shape.at(1)});
}

Value attention(Builder& b, const Value& x, const Value& context, const AttentionSpec& spec) {
  const std::int64_t width = x.shape.back();
  const LinearSpec projection{.width = width, .bias = spec.bias};
  const Value q_rows = linear(b, "to_q", x, projection);
  const Value k_rows = linear(b, "to_k", context, projection);
  const Value v_rows = linear(b, "to_v", context, projection);
  const Value q = heads_to_batch(b, q_rows, spec.heads, spec.shapes);
  const Value k = heads_to_batch(b, k_rows, spec.heads, spec.shapes);
  const Value v = heads_to_batch(b, v_rows, spec.heads, spec.shapes);

  const Value product = scores(b, q, k);
  const std::int64_t depth = width / spec.heads;
  const float scale = 1.0F / std::sqrt(static_cast<float>(depth));
  Value logits = b.node("Mul", {product, b.number(scale)}, product.shape);
  if (spec.upcast_softmax) logits = b.cast(logits, DataType::kFloat32);
  const Value weights = b.cast(b.node("Softmax", {logits}, logits.shape, {{"axis", std::int64_t{-1}}}), b.float_type());
  const Value mixed = heads_from_batch(b, b.node("MatMul", {weights, v}, q.shape), spec.heads, spec.shapes);
  return linear(b, "to_out.0", mixed, {.width = width, .gain = kResidualGain});
}

Value sinusoids(Builder& b, const std::string& module, const Value& t, std::int64_t width) {
  const Builder::Scope scope(b, module);
  const std::int64_t n = t.shape.at(0);
  const std::int64_t half = width / 2;
  std::vector<float> frequencies;
  for (std::int64_t i = 0; i < half; ++i) {
    frequencies.push_back(std::exp(-std::log(10000.0F) * static_cast<float>(i) / static_cast<float>(half)));
  }
  const Value column = b.cast(b.node("Unsqueeze", {t, b.ints({1})}, {n, 1}), DataType::kFloat32);
  const Value angles = b.node("Mul", {column, b.floats({1, half}, frequencies, DataType::kFloat32)}, {n, half});
  const Builder::Attributes last_axis{{"axis", std::int64_t{-1}}};
  const Value sine = b.node("Sin", {angles}, {n, half});
  const Value cosine = b.node("Cos", {angles}, {n, half});
  const Value joined = b.node("Concat", {sine, cosine}, {n, width}, last_axis);
  const auto columns = [&](std::int64_t begin, std::int64_t end) {
    const Value axes = b.ints({1});
    const Value starts = b.ints({begin});
    const Value ends = b.ints({end});
    const Value steps = b.ints({1});
    return b.node("Slice", {joined, starts, ends, axes, steps}, {n, half});
  };
  const Value cosines = columns(half, std::numeric_limits<std::int64_t>::max());
  const Value sines = columns(0, half);
  return b.node("Concat", {cosines, sines}, {n, width}, last_axis);
}

Value resnet(Builder& b, const std::string& module, const Value& x, const ResnetSpec& spec, const Value* time) {
  const Builder::Scope scope(b, module);
  Value h = silu(b, "nonlinearity", group_norm(b, "norm1", x, spec.groups, spec.epsilon));
  h = conv(b, "conv1", h, {.channels = spec.channels});
  if (time != nullptr) {
    const std::int64_t n = x.shape.at(0);
    const Value shift = gemm(b, "time_emb_proj", *time, spec.channels);
    const Value row = b.node("Unsqueeze", {shift, b.ints({2})}, {n, spec.channels, 1});
    const Value image = b.node("Unsqueeze", {row, b.ints({3})}, {n, spec.channels, 1, 1});
    h = b.node("Add", {h, image}, h.shape);
  }
  h = silu(b, "nonlinearity_1", group_norm(b, "norm2", h, spec.groups, spec.epsilon));
  h = conv(b, "conv2", h, {.channels = spec.channels, .gain = kResidualGain});
  const Value shortcut =
      x.shape.at(1) == spec.channels ? x : conv(b, "conv_shortcut", x, {.channels = spec.channels, .kernel = 1});
  return rescale(b, b.node("Add", {shortcut, h}, h.shape));
}

Value upsample(Builder& b, const Value& x) {
  const Builder::Scope scope(b, "upsamplers.0");
  const Value scales = b.floats({4}, {1.0F, 1.0F, 2.0F, 2.0F}, DataType::kFloat32);
  const Value large =
      b.node("Resize", {x, Value{}, scales}, {x.shape.at(0), x.shape.at(1), 2 * x.shape.at(2), 2 * x.shape.at(3)},
             {{"coordinate_transformation_mode", std::string("asymmetric")},
              {"cubic_coeff_a", -0.75F},
              {"mode", std::string("nearest")},
              {"nearest_mode", std::string("floor")}});
  return conv(b, "conv", large, {.channels = x.shape.at(1)});
}

}  // namespace spillway::workloads::zoo
