#include "workloads/fidelity.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace spillway::workloads {

void ErrorSums::add(float reference, float found) {
  ++count;
  if (reference == found) {
    const double square = double{reference} * reference;
    if (std::isinf(square)) return;  // the same infinity on both sides says nothing
    reference_squares += square;
    found_squares += square;
    products += square;
    return;
  }
  const double error = std::fabs(double{found} - reference);
  if (!std::isfinite(error)) {
    largest = errors = error_squares = std::numeric_limits<double>::infinity();
    return;
  }
  reference_squares += double{reference} * reference;
  found_squares += double{found} * found;
  products += double{reference} * found;
  error_squares += error * error;
  errors += error;
  largest = std::max(largest, error);
}

ErrorSums& ErrorSums::operator+=(const ErrorSums& other) {
  count += other.count;
  reference_squares += other.reference_squares;
  found_squares += other.found_squares;
  products += other.products;
  error_squares += other.error_squares;
  errors += other.errors;
  largest = std::max(largest, other.largest);
  return *this;
}

double ErrorSums::noise() const {
  if (error_squares == 0) return 0;
  return reference_squares > 0 ? error_squares / reference_squares : std::numeric_limits<double>::infinity();
}

double ErrorSums::sqnr_db() const {
  return error_squares == 0 ? std::numeric_limits<double>::infinity() : -10 * std::log10(noise());
}

double ErrorSums::cosine() const {
  if (!std::isfinite(error_squares)) return std::numeric_limits<double>::quiet_NaN();
  const double lengths = std::sqrt(reference_squares) * std::sqrt(found_squares);
  if (lengths > 0) return std::min(1.0, products / lengths);
  return reference_squares == found_squares ? 1 : 0;
}

}  // namespace spillway::workloads
