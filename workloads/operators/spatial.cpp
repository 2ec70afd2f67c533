#include "workloads/operators/spatial.h"

#include <algorithm>

#include "workloads/operators/support.h"

namespace spillway::workloads {

namespace {

// Extents and attributes beyond this are refused, so that products of two stay far from overflow.
constexpr std::int64_t kLargest = std::int64_t{1} << 31;

std::vector<std::int64_t> list_of(const Node& node, const std::string& name, std::size_t length, std::int64_t fallback,
                                  std::int64_t least) {
  auto values = node.integers(name);
  if (values.empty()) values.assign(length, fallback);
  if (values.size() != length) {
    bad_node(node,
             name + " has " + std::to_string(values.size()) + " entries when it should have " + std::to_string(length));
  }
  for (const std::int64_t v : values) {
    if (v < least || v >= kLargest) {
      bad_node(node, name + " has an entry of " + std::to_string(v) + " when it should be at least " +
                         std::to_string(least) + " and below 2^31");
    }
  }
  return values;
}

}  // namespace

Window window_of(const Node& node, const Shape& x, const std::vector<std::int64_t>& kernel) {
  if (x.size() < 3 || x.size() - 2 != kernel.size()) {
    bad_node(node, "input of rank " + std::to_string(x.size()) + " does not go with a window of " +
                       std::to_string(kernel.size()) + " spatial axes");
  }
  for (const std::int64_t k : kernel) {
    if (k < 1 || k >= kLargest) bad_node(node, "window extent " + std::to_string(k) + " is not positive");
  }
  const std::size_t dims = kernel.size();
  for (std::size_t d = 0; d < dims; ++d) {
    if (x[d + 2] >= kLargest) bad_node(node, "spatial extent " + std::to_string(x[d + 2]) + " is not below 2^31");
  }
  Window window;
  window.kernel = kernel;
  window.stride = list_of(node, "strides", dims, 1, 1);
  window.dilation = list_of(node, "dilations", dims, 1, 1);
  const std::string mode = node.text("auto_pad", "NOTSET");
  if (mode == "NOTSET" || mode.empty()) {
    const auto pads = list_of(node, "pads", 2 * dims, 0, 0);
    window.pad_begin.assign(pads.begin(), pads.begin() + static_cast<std::ptrdiff_t>(dims));
    window.pad_end.assign(pads.begin() + static_cast<std::ptrdiff_t>(dims), pads.end());
    return window;
  }
  window.pad_begin.assign(dims, 0);
  window.pad_end.assign(dims, 0);
  if (mode == "VALID") return window;
  if (mode != "SAME_UPPER" && mode != "SAME_LOWER") bad_node(node, "auto_pad '" + mode + "' is not known");
  for (std::size_t d = 0; d < dims; ++d) {
    const std::int64_t in = x[d + 2];
    const std::int64_t out = (in + window.stride[d] - 1) / window.stride[d];
    const std::int64_t total =
        std::max<std::int64_t>(0, (out - 1) * window.stride[d] + window.span(static_cast<int>(d)) - in);
    const std::int64_t smaller = total / 2;
    window.pad_begin[d] = mode == "SAME_UPPER" ? smaller : total - smaller;
    window.pad_end[d] = total - window.pad_begin[d];
  }
  return window;
}

std::int64_t window_count(const Node& node, const Window& window, int d, std::int64_t in, bool ceil) {
  const std::int64_t padded = in + window.pad_begin[d] + window.pad_end[d];
  const std::int64_t room = padded - window.span(d);
  if (room < 0) {
    bad_node(node, "window of " + std::to_string(window.span(d)) + " does not fit a padded extent of " +
                       std::to_string(padded));
  }
  const std::int64_t stride = window.stride[d];
  if (!ceil) return room / stride + 1;
  std::int64_t count = (room + stride - 1) / stride + 1;
  if ((count - 1) * stride >= in + window.pad_begin[d]) --count;
  return count;
}

std::pair<std::int32_t, std::int32_t> window_source(const Window& window, int d, std::int64_t in, std::int32_t begin,
                                                    std::int32_t count) {
  if (count <= 0) return {0, 0};
  const std::int64_t first = begin * window.stride[d] - window.pad_begin[d];
  const std::int64_t last = (std::int64_t{begin} + count - 1) * window.stride[d] - window.pad_begin[d] + window.span(d);
  const std::int64_t lo = std::clamp<std::int64_t>(first, 0, in);
  const std::int64_t hi = std::clamp<std::int64_t>(last, lo, in);
  return {static_cast<std::int32_t>(lo), static_cast<std::int32_t>(hi - lo)};
}

GroupRange groups_of(const Box& out, std::int64_t per_group) {
  const std::int64_t first = out.begin[1] / per_group;
  return {first, (out.end(1) - 1) / per_group - first + 1};
}

void split_channels(configs::MatrixShape& shape, const Box& out, std::int64_t groups) {
  shape.batch = out.extent[1] % groups == 0 ? groups : out.extent[1];
  shape.n = out.extent[1] / shape.batch;
}

}  // namespace spillway::workloads
