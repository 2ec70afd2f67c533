// The loops of narrow.h, written so that the compiler can vectorise them: no branches, no calls. Included by one
// translation unit per instruction set, which defines SPILLWAY_NARROW_NAME and SPILLWAY_NARROW_TABLE. Nothing of the
// standard library may be called here: its inline functions would be compiled for this instruction set and could
// replace those of the rest of the program.
#include "workloads/compute/narrow.h"

#ifdef __AVX512F__
#include <immintrin.h>
#endif

namespace spillway::workloads::compute {
namespace {

std::uint32_t bits_of(float value) { return __builtin_bit_cast(std::uint32_t, value); }
float float_of(std::uint32_t bits) { return __builtin_bit_cast(float, bits); }

constexpr std::uint32_t kMagnitude = 0x7FFFFFFF, kInfinity = 0x7F800000;

// --- integers ---

/// The integer nearest to a value of a magnitude below 2^22, ties to even: adding 1.5 * 2^23 rounds to it.
std::int32_t nearest_integer(float value) {
  constexpr float kRound = 12582912.0F;
  constexpr std::int32_t kRoundBits = 0x4B400000;
  return static_cast<std::int32_t>(bits_of(value + kRound)) - kRoundBits;
}

/// NaN becomes 0. Saturation may come first, since the bounds round to themselves and rounding is monotone.
float saturated(float value, float low, float high) {
  value = value == value ? value : 0.0F;
  value = value < low ? low : value;
  return value > high ? high : value;
}

/// Where it is so, quotient() is right: no product in it gets near the ends of the exponents' range.
bool is_moderate(float scale) { return scale >= 0x1p-90F && scale <= 0x1p90F; }

/// x / scale, given 1 / scale rounded to nearest: a product, whose remainder corrects it to a neighbour of the
/// quotient, and whose remainder then rounds it as division does (Markstein, Computation of elementary functions on the
/// IBM RISC System/6000 processor, 1990). Exact where the quotient is at least 1/8 and below 2^20, and below 1/4
/// elsewhere.
float quotient(float x, float scale, float reciprocal) {
#ifdef __FMA__
  const float product = x * reciprocal;
  const float near = __builtin_fmaf(__builtin_fmaf(-product, scale, x), reciprocal, product);
  return __builtin_fmaf(__builtin_fmaf(-near, scale, x), reciprocal, near);
#else
  (void)reciprocal;
  return x / scale;
#endif
}

constexpr std::int64_t kTogether = 64;  // integers that are made before they become narrow: no masks of mixed widths

template <typename Integer>
void encode(std::int64_t n, const float* __restrict x, const Quantiser& q, Integer* __restrict y) {
  const float scale = q.scale;
  const std::int32_t zero = q.zero_point;
  const auto low = static_cast<float>(q.low - zero), high = static_cast<float>(q.high - zero);
  if (!is_moderate(scale)) {
    for (std::int64_t i = 0; i < n; ++i) {
      y[i] = static_cast<Integer>(nearest_integer(saturated(x[i] / scale, low, high)) + zero);
    }
    return;
  }
  // What is beyond these divides to the bound, or so near to it that it rounds to it.
  const float least = low * scale, most = high * scale, reciprocal = 1.0F / scale;
  const auto part = [&](const float* __restrict from, std::int64_t count, Integer* __restrict to) {
    std::int32_t whole[kTogether];
    for (std::int64_t i = 0; i < count; ++i) {
      whole[i] = nearest_integer(quotient(saturated(from[i], least, most), scale, reciprocal)) + zero;
    }
    for (std::int64_t i = 0; i < count; ++i) to[i] = static_cast<Integer>(whole[i]);
  };
  std::int64_t i = 0;
  for (; i + kTogether <= n; i += kTogether) part(x + i, kTogether, y + i);
  part(x + i, n - i, y + i);
}

void encode8_columns(std::int64_t n, const float* __restrict x, const float* __restrict scales,
                     const float* __restrict reciprocals, std::int8_t* __restrict y) {
  const auto part = [&](std::int64_t first, std::int64_t count) {
    std::int32_t whole[kTogether];
    for (std::int64_t i = 0; i < count; ++i) {
      const float scale = scales[first + i], bound = 127.0F * scale;
      const float value = saturated(x[first + i], -bound, bound);
      whole[i] = nearest_integer(quotient(value, scale, reciprocals[first + i]));
    }
    for (std::int64_t i = 0; i < count; ++i) y[first + i] = static_cast<std::int8_t>(whole[i]);
  };
  std::int64_t i = 0;
  for (; i + kTogether <= n; i += kTogether) part(i, kTogether);
  part(i, n - i);
}

template <typename Integer>
void decode(std::int64_t n, const Integer* __restrict x, const Quantiser& q, float* __restrict y) {
  const float scale = q.scale;
  const std::int32_t zero = q.zero_point;
  for (std::int64_t i = 0; i < n; ++i) y[i] = static_cast<float>(x[i] - zero) * scale;
}

void scale_sums(std::int64_t n, const std::int32_t* __restrict x, const float* __restrict scale, int step,
                float* __restrict y) {
  if (step == 0) {
    const float factor = *scale;
    for (std::int64_t i = 0; i < n; ++i) y[i] = static_cast<float>(x[i]) * factor;
  } else {
    for (std::int64_t i = 0; i < n; ++i) y[i] = static_cast<float>(x[i]) * scale[i];
  }
}

void biased(std::int64_t n, const std::int8_t* x, std::uint8_t* y) {
#pragma GCC ivdep  // y is x or apart from it
  for (std::int64_t i = 0; i < n; ++i) y[i] = static_cast<std::uint8_t>(x[i] ^ -128);
}

template <typename Byte>
std::int32_t sum8(std::int64_t n, const Byte* x) {
  std::int32_t sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += x[i];
  return sum;
}

void add_columns8(std::int64_t n, const std::int8_t* __restrict x, std::int32_t* __restrict sums) {
  for (std::int64_t i = 0; i < n; ++i) sums[i] += x[i];
}

// --- floats ---

/// The pattern without sign of a format with `kMantissa` bits of mantissa and this bias: rounded to nearest, ties to
/// even, the exponent going on beyond what the format has. NaN is anything.
template <int kMantissa, int kBias>
std::uint32_t pattern_of(std::uint32_t magnitude) {
  constexpr int kDropped = 23 - kMantissa;
  constexpr std::uint32_t kExponents = static_cast<std::uint32_t>(127 - kBias) << 23;
  const std::uint32_t even = (magnitude >> kDropped) & 1U;
  const std::uint32_t normal = (magnitude - kExponents + ((1U << (kDropped - 1)) - 1) + even) >> kDropped;
  // Below the normal numbers: adding a power of two leaves the rounded number of units in its low bits.
  constexpr std::uint32_t kAdded = static_cast<std::uint32_t>(127 + 1 - kBias - kMantissa + 23) << 23;
  const std::uint32_t small = bits_of(float_of(magnitude) + float_of(kAdded)) - kAdded;
  return magnitude < kExponents + (1U << 23) ? small : normal;
}

std::uint32_t half_of(float value) {
  const std::uint32_t bits = bits_of(value), magnitude = bits & kMagnitude;
  std::uint32_t half = pattern_of<10, 15>(magnitude);
  half = half > 0x7C00 ? 0x7C00 : half;
  half = magnitude > kInfinity ? 0x7E00 : half;
  return half | ((bits >> 16) & 0x8000U);
}

float value_of_half(std::uint32_t half) {
  const std::uint32_t magnitude = half & 0x7FFFU;
  const std::uint32_t exponents = magnitude >= 0x7C00U ? 0x70000000U : 0x38000000U;
  const std::uint32_t normal = (magnitude << 13) + exponents;
  const std::uint32_t small = bits_of(static_cast<float>(static_cast<std::int32_t>(magnitude)) * 0x1p-24F);
  return float_of((magnitude < 0x400U ? small : normal) | ((half & 0x8000U) << 16));
}

std::uint32_t bfloat16_of(float value) {
  const std::uint32_t bits = bits_of(value);
  const std::uint32_t rounded = (bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16;
  return (bits & kMagnitude) > kInfinity ? (bits >> 16) | 0x40U : rounded;
}

template <int kMantissa, int kBias>
void to_float8(std::int64_t n, const float* __restrict x, std::uint32_t largest, std::uint8_t* __restrict y) {
  for (std::int64_t i = 0; i < n; ++i) {
    const std::uint32_t bits = bits_of(x[i]), magnitude = bits & kMagnitude;
    std::uint32_t pattern = pattern_of<kMantissa, kBias>(magnitude);
    pattern = pattern > largest ? largest : pattern;
    pattern = magnitude > kInfinity ? 0x7FU : pattern;
    y[i] = static_cast<std::uint8_t>(pattern | ((bits >> 24) & 0x80U));
  }
}

#ifdef __AVX512F__
// There is an instruction for it. It does not make all NaNs one, as half_of() does: loops go on without it from there.
constexpr std::int64_t kVector = 16;
constexpr __mmask16 kAll = 0xFFFF;
bool has_nan(__m512 x) { return _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q) != 0; }
__m256i halves_of(__m512 x) { return _mm512_maskz_cvtps_ph(kAll, x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
#endif

void to_half(std::int64_t n, const float* __restrict x, std::uint16_t* __restrict y) {
#ifdef __AVX512F__
  for (; n >= kVector; n -= kVector, x += kVector, y += kVector) {
    const __m512 values = _mm512_loadu_ps(x);
    if (has_nan(values)) break;
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(y), halves_of(values));
  }
#endif
  for (std::int64_t i = 0; i < n; ++i) y[i] = static_cast<std::uint16_t>(half_of(x[i]));
}
void from_half(std::int64_t n, const std::uint16_t* __restrict x, float* __restrict y) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = value_of_half(x[i]);
}
void to_bfloat16(std::int64_t n, const float* __restrict x, std::uint16_t* __restrict y) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = static_cast<std::uint16_t>(bfloat16_of(x[i]));
}
void from_bfloat16(std::int64_t n, const std::uint16_t* __restrict x, float* __restrict y) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = float_of(static_cast<std::uint32_t>(x[i]) << 16);
}
void to_e4m3(std::int64_t n, const float* x, std::uint8_t* y) { to_float8<3, 7>(n, x, 0x7E, y); }
void to_e5m2(std::int64_t n, const float* x, std::uint8_t* y) { to_float8<2, 15>(n, x, 0x7B, y); }
void look_up(std::int64_t n, const std::uint8_t* __restrict x, const float* __restrict table, float* __restrict y) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = table[x[i]];
}
void round_half(std::int64_t n, const float* x, float* y) {
#ifdef __AVX512F__
  for (; n >= kVector; n -= kVector, x += kVector, y += kVector) {
    const __m512 values = _mm512_loadu_ps(x);
    if (has_nan(values)) break;
    _mm512_storeu_ps(y, _mm512_maskz_cvtph_ps(kAll, halves_of(values)));
  }
#endif
#pragma GCC ivdep  // y is x or apart from it
  for (std::int64_t i = 0; i < n; ++i) y[i] = value_of_half(half_of(x[i]));
}
void round_bfloat16(std::int64_t n, const float* x, float* y) {
#pragma GCC ivdep
  for (std::int64_t i = 0; i < n; ++i) y[i] = float_of(bfloat16_of(x[i]) << 16);
}

// --- extremes: in columns, so that no order of comparisons is asked for ---

constexpr std::int64_t kColumns = 64;

std::int64_t widen(std::int64_t n, const float* x, float* low, float* high) {
  float least[kColumns], most[kColumns];
  std::int32_t strange[kColumns];
  for (std::int64_t j = 0; j < kColumns; ++j) least[j] = *low, most[j] = *high, strange[j] = 0;
  std::int64_t not_finite = 0;
  const auto row = [&](const float* from, std::int64_t count) {
    for (std::int64_t j = 0; j < count; ++j) {
      const bool finite = (bits_of(from[j]) & kMagnitude) < kInfinity;
      const float below = finite ? from[j] : *low, above = finite ? from[j] : *high;
      least[j] = below < least[j] ? below : least[j];
      most[j] = above > most[j] ? above : most[j];
      strange[j] += finite ? 0 : 1;
    }
  };
  std::int64_t i = 0;
  for (; i + kColumns <= n; i += kColumns) row(x + i, kColumns);
  row(x + i, n - i);
  for (std::int64_t j = 0; j < kColumns; ++j) {
    *low = least[j] < *low ? least[j] : *low;
    *high = most[j] > *high ? most[j] : *high;
    not_finite += strange[j];
  }
  return not_finite;
}

void largest_columns(std::int64_t n, const float* __restrict x, float* __restrict largest) {
  for (std::int64_t i = 0; i < n; ++i) {
    const float size = float_of(bits_of(x[i]) & kMagnitude);
    largest[i] = size > largest[i] ? size : largest[i];
  }
}

float largest(std::int64_t n, const float* x) {
  float most[kColumns] = {};
  std::int64_t i = 0;
  for (; i + kColumns <= n; i += kColumns) largest_columns(kColumns, x + i, most);
  largest_columns(n - i, x + i, most);
  float result = 0;
  for (const float size : most) result = size > result ? size : result;
  return result;
}

}  // namespace

extern const Narrow SPILLWAY_NARROW_TABLE;
const Narrow SPILLWAY_NARROW_TABLE = {
    .name = SPILLWAY_NARROW_NAME,
    .encode8 = encode<std::int8_t>,
    .encode16 = encode<std::int16_t>,
    .encode8_columns = encode8_columns,
    .decode8 = decode<std::int8_t>,
    .decode16 = decode<std::int16_t>,
    .to_half = to_half,
    .from_half = from_half,
    .to_bfloat16 = to_bfloat16,
    .from_bfloat16 = from_bfloat16,
    .to_e4m3 = to_e4m3,
    .to_e5m2 = to_e5m2,
    .look_up = look_up,
    .round_half = round_half,
    .round_bfloat16 = round_bfloat16,
    .scale_sums = scale_sums,
    .biased = biased,
    .sum8 = sum8<std::int8_t>,
    .sum8_unsigned = sum8<std::uint8_t>,
    .add_columns8 = add_columns8,
    .widen = widen,
    .largest = largest,
    .largest_columns = largest_columns,
};

}  // namespace spillway::workloads::compute
