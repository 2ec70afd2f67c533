// How often a tensor's values occur, in bins that widen as larger values appear; and the range that quantisation should
// cover by them.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "workloads/quantiser.h"

namespace spillway::workloads {

class Histogram {
 public:
  /// NaN and infinities are counted apart.
  void add(std::span<const float> values);
  /// Only for extremes() and the counts: several times faster. Not to be mixed with add().
  void add_extremes(std::span<const float> values);

  [[nodiscard]] std::int64_t count() const { return count_; }
  [[nodiscard]] std::int64_t not_finite() const { return not_finite_; }

  /// From the least to the largest value.
  [[nodiscard]] Range extremes() const;
  /// What `percent` of the values lie in, half of the others below and half above (to within a bin).
  [[nodiscard]] Range percentile(double percent) const;
  /// The part of the extremes, shrunk towards zero, whose quantiser has the least mean square error: rounding within,
  /// saturation outside (to within a bin).
  [[nodiscard]] Range least_square_error(int bits, bool symmetric) const;

 private:
  static constexpr int kHalf = 2048;  ///< bins on each side of zero
  /// The extremes of the values alone.
  Range count(std::span<const float> values);
  void widen(float magnitude);
  [[nodiscard]] double centre(int bin) const { return (bin - kHalf + 0.5) * width_; }

  std::vector<std::int64_t> bins_;
  double width_ = 0;  ///< of a bin; a power of two, so that widening merges whole bins
  std::int64_t count_ = 0, not_finite_ = 0;
  Range extremes_;
};

}  // namespace spillway::workloads
