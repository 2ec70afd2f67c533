// One builder per part of a Stable Diffusion pipeline, and one for classifiers. Sizes are checked by the caller
// (zoo.cpp).
#pragma once

#include <cstdint>

#include "workloads/zoo/builder.h"
#include "workloads/zoo/configurations.h"

namespace spillway::workloads::zoo {

/// What the graph is built for: every field set.
struct Request {
  std::int64_t batch = 1;
  std::int64_t image = 512;  ///< pixels per side
  std::int64_t sequence = 77;
};

/// input_ids int32 [N, T] -> (text_embeds,) last_hidden_state, (pooler_output,) (hidden_states.K).
void build_text_encoder(Builder& b, const TextConfig& config, const Request& request);

/// sample [N, 4, h, w], timestep float32 [N], encoder_hidden_states [N, T, C], (text_embeds, time_ids [N, 6]) ->
/// out_sample; h = w = image / scale.
void build_unet(Builder& b, const UnetConfig& config, const Request& request, std::int64_t scale);

/// sample [N, 3, H, W] -> latent_sample: the mode of the posterior, so deterministic.
void build_vae_encoder(Builder& b, const VaeConfig& config, const Request& request);

/// latent_sample -> sample [N, 3, H, W].
void build_vae_decoder(Builder& b, const VaeConfig& config, const Request& request);

/// input [N, 3, H, W] -> output [N, classes], not normalised.
void build_classifier(Builder& b, const ResnetConfig& config, const Request& request);

}  // namespace spillway::workloads::zoo
