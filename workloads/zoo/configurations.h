// What the zoo holds: the published configurations, as data.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace spillway::workloads::zoo {

enum class Activation : std::uint8_t { kQuickGelu, kGelu };

/// CLIP's text transformer (transformers: CLIPTextModel, CLIPTextModelWithProjection).
struct TextConfig {
  std::string graph;  ///< "text_encoder" or "text_encoder_2"
  std::int64_t vocabulary = 49408;
  std::int64_t positions = 77;
  std::int64_t width = 768;
  std::int64_t layers = 12;
  std::int64_t heads = 12;
  std::int64_t mlp = 3072;
  Activation activation = Activation::kQuickGelu;
  std::int64_t projection = 0;  ///< width of text_embeds; 0: the pooled token is not projected
  bool penultimate = false;     ///< the second-last hidden state is an output (it is what SDXL's U-Net reads)
};

/// One resolution of the U-Net.
struct UnetLevel {
  std::int64_t channels = 0;
  std::int64_t heads = 0;
  std::int64_t transformers = 1;  ///< transformer blocks in each attention module
  bool attention = true;          ///< the middle block has attention whatever its level says here
};

/// diffusers: UNet2DConditionModel.
struct UnetConfig {
  std::vector<UnetLevel> levels;
  std::int64_t layers = 2;         ///< ResNets per level going down; one more going up
  std::int64_t context_width = 0;  ///< cross-attention input
  bool linear_projection = false;  ///< attention modules project by Linear, not by 1x1 convolution
  std::int64_t latent_channels = 4;
  std::int64_t groups = 32;
  std::int64_t pooled_width = 0;    ///< SDXL: text_embeds joined to the time embedding; 0: none
  std::int64_t size_embedding = 0;  ///< SDXL: width of the sinusoids of each of the six time_ids
};

/// diffusers: AutoencoderKL.
struct VaeConfig {
  std::vector<std::int64_t> channels;
  std::int64_t layers = 2;  ///< ResNets per level in the encoder; one more in the decoder
  std::int64_t latent_channels = 4;
  std::int64_t groups = 32;
  /// Pixels per latent element.
  [[nodiscard]] std::int64_t scale() const { return std::int64_t{1} << (channels.size() - 1); }
};

/// torchvision: ResNet of bottlenecks.
struct ResnetConfig {
  std::vector<std::int64_t> blocks;  ///< by stage
  std::int64_t width = 64;           ///< channels inside the first stage's bottlenecks; each stage has twice as many
  std::int64_t classes = 1000;
};

/// Has the parts that its graphs are built from, and no others.
struct ModelConfig {
  std::string name;
  std::string source;
  std::int64_t image = 512;
  std::int64_t image_step = 64;  ///< what a side must be a multiple of: at least as often as it is halved
  std::vector<TextConfig> text{};
  std::optional<UnetConfig> unet{};
  std::optional<VaeConfig> vae{};
  std::optional<ResnetConfig> classifier{};
};

/// In the order of zoo_models().
[[nodiscard]] const std::vector<ModelConfig>& configurations();

}  // namespace spillway::workloads::zoo
