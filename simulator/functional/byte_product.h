// A matrix command on 8-bit integers, by the host's products of 8-bit integers: the same sums as integer_product(),
// where the operator is one that they know.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "workloads/compute/parallel.h"
#include "workloads/operators/operators.h"

namespace spillway::simulator {

/// Elements where they lie, or in `copy`.
struct ByteRegion {
  const std::int8_t* data = nullptr;
  std::shared_ptr<workloads::compute::Scratch> copy;
};

/// Elements of a region of the node's input, in the given order of its dimensions, outermost first.
using ReadBytes = std::function<ByteRegion(int input, const workloads::Box& region, std::span<const int> order)>;

/// Sums of products without gaps in an order of the output's dimensions that is convenient here.
struct ByteSums {
  std::vector<int> order;  ///< outermost first
  std::int32_t* values = nullptr;
  std::shared_ptr<workloads::compute::Scratch> buffer;  ///< nullptr: they lie where PlaceSums had them
};

/// Where sums in this order belong; nullptr if that place has gaps.
using PlaceSums = std::function<std::int32_t*(std::span<const int> order)>;

/// Of the region `out` of the node's output, with these zero points; nullopt if another way must be found: not a
/// convolution of images without groups, nor a product of matrices with a common batch, or sums of more terms than 32
/// bits hold for certain.
[[nodiscard]] std::optional<ByteSums> byte_product(const workloads::Graph& graph, const workloads::Node& node,
                                                   const workloads::Box& out, std::array<std::int32_t, 2> zero_points,
                                                   const ReadBytes& read, const PlaceSums& place);

}  // namespace spillway::simulator
