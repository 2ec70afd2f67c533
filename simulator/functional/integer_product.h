// A matrix operator's product of integers, exact, by its floating-point kernel.
#pragma once

#include <span>
#include <vector>

#include "workloads/operators/operators.h"

namespace spillway::simulator {

/// Of `inputs`, the node's, the first two hold whole numbers (zero points taken off). Their sums of products (without
/// the node's alpha) for the region `out`, each of `terms` products, exact (below 2^53).
[[nodiscard]] std::vector<double> integer_product(const workloads::Graph& graph, const workloads::Node& node,
                                                  std::span<const workloads::ConstRegionView> inputs,
                                                  std::int64_t terms, const workloads::Box& out);

}  // namespace spillway::simulator
