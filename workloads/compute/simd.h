// The inner loops of the heavy operators, compiled for several instruction sets and chosen when the program runs: the
// binary itself needs no more than x86-64. Every function handles any length; an element's result does not depend on
// where in the array it lies, so work may be cut anywhere.
#pragma once

#include <cstdint>

namespace spillway::workloads::compute {

/// What is read soon: beside step i of k, the line of bytes at `at` + i `step` is fetched into the second cache. It may
/// lie anywhere: a fetch from where nothing is does nothing.
struct Ahead {
  const char* at = nullptr;
  std::int64_t step = 0;
};

/// c (rows x width, row step c_row) = or += a (rows x k, row step a_row) times b, a panel of `k` rows of `width`
/// consecutive floats. Sums run over k in ascending order.
using Micro = void (*)(std::int64_t k, const float* a, std::int64_t a_row, const float* b, float* c, std::int64_t c_row,
                       bool add, Ahead ahead);

inline constexpr int kMaxPanelVectors = 3;
inline constexpr int kMaxMicroRows = 14;

/// Floats [to, to + count) of a row come from `from` on, `step` apart.
struct Run {
  std::int64_t to = 0, count = 0, from = 0, step = 1;
};

struct Simd {
  const char* name;
  int lanes;                       ///< floats of a vector
  int panel_vectors;               ///< widest panel, in vectors
  int rows[kMaxPanelVectors + 1];  ///< rows of the best tile, by panel width in vectors (1 to panel_vectors)
  Micro micro[kMaxPanelVectors + 1][kMaxMicroRows + 1];         ///< by panel width in vectors, and rows
  Micro micro_double[kMaxPanelVectors + 1][kMaxMicroRows + 1];  ///< the same, summed in double; `add` must be false

  // y[i] = f(x[i]); y may be x.
  void (*exp)(std::int64_t n, const float* x, float* y);
  void (*sigmoid)(std::int64_t n, const float* x, float* y);
  void (*silu)(std::int64_t n, const float* x, float alpha, float* y);  ///< x sigmoid(alpha x)
  void (*tanh)(std::int64_t n, const float* x, float* y);
  void (*erf)(std::int64_t n, const float* x, float* y);
  void (*gelu)(std::int64_t n, const float* x, float* y);  ///< x/2 (1 + erf(x / sqrt 2))

  // y[i] = a[i * step_a] op b[i * step_b], steps 0 or 1.
  void (*add)(std::int64_t n, const float* a, int step_a, const float* b, int step_b, float* y);
  void (*sub)(std::int64_t n, const float* a, int step_a, const float* b, int step_b, float* y);
  void (*mul)(std::int64_t n, const float* a, int step_a, const float* b, int step_b, float* y);
  void (*div)(std::int64_t n, const float* a, int step_a, const float* b, int step_b, float* y);

  /// y[i] = (x[i] - center[i * step]) scale[i * step] + shift[i * step], step 0 or 1.
  void (*affine)(std::int64_t n, const float* x, const float* center, const float* scale, const float* shift, int step,
                 float* y);

  /// y[i] = (x[i] - mean) factor scale[i * step] + bias[i * step] in double, rounded once; step 0 or 1.
  void (*normalise)(std::int64_t n, const float* x, double mean, double factor, const float* scale, const float* bias,
                    int step, float* y);

  /// y = exp(x - max x) / sum of that
  void (*softmax)(std::int64_t n, const float* x, float* y);
  double (*sum)(std::int64_t n, const float* x);
  double (*squared_deviations)(std::int64_t n, const float* x, double mean);  ///< sum of (x - mean)^2
  /// sums[i] += x[i]; squares[i] += (x[i] - mean[i])^2
  void (*add_columns)(std::int64_t n, const float* x, double* sums);
  void (*add_squares)(std::int64_t n, const float* x, const double* means, double* squares);

  /// What follows the sums of a tile: y[r][j] = x[r][j] + bias[r * bias_step] + plus[r][j] for j < n, where either may
  /// be null, and 0 for what is below it if `rectify`. y may be x.
  void (*finish)(int rows, std::int64_t n, const float* x, std::int64_t x_row, const float* bias,
                 std::int64_t bias_step, const float* plus, std::int64_t plus_row, bool rectify, float* y,
                 std::int64_t y_row);

  /// Rows that have the same runs: to[i * to_row + j] for j < width, a multiple of `lanes` and at most that of the
  /// widest panel, is from[i * from_row + ...] by the run that has j, and 0 if none has. Runs are in order, of one
  /// step, and do not overlap.
  void (*gather)(const Run* runs, int count, std::int64_t rows, const float* from, std::int64_t from_row,
                 std::int64_t width, float* to, std::int64_t to_row);

  /// to[i * width + j] = from[i * step + j] for i < k, j < count, and 0 up to width, a multiple of `lanes`
  void (*pack)(std::int64_t k, const float* from, std::int64_t step, std::int64_t count, std::int64_t width, float* to);

  /// to[c * to_row + r] = from[r * from_row + c] for r < rows, c < columns
  void (*transpose)(std::int64_t rows, std::int64_t columns, const float* from, std::int64_t from_row, float* to,
                    std::int64_t to_row);

  /// Zero if all values are `wanted`.
  std::int32_t (*differing)(std::int64_t n, const std::int32_t* values, std::int32_t wanted);
};

/// The best for the machine it runs on.
[[nodiscard]] const Simd& simd();

/// Every table that this machine can run, best last (tests).
[[nodiscard]] int simd_count();
[[nodiscard]] const Simd& simd_at(int i);

// One per translation unit.
extern const Simd kSimdSse2;
extern const Simd kSimdAvx2;
extern const Simd kSimdAvx512;

}  // namespace spillway::workloads::compute
