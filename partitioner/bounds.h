// Lower bounds of the bytes that a plan moves, each with the plans that it holds for. docs/bounds.md has the proofs.
#pragma once

#include <string>
#include <vector>

#include "partitioner/plan.h"

namespace spillway::partitioner {

struct LowerBound {
  std::string name;
  Bytes moves = 0;
  std::string holds_for;        ///< class of plans
  bool with_recompute = false;  ///< the class includes plans that make elements again
  std::string because;
};

/// Graph inputs, constants that are read, and outputs, once each; of gathered tables the rows gathered.
[[nodiscard]] Bytes compulsory_bytes(const Graph& graph, const Layout& layout);

/// What any plan must move that computes no element twice and no sum in parts, beyond the compulsory bytes, because a
/// scratchpad of `budget` bytes cannot hold what is alive when an operator starts that needs a whole tensor.
[[nodiscard]] Bytes capacity_bytes(const Graph& graph, const Layout& layout, Bytes budget);

/// For npu.scratchpad.size, weakest first. `graph` is canonical, `layout` its make_layout().
[[nodiscard]] std::vector<LowerBound> lower_bounds(const Graph& graph, const configs::NpuConfig& npu,
                                                   const Layout& layout);

}  // namespace spillway::partitioner
