#include "workloads/exact_grid.h"

#include <algorithm>
#include <cmath>

namespace spillway::workloads {

bool on_grid(std::span<const float> values, float step) {
  // A value and the largest of them were rounded once each, and the step is a quotient: three halves of 2^-23 of up to
  // 128 steps.
  constexpr float kTolerance = static_cast<float>(kMostGridSteps) / static_cast<float>(1 << 21);
  return std::all_of(values.begin(), values.end(), [&](float v) {
    const float steps = v / step;
    return std::fabs(steps - std::nearbyint(steps)) <= kTolerance;  // false for NaN
  });
}

std::optional<float> grid_step(std::span<const float> values) {
  float low = 0;
  float high = 0;
  for (const float v : values) {
    low = std::min(low, v);
    high = std::max(high, v);
  }
  const float most = std::max(-low, high);
  if (most == 0 || !std::isfinite(most)) return std::nullopt;
  for (int steps = 1; steps <= kMostGridSteps; ++steps) {
    const float step = most / static_cast<float>(steps);
    if (std::nearbyint(high / step) >= kMostGridSteps) break;
    if (std::isnormal(step) && on_grid(values, step)) return step;
  }
  return std::nullopt;
}

}  // namespace spillway::workloads
