// Bit patterns of the narrow float formats to and from float: IEEE 754-2019 binary16, bfloat16, and the two of 8 bits
// (OCP 8-bit Floating Point Specification 1.0: E4M3 without infinities, E5M2 as IEEE formats are).
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "workloads/graph.h"

namespace spillway::workloads {

[[nodiscard]] inline float float_from_half(std::uint16_t bits) {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000U) << 16;
  const std::uint32_t exponent = (bits >> 10) & 0x1FU;
  const std::uint32_t mantissa = bits & 0x3FFU;
  if (exponent == 0x1F) return std::bit_cast<float>(sign | 0x7F800000U | (mantissa << 13));
  if (exponent == 0) {  // zero or subnormal: mantissa * 2^-24, exact in float
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24F;
    return sign != 0 ? -magnitude : magnitude;
  }
  return std::bit_cast<float>(sign | ((exponent + 112U) << 23) | (mantissa << 13));
}

/// Round to nearest, ties to even; overflow gives infinity, NaN stays NaN.
[[nodiscard]] inline std::uint16_t half_from_float(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000U);
  const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
  if (magnitude > 0x7F800000U) return static_cast<std::uint16_t>(sign | 0x7E00U);
  if (magnitude >= 0x477FF000U) return static_cast<std::uint16_t>(sign | 0x7C00U);  // 65520 and above
  if (magnitude < 0x38800000U) {  // below 2^-14: adding 0.5 leaves the rounded multiple of 2^-24 in the low bits
    const float shifted = std::bit_cast<float>(magnitude) + 0.5F;
    return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3F000000U));
  }
  const std::uint32_t even = (magnitude >> 13) & 1U;
  return static_cast<std::uint16_t>(sign | ((magnitude - 0x38000000U + 0xFFFU + even) >> 13));
}

[[nodiscard]] inline float float_from_bfloat16(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

/// Round to nearest, ties to even; NaN stays NaN.
[[nodiscard]] inline std::uint16_t bfloat16_from_float(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7FFFFFFFU) > 0x7F800000U) return static_cast<std::uint16_t>((bits >> 16) | 0x40U);
  return static_cast<std::uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
}

/// A format of 8 bits: one of sign, then exponent, then mantissa.
struct Float8 {
  int mantissa_bits = 0;
  int bias = 0;
  std::uint8_t largest = 0;  ///< bit pattern of the largest finite value
  bool infinities = false;
};
inline constexpr Float8 kE4M3{.mantissa_bits = 3, .bias = 7, .largest = 0x7E, .infinities = false};  // 448
inline constexpr Float8 kE5M2{.mantissa_bits = 2, .bias = 15, .largest = 0x7B, .infinities = true};  // 57344

[[nodiscard]] inline float float_from_float8(Float8 format, std::uint8_t bits) {
  const int magnitude = bits & 0x7F;
  float value = 0;
  if (magnitude > format.largest) {
    const bool infinity = format.infinities && magnitude == format.largest + 1;
    value = infinity ? std::numeric_limits<float>::infinity() : std::numeric_limits<float>::quiet_NaN();
  } else {
    const int exponent = magnitude >> format.mantissa_bits;
    const int mantissa = magnitude & ((1 << format.mantissa_bits) - 1);
    const int implicit = exponent == 0 ? 0 : 1 << format.mantissa_bits;
    value = std::ldexp(static_cast<float>(implicit + mantissa),
                       (exponent == 0 ? 1 : exponent) - format.bias - format.mantissa_bits);
  }
  return (bits & 0x80) != 0 ? -value : value;
}

/// Round to nearest, ties to even. What is beyond the largest finite value saturates to it, infinities included (the
/// specification's saturating mode, ONNX's Cast with saturate = 1); NaN stays NaN.
[[nodiscard]] inline std::uint8_t float8_from_float(Float8 format, float value) {
  const int sign = std::signbit(value) ? 0x80 : 0;
  if (std::isnan(value)) return static_cast<std::uint8_t>(sign | 0x7F);
  const float magnitude = std::fabs(value);
  const int smallest = 1 - format.bias;  // exponent of the smallest normal number
  if (magnitude >= float_from_float8(format, format.largest)) return static_cast<std::uint8_t>(sign | format.largest);
  int exponent = magnitude == 0 ? smallest : std::max(smallest, std::ilogb(magnitude));
  // In units of the last place, which rounding may carry into the next exponent: the pattern still counts on.
  const auto units = static_cast<int>(std::nearbyint(std::ldexp(magnitude, format.mantissa_bits - exponent)));
  const int pattern = ((exponent - smallest) << format.mantissa_bits) + units;
  return static_cast<std::uint8_t>(sign | std::min<int>(pattern, format.largest));
}

/// What a tensor of a float type would hold after `value` was stored in it.
[[nodiscard]] inline float as_stored(DataType type, float value) {
  switch (type) {
    case DataType::kFloat16:
      return float_from_half(half_from_float(value));
    case DataType::kBFloat16:
      return float_from_bfloat16(bfloat16_from_float(value));
    default:
      return value;
  }
}

}  // namespace spillway::workloads
