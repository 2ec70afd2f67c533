// The sliding windows of MaxPool and AveragePool on float regions in any layout.
#pragma once

#include <cstdint>
#include <span>

#include "workloads/operators/operators.h"
#include "workloads/operators/spatial.h"

namespace spillway::workloads {

/// One window's range along one axis: taps inside the input, and how many lie inside the input or its pads.
struct TapRange {
  std::int64_t first = 0, step = 1, count = 0, padded = 0;
};

/// Of spatial axis d, for the output at `position` of an input of extent `in`.
[[nodiscard]] TapRange taps_of(const Window& window, int d, std::int64_t in, std::int64_t position);

/// The largest of each window; NaN counts for nothing. `x` contains what `out` needs; `in` is the input's whole shape.
void pool_largest(const Window& window, const Shape& in, const ConstStridedView& x, const StridedView& out);

/// The mean of each window, summed in double; `count_pads`: divided by the taps in pads too.
void pool_mean(const Window& window, const Shape& in, bool count_pads, const ConstStridedView& x,
               const StridedView& out);

}  // namespace spillway::workloads
