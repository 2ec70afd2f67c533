// UNet2DConditionModel (Rombach et al., CVPR 2022; Podell et al., 2023 for SDXL) as diffusers 0.21 exports it.
#include <fmt/format.h>

#include "workloads/zoo/layers.h"
#include "workloads/zoo/models.h"

namespace spillway::workloads::zoo {
namespace {

constexpr float kResnetEpsilon = 1e-5F;
constexpr float kAttentionEpsilon = 1e-6F;
constexpr std::int64_t kTimeIds = 6;  // original size, crop corner, target size: two numbers each

Value embedding_mlp(Builder& b, const std::string& module, const Value& x, std::int64_t width) {
  const Builder::Scope scope(b, module);
  return gemm(b, "linear_2", silu(b, "act", gemm(b, "linear_1", x, width)), width);
}

// The shape arithmetic is what `timestep.expand(sample.shape[0])` leaves behind.
Value expanded(Builder& b, const Value& timestep, std::int64_t n) {
  const Shape one{1};
  const Value target = b.ints({n});
  const Value ones = b.constant_of_shape(1, 1);
  const Value minus = b.node("Mul", {ones, b.integer(-1)}, one);
  const Value keeps = b.node("Equal", {target, minus}, one, DataType::kBool);
  const Value shape = b.node("Where", {keeps, ones, target}, one, DataType::kInt64);
  return b.node("Expand", {timestep, shape}, {n});
}

// SDXL: the pooled text embedding and the sinusoids of the sizes condition the network through the time embedding.
Value with_sizes(Builder& b, const UnetConfig& config, const Value& time, const Value& text_embeds,
                 const Value& time_ids) {
  const std::int64_t n = time.shape.at(0);
  const Value flat = b.reshape(time_ids, {-1});
  // Cast ahead of the Concat, not behind it as in diffusers: ONNX does not promote mixed types.
  const Value waves = sinusoids(b, "add_time_proj", flat, config.size_embedding);
  const Value sizes = b.cast(b.reshape(waves, {n, -1}), b.float_type());
  const Value joined = b.node("Concat", {text_embeds, sizes}, {n, config.pooled_width + sizes.shape.at(1)},
                              {{"axis", std::int64_t{-1}}});
  return b.node("Add", {time, embedding_mlp(b, "add_embedding", joined, time.shape.at(1))}, time.shape);
}

// Linear to twice the width, one half gates the other through GELU, Linear back (Shazeer, 2020).
Value feed_forward(Builder& b, const Value& x) {
  const std::int64_t width = x.shape.back();
  Value h;
  {
    const Builder::Scope scope(b, "ff/net.0");
    const auto parts = halves(b, linear(b, "proj", x, {.width = 8 * width}), -1, 2);
    h = b.node("Mul", {parts[0], gelu(b, parts[1])}, parts[0].shape);
  }
  return linear(b, "ff/net.2", h, {.width = width, .gain = kResidualGain});
}

Value transformer_block(Builder& b, std::int64_t index, const Value& x, const Value& context, std::int64_t heads) {
  const Builder::Scope scope(b, fmt::format("transformer_blocks.{}", index));
  const auto attend = [&](const char* module, const Value& query, const Value& source) {
    const Builder::Scope inner(b, module);
    return rescale(b, attention(b, query, source, {.heads = heads}));
  };
  const Value normal = layer_norm(b, "norm1", x);
  Value h = b.node("Add", {attend("attn1", normal, normal), x}, x.shape);
  h = b.node("Add", {attend("attn2", layer_norm(b, "norm2", h), context), h}, x.shape);
  return b.node("Add", {feed_forward(b, layer_norm(b, "norm3", h)), h}, x.shape);
}

// Transformer2DModel: image to tokens, blocks, back, residual. The projections are convolutions or Linears.
Value transformer(Builder& b, const UnetConfig& config, const std::string& module, const UnetLevel& level,
                  const Value& x, const Value& context) {
  const Builder::Scope scope(b, module);
  const std::int64_t n = x.shape.at(0);
  const std::int64_t channels = x.shape.at(1);
  const std::int64_t rows = x.shape.at(2);
  const std::int64_t columns = x.shape.at(3);
  const auto to_tokens = [&](const Value& image) {
    return b.reshape(b.transpose(image, {0, 2, 3, 1}), {n, rows * columns, channels});
  };
  const auto to_image = [&](const Value& tokens) {
    return b.transpose(b.reshape(tokens, {n, rows, columns, channels}), {0, 3, 1, 2});
  };
  const ConvSpec pointwise{.channels = channels, .kernel = 1};

  const Value normal = group_norm(b, "norm", x, config.groups, kAttentionEpsilon);
  Value h = config.linear_projection ? linear(b, "proj_in", to_tokens(normal), {.width = channels})
                                     : to_tokens(conv(b, "proj_in", normal, pointwise));
  for (std::int64_t i = 0; i < level.transformers; ++i) h = transformer_block(b, i, h, context, level.heads);
  h = config.linear_projection
          ? to_image(linear(b, "proj_out", h, {.width = channels, .gain = kResidualGain}))
          : conv(b, "proj_out", to_image(h), {.channels = channels, .kernel = 1, .gain = kResidualGain});
  return b.node("Add", {h, x}, x.shape);
}

// The blocks' shared inputs.
struct Conditions {
  Value time;  ///< activated: every ResNet's SiLU of it is one subexpression, which the exporter merges
  Value context;
};

class Unet {
 public:
  Unet(Builder& b, const UnetConfig& config, Conditions conditions)
      : b_(b), config_(config), conditions_(std::move(conditions)) {}

  Value run(const Value& sample) {
    Value h = conv(b_, "conv_in", sample, {.channels = config_.levels.front().channels});
    skips_.push_back(h);
    for (std::size_t i = 0; i < config_.levels.size(); ++i) h = down(i, h);
    h = middle(h);
    for (std::size_t i = config_.levels.size(); i-- > 0;) h = up(i, h);
    h = silu(b_, "conv_act", group_norm(b_, "conv_norm_out", h, config_.groups, kResnetEpsilon));
    return conv(b_, "conv_out", h, {.channels = config_.latent_channels});
  }

 private:
  Value block(const UnetLevel& level, std::int64_t index, const Value& x) {
    return resnet(b_, fmt::format("resnets.{}", index), x,
                  {.channels = level.channels, .groups = config_.groups, .epsilon = kResnetEpsilon}, &conditions_.time);
  }

  Value attend(const UnetLevel& level, std::int64_t index, const Value& x) {
    return transformer(b_, config_, fmt::format("attentions.{}", index), level, x, conditions_.context);
  }

  Value down(std::size_t i, Value h) {
    const Builder::Scope scope(b_, fmt::format("down_blocks.{}", i));
    const auto& level = config_.levels[i];
    for (std::int64_t j = 0; j < config_.layers; ++j) {
      h = block(level, j, h);
      if (level.attention) h = attend(level, j, h);
      skips_.push_back(h);
    }
    if (i + 1 < config_.levels.size()) {
      h = conv(b_, "downsamplers.0/conv", h, {.channels = level.channels, .stride = 2});
      skips_.push_back(h);
    }
    return h;
  }

  Value middle(const Value& h) {
    const Builder::Scope scope(b_, "mid_block");
    const auto& level = config_.levels.back();
    return block(level, 1, attend(level, 0, block(level, 0, h)));
  }

  // One ResNet more than going down: the level below's downsampler and conv_in left a skip tensor too.
  Value up(std::size_t i, Value h) {
    const Builder::Scope scope(b_, fmt::format("up_blocks.{}", config_.levels.size() - 1 - i));
    const auto& level = config_.levels[i];
    for (std::int64_t j = 0; j <= config_.layers; ++j) {
      const Value skip = skips_.back();
      skips_.pop_back();
      Shape joined = h.shape;
      joined.at(1) += skip.shape.at(1);
      h = block(level, j, b_.node("Concat", {h, skip}, joined, {{"axis", std::int64_t{1}}}));
      if (level.attention) h = attend(level, j, h);
    }
    return i > 0 ? upsample(b_, h) : h;
  }

  Builder& b_;
  const UnetConfig& config_;
  Conditions conditions_;
  std::vector<Value> skips_;
};

}  // namespace

void build_unet(Builder& b, const UnetConfig& config, const Request& request, std::int64_t scale) {
  const std::int64_t n = request.batch;
  const std::int64_t side = request.image / scale;
  const Value sample = b.input("sample", {n, config.latent_channels, side, side}, b.float_type());
  const Value timestep = b.input("timestep", {n}, DataType::kFloat32);
  const Value context = b.input("encoder_hidden_states", {n, request.sequence, config.context_width}, b.float_type());

  const std::int64_t base = config.levels.front().channels;
  const Value waves = sinusoids(b, "time_proj", expanded(b, timestep, n), base);
  Value time = embedding_mlp(b, "time_embedding", b.cast(waves, b.float_type()), 4 * base);
  if (config.pooled_width > 0) {
    const Value text_embeds = b.input("text_embeds", {n, config.pooled_width}, b.float_type());
    const Value time_ids = b.input("time_ids", {n, kTimeIds}, DataType::kFloat32);
    time = with_sizes(b, config, time, text_embeds, time_ids);
  }
  // Ahead of conv_in rather than inside the first ResNet, where the exporter has it: the order is equivalent.
  const Conditions conditions{silu(b, "time_act", time), context};
  b.output(Unet(b, config, conditions).run(sample), "out_sample");
}

}  // namespace spillway::workloads::zoo
