// Products of integers that are exact in 64 bits.
#pragma once

#include "workloads/operators/operators.h"

namespace spillway::workloads {

/// MatMul of int32, uint32, int64 or uint64 tensors of any rank, wrapping around as the type does.
[[nodiscard]] HostTensor integer_matmul(const Graph& graph, const Node& node,
                                        std::span<const HostTensor* const> inputs);

}  // namespace spillway::workloads
