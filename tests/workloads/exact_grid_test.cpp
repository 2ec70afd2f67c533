// Grids that values already lie on, against grids that they were put on.
#include "workloads/exact_grid.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include "workloads/workloads.h"

namespace {

using namespace spillway::workloads;

/// Steps as a quantised export has them, times the scale, as DequantizeLinear computes it.
std::vector<float> dequantised(const std::vector<int>& steps, float scale) {
  std::vector<float> values;
  for (const int q : steps) values.push_back(static_cast<float>(q) * scale);
  return values;
}

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

}  // namespace

TEST_CASE("values that were dequantised lie on the grid they came from", "[exact_grid]") {
  for (const float scale : {0.0123F, 1e-6F, 3.7F, 0.0009765625F}) {
    std::vector<int> steps;
    for (int q = -128; q <= 127; q += 5) steps.push_back(q);
    steps.push_back(127);
    const auto step = grid_step(dequantised(steps, scale));
    REQUIRE(step);
    CHECK(std::fabs(*step / scale - 1) < 1e-6);
  }
}

TEST_CASE("a grid need not be used to its ends", "[exact_grid]") {
  const auto step = grid_step(dequantised({3, -7, 40, 11, 0}, 0.05F));
  REQUIRE(step);
  CHECK(std::fabs(*step / 0.05F - 1) < 1e-6);
}

TEST_CASE("of grids that hold all values it is the coarsest", "[exact_grid]") {
  const auto step = grid_step(dequantised({2, -4, 8, 100}, 0.5F));
  REQUIRE(step);
  CHECK(*step == 1.0F);
}

TEST_CASE("a grid reaches from -128 to 127 steps", "[exact_grid]") {
  CHECK(grid_step(dequantised({-128, 1}, 0.25F)).value_or(0) == 0.25F);
  CHECK(!grid_step(dequantised({128, 1}, 0.25F)));
  CHECK(!grid_step(dequantised({-129, 1}, 0.25F)));
}

TEST_CASE("weights that nobody rounded lie on no grid", "[exact_grid]") {
  const auto values = random_tensor(DataType::kFloat32, {64}, 11).floats();
  CHECK(!grid_step(values));
  CHECK(!on_grid(values, 0.01F));
}

TEST_CASE("zeros, NaN and infinity have no grid", "[exact_grid]") {
  CHECK(!grid_step({}));
  CHECK(!grid_step(std::vector<float>{0, 0}));
  CHECK(!grid_step(std::vector<float>{1, kNan}));
  CHECK(!grid_step(std::vector<float>{1, std::numeric_limits<float>::infinity()}));
  CHECK(!grid_step(std::vector<float>{std::numeric_limits<float>::denorm_min(), 0}));
}
