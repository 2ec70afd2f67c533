// CLIP's text transformer (Radford et al., 2021; OpenCLIP's differ in size and activation) as transformers 4.27 exports
// it: pre-norm layers, causal mask added to the scores, pooled output at the largest token id (end of text).
#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "workloads/zoo/layers.h"
#include "workloads/zoo/models.h"

namespace spillway::workloads::zoo {
namespace {

// The standard deviation of the initialisation of the published model's embeddings.
constexpr float kEmbeddingDeviation = 0.02F;

// -3.4028235e38 in float32 as the exporter writes it; the smallest half in float16.
float lowest(DataType type) { return type == DataType::kFloat16 ? -65504.0F : std::numeric_limits<float>::lowest(); }

Value embed(Builder& b, const TextConfig& config, const Value& ids) {
  const Builder::Scope scope(b, "embeddings");
  const std::int64_t sequence = ids.shape.at(1);
  const auto lookup = [&](const char* module, std::int64_t rows, const Value& indices) {
    const Builder::Scope inner(b, module);
    const Value table = b.weight("weight", {rows, config.width}, uniform(kEmbeddingDeviation));
    return b.node("Gather", {table, indices}, {indices.shape.at(0), sequence, config.width});
  };
  std::vector<std::int64_t> positions(static_cast<std::size_t>(sequence));
  std::iota(positions.begin(), positions.end(), 0);
  const Value tokens = lookup("token_embedding", config.vocabulary, ids);
  const Value places = lookup("position_embedding", config.positions,
                              b.index_initializer("text_model.embeddings.position_ids", {1, sequence}, positions));
  return b.node("Add", {tokens, places}, tokens.shape);
}

// [N, 1, T, T]: the lowest number above the diagonal, zero elsewhere.
Value causal_mask(Builder& b, std::int64_t n, std::int64_t sequence) {
  const Shape shape{n, sequence, sequence};
  const std::vector<float> full(static_cast<std::size_t>(elements_of(shape)), lowest(b.float_type()));
  const Value diagonal = b.integer(1);
  const Value square = b.floats(shape, full, b.float_type());
  const Value triangle = b.node("Trilu", {square, diagonal}, shape, {{"upper", std::int64_t{1}}});
  return b.cast(b.node("Unsqueeze", {triangle, b.ints({1})}, {n, 1, sequence, sequence}), b.float_type());
}

Value self_attention(Builder& b, const TextConfig& config, const Value& x, const Value& mask) {
  const Builder::Scope scope(b, "self_attn");
  const std::int64_t n = x.shape.at(0);
  const std::int64_t tokens = x.shape.at(1);
  const LinearSpec projection{.width = config.width};
  const Value q_rows = linear(b, "q_proj", x, projection);
  const std::int64_t depth = config.width / config.heads;
  const float scale = 1.0F / std::sqrt(static_cast<float>(depth));
  const Value q_scaled = b.node("Mul", {q_rows, b.number(scale)}, q_rows.shape);
  const Value k_rows = linear(b, "k_proj", x, projection);
  const Value v_rows = linear(b, "v_proj", x, projection);
  const Value q = heads_to_batch(b, q_scaled, config.heads);
  const Value k = heads_to_batch(b, k_rows, config.heads);
  const Value v = heads_to_batch(b, v_rows, config.heads);

  const Value product = scores(b, q, k);
  const Value by_head = b.reshape(product, {n, config.heads, tokens, tokens});
  const Value masked = b.node("Add", {by_head, mask}, by_head.shape);
  const Value logits = b.reshape(masked, product.shape);
  const Value weights = b.node("Softmax", {logits}, logits.shape, {{"axis", std::int64_t{-1}}});
  const Value mixed = heads_from_batch(b, b.node("MatMul", {weights, v}, q.shape), config.heads);
  return linear(b, "out_proj", mixed, {.width = config.width, .gain = kResidualGain});
}

Value feed_forward(Builder& b, const TextConfig& config, const Value& x) {
  const Builder::Scope scope(b, "mlp");
  Value h = linear(b, "fc1", x, {.width = config.mlp});
  if (config.activation == Activation::kQuickGelu) {
    h = quick_gelu(b, "activation_fn", h);
  } else {
    const Builder::Scope inner(b, "activation_fn");
    h = gelu(b, h);
  }
  return linear(b, "fc2", h, {.width = config.width, .gain = kResidualGain});
}

Value layer(Builder& b, const TextConfig& config, std::int64_t index, const Value& x, const Value& mask) {
  const Builder::Scope scope(b, fmt::format("encoder/layers.{}", index));
  const Value attended = self_attention(b, config, layer_norm(b, "layer_norm1", x), mask);
  const Value h = b.node("Add", {x, attended}, x.shape);
  return b.node("Add", {h, feed_forward(b, config, layer_norm(b, "layer_norm2", h))}, x.shape);
}

// hidden[i, argmax(ids[i])], indexed as the exporter writes it: over the flattened rows, with an offset per sample.
Value pooled_token(Builder& b, const Value& ids, const Value& hidden) {
  const std::int64_t n = hidden.shape.at(0);
  const std::int64_t tokens = hidden.shape.at(1);
  const std::int64_t width = hidden.shape.at(2);
  const Builder::Attributes first_axis{{"axis", std::int64_t{0}}};
  const Value last =
      b.node("ArgMax", {b.cast(ids, DataType::kInt32)}, {n}, DataType::kInt64,
             {{"axis", std::int64_t{-1}}, {"keepdims", std::int64_t{0}}, {"select_last_index", std::int64_t{0}}});
  const Value shape = b.node("Shape", {hidden}, {3}, DataType::kInt64);
  const Value rows = b.node("Gather", {shape, b.ints({1})}, {1}, first_axis);
  const Value columns = b.node("Gather", {shape, b.ints({2})}, {1}, first_axis);
  const Value flat = b.node("Flatten", {hidden}, {n * tokens, width}, {{"axis", std::int64_t{2}}});
  std::vector<std::int64_t> samples(static_cast<std::size_t>(n));
  std::iota(samples.begin(), samples.end(), 0);
  const Value offsets = b.node("Mul", {b.ints(samples), rows}, {n});
  const Value indices = b.node("Add", {last, offsets}, {n});
  const Value picked = b.node("Gather", {flat, indices}, {n, width}, first_axis);
  const Value count = b.node("Shape", {indices}, {1}, DataType::kInt64);
  const Value any_rows = b.node("Concat", {b.ints({-1}), columns}, {2}, first_axis);
  const Value matrix = b.reshape(picked, any_rows, {n, width});
  return b.reshape(matrix, b.node("Concat", {count, columns}, {2}, first_axis), {n, width});
}

}  // namespace

void build_text_encoder(Builder& b, const TextConfig& config, const Request& request) {
  const Value input = b.input("input_ids", {request.batch, request.sequence}, DataType::kInt32);
  Value pooled;
  Value penultimate;
  {
    const Builder::Scope scope(b, "text_model");
    const Value ids = b.reshape(input, {-1, request.sequence});
    Value h = embed(b, config, ids);
    const Value mask = causal_mask(b, request.batch, request.sequence);
    for (std::int64_t i = 0; i < config.layers; ++i) {
      if (i == config.layers - 1) penultimate = h;
      h = layer(b, config, i, h, mask);
    }
    h = b.output(layer_norm(b, "final_layer_norm", h), "last_hidden_state");
    pooled = pooled_token(b, ids, h);
  }
  if (config.projection > 0) {
    pooled = linear(b, "text_projection", pooled, {.width = config.projection, .bias = false});
    b.output(pooled, "text_embeds");
  } else {
    b.output(pooled, "pooler_output");
  }
  // transformers counts the embeddings as hidden state 0.
  if (config.penultimate) b.output(penultimate, fmt::format("hidden_states.{}", config.layers - 1));
}

}  // namespace spillway::workloads::zoo
