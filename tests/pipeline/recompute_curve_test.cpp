// The curve of moves against extra operations: its ends and its direction.
#include "partitioner/recompute_curve.h"

#include <catch2/catch.hpp>

#include "tests/pipeline/stages.h"

using namespace spillway;

TEST_CASE("more operations allowed never move more, and none allowed recompute nothing", "[pipeline][recompute]") {
  // Of images at 512 pixels there is something to gain: two of the encoder's shortcuts start from one tensor.
  const auto graph = test::zoo("sd15", "vae_encoder");
  const auto npu = test::npu_with("edge-8mb", 0);
  const auto curve = partitioner::recompute_curve(graph, npu, {.objective = partitioner::Objective::kMoves});
  REQUIRE(curve.size() > 2);
  CHECK(curve.front().limit == 0);
  CHECK(curve.front().recomputed == 0);
  const auto once = static_cast<double>(curve.front().macs);
  for (std::size_t i = 0; i < curve.size(); ++i) {
    INFO("limit " << curve[i].limit);
    // Tiles that overlap add to what the limit is about, by under 1 % here.
    CHECK(static_cast<double>(curve[i].macs) <= (1 + curve[i].limit + 0.01) * once);
    if (i == 0) continue;
    CHECK(curve[i].limit > curve[i - 1].limit);
    CHECK(curve[i].moves.total() <= curve[i - 1].moves.total());
  }
  CHECK(curve.back().moves.total() < curve.front().moves.total());
  CHECK(curve.back().recomputed > 0);
}

TEST_CASE("no curve where nothing fits", "[pipeline][recompute]") {
  CHECK(partitioner::recompute_curve(test::zoo("sd-tiny", "unet"), test::npu_with("edge-8mb", 512), {}).empty());
}
