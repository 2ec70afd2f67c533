#include "workloads/zoo/configurations.h"

namespace spillway::workloads::zoo {
namespace {

// In the U-Nets' config.json of SD 1.x and 2.x, "attention_head_dim" is the number of heads (diffusers kept the wrong
// name for compatibility). The last level of SD 1.x and 2.x has no attention of its own (DownBlock2D, UpBlock2D).

// openai/clip-vit-large-patch14, text_config; runwayml/stable-diffusion-v1-5, text_encoder/config.json.
TextConfig clip_vit_l(bool penultimate) {
  return {.graph = "text_encoder",
          .width = 768,
          .layers = 12,
          .heads = 12,
          .mlp = 3072,
          .activation = Activation::kQuickGelu,
          .penultimate = penultimate};
}

// block_out_channels, layers_per_block, norm_num_groups are the same in all three (vae/config.json); SDXL's differs in
// its weights and scaling factor only.
VaeConfig kl_f8() { return {.channels = {128, 256, 512, 512}}; }

ModelConfig sd15() {
  return {.name = "sd15",
          .source = "runwayml/stable-diffusion-v1-5 (Rombach et al., CVPR 2022), config.json of each part",
          .image = 512,
          .text = {clip_vit_l(false)},
          .unet = UnetConfig{.levels = {{.channels = 320, .heads = 8},
                                        {.channels = 640, .heads = 8},
                                        {.channels = 1280, .heads = 8},
                                        {.channels = 1280, .heads = 8, .attention = false}},
                             .context_width = 768},
          .vae = kl_f8()};
}

ModelConfig sd21() {
  // 512x512 is stable-diffusion-2-1-base; stable-diffusion-2-1 is the same network at 768x768. The text encoder is
  // OpenCLIP ViT-H/14 without its last layer.
  return {.name = "sd21",
          .source = "stabilityai/stable-diffusion-2-1-base, config.json of each part",
          .image = 512,
          .text = {{.graph = "text_encoder",
                    .width = 1024,
                    .layers = 23,
                    .heads = 16,
                    .mlp = 4096,
                    .activation = Activation::kGelu}},
          .unet = UnetConfig{.levels = {{.channels = 320, .heads = 5},
                                        {.channels = 640, .heads = 10},
                                        {.channels = 1280, .heads = 20},
                                        {.channels = 1280, .heads = 20, .attention = false}},
                             .context_width = 1024,
                             .linear_projection = true},
          .vae = kl_f8()};
}

ModelConfig sdxl() {
  // The second text encoder is OpenCLIP ViT-bigG/14. projection_class_embeddings_input_dim 2816 = 1280 + 6 * 256.
  return {.name = "sdxl",
          .source = "stabilityai/stable-diffusion-xl-base-1.0 (Podell et al., 2023), config.json of each part",
          .image = 1024,
          .text = {clip_vit_l(true),
                   {.graph = "text_encoder_2",
                    .width = 1280,
                    .layers = 32,
                    .heads = 20,
                    .mlp = 5120,
                    .activation = Activation::kGelu,
                    .projection = 1280,
                    .penultimate = true}},
          .unet = UnetConfig{.levels = {{.channels = 320, .heads = 5, .attention = false},
                                        {.channels = 640, .heads = 10, .transformers = 2},
                                        {.channels = 1280, .heads = 20, .transformers = 10}},
                             .context_width = 2048,
                             .linear_projection = true,
                             .pooled_width = 1280,
                             .size_embedding = 256},
          .vae = kl_f8()};
}

ModelConfig sd_tiny() {
  // Not published: the structure of SD 1.x with every dimension small, for tests that compute.
  return {.name = "sd-tiny",
          .source = "the structure of Stable Diffusion 1.x at test size",
          .image = 64,
          .text = {{.graph = "text_encoder", .vocabulary = 1000, .width = 32, .layers = 2, .heads = 4, .mlp = 64}},
          .unet = UnetConfig{.levels = {{.channels = 16, .heads = 2}, {.channels = 32, .heads = 4, .attention = false}},
                             .layers = 1,
                             .context_width = 32,
                             .groups = 8},
          .vae = VaeConfig{.channels = {16, 32, 32}, .layers = 1, .groups = 8}};
}

ModelConfig resnet50() {
  return {.name = "resnet50",
          .source = "torchvision.models.resnet50 (He et al., CVPR 2016; stride in the 3x3 convolution)",
          .image = 224,
          .image_step = 32,
          .classifier = ResnetConfig{.blocks = {3, 4, 6, 3}}};
}

}  // namespace

const std::vector<ModelConfig>& configurations() {
  static const std::vector<ModelConfig> models{sd15(), sd21(), sdxl(), sd_tiny(), resnet50()};
  return models;
}

}  // namespace spillway::workloads::zoo
