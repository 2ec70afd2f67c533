// Every bit pattern of the narrow float formats, against what the formats' definitions say of sign, exponent and
// mantissa; and every midpoint between neighbours, where rounding can go wrong.
#include "workloads/number_formats.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <functional>
#include <vector>

namespace {

using namespace spillway::workloads;

struct Format {
  const char* name;
  int exponent_bits, mantissa_bits;
  bool infinities;  ///< else only all ones is NaN
  bool saturates;
  std::function<float(std::uint32_t)> decode;
  std::function<std::uint32_t(float)> encode;

  [[nodiscard]] std::uint32_t sign_bit() const { return 1U << (exponent_bits + mantissa_bits); }
};

std::vector<Format> formats() {
  const auto of8 = [](const char* name, Float8 f, int exponent_bits) {
    return Format{name,
                  exponent_bits,
                  f.mantissa_bits,
                  f.infinities,
                  true,
                  [f](std::uint32_t b) { return float_from_float8(f, static_cast<std::uint8_t>(b)); },
                  [f](float v) { return std::uint32_t{float8_from_float(f, v)}; }};
  };
  return {
      {"fp16", 5, 10, true, false, [](std::uint32_t b) { return float_from_half(static_cast<std::uint16_t>(b)); },
       [](float v) { return std::uint32_t{half_from_float(v)}; }},
      {"bf16", 8, 7, true, false, [](std::uint32_t b) { return float_from_bfloat16(static_cast<std::uint16_t>(b)); },
       [](float v) { return std::uint32_t{bfloat16_from_float(v)}; }},
      of8("fp8e4m3", kE4M3, 4),
      of8("fp8e5m2", kE5M2, 5)};
}

/// The value of a pattern by the definition: (-1)^s 2^(e - bias) (1 + m / 2^M), subnormal where e = 0.
double defined(const Format& f, std::uint32_t bits) {
  const std::uint32_t exponents = (1U << f.exponent_bits) - 1;
  const std::uint32_t mantissas = (1U << f.mantissa_bits) - 1;
  const std::uint32_t e = (bits >> f.mantissa_bits) & exponents;
  const std::uint32_t m = bits & mantissas;
  const double sign = (bits & f.sign_bit()) != 0 ? -1 : 1;
  if (e == exponents && f.infinities) return m == 0 ? sign * INFINITY : NAN;
  if (e == exponents && m == mantissas) return NAN;
  const int bias = (1 << (f.exponent_bits - 1)) - 1;
  const double fraction = m / std::pow(2.0, f.mantissa_bits);
  return e == 0 ? sign * fraction * std::pow(2.0, 1 - bias) : sign * (1 + fraction) * std::pow(2.0, int(e) - bias);
}

}  // namespace

TEST_CASE("every bit pattern of the narrow floats has the value that its format defines", "[formats]") {
  for (const Format& f : formats()) {
    INFO(f.name);
    int wrong = 0;
    for (std::uint32_t bits = 0; bits < 2 * f.sign_bit(); ++bits) {
      const double expected = defined(f, bits);
      const float value = f.decode(bits);
      const bool same = std::isnan(expected) ? std::isnan(value) : value == expected;
      // And back: the same pattern, but for NaNs, of which there are many, and infinities where they saturate.
      const bool finite = std::isfinite(expected);
      const bool back = std::isnan(expected) ? std::isnan(f.decode(f.encode(value)))
                                             : (!finite && f.saturates) || f.encode(value) == bits;
      wrong += same && back && (value != 0 || std::signbit(value) == ((bits & f.sign_bit()) != 0)) ? 0 : 1;
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("between neighbours the narrow floats round to the nearer, halfway to the even one", "[formats]") {
  for (const Format& f : formats()) {
    INFO(f.name);
    int wrong = 0;
    for (std::uint32_t bits = 0; bits + 1 < f.sign_bit(); ++bits) {
      const double low = defined(f, bits);
      const double high = defined(f, bits + 1);
      if (!std::isfinite(low) || !std::isfinite(high)) continue;
      const double middle = (low + high) / 2;
      const auto half = static_cast<float>(middle);
      if (half != middle) continue;  // bf16's smallest subnormals have no float between them
      const std::uint32_t even = bits % 2 == 0 ? bits : bits + 1;
      for (const std::uint32_t sign : {0U, f.sign_bit()}) {
        const float s = sign != 0 ? -1.0F : 1.0F;
        wrong += f.encode(s * half) == (sign | even) ? 0 : 1;
        wrong += f.encode(s * std::nextafter(half, 0.0F)) == (sign | bits) ? 0 : 1;
        wrong += f.encode(s * std::nextafter(half, INFINITY)) == (sign | (bits + 1)) ? 0 : 1;
      }
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("beyond the largest value fp16 and bf16 go to infinity, the 8-bit floats saturate", "[formats]") {
  CHECK(std::isinf(float_from_half(half_from_float(65520.0F))));
  CHECK(float_from_half(half_from_float(65519.0F)) == 65504.0F);
  CHECK(std::isinf(float_from_bfloat16(bfloat16_from_float(3.4e38F))));
  CHECK(float_from_float8(kE4M3, float8_from_float(kE4M3, 1e6F)) == 448.0F);
  CHECK(float_from_float8(kE4M3, float8_from_float(kE4M3, -INFINITY)) == -448.0F);
  CHECK(float_from_float8(kE4M3, float8_from_float(kE4M3, 460.0F)) == 448.0F);
  CHECK(float_from_float8(kE5M2, float8_from_float(kE5M2, 1e6F)) == 57344.0F);
  CHECK(std::isnan(float_from_float8(kE5M2, float8_from_float(kE5M2, NAN))));
  // Below half of the smallest subnormal there is only zero, and it keeps its sign.
  CHECK(float8_from_float(kE4M3, 0x1p-10F) == 0);
  CHECK(float8_from_float(kE4M3, -0x1p-11F) == 0x80);
  CHECK(float_from_float8(kE4M3, float8_from_float(kE4M3, 0x1.8p-10F)) == 0x1p-9F);
}
