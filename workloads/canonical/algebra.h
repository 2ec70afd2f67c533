// Small polynomials over tensors: tells whether a tangle of Add, Sub, Mul, Div and Pow with scalar constants is, say,
// x/2 + x*erf(...)/2, whatever the order in which an exporter wrote it.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <set>

#include "workloads/canonical/rewriter.h"

namespace spillway::workloads {

/// Coefficients by the exponents of the two variables.
using Polynomial = std::map<std::array<int, 2>, double>;

class Algebra {
 public:
  /// `variables`: two tensors, the second of which may be kNone.
  Algebra(const Rewriter& rewriter, std::array<TensorId, 2> variables) : rewriter_(rewriter), variables_(variables) {}

  /// The tensor as a polynomial of the variables; nullopt if it is not one (or a large one).
  [[nodiscard]] std::optional<Polynomial> of(TensorId tensor) { return of(tensor, 0); }

  /// The nodes that were looked through.
  [[nodiscard]] const std::set<NodeId>& visited() const { return visited_; }
  /// Whether the coefficients are equal, up to the rounding of the constants' type.
  [[nodiscard]] bool matches(const Polynomial& found, const Polynomial& wanted) const;

 private:
  std::optional<Polynomial> of(TensorId tensor, int depth);

  const Rewriter& rewriter_;
  std::array<TensorId, 2> variables_;
  std::set<NodeId> visited_;
  bool half_ = false;  // a constant was 16 bits wide
};

}  // namespace spillway::workloads
