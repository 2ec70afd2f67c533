// How far one computation of a tensor is from another, in the measures that architects compare number formats by.
#pragma once

#include <cstdint>

namespace spillway::workloads {

/// Sums over pairs of elements; sums of parts add up to the sums of the whole.
struct ErrorSums {
  std::int64_t count = 0;
  double reference_squares = 0, found_squares = 0, products = 0, error_squares = 0, errors = 0, largest = 0;

  /// Where either is NaN, or one infinite, the error is infinite.
  void add(float reference, float found);
  ErrorSums& operator+=(const ErrorSums& other);

  /// Signal to quantisation noise, 10 log10(sum r^2 / sum (f - r)^2), in decibels; infinite where nothing differs.
  [[nodiscard]] double sqnr_db() const;
  /// Noise over signal: what sqnr_db() is the logarithm of, upside down.
  [[nodiscard]] double noise() const;
  [[nodiscard]] double mean_error() const { return count > 0 ? errors / static_cast<double>(count) : 0; }
  /// Of the angle between the two as vectors; 1 where both are zero.
  [[nodiscard]] double cosine() const;
};

}  // namespace spillway::workloads
