// Geometry of sliding windows (convolution, pooling): strides, dilations and pads of the spatial axes, with ONNX's
// auto_pad resolved. Spatial axis 0 is tensor axis 2.
#pragma once

#include <cstdint>
#include <vector>

#include "configs/timing.h"
#include "workloads/graph.h"

namespace spillway::workloads {

struct Window {
  std::vector<std::int64_t> kernel, stride, dilation, pad_begin, pad_end;

  [[nodiscard]] int dims() const { return static_cast<int>(kernel.size()); }
  /// Input positions that one window spans along a spatial axis.
  [[nodiscard]] std::int64_t span(int d) const { return dilation[d] * (kernel[d] - 1) + 1; }
};

/// `x`: shape of the input, [N, C, spatial...]; `kernel`: spatial extents of the window. Reads strides, dilations, pads
/// and auto_pad. Throws Error(kBadInput) on lists of the wrong length, non-positive strides, negative pads.
[[nodiscard]] Window window_of(const Node& node, const Shape& x, const std::vector<std::int64_t>& kernel);

/// Output extent along a spatial axis of input extent `in`; `ceil`: count a last partial window that starts inside
/// the input or its leading pad (ONNX ceil_mode). Throws if the window is larger than the padded input.
[[nodiscard]] std::int64_t window_count(const Node& node, const Window& window, int d, std::int64_t in,
                                        bool ceil = false);

/// Along spatial axis d, the input positions inside [0, in) that outputs [begin, begin + count) read: {begin, count}.
[[nodiscard]] std::pair<std::int32_t, std::int32_t> window_source(const Window& window, int d, std::int64_t in,
                                                                  std::int32_t begin, std::int32_t count);

/// The groups of a grouped convolution that a range of output channels touches.
struct GroupRange {
  std::int64_t first = 0, count = 0;
};
/// `per_group`: output channels of one group. `out` is not empty.
[[nodiscard]] GroupRange groups_of(const Box& out, std::int64_t per_group);

/// Sets batch and n for the output channels of a box that touches `groups` groups: a product per group, or per channel
/// where the box cuts groups unevenly, so that the products add up exactly.
void split_channels(configs::MatrixShape& shape, const Box& out, std::int64_t groups);

}  // namespace spillway::workloads
