// The loops of simd.h on GCC vector types. Included by one translation unit per instruction set, which defines
// SPILLWAY_SIMD_BYTES and SPILLWAY_SIMD_TABLE. Nothing of the standard library may be called here: its inline functions
// would be compiled for this instruction set and could replace those of the rest of the program.
#include "workloads/compute/simd.h"

#if SPILLWAY_SIMD_BYTES == 64
#include <immintrin.h>
#endif

namespace spillway::workloads::compute {
namespace {

constexpr int kBytes = SPILLWAY_SIMD_BYTES;
constexpr int kLanes = kBytes / 4;
using Floats __attribute__((vector_size(kBytes))) = float;
using Ints __attribute__((vector_size(kBytes))) = std::int32_t;
using Doubles __attribute__((vector_size(kBytes))) = double;
using HalfFloats __attribute__((vector_size(kBytes / 2))) = float;
using LooseFloats __attribute__((vector_size(kBytes), aligned(4))) = float;
using LooseHalf __attribute__((vector_size(kBytes / 2), aligned(4))) = float;
using LooseDoubles __attribute__((vector_size(kBytes), aligned(8))) = double;

// In the loops over the vectors of a tile, everything must stay in registers.
#define SPILLWAY_UNROLL _Pragma("GCC unroll 16")

Floats load(const float* p) { return *reinterpret_cast<const LooseFloats*>(p); }
void store(float* p, Floats v) { *reinterpret_cast<LooseFloats*>(p) = v; }
Floats all(float value) { return Floats{} + value; }

#if SPILLWAY_SIMD_BYTES == 64
__mmask16 first_lanes(std::int64_t n) { return static_cast<__mmask16>((1U << n) - 1U); }
Floats load_part(const float* p, std::int64_t n) { return (Floats)_mm512_maskz_loadu_ps(first_lanes(n), p); }
void store_part(float* p, Floats v, std::int64_t n) { _mm512_mask_storeu_ps(p, first_lanes(n), (__m512)v); }
#else
Floats load_part(const float* p, std::int64_t n) {
  Floats v{};
  __builtin_memcpy(&v, p, static_cast<unsigned long>(n) * sizeof(float));
  return v;
}
void store_part(float* p, Floats v, std::int64_t n) {
  __builtin_memcpy(p, &v, static_cast<unsigned long>(n) * sizeof(float));
}
#endif

// --- products ---

template <int kRows, int kVectors>
void micro(std::int64_t k, const float* a, std::int64_t a_row, const float* b, float* c, std::int64_t c_row, bool add,
           Ahead ahead) {
  Floats sum[kRows][kVectors];
  SPILLWAY_UNROLL
  for (int i = 0; i < kRows; ++i) {
    SPILLWAY_UNROLL
    for (int j = 0; j < kVectors; ++j) sum[i][j] = add ? load(c + i * c_row + j * kLanes) : Floats{};
  }
  // Three rows share a pointer: as many as there are registers for.
  constexpr int kPointers = (kRows + 2) / 3;
  const float* row[kPointers];
  SPILLWAY_UNROLL
  for (int i = 0; i < kPointers; ++i) row[i] = a + 3 * i * a_row;
  for (std::int64_t p = 0; p < k; ++p) {
    Floats panel[kVectors];
    SPILLWAY_UNROLL
    for (int j = 0; j < kVectors; ++j) panel[j] = load(b + j * kLanes);
    __builtin_prefetch(ahead.at, 0, 2);
    ahead.at += ahead.step;
    SPILLWAY_UNROLL
    for (int i = 0; i < kRows; ++i) {
      const float factor = row[i / 3][(i % 3) * a_row];
      SPILLWAY_UNROLL
      for (int j = 0; j < kVectors; ++j) sum[i][j] += panel[j] * factor;
    }
    SPILLWAY_UNROLL
    for (int i = 0; i < kPointers; ++i) ++row[i];
    b += kVectors * kLanes;
  }
  SPILLWAY_UNROLL
  for (int i = 0; i < kRows; ++i) {
    SPILLWAY_UNROLL
    for (int j = 0; j < kVectors; ++j) store(c + i * c_row + j * kLanes, sum[i][j]);
  }
}

template <int kRows, int kVectors>
void micro_double(std::int64_t k, const float* a, std::int64_t a_row, const float* b, float* c, std::int64_t c_row,
                  bool /*add*/, Ahead /*ahead*/) {
  for (int i = 0; i < kRows; ++i) {
    Doubles sum[2 * kVectors]{};
    for (std::int64_t p = 0; p < k; ++p) {
      const double factor = a[i * a_row + p];
      SPILLWAY_UNROLL
      for (int j = 0; j < 2 * kVectors; ++j) {
        const HalfFloats half = *reinterpret_cast<const LooseHalf*>(b + p * kVectors * kLanes + j * kLanes / 2);
        sum[j] += __builtin_convertvector(half, Doubles) * factor;
      }
    }
    SPILLWAY_UNROLL
    for (int j = 0; j < 2 * kVectors; ++j) {
      *reinterpret_cast<LooseHalf*>(c + i * c_row + j * kLanes / 2) = __builtin_convertvector(sum[j], HalfFloats);
    }
  }
}

template <bool kBias, bool kPlus, bool kRectify>
void finish_tile(int rows, std::int64_t n, const float* x, std::int64_t x_row, const float* bias,
                 std::int64_t bias_step, const float* plus, std::int64_t plus_row, float* y, std::int64_t y_row) {
  const auto finished = [](Floats v, Floats b, Floats p) {
    if constexpr (kBias) v += b;
    if constexpr (kPlus) v += p;
    if constexpr (kRectify) v = v < 0.0F ? Floats{} : v;  // NaN stays
    return v;
  };
  for (int r = 0; r < rows; ++r, x += x_row, plus += kPlus ? plus_row : 0, y += y_row) {
    const Floats b = kBias ? all(bias[r * bias_step]) : Floats{};
    std::int64_t j = 0;
    for (; j + kLanes <= n; j += kLanes) store(y + j, finished(load(x + j), b, kPlus ? load(plus + j) : Floats{}));
    if (j < n) {
      const Floats p = kPlus ? load_part(plus + j, n - j) : Floats{};
      store_part(y + j, finished(load_part(x + j, n - j), b, p), n - j);
    }
  }
}

void finish_rows(int rows, std::int64_t n, const float* x, std::int64_t x_row, const float* bias,
                 std::int64_t bias_step, const float* plus, std::int64_t plus_row, bool rectify, float* y,
                 std::int64_t y_row) {
  using Finish = void (*)(int, std::int64_t, const float*, std::int64_t, const float*, std::int64_t, const float*,
                          std::int64_t, float*, std::int64_t);
  static constexpr Finish kForms[] = {finish_tile<false, false, false>, finish_tile<false, false, true>,
                                      finish_tile<false, true, false>,  finish_tile<false, true, true>,
                                      finish_tile<true, false, false>,  finish_tile<true, false, true>,
                                      finish_tile<true, true, false>,   finish_tile<true, true, true>};
  const int form = (bias != nullptr ? 4 : 0) + (plus != nullptr ? 2 : 0) + (rectify ? 1 : 0);
  kForms[form](rows, n, x, x_row, bias, bias_step, plus, plus_row, y, y_row);
}

#if SPILLWAY_SIMD_BYTES == 64
/// The lanes of one vector that one run has.
struct Lanes {
  std::int64_t from = 0;  ///< of lane 0, which may lie before the array
  std::int64_t step = 1;
  __mmask16 lanes = 0, first = 0, second = 0;  ///< with step 2: which of 32 floats are read
};

Lanes part_of(const Run& run, std::int64_t vector) {
  const std::int64_t begin = run.to > vector ? run.to - vector : 0;
  const std::int64_t end = run.to + run.count - vector;
  Lanes l;
  l.step = run.step;
  l.from = run.from + (vector - run.to) * run.step;
  const std::uint32_t lanes = ((end < kLanes ? 1U << end : 1U << kLanes) - 1U) & ~((1U << begin) - 1U);
  l.lanes = static_cast<__mmask16>(lanes);
  // A zero between every two bits.
  std::uint32_t even = (lanes | lanes << 8) & 0x00FF00FFU;
  even = (even | even << 4) & 0x0F0F0F0FU;
  even = (even | even << 2) & 0x33333333U;
  even = (even | even << 1) & 0x55555555U;
  l.first = static_cast<__mmask16>(even);
  l.second = static_cast<__mmask16>(even >> 16);
  return l;
}

/// Masked loads touch nothing that is masked out.
template <int kStep>
__m512 filled(__m512 v, const Lanes& l, const float* from) {
  const float* p = from + l.from;
  if constexpr (kStep == 1) return _mm512_mask_loadu_ps(v, l.lanes, p);
  if constexpr (kStep == 2) {
    const __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    const __m512 a = _mm512_maskz_loadu_ps(l.first, p), b = _mm512_maskz_loadu_ps(l.second, p + kLanes);
    return _mm512_mask_mov_ps(v, l.lanes, _mm512_permutex2var_ps(a, even, b));
  }
  constexpr std::int64_t kFurthest = std::int64_t{1} << 26;  // sixteen of them count in 32 bits
  if (l.step < kFurthest && l.step > -kFurthest) {
    const __m512i numbers = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    const __m512i places = _mm512_mullo_epi32(numbers, _mm512_set1_epi32(static_cast<int>(l.step)));
    return _mm512_mask_i32gather_ps(v, l.lanes, places, p, sizeof(float));
  }
  Floats w = (Floats)v;
  for (int i = 0; i < kLanes; ++i) {
    if ((l.lanes >> i & 1) != 0) w[i] = p[i * l.step];
  }
  return (__m512)w;
}

/// One vector of every row, from kCount pieces (or if that is 0, from `count`).
template <int kStep, int kCount>
void gather_vector(const Lanes* pieces, int count, std::int64_t rows, const float* from, std::int64_t from_row,
                   float* to, std::int64_t to_row) {
  Lanes piece[kCount > 0 ? kCount : 1];
  for (int i = 0; i < kCount; ++i) piece[i] = pieces[i];
  for (std::int64_t i = 0; i < rows; ++i, from += from_row, to += to_row) {
    __m512 values = _mm512_setzero_ps();
    if constexpr (kCount > 0) {
      SPILLWAY_UNROLL
      for (int j = 0; j < kCount; ++j) values = filled<kStep>(values, piece[j], from);
    } else {
      for (int j = 0; j < count; ++j) values = filled<kStep>(values, pieces[j], from);
    }
    _mm512_storeu_ps(to, values);
  }
}

template <int kStep>
void gather_step(const Lanes* pieces, int count, std::int64_t rows, const float* from, std::int64_t from_row, float* to,
                 std::int64_t to_row) {
  if (count == 1) return gather_vector<kStep, 1>(pieces, count, rows, from, from_row, to, to_row);
  if (count == 2) return gather_vector<kStep, 2>(pieces, count, rows, from, from_row, to, to_row);
  if (count == 3) return gather_vector<kStep, 3>(pieces, count, rows, from, from_row, to, to_row);
  gather_vector<kStep, 0>(pieces, count, rows, from, from_row, to, to_row);
}

/// All runs have one step: that of the convolution.
void gather_rows(const Run* runs, int count, std::int64_t rows, const float* from, std::int64_t from_row,
                 std::int64_t width, float* to, std::int64_t to_row) {
  int first = 0;
  for (std::int64_t vector = 0; vector < width; vector += kLanes) {
    Lanes pieces[kLanes];
    int used = 0;
    while (first < count && runs[first].to + runs[first].count <= vector) ++first;
    for (int r = first; r < count && runs[r].to < vector + kLanes; ++r) pieces[used++] = part_of(runs[r], vector);
    const std::int64_t step = used > 0 ? pieces[0].step : 1;
    const auto gather = step == 1 ? gather_step<1> : step == 2 ? gather_step<2> : gather_step<0>;
    gather(pieces, used, rows, from, from_row, to + vector, to_row);
  }
}
#else
void gather_rows(const Run* runs, int count, std::int64_t rows, const float* from, std::int64_t from_row,
                 std::int64_t width, float* to, std::int64_t to_row) {
  for (std::int64_t i = 0; i < rows; ++i, from += from_row, to += to_row) {
    std::int64_t done = 0;
    const auto clear = [&](std::int64_t end) {
      for (; done < end; ++done) to[done] = 0.0F;
    };
    for (int r = 0; r < count; ++r) {
      const Run& run = runs[r];
      clear(run.to);
      const float* source = from + run.from;
      if (run.step == 1) {
        __builtin_memcpy(to + done, source, static_cast<unsigned long>(run.count) * sizeof(float));
      } else {
        for (std::int64_t j = 0; j < run.count; ++j) to[done + j] = source[j * run.step];
      }
      done += run.count;
    }
    clear(width);
  }
}
#endif

// --- functions ---

/// One element's result must be the same wherever it lies, so the rest of an array goes through a whole vector.
template <typename F>
void map(std::int64_t n, const float* x, float* y, F f) {
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(y + i, f(load(x + i)));
  if (i < n) store_part(y + i, f(load_part(x + i, n - i)), n - i);
}

template <typename F>
void map2(std::int64_t n, const float* a, int step_a, const float* b, int step_b, float* y, F f) {
  if (n <= 0) return;
  const Floats a0 = all(*a), b0 = all(*b);
  std::int64_t i = 0;
  if (step_a != 0 && step_b != 0) {
    for (; i + kLanes <= n; i += kLanes) store(y + i, f(load(a + i), load(b + i)));
  } else if (step_a != 0) {
    for (; i + kLanes <= n; i += kLanes) store(y + i, f(load(a + i), b0));
  } else {
    for (; i + kLanes <= n; i += kLanes) store(y + i, f(a0, step_b != 0 ? load(b + i) : b0));
  }
  if (i < n) {
    const Floats va = step_a != 0 ? load_part(a + i, n - i) : a0;
    // What is not there is never divided by.
    Floats vb = all(1.0F);
    if (step_b != 0) {
      __builtin_memcpy(&vb, b + i, static_cast<unsigned long>(n - i) * sizeof(float));
    } else {
      vb = b0;
    }
    store_part(y + i, f(va, vb), n - i);
  }
}

/// 2^n for -252 <= n <= 254, in two factors so that the result may overflow or be subnormal.
Floats scaled(Floats x, Ints n) {
  const Ints half = n >> 1;
  const Ints first = (half + 127) << 23, second = (n - half + 127) << 23;
  return x * reinterpret_cast<Floats>(first) * reinterpret_cast<Floats>(second);
}

/// Cody and Waite's reduction to |r| <= ln 2 / 2 and the polynomial of Cephes' expf; within 2 ulp. NaN stays.
Floats exponential(Floats x) {
  x = x > 89.0F ? all(89.0F) : x;      // infinite from 88.73 on
  x = x < -104.0F ? all(-104.0F) : x;  // zero below -103.97
  // Adding and subtracting 1.5 * 2^23 rounds to the nearest integer.
  const Floats shifted = x * 1.44269504088896341F + 12582912.0F;
  const Floats whole = shifted - 12582912.0F;
  const Ints n = reinterpret_cast<Ints>(shifted) - 0x4B400000;
  Floats r = x - whole * 0.693359375F;
  r = r - whole * -2.12194440e-4F;
  Floats p = all(1.9875691500e-4F);
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * r * r + r + 1.0F;
  // The integer of a NaN is anything: kept in range, the NaN comes from p.
  Ints bounded = n > 200 ? Ints{} + 200 : n;
  bounded = bounded < -200 ? Ints{} - 200 : bounded;
  return scaled(p, bounded);
}

Floats logistic(Floats x) { return 1.0F / (1.0F + exponential(-x)); }

/// Below 0.625 the polynomial of Cephes' tanhf, above from the exponential.
Floats hyperbolic_tangent(Floats x) {
  const Floats size = x < 0.0F ? -x : x;
  const Floats square = x * x;
  Floats p = all(-5.70498872745e-3F);
  p = p * square + 2.06390887954e-2F;
  p = p * square - 5.37397155531e-2F;
  p = p * square + 1.33314422036e-1F;
  p = p * square - 3.33332819422e-1F;
  const Floats small = p * square * x + x;
  const Floats large = 1.0F - 2.0F / (exponential(size + size) + 1.0F);
  const Floats with_sign = x < 0.0F ? -large : large;
  return size < 0.625F ? small : with_sign;
}

/// Below 0.93 an odd polynomial, above 1 - exp of a polynomial; minimax fits of N. Juffa's erff (within 1 ulp with a
/// correctly rounded exponential).
Floats error_function(Floats x) {
  Floats size = x < 0.0F ? -x : x;
  size = size > 10.0F ? all(10.0F) : size;  // from 3.92 on it is 1; NaN stays
  const Floats square = size * size;
  Floats r = size * -1.72853470e-5F + 3.83197126e-4F;
  const Floats u = size * -3.88396438e-3F + 2.42546219e-2F;
  r = r * square + u;
  r = r * size - 1.06777877e-1F;
  r = r * size - 6.34846687e-1F;
  r = r * size - 1.28717512e-1F;
  r = r * size - size;
  const Floats large = 1.0F - exponential(r);
  Floats p = all(-5.96761703e-4F);
  p = p * square + 4.99119423e-3F;
  p = p * square - 2.67681349e-2F;
  p = p * square + 1.12819925e-1F;
  p = p * square - 3.76125336e-1F;
  p = p * square + 1.28379166e-1F;
  const Floats small = p * x + x;
  const Floats with_sign = x < 0.0F ? -large : large;
  return size < 0.927734375F ? small : with_sign;
}

void exp_row(std::int64_t n, const float* x, float* y) { map(n, x, y, exponential); }
void sigmoid_row(std::int64_t n, const float* x, float* y) { map(n, x, y, logistic); }
void silu_row(std::int64_t n, const float* x, float alpha, float* y) {
  // As Mul of Sigmoid computes it, to the last bit.
  map(n, x, y, [alpha](Floats v) { return v * logistic(v * alpha); });
}
void tanh_row(std::int64_t n, const float* x, float* y) { map(n, x, y, hyperbolic_tangent); }
void erf_row(std::int64_t n, const float* x, float* y) { map(n, x, y, error_function); }
void gelu_row(std::int64_t n, const float* x, float* y) {
  map(n, x, y, [](Floats v) { return 0.5F * v * (1.0F + error_function(v * 0.70710678F)); });
}

void add_row(std::int64_t n, const float* a, int step_a, const float* b, int step_b, float* y) {
  map2(n, a, step_a, b, step_b, y, [](Floats u, Floats v) { return u + v; });
}
void sub_row(std::int64_t n, const float* a, int step_a, const float* b, int step_b, float* y) {
  map2(n, a, step_a, b, step_b, y, [](Floats u, Floats v) { return u - v; });
}
void mul_row(std::int64_t n, const float* a, int step_a, const float* b, int step_b, float* y) {
  map2(n, a, step_a, b, step_b, y, [](Floats u, Floats v) { return u * v; });
}
void div_row(std::int64_t n, const float* a, int step_a, const float* b, int step_b, float* y) {
  map2(n, a, step_a, b, step_b, y, [](Floats u, Floats v) { return u / v; });
}

void affine_row(std::int64_t n, const float* x, const float* center, const float* scale, const float* shift, int step,
                float* y) {
  if (n <= 0) return;
  std::int64_t i = 0;
  if (step == 0) {
    const Floats c = all(*center), s = all(*scale), t = all(*shift);
    return map(n, x, y, [c, s, t](Floats v) { return (v - c) * s + t; });
  }
  for (; i + kLanes <= n; i += kLanes)
    store(y + i, (load(x + i) - load(center + i)) * load(scale + i) + load(shift + i));
  if (i < n) {
    const std::int64_t rest = n - i;
    const Floats centered = load_part(x + i, rest) - load_part(center + i, rest);
    store_part(y + i, centered * load_part(scale + i, rest) + load_part(shift + i, rest), rest);
  }
}

// --- rows ---

float largest_lane(Floats v) {
  float largest = v[0];
  for (int i = 1; i < kLanes; ++i) largest = v[i] > largest ? v[i] : largest;
  return largest;
}

Doubles low(Floats v) {
  HalfFloats half;
  __builtin_memcpy(&half, &v, sizeof half);
  return __builtin_convertvector(half, Doubles);
}
Doubles high(Floats v) {
  HalfFloats half;
  __builtin_memcpy(&half, reinterpret_cast<const char*>(&v) + sizeof half, sizeof half);
  return __builtin_convertvector(half, Doubles);
}
double lanes_of(Doubles v) {
  double sum = 0.0;
  for (int i = 0; i < kLanes / 2; ++i) sum += v[i];
  return sum;
}

void normalise_row(std::int64_t n, const float* x, double mean, double factor, const float* scale, const float* bias,
                   int step, float* y) {
  if (n <= 0) return;
  constexpr int kStep = kLanes / 2;
  std::int64_t i = 0;
  if (step == 0) {
    const double f = factor * *scale, b = *bias;
    for (; i + kStep <= n; i += kStep) {
      const HalfFloats v = *reinterpret_cast<const LooseHalf*>(x + i);
      const Doubles result = (__builtin_convertvector(v, Doubles) - mean) * f + b;
      *reinterpret_cast<LooseHalf*>(y + i) = __builtin_convertvector(result, HalfFloats);
    }
    for (; i < n; ++i) y[i] = static_cast<float>((x[i] - mean) * f + b);
    return;
  }
  for (; i + kStep <= n; i += kStep) {
    const HalfFloats v = *reinterpret_cast<const LooseHalf*>(x + i), s = *reinterpret_cast<const LooseHalf*>(scale + i);
    const HalfFloats b = *reinterpret_cast<const LooseHalf*>(bias + i);
    const Doubles result = (__builtin_convertvector(v, Doubles) - mean) * factor * __builtin_convertvector(s, Doubles) +
                           __builtin_convertvector(b, Doubles);
    *reinterpret_cast<LooseHalf*>(y + i) = __builtin_convertvector(result, HalfFloats);
  }
  for (; i < n; ++i) y[i] = static_cast<float>((x[i] - mean) * factor * scale[i] + bias[i]);
}

void softmax_row(std::int64_t n, const float* x, float* y) {
  if (n <= 0) return;
  Floats most = all(x[0]);
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const Floats v = load(x + i);
    most = v > most ? v : most;
  }
  float largest = largest_lane(most);
  for (; i < n; ++i) largest = x[i] > largest ? x[i] : largest;
  Doubles sums{};
  for (i = 0; i + kLanes <= n; i += kLanes) {
    const Floats e = exponential(load(x + i) - largest);
    store(y + i, e);
    sums += low(e) + high(e);
  }
  if (i < n) {
    Floats v = all(-__builtin_inff());
    __builtin_memcpy(&v, x + i, static_cast<unsigned long>(n - i) * sizeof(float));
    Floats e = exponential(v - largest);
    store_part(y + i, e, n - i);
    e = load_part(y + i, n - i);  // the lanes behind the row count nothing, whatever its largest value is
    sums += low(e) + high(e);
  }
  const auto scale = static_cast<float>(1.0 / lanes_of(sums));
  map(n, y, y, [scale](Floats v) { return v * scale; });
}

double sum_row(std::int64_t n, const float* x) {
  Doubles first{}, second{};
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const Floats v = load(x + i);
    first += low(v);
    second += high(v);
  }
  double sum = lanes_of(first + second);
  for (; i < n; ++i) sum += x[i];
  return sum;
}

double squared_deviations_row(std::int64_t n, const float* x, double mean) {
  Doubles first{}, second{};
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const Floats v = load(x + i);
    const Doubles a = low(v) - mean, b = high(v) - mean;
    first += a * a;
    second += b * b;
  }
  double sum = lanes_of(first + second);
  for (; i < n; ++i) sum += (x[i] - mean) * (x[i] - mean);
  return sum;
}

constexpr int kHalf = kLanes / 2;

void add_columns_row(std::int64_t n, const float* x, double* sums) {
  std::int64_t i = 0;
  for (; i + kHalf <= n; i += kHalf) {
    const HalfFloats v = *reinterpret_cast<const LooseHalf*>(x + i);
    *reinterpret_cast<LooseDoubles*>(sums + i) += __builtin_convertvector(v, Doubles);
  }
  for (; i < n; ++i) sums[i] += x[i];
}

void add_squares_row(std::int64_t n, const float* x, const double* means, double* squares) {
  std::int64_t i = 0;
  for (; i + kHalf <= n; i += kHalf) {
    const HalfFloats v = *reinterpret_cast<const LooseHalf*>(x + i);
    const Doubles delta = __builtin_convertvector(v, Doubles) - *reinterpret_cast<const LooseDoubles*>(means + i);
    *reinterpret_cast<LooseDoubles*>(squares + i) += delta * delta;
  }
  for (; i < n; ++i) squares[i] += (x[i] - means[i]) * (x[i] - means[i]);
}

template <int kVectors>
void pack_vectors(std::int64_t k, const float* from, std::int64_t step, float* to) {
  for (std::int64_t i = 0; i < k; ++i, from += step, to += kVectors * kLanes) {
    SPILLWAY_UNROLL
    for (int j = 0; j < kVectors; ++j) store(to + j * kLanes, load(from + j * kLanes));
  }
}

void pack_rows(std::int64_t k, const float* from, std::int64_t step, std::int64_t count, std::int64_t width,
               float* to) {
  if (count == kLanes && width == count) return pack_vectors<1>(k, from, step, to);
  if (count == 2 * kLanes && width == count) return pack_vectors<2>(k, from, step, to);
  if (count == 3 * kLanes && width == count) return pack_vectors<3>(k, from, step, to);
  for (std::int64_t i = 0; i < k; ++i, from += step, to += width) {
    std::int64_t j = 0;
    for (; j + kLanes <= count; j += kLanes) store(to + j, load(from + j));
    if (j < count) {
      store(to + j, load_part(from + j, count - j));
      j += kLanes;
    }
    for (; j < width; j += kLanes) store(to + j, Floats{});
  }
}

// Four rows of four: the shuffles of every x86-64, and enough to be bound by memory.
void transpose_block(std::int64_t rows, std::int64_t columns, const float* from, std::int64_t from_row, float* to,
                     std::int64_t to_row) {
  using Four __attribute__((vector_size(16), aligned(4))) = float;
  using Tight __attribute__((vector_size(16))) = float;
  using Index __attribute__((vector_size(16))) = std::int32_t;
  std::int64_t r = 0;
  for (; r + 4 <= rows; r += 4) {
    const float* source = from + r * from_row;
    std::int64_t c = 0;
    for (; c + 4 <= columns; c += 4) {
      const Tight v0 = *reinterpret_cast<const Four*>(source + c);
      const Tight v1 = *reinterpret_cast<const Four*>(source + from_row + c);
      const Tight v2 = *reinterpret_cast<const Four*>(source + 2 * from_row + c);
      const Tight v3 = *reinterpret_cast<const Four*>(source + 3 * from_row + c);
      const Tight t0 = __builtin_shuffle(v0, v1, Index{0, 4, 1, 5}), t1 = __builtin_shuffle(v0, v1, Index{2, 6, 3, 7});
      const Tight t2 = __builtin_shuffle(v2, v3, Index{0, 4, 1, 5}), t3 = __builtin_shuffle(v2, v3, Index{2, 6, 3, 7});
      float* target = to + c * to_row + r;
      *reinterpret_cast<Four*>(target) = __builtin_shuffle(t0, t2, Index{0, 1, 4, 5});
      *reinterpret_cast<Four*>(target + to_row) = __builtin_shuffle(t0, t2, Index{2, 3, 6, 7});
      *reinterpret_cast<Four*>(target + 2 * to_row) = __builtin_shuffle(t1, t3, Index{0, 1, 4, 5});
      *reinterpret_cast<Four*>(target + 3 * to_row) = __builtin_shuffle(t1, t3, Index{2, 3, 6, 7});
    }
    for (; c < columns; ++c) {
      for (int i = 0; i < 4; ++i) to[c * to_row + r + i] = source[i * from_row + c];
    }
  }
  for (; r < rows; ++r) {
    for (std::int64_t c = 0; c < columns; ++c) to[c * to_row + r] = from[r * from_row + c];
  }
}

// Butterflies: in the stage of distance s, vectors i and i + s exchange the lanes whose number has or lacks bit s.
template <int kStage>
Floats lower_half(Floats a, Floats b) {
  Ints from{};
  SPILLWAY_UNROLL
  for (int j = 0; j < kLanes; ++j) from[j] = (j & kStage) == 0 ? j : j - kStage + kLanes;
  return __builtin_shuffle(a, b, from);
}
template <int kStage>
Floats upper_half(Floats a, Floats b) {
  Ints from{};
  SPILLWAY_UNROLL
  for (int j = 0; j < kLanes; ++j) from[j] = (j & kStage) == 0 ? j + kStage : j + kLanes;
  return __builtin_shuffle(a, b, from);
}
template <int kStage>
void butterflies(Floats* v) {
  SPILLWAY_UNROLL
  for (int i = 0; i < kLanes; ++i) {
    if ((i & kStage) != 0) continue;
    const Floats a = v[i], b = v[i + kStage];
    v[i] = lower_half<kStage>(a, b);
    v[i + kStage] = upper_half<kStage>(a, b);
  }
}

/// kLanes rows of kLanes columns.
void transpose_square(const float* from, std::int64_t from_row, float* to, std::int64_t to_row) {
  Floats v[kLanes];
  SPILLWAY_UNROLL
  for (int i = 0; i < kLanes; ++i) v[i] = load(from + i * from_row);
  butterflies<1>(v);
  butterflies<2>(v);
#if SPILLWAY_SIMD_BYTES >= 32
  butterflies<4>(v);
#endif
#if SPILLWAY_SIMD_BYTES >= 64
  butterflies<8>(v);
#endif
  SPILLWAY_UNROLL
  for (int i = 0; i < kLanes; ++i) store(to + i * to_row, v[i]);
}

/// Whole squares first, then what is left on the right and below.
void transpose_part(std::int64_t rows, std::int64_t columns, const float* from, std::int64_t from_row, float* to,
                    std::int64_t to_row) {
  const std::int64_t square_rows = rows / kLanes * kLanes, square_columns = columns / kLanes * kLanes;
  for (std::int64_t c = 0; c < square_columns; c += kLanes) {
    for (std::int64_t r = 0; r < square_rows; r += kLanes) {
      transpose_square(from + r * from_row + c, from_row, to + c * to_row + r, to_row);
    }
  }
  transpose_block(square_rows, columns - square_columns, from + square_columns, from_row, to + square_columns * to_row,
                  to_row);
  transpose_block(rows - square_rows, columns, from + square_rows * from_row, from_row, to + square_rows, to_row);
}

/// Elements that are not `wanted`, as bits of anything.
std::int32_t differing_row(std::int64_t n, const std::int32_t* values, std::int32_t wanted) {
  using LooseInts __attribute__((vector_size(kBytes), aligned(4))) = std::int32_t;
  const Ints all_wanted = Ints{} + wanted;
  Ints different{};
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) different |= *reinterpret_cast<const LooseInts*>(values + i) ^ all_wanted;
  std::int32_t result = 0;
  for (int j = 0; j < kLanes; ++j) result |= different[j];
  for (; i < n; ++i) result |= values[i] ^ wanted;
  return result;
}

void transpose_rows(std::int64_t rows, std::int64_t columns, const float* from, std::int64_t from_row, float* to,
                    std::int64_t to_row) {
  constexpr std::int64_t kBlock = 64;  // 16 KiB on either side
  for (std::int64_t r = 0; r < rows; r += kBlock) {
    const std::int64_t height = rows - r < kBlock ? rows - r : kBlock;
    for (std::int64_t c = 0; c < columns; c += kBlock) {
      const std::int64_t width = columns - c < kBlock ? columns - c : kBlock;
      transpose_part(height, width, from + r * from_row + c, from_row, to + c * to_row + r, to_row);
    }
  }
}

}  // namespace

#define SPILLWAY_MICROS_4(name, v) nullptr, name<1, v>, name<2, v>, name<3, v>, name<4, v>
#define SPILLWAY_MICROS_6(name, v) SPILLWAY_MICROS_4(name, v), name<5, v>, name<6, v>
#define SPILLWAY_MICROS_9(name, v) SPILLWAY_MICROS_6(name, v), name<7, v>, name<8, v>, name<9, v>
#define SPILLWAY_MICROS_12(name, v) SPILLWAY_MICROS_9(name, v), name<10, v>, name<11, v>, name<12, v>
#define SPILLWAY_MICROS_14(name, v) SPILLWAY_MICROS_12(name, v), name<13, v>, name<14, v>

extern const Simd SPILLWAY_SIMD_TABLE;
const Simd SPILLWAY_SIMD_TABLE = {
    .name = SPILLWAY_SIMD_NAME,
    .lanes = kLanes,
#if SPILLWAY_SIMD_BYTES == 64
    .panel_vectors = 3,
    .rows = {0, 14, 14, 9},
    .micro = {{nullptr}, {SPILLWAY_MICROS_14(micro, 1)}, {SPILLWAY_MICROS_14(micro, 2)}, {SPILLWAY_MICROS_9(micro, 3)}},
    .micro_double = {{nullptr},
                     {SPILLWAY_MICROS_14(micro_double, 1)},
                     {SPILLWAY_MICROS_14(micro_double, 2)},
                     {SPILLWAY_MICROS_9(micro_double, 3)}},
#else  // 16 registers
    .panel_vectors = 2,
    .rows = {0, 12, 6, 0},
    .micro = {{nullptr}, {SPILLWAY_MICROS_12(micro, 1)}, {SPILLWAY_MICROS_6(micro, 2)}, {nullptr}},
    .micro_double = {{nullptr}, {SPILLWAY_MICROS_12(micro_double, 1)}, {SPILLWAY_MICROS_6(micro_double, 2)}, {nullptr}},
#endif
    .exp = exp_row,
    .sigmoid = sigmoid_row,
    .silu = silu_row,
    .tanh = tanh_row,
    .erf = erf_row,
    .gelu = gelu_row,
    .add = add_row,
    .sub = sub_row,
    .mul = mul_row,
    .div = div_row,
    .affine = affine_row,
    .normalise = normalise_row,
    .softmax = softmax_row,
    .sum = sum_row,
    .squared_deviations = squared_deviations_row,
    .add_columns = add_columns_row,
    .add_squares = add_squares_row,
    .finish = finish_rows,
    .gather = gather_rows,
    .pack = pack_rows,
    .transpose = transpose_rows,
    .differing = differing_row,
};

}  // namespace spillway::workloads::compute
