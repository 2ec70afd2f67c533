// Are the zoo's sizes the published ones? Totals are derived here from the published configurations, layer by layer on
// paper as it were, and compared with the published totals and with what the importer counts in the zoo's ONNX.
#include <catch2/catch.hpp>
#include <cstdint>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <vector>

#include "workloads/workloads.h"

namespace {

using namespace spillway::workloads;

struct Totals {
  std::int64_t parameters = 0;
  std::int64_t macs = 0;
  bool operator==(const Totals&) const = default;
};
Totals operator+(Totals a, Totals b) { return {a.parameters + b.parameters, a.macs + b.macs}; }
Totals operator*(std::int64_t n, Totals a) { return {n * a.parameters, n * a.macs}; }
Totals& operator+=(Totals& a, Totals b) { return a = a + b; }
std::ostream& operator<<(std::ostream& out, Totals t) {
  return out << t.parameters << " parameters " << t.macs << " MACs";
}

// A k x k convolution with bias that produces `pixels` positions; a Linear is k = 1.
Totals conv(std::int64_t in, std::int64_t out, std::int64_t k, std::int64_t pixels) {
  return {k * k * in * out + out, k * k * in * out * pixels};
}
Totals linear(std::int64_t in, std::int64_t out, std::int64_t rows) { return conv(in, out, 1, rows); }
Totals unbiased(std::int64_t in, std::int64_t out, std::int64_t rows) { return {in * out, in * out * rows}; }
Totals norm(std::int64_t channels) { return {2 * channels, 0}; }

// time = 0: no time embedding (VAE). `n` samples of `pixels` positions each.
Totals resnet(std::int64_t in, std::int64_t out, std::int64_t time, std::int64_t n, std::int64_t pixels) {
  Totals t = norm(in) + conv(in, out, 3, n * pixels) + norm(out) + conv(out, out, 3, n * pixels);
  if (time > 0) t += linear(time, out, n);
  if (in != out) t += conv(in, out, 1, n * pixels);
  return t;
}

struct TextShape {
  std::int64_t width, layers, mlp, projection;
};

Totals text_encoder(const TextShape& s) {
  constexpr std::int64_t kTokens = 77;
  const Totals embeddings{(49408 + 77) * s.width, 0};
  const Totals products{0, 2 * kTokens * kTokens * s.width};  // scores and weighted sum, over all heads
  const Totals layer = 2 * norm(s.width) + 4 * linear(s.width, s.width, kTokens) + products +
                       linear(s.width, s.mlp, kTokens) + linear(s.mlp, s.width, kTokens);
  return embeddings + s.layers * layer + norm(s.width) + unbiased(s.width, s.projection, 1);
}

// One attention module: group norm, projection in, `depth` blocks of self-attention, cross-attention and gated
// feed-forward, projection out.
Totals transformer(std::int64_t width, std::int64_t context, std::int64_t depth, std::int64_t n, std::int64_t tokens) {
  constexpr std::int64_t kWords = 77;
  const std::int64_t rows = n * tokens;
  const Totals self =
      3 * unbiased(width, width, rows) + linear(width, width, rows) + Totals{0, 2 * n * tokens * tokens * width};
  const Totals cross = unbiased(width, width, rows) + 2 * unbiased(context, width, n * kWords) +
                       linear(width, width, rows) + Totals{0, 2 * n * tokens * kWords * width};
  const Totals feed = linear(width, 8 * width, rows) + linear(4 * width, width, rows);
  return norm(width) + 2 * linear(width, width, rows) + depth * (3 * norm(width) + self + cross + feed);
}

struct UnetShape {
  std::vector<std::int64_t> channels;
  std::vector<std::int64_t> depth;  // transformer blocks per module on each level; 0: no attention
  std::int64_t middle_depth, context, added;
};

Totals unet(const UnetShape& s, std::int64_t n, std::int64_t side) {
  const std::size_t levels = s.channels.size();
  const std::int64_t time = 4 * s.channels[0];
  const auto pixels = [&](std::size_t level) { return (side >> level) * (side >> level); };
  const auto attention = [&](std::size_t level, std::int64_t depth) {
    return depth == 0 ? Totals{} : transformer(s.channels[level], s.context, depth, n, pixels(level));
  };

  Totals t = linear(s.channels[0], time, n) + linear(time, time, n);
  if (s.added > 0) t += linear(s.added, time, n) + linear(time, time, n);
  t += conv(4, s.channels[0], 3, n * pixels(0));
  std::vector<std::int64_t> skips{s.channels[0]};
  std::int64_t in = s.channels[0];
  for (std::size_t i = 0; i < levels; ++i) {
    const auto c = s.channels[i];
    t += resnet(in, c, time, n, pixels(i)) + resnet(c, c, time, n, pixels(i)) + 2 * attention(i, s.depth[i]);
    skips.insert(skips.end(), 2, c);
    if (i + 1 < levels) {
      t += conv(c, c, 3, n * pixels(i + 1));
      skips.push_back(c);
    }
    in = c;
  }
  t += 2 * resnet(in, in, time, n, pixels(levels - 1)) + attention(levels - 1, s.middle_depth);
  for (std::size_t i = levels; i-- > 0;) {
    const auto c = s.channels[i];
    for (int j = 0; j < 3; ++j) {
      t += resnet(in + skips.back(), c, time, n, pixels(i)) + attention(i, s.depth[i]);
      skips.pop_back();
      in = c;
    }
    if (i > 0) t += conv(c, c, 3, n * pixels(i - 1));
  }
  return t + norm(in) + conv(in, 4, 3, n * pixels(0));
}

// Channels 128, 256, 512, 512; `side` is the latent's.
Totals vae_middle(std::int64_t side) {
  const std::int64_t pixels = side * side;
  return 2 * resnet(512, 512, 0, 1, pixels) + norm(512) + 4 * linear(512, 512, pixels) +
         Totals{0, 2 * pixels * pixels * 512};
}

Totals vae_encoder(std::int64_t side) {
  const auto pixels = [&](int level) { return (8 * side >> level) * (8 * side >> level); };
  Totals t =
      conv(3, 128, 3, pixels(0)) + vae_middle(side) + norm(512) + conv(512, 8, 3, pixels(3)) + conv(8, 8, 1, pixels(3));
  const std::int64_t channels[] = {128, 128, 256, 512, 512};
  for (int i = 0; i < 4; ++i) {
    t += resnet(channels[i], channels[i + 1], 0, 1, pixels(i)) +
         resnet(channels[i + 1], channels[i + 1], 0, 1, pixels(i));
    if (i < 3) t += conv(channels[i + 1], channels[i + 1], 3, pixels(i + 1));
  }
  return t;
}

Totals vae_decoder(std::int64_t side) {
  const auto pixels = [&](int level) { return (side << level) * (side << level); };
  Totals t =
      conv(4, 4, 1, pixels(0)) + conv(4, 512, 3, pixels(0)) + vae_middle(side) + norm(128) + conv(128, 3, 3, pixels(3));
  const std::int64_t channels[] = {512, 512, 512, 256, 128};
  for (int i = 0; i < 4; ++i) {
    t += resnet(channels[i], channels[i + 1], 0, 1, pixels(i)) +
         2 * resnet(channels[i + 1], channels[i + 1], 0, 1, pixels(i));
    if (i < 3) t += conv(channels[i + 1], channels[i + 1], 3, pixels(i + 1));
  }
  return t;
}

const TextShape kClipL{768, 12, 3072, 0};
const TextShape kOpenClipH{1024, 23, 4096, 0};
const TextShape kOpenClipG{1280, 32, 5120, 1280};
const UnetShape kUnet15{{320, 640, 1280, 1280}, {1, 1, 1, 0}, 1, 768, 0};
const UnetShape kUnet21{{320, 640, 1280, 1280}, {1, 1, 1, 0}, 1, 1024, 0};
const UnetShape kUnetXl{{320, 640, 1280}, {0, 2, 10}, 10, 2048, 2816};

Totals in_zoo(const std::string& model, const std::string& graph, const ZooOptions& options = {}) {
  const auto statistics = statistics_of(zoo_graph(model, graph, options));
  return {statistics.parameters, statistics.macs_total};
}

}  // namespace

TEST_CASE("closed formulas give the published totals", "[zoo][figures]") {
  CHECK(text_encoder(kClipL) == Totals{123'060'480, 6'649'251'840});
  CHECK(unet(kUnet15, 2, 64) == Totals{859'520'964, 803'273'441'280});
  CHECK(unet(kUnet21, 2, 64) == Totals{865'910'724, 804'257'464'320});
  CHECK(vae_encoder(64) == Totals{34'163'664, 558'329'233'408});
  CHECK(vae_decoder(64) == Totals{49'490'199, 1'257'259'466'752});
  CHECK(text_encoder(kOpenClipH).parameters == 340'387'840);
  CHECK(text_encoder(kOpenClipG).parameters == 694'659'840);
  CHECK(unet(kUnetXl, 2, 128).parameters == 2'567'463'684);
}

TEST_CASE("sd15 has the published parameters and MACs", "[zoo][figures]") {
  CHECK(in_zoo("sd15", "text_encoder") == Totals{123'060'480, 6'649'251'840});
  CHECK(in_zoo("sd15", "unet") == Totals{859'520'964, 803'273'441'280});
  CHECK(in_zoo("sd15", "vae_encoder") == Totals{34'163'664, 558'329'233'408});
  CHECK(in_zoo("sd15", "vae_decoder") == Totals{49'490'199, 1'257'259'466'752});
}

TEST_CASE("sd21 has the published parameters and MACs, at both sizes", "[zoo][figures]") {
  CHECK(in_zoo("sd21", "text_encoder") == text_encoder(kOpenClipH));
  CHECK(in_zoo("sd21", "unet") == Totals{865'910'724, 804'257'464'320});
  CHECK(in_zoo("sd21", "unet", {.image = 768}) == unet(kUnet21, 2, 96));
  CHECK(in_zoo("sd21", "unet", {.batch = 1}) == unet(kUnet21, 1, 64));
  CHECK(in_zoo("sd21", "vae_encoder", {.image = 768}) == vae_encoder(96));
  CHECK(in_zoo("sd21", "vae_decoder", {.image = 768}) == vae_decoder(96));
}

TEST_CASE("sdxl has the published parameters and the MACs of its configuration", "[zoo][figures]") {
  CHECK(in_zoo("sdxl", "text_encoder") == text_encoder(kClipL));
  CHECK(in_zoo("sdxl", "text_encoder_2") == text_encoder(kOpenClipG));
  CHECK(in_zoo("sdxl", "unet") == unet(kUnetXl, 2, 128));
  CHECK(in_zoo("sdxl", "vae_encoder") == vae_encoder(128));
  CHECK(in_zoo("sdxl", "vae_decoder") == vae_decoder(128));
}

TEST_CASE("resnet50 has the published parameters and MACs", "[zoo][figures]") {
  // Bottleneck after bottleneck: 1x1, 3x3 (with the stride), 1x1, and the shortcut's 1x1 where the shape changes.
  Totals t = conv(3, 64, 7, 112 * 112);
  std::int64_t channels = 64, normalised = channels;
  const std::int64_t blocks[] = {3, 4, 6, 3};
  for (int stage = 0; stage < 4; ++stage) {
    const std::int64_t width = std::int64_t{64} << stage, side = 56 >> stage;
    for (int j = 0; j < blocks[stage]; ++j) {
      const std::int64_t before = stage > 0 && j == 0 ? 2 * side : side;
      t += conv(channels, width, 1, before * before) + conv(width, width, 3, side * side) +
           conv(width, 4 * width, 1, side * side);
      normalised += 6 * width;
      if (j == 0) {
        t += conv(channels, 4 * width, 1, side * side);
        normalised += 4 * width;
      }
      channels = 4 * width;
    }
  }
  t += linear(channels, 1000, 1);
  // Published (torchvision): 25,557,032 parameters, 4.089 G multiply-accumulates. Folding leaves one of a batch
  // normalisation's two parameters a channel.
  CHECK(t.parameters + normalised == 25'557'032);
  CHECK(t.macs == 4'089'184'256);
  CHECK(in_zoo("resnet50", "classifier") == t);
}

TEST_CASE("the largest activations are the published ones", "[zoo][figures]") {
  const auto largest = [](const std::string& model, const std::string& graph) {
    return statistics_of(zoo_graph(model, graph)).largest.front();
  };
  // Self-attention scores at 64x64: heads x batch folded, 4096 x 4096.
  CHECK(largest("sd15", "unet").shape == Shape{16, 4096, 4096});
  CHECK(largest("sd21", "unet").shape == Shape{10, 4096, 4096});
  CHECK(largest("sd21", "unet").elements == 160 << 20);
  CHECK(largest("sd15", "vae_encoder").shape == Shape{1, 128, 513, 513});
  CHECK(largest("sd15", "vae_decoder").shape == Shape{1, 256, 512, 512});
  CHECK(largest("sd15", "text_encoder").shape == Shape{1, 77, 3072});
  const auto encoder = zoo_graph("sd15", "vae_encoder");
  CHECK(encoder.tensors[encoder.find_tensor("/encoder/conv_in/Conv_output_0")].elements() == 32 << 20);
}

TEST_CASE("sd15's operators are those of the real exports", "[zoo][figures]") {
  const auto check = [](const std::string& graph, const std::string& file) {
    std::ifstream in(std::string(SPILLWAY_SOURCE_DIR) + "/../shared/exports/" + file);
    if (!in) {
      WARN("skipped: ../shared/exports/" << file << " is absent");
      return;
    }
    const auto expected = nlohmann::json::parse(in);
    const auto found = statistics_of(zoo_graph("sd15", graph));
    INFO(graph);
    CHECK(found.parameters == expected["params_total"].get<std::int64_t>());
    for (const auto& [kind, macs] : expected["macs_detail"].items()) {
      INFO(kind);
      CHECK(found.macs.at(kind) == macs.get<std::int64_t>());
    }
    CHECK(found.nodes == expected["nodes"].get<std::int64_t>());
    CHECK(found.ops == expected["ops"].get<std::map<std::string, std::int64_t>>());
    CHECK(found.output_elements == expected["out_elements_by_op"].get<std::map<std::string, std::int64_t>>());
  };
  check("text_encoder", "sd15_text_encoder.json");
  check("unet", "sd15_unet.json");
  check("vae_encoder", "sd15_vae_encoder_mode.json");
  check("vae_decoder", "sd15_vae_decoder.json");
}
