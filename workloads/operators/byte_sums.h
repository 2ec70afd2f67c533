// Sums of products of 8-bit operands by the integer products of compute/, where those apply: operands of one zero point
// each. Quantised models are made of these, and in double they take a hundred times as long.
#pragma once

#include <optional>
#include <vector>

#include "workloads/graph.h"
#include "workloads/operators/spatial.h"

namespace spillway::workloads {

/// (a - a_zero) (b - b_zero), stacks of matrices that broadcast to `out`. Zero points may be nullptr (0). nullopt: not
/// by these products.
[[nodiscard]] std::optional<std::vector<double>> byte_products(const HostTensor& a, const HostTensor* a_zero,
                                                               const HostTensor& b, const HostTensor* b_zero,
                                                               const Shape& out);

/// Convolution of x [N, C, spatial...] with w [O, C, kernel...], ungrouped, to `out` [N, O, spatial...].
[[nodiscard]] std::optional<std::vector<double>> byte_convolution(const HostTensor& x, const HostTensor* x_zero,
                                                                  const HostTensor& w, const HostTensor* w_zero,
                                                                  const Window& window, const Shape& out);

}  // namespace spillway::workloads
