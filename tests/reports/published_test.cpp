// Are published figures shown for the graph and setting they were published for, and nowhere else?
#include <catch2/catch.hpp>

#include "sample.h"

using namespace spillway;

namespace {

reports::GraphProfile decoder() {
  auto profile = test::sample_profile("anything");
  profile.statistics.parameters = 49490199;
  profile.statistics.macs_total = 1257259466752;
  profile.result.moves.read[static_cast<int>(partitioner::StorageClass::kActivation)] = 3000000000;
  profile.result.moves.written[static_cast<int>(partitioner::StorageClass::kActivation)] = 0;
  return profile;
}

}  // namespace

TEST_CASE("the VAE decoder at 8 MiB, int8, layer by layer has its published figure beside it", "[reports][published]") {
  const auto notes = reports::published_notes(decoder(), test::sample_npu());
  REQUIRE_FALSE(notes.empty());
  // (3.0 - 3.6) / 3.6
  CHECK(notes[0] == "activation moves: ours 3.000 GB, published 3.600 GB (-16.7 %)");
}

TEST_CASE("no published figure for another setting or graph", "[reports][published]") {
  auto npu = test::sample_npu();
  CHECK(reports::published_notes(test::sample_profile("sd15/vae_decoder"), npu).empty());
  auto fused = decoder();
  fused.plan.strategy = partitioner::Strategy::kFused;
  CHECK(reports::published_notes(fused, npu).empty());
  npu.precision.activation = configs::Format::kFp16;
  CHECK(reports::published_notes(decoder(), npu).empty());
  npu = test::sample_npu();
  npu.scratchpad.size = 4 << 20;
  CHECK(reports::published_notes(decoder(), npu).empty());
}
