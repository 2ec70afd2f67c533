// Weights that have been rounded to integers already: a quantised export stores them so (DequantizeLinear of a
// constant), and training with rounding leaves them so. Rounded again, to a grid of one's own, they would not be the
// model's any more.
#pragma once

#include <optional>
#include <span>

namespace spillway::workloads {

/// An 8-bit grid reaches from -128 to 127 steps.
inline constexpr int kMostGridSteps = 128;

/// Whether every value is a multiple of `step`, as exactly as float32 can tell: within 2^-21 of up to 128 of them.
[[nodiscard]] bool on_grid(std::span<const float> values, float step);

/// The largest step of which every value is a multiple, none more than 127 steps up or 128 down; nullopt if there is
/// none, or if all are zero.
[[nodiscard]] std::optional<float> grid_step(std::span<const float> values);

}  // namespace spillway::workloads
