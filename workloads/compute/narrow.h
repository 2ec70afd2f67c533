// Conversions between floats and the narrow formats that tensors are stored in, compiled for several instruction sets
// as the loops of simd.h are. An element becomes what quantiser.h and number_formats.h make of it, to the bit, wherever
// it lies in the array and whatever the instruction set.
#pragma once

#include <cstdint>

#include "workloads/quantiser.h"

namespace spillway::workloads::compute {

struct Narrow {
  const char* name;

  void (*encode8)(std::int64_t n, const float* x, const Quantiser& q, std::int8_t* y);
  void (*encode16)(std::int64_t n, const float* x, const Quantiser& q, std::int16_t* y);
  /// Each element with its own scale, at least 2^-90 and at most 2^90, and without zero point, to -127 to 127;
  /// reciprocals[i] is 1 / scales[i].
  void (*encode8_columns)(std::int64_t n, const float* x, const float* scales, const float* reciprocals,
                          std::int8_t* y);
  void (*decode8)(std::int64_t n, const std::int8_t* x, const Quantiser& q, float* y);
  void (*decode16)(std::int64_t n, const std::int16_t* x, const Quantiser& q, float* y);

  void (*to_half)(std::int64_t n, const float* x, std::uint16_t* y);
  void (*from_half)(std::int64_t n, const std::uint16_t* x, float* y);
  void (*to_bfloat16)(std::int64_t n, const float* x, std::uint16_t* y);
  void (*from_bfloat16)(std::int64_t n, const std::uint16_t* x, float* y);
  void (*to_e4m3)(std::int64_t n, const float* x, std::uint8_t* y);
  void (*to_e5m2)(std::int64_t n, const float* x, std::uint8_t* y);
  /// `table`: the values of all 256 patterns.
  void (*look_up)(std::int64_t n, const std::uint8_t* x, const float* table, float* y);

  // What a float is once it has been stored in the format. y may be x.
  void (*round_half)(std::int64_t n, const float* x, float* y);
  void (*round_bfloat16)(std::int64_t n, const float* x, float* y);

  /// y[i] = float(x[i]) * scale[i * step], step 0 or 1: what sums of products of integers stand for.
  void (*scale_sums)(std::int64_t n, const std::int32_t* x, const float* scale, int step, float* y);

  /// y[i] = x[i] + 128; y may be x's bytes.
  void (*biased)(std::int64_t n, const std::int8_t* x, std::uint8_t* y);
  std::int32_t (*sum8)(std::int64_t n, const std::int8_t* x);
  std::int32_t (*sum8_unsigned)(std::int64_t n, const std::uint8_t* x);
  /// sums[i] += x[i]
  void (*add_columns8)(std::int64_t n, const std::int8_t* x, std::int32_t* sums);

  /// Widens [low, high] to the finite elements; returns how many are not finite.
  std::int64_t (*widen)(std::int64_t n, const float* x, float* low, float* high);
  /// The largest magnitude, at least 0; NaN counts as nothing.
  float (*largest)(std::int64_t n, const float* x);
  /// largest[i] becomes the larger of it and |x[i]|.
  void (*largest_columns)(std::int64_t n, const float* x, float* largest);
};

/// The best for the machine it runs on.
[[nodiscard]] const Narrow& narrow();

/// Every table that this machine can run, best last (tests): as many as simd_count().
[[nodiscard]] const Narrow& narrow_at(int i);

/// Values of the 256 patterns of an 8-bit float format, for look_up().
[[nodiscard]] const float* e4m3_values();
[[nodiscard]] const float* e5m2_values();

// One per translation unit.
extern const Narrow kNarrowSse2;
extern const Narrow kNarrowAvx2;
extern const Narrow kNarrowAvx512;

}  // namespace spillway::workloads::compute
