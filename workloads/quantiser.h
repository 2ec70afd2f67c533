// Integers that stand for real numbers: value = (q - zero_point) * scale, as ONNX's QuantizeLinear (operator set 13)
// has it: round to nearest, ties to even, then saturate.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace spillway::workloads {

/// What a tensor's values lie between; holds zero, which padding and ReLU need exactly.
struct Range {
  float low = 0, high = 0;
  bool operator==(const Range&) const = default;
};

struct Quantiser {
  float scale = 1;
  std::int32_t zero_point = 0;
  std::int32_t low = -128, high = 127;

  [[nodiscard]] std::int32_t encode(float value) const {
    if (std::isnan(value)) return zero_point;
    const float q = std::nearbyint(value / scale) + static_cast<float>(zero_point);
    return static_cast<std::int32_t>(std::clamp(q, static_cast<float>(low), static_cast<float>(high)));
  }
  [[nodiscard]] float decode(std::int32_t q) const { return static_cast<float>(q - zero_point) * scale; }
  bool operator==(const Quantiser&) const = default;
};

/// Zero is zero: the larger end of the range decides, and the lowest integer is not used (-127 to 127 of 8 bits), so
/// that a product of two weights never meets -128 * -128. `bits` is 8 or 16.
[[nodiscard]] Quantiser symmetric_quantiser(Range range, int bits);
/// All integers are used, from the lowest for `range.low` on; zero lies on one of them.
[[nodiscard]] Quantiser asymmetric_quantiser(Range range, int bits);

}  // namespace spillway::workloads
