#include "workloads/quantiser.h"

#include <limits>

namespace spillway::workloads {

namespace {

/// Of a tensor that is zero throughout any scale will do; one below the normal numbers would lose its own digits.
float scale_of(float extent, float steps) {
  const float scale = extent / steps;
  return scale >= std::numeric_limits<float>::min() ? scale : 1.0F;
}

}  // namespace

Quantiser symmetric_quantiser(Range range, int bits) {
  Quantiser q;
  q.high = (1 << (bits - 1)) - 1;
  q.low = -q.high;
  q.scale = scale_of(std::max(std::fabs(range.low), std::fabs(range.high)), static_cast<float>(q.high));
  return q;
}

Quantiser asymmetric_quantiser(Range range, int bits) {
  Quantiser q;
  q.high = (1 << (bits - 1)) - 1;
  q.low = -q.high - 1;
  const float low = std::min(range.low, 0.0F);
  const float high = std::max(range.high, 0.0F);
  q.scale = scale_of(high - low, static_cast<float>(q.high - q.low));
  const float zero = std::nearbyint(static_cast<float>(q.low) - low / q.scale);
  q.zero_point = static_cast<std::int32_t>(std::clamp(zero, static_cast<float>(q.low), static_cast<float>(q.high)));
  return q;
}

}  // namespace spillway::workloads
