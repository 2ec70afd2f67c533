// Layer by layer, the VAE's activation moves have a closed form: a sum over primitives, worked out here from the
// published configuration (channels 128, 256, 512, 512; two ResNet blocks a level in the encoder, three in the decoder;
// one attention at 64x64x512), one byte an element. A tensor stays in the scratchpad only if it, the outputs of its
// consumers and the buffers fit 8 MiB: that holds for the 2 MiB tensors at 64x64, except around the 16 MiB scores of
// the attention and before the first upsampling.
#include <catch2/catch.hpp>

#include "tests/pipeline/stages.h"

namespace {

using namespace spillway;

constexpr std::int64_t kMiB = 1 << 20;

/// A ResNet block from `a` to `b` bytes: statistics read, normalisation with SiLU reads and writes, convolutions read
/// and write, a 1x1 shortcut where the width changes, an addition of two tensors.
std::int64_t resnet(std::int64_t a, std::int64_t b) {
  const std::int64_t first = a + 2 * a + (a + b);
  const std::int64_t second = b + 2 * b + 2 * b;
  const std::int64_t shortcut = a == b ? 0 : a + b;
  return first + second + shortcut + 3 * b;
}

/// The attention block of the middle: its input goes to DRAM and back three times (statistics, normalisation,
/// residual), queries, keys and values and the 4096 x 4096 scores too.
std::int64_t attention() {
  const std::int64_t x = 2 * kMiB;
  const std::int64_t scores = 16 * kMiB;
  return x                 // the block before it writes
         + x + x           // statistics, normalise (the result stays)
         + 3 * x           // q, k, v written
         + 2 * x + scores  // scaled product of q and k
         + 2 * scores      // softmax
         + scores + x      // product with v (the result stays)
         + x;              // residual read (the sum stays)
}

std::int64_t moves_of(const std::string& graph, partitioner::Strategy strategy) {
  auto s = test::stage(test::zoo("sd15", graph), test::npu_with("edge-8mb", 8 * kMiB), {.strategy = strategy});
  return s.plan.moves.of(partitioner::StorageClass::kActivation);
}

}  // namespace

TEST_CASE("VAE encoder, layer by layer at 8 MiB: the sum over its primitives", "[pipeline][closed-form]") {
  const std::int64_t image = 3 * 512 * 512;
  const std::int64_t l0 = 32 * kMiB;          // 512x512x128
  std::int64_t sum = image + l0;              // first convolution
  sum += 2 * resnet(l0, l0) + l0 + 8 * kMiB;  // downsample to 256x256x128
  sum += resnet(8 * kMiB, 16 * kMiB) + resnet(16 * kMiB, 16 * kMiB) + 16 * kMiB + 4 * kMiB;
  sum += resnet(4 * kMiB, 8 * kMiB) + resnet(8 * kMiB, 8 * kMiB) + 8 * kMiB;  // 64x64x512 stays
  sum += attention();
  sum += 4 * 64 * 64;  // the mode of the posterior
  CHECK(moves_of("vae_encoder", partitioner::Strategy::kLayerByLayer) == sum);
}

TEST_CASE("VAE decoder, layer by layer at 8 MiB: the sum over its primitives", "[pipeline][closed-form]") {
  const std::int64_t image = 3 * 512 * 512;
  std::int64_t sum = 4 * 64 * 64 + attention();
  sum += 2 * kMiB + 2 * kMiB;                                    // before the upsampling: 8 MiB do not fit beside it
  sum += 8 * kMiB + 16 * kMiB + 3 * resnet(8 * kMiB, 8 * kMiB);  // resize, convolution, 128x128x512
  sum += 8 * kMiB + 32 * kMiB + 64 * kMiB;                       // to 256x256x512
  sum += resnet(32 * kMiB, 16 * kMiB) + 2 * resnet(16 * kMiB, 16 * kMiB);
  sum += 16 * kMiB + 64 * kMiB + 128 * kMiB;  // to 512x512x256
  sum += resnet(64 * kMiB, 32 * kMiB) + 2 * resnet(32 * kMiB, 32 * kMiB);
  sum += 32 * kMiB + 64 * kMiB + 32 * kMiB + image;  // last normalisation and convolution
  CHECK(moves_of("vae_decoder", partitioner::Strategy::kLayerByLayer) == sum);
}

TEST_CASE("VAE, fused at 8 MiB: at most 0.8 and 1.6 GB of activations", "[pipeline]") {
  CHECK(moves_of("vae_encoder", partitioner::Strategy::kFused) <= 800'000'000);
  CHECK(moves_of("vae_decoder", partitioner::Strategy::kFused) <= 1'600'000'000);
}
