// AutoencoderKL (Esser et al., CVPR 2021; Rombach et al., CVPR 2022) as diffusers 0.21 exports it.
#include <fmt/format.h>

#include <limits>

#include "workloads/zoo/layers.h"
#include "workloads/zoo/models.h"

namespace spillway::workloads::zoo {
namespace {

constexpr float kEpsilon = 1e-6F;
constexpr std::int64_t kColours = 3;

Value block(Builder& b, const VaeConfig& config, std::int64_t index, const Value& x, std::int64_t channels) {
  return resnet(b, fmt::format("resnets.{}", index), x,
                {.channels = channels, .groups = config.groups, .epsilon = kEpsilon}, nullptr);
}

// Single-head self-attention over all positions.
Value attend(Builder& b, const VaeConfig& config, const Value& x, Shapes shapes) {
  const Builder::Scope scope(b, "attentions.0");
  const Shape flat{x.shape.at(0), x.shape.at(1), x.shape.at(2) * x.shape.at(3)};
  const auto mixed = [&](const Value& rows) {
    const Value tokens = b.transpose(group_norm(b, "group_norm", rows, config.groups, kEpsilon), {0, 2, 1});
    const AttentionSpec spec{.heads = 1, .bias = true, .upcast_softmax = true, .shapes = shapes};
    return b.transpose(attention(b, tokens, tokens, spec), {0, 2, 1});
  };
  Value image;
  if (shapes == Shapes::kStatic) {
    image = b.reshape(mixed(b.reshape(x, flat)), x.shape);
  } else {
    const Value n = extent(b, x, 0);
    const Value channels = extent(b, x, 1);
    const Value height = extent(b, x, 2);
    const Value width = extent(b, x, 3);
    const Value pixels = b.node("Mul", {height, width}, {});
    const Value rows = b.reshape(x, shape_of(b, {n, channels, pixels}), flat);
    // Transposed for its batch extent alone: diffusers reads (batch, tokens, channels) from it.
    const Value n_again = extent(b, b.transpose(rows, {0, 2, 1}), 0);
    const Value columns = mixed(rows);
    image = b.reshape(columns, shape_of(b, {n_again, channels, height, width}), x.shape);
  }
  return rescale(b, b.node("Add", {image, x}, x.shape));
}

Value middle(Builder& b, const VaeConfig& config, Value h, Shapes shapes) {
  const Builder::Scope scope(b, "mid_block");
  const std::int64_t channels = h.shape.at(1);
  h = attend(b, config, block(b, config, 0, h, channels), shapes);
  return block(b, config, 1, h, channels);
}

Value project_out(Builder& b, const VaeConfig& config, const Value& x, std::int64_t channels) {
  const Value normal = group_norm(b, "conv_norm_out", x, config.groups, kEpsilon);
  return conv(b, "conv_out", silu(b, "conv_act", normal), {.channels = channels});
}

// One row below and one column to the right, then stride 2 without padding; the Pad's operand goes through the shape
// arithmetic of PyTorch's F.pad, whose order (last axis first) ONNX reverses.
Value downsample(Builder& b, const Value& x) {
  const Builder::Scope scope(b, "downsamplers.0");
  const Value zeros = b.constant_of_shape(4, 0);
  const Value pads = b.node("Concat", {b.ints({0, 1, 0, 1}), zeros}, {8}, {{"axis", std::int64_t{0}}});
  const Value pairs = b.reshape(pads, {-1, 2});
  const Value axes = b.ints({0});
  const Value starts = b.ints({-1});
  const Value ends = b.ints({-std::numeric_limits<std::int64_t>::max()});
  const Value steps = b.ints({-1});
  const Value reversed = b.node("Slice", {pairs, starts, ends, axes, steps}, pairs.shape);
  const Value flat = b.cast(b.reshape(b.transpose(reversed, {1, 0}), {-1}), DataType::kInt64);
  const Value padded =
      b.node("Pad", {x, flat, b.number(0.0F)}, {x.shape.at(0), x.shape.at(1), x.shape.at(2) + 1, x.shape.at(3) + 1},
             {{"mode", std::string("constant")}});
  return conv(b, "conv", padded, {.channels = x.shape.at(1), .stride = 2, .padded = false});
}

}  // namespace

void build_vae_encoder(Builder& b, const VaeConfig& config, const Request& request) {
  Value h = b.input("sample", {request.batch, kColours, request.image, request.image}, b.float_type());
  const std::int64_t moments = 2 * config.latent_channels;  // mean and log variance
  {
    const Builder::Scope scope(b, "encoder");
    h = conv(b, "conv_in", h, {.channels = config.channels.front()});
    for (std::size_t i = 0; i < config.channels.size(); ++i) {
      const Builder::Scope level(b, fmt::format("down_blocks.{}", i));
      for (std::int64_t j = 0; j < config.layers; ++j) h = block(b, config, j, h, config.channels[i]);
      if (i + 1 < config.channels.size()) h = downsample(b, h);
    }
    h = project_out(b, config, middle(b, config, h, Shapes::kTraced), moments);
  }
  h = conv(b, "quant_conv", h, {.channels = moments, .kernel = 1});
  b.output(halves(b, h, 1, 1).front(), "latent_sample");
}

void build_vae_decoder(Builder& b, const VaeConfig& config, const Request& request) {
  const std::int64_t side = request.image / config.scale();
  Value h = b.input("latent_sample", {request.batch, config.latent_channels, side, side}, b.float_type());
  h = conv(b, "post_quant_conv", h, {.channels = config.latent_channels, .kernel = 1});
  const Builder::Scope scope(b, "decoder");
  h = middle(b, config, conv(b, "conv_in", h, {.channels = config.channels.back()}), Shapes::kStatic);
  h = b.cast(h, b.float_type());  // `sample.to(upscale_dtype)`
  for (std::size_t i = 0; i < config.channels.size(); ++i) {
    const Builder::Scope level(b, fmt::format("up_blocks.{}", i));
    const std::int64_t channels = config.channels[config.channels.size() - 1 - i];
    for (std::int64_t j = 0; j <= config.layers; ++j) h = block(b, config, j, h, channels);
    if (i + 1 < config.channels.size()) h = upsample(b, h);
  }
  b.output(project_out(b, config, h, kColours), "sample");
}

}  // namespace spillway::workloads::zoo
