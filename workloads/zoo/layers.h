// The layers of Stable Diffusion as torch.onnx (PyTorch 1.13, opset 14) decomposes them. Each takes the module's name
// below the current scope and leaves the scope as it was.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "workloads/zoo/builder.h"

namespace spillway::workloads::zoo {

/// Weights whose output joins a residual sum are scaled down by this, so that the sum's size hardly grows with depth.
inline constexpr float kResidualGain = 0.3F;

struct ConvSpec {
  std::int64_t channels = 0;  ///< out
  std::int64_t kernel = 3;
  std::int64_t stride = 1;
  bool padded = true;  ///< kernel / 2 on every side
  float gain = 1.0F;
};
/// Conv with bias; x [N, C, H, W].
Value conv(Builder& b, const std::string& module, const Value& x, const ConvSpec& spec);

struct LinearSpec {
  std::int64_t width = 0;  ///< out
  bool bias = true;
  float gain = 1.0F;
};
/// Linear on x [..., C] of rank 3 or more: MatMul with a [C, width] weight (the exporter folds the transpose), Add.
Value linear(Builder& b, const std::string& module, const Value& x, const LinearSpec& spec);
/// Linear on x [N, C]: Gemm with a [width, C] weight and bias.
Value gemm(Builder& b, const std::string& module, const Value& x, std::int64_t width);

/// Reshape to groups, InstanceNormalization, Shape, Reshape back, Mul, Add; x [N, C, ...].
Value group_norm(Builder& b, const std::string& module, const Value& x, std::int64_t groups, float epsilon);
/// ReduceMean, Sub, Pow, ReduceMean, Add, Sqrt, Div, Mul, Add over the last axis, epsilon 1e-5.
Value layer_norm(Builder& b, const std::string& module, const Value& x);

/// Sigmoid, Mul.
Value silu(Builder& b, const std::string& module, const Value& x);
/// Mul by 1.702, Sigmoid, Mul.
Value quick_gelu(Builder& b, const std::string& module, const Value& x);
/// Div by sqrt 2, Erf, Add, Mul, Mul: in the current module.
Value gelu(Builder& b, const Value& x);

/// The first `take` halves of x along `axis` (negative counts from the end), with the Shape arithmetic that chunk(2)
/// leaves behind: in the current module.
std::vector<Value> halves(Builder& b, const Value& x, std::int64_t axis, int take);

/// The division by one that diffusers leaves in (output_scale_factor, rescale_output_factor): in the current module.
Value rescale(Builder& b, const Value& x);

/// Where a Reshape finds its target: in a constant, or in shape arithmetic. Tracing leaves the latter where it lost
/// the static shape: behind the padding of the VAE encoder.
enum class Shapes : std::uint8_t { kStatic, kTraced };

/// Traced: the extent of x along `axis` as a scalar (Shape, Gather).
Value extent(Builder& b, const Value& x, std::int64_t axis);
/// Traced: scalars (each through an Unsqueeze) and 1-D constants joined to a Reshape's target.
Value shape_of(Builder& b, const std::vector<Value>& extents);

/// [N, T, heads * d] -> [N * heads, T, d]: Reshape, Transpose, Reshape.
Value heads_to_batch(Builder& b, const Value& x, std::int64_t heads, Shapes shapes = Shapes::kStatic);
/// The inverse.
Value heads_from_batch(Builder& b, const Value& x, std::int64_t heads, Shapes shapes = Shapes::kStatic);
/// q times k transposed over the last two axes; q, k [N, T, d].
Value scores(Builder& b, const Value& q, const Value& k);

struct AttentionSpec {
  std::int64_t heads = 1;
  bool bias = false;            ///< of the q, k, v projections; the output projection always has one
  bool upcast_softmax = false;  ///< the VAE casts the scores to float32 before the softmax
  Shapes shapes = Shapes::kStatic;
};
/// diffusers' Attention without residual and rescaling: projections to_q, to_k, to_v, to_out.0; in the current module.
Value attention(Builder& b, const Value& x, const Value& context, const AttentionSpec& spec);

/// Sinusoidal embedding of t [N] -> [N, width] in float32, cosines first (Ho et al., 2020; diffusers: Timesteps with
/// flip_sin_to_cos and no frequency shift).
Value sinusoids(Builder& b, const std::string& module, const Value& t, std::int64_t width);

struct ResnetSpec {
  std::int64_t channels = 0;  ///< out; a 1x1 shortcut convolution is there when it differs from the input's
  std::int64_t groups = 32;
  float epsilon = 1e-5F;
};
/// diffusers' ResnetBlock2D. `time` is the activated time embedding [N, C], or null in the VAE.
Value resnet(Builder& b, const std::string& module, const Value& x, const ResnetSpec& spec, const Value* time);

/// Nearest-neighbour doubling, then a 3x3 convolution (module upsamplers.0).
Value upsample(Builder& b, const Value& x);

}  // namespace spillway::workloads::zoo
