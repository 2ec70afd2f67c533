// partitioner: from what to run and what to run it on, to a command stream.
//
// In:  a canonical Graph and an NpuConfig.
// Out: a Plan (plan.h): fused groups, tile loops, residency, predicted moves; or Infeasible with the smallest budget
//      that would do. lower() turns a Plan into a Program (program.h); check() (checker.h) proves it.
//
//   auto planned = partition(graph, npu, {.strategy = Strategy::kFused});
//   Plan& plan = std::get<Plan>(planned);
//   Program program = lower(graph, npu, plan);
//   assert(check(program).empty());
//
// Invariants: scratchpad use never exceeds npu.scratchpad.size; plan.moves equals the DMA bytes of the Program exactly;
// the same input gives the same Program, byte for byte.
#pragma once

#include <variant>

#include "configs/configs.h"
#include "partitioner/checker.h"
#include "partitioner/plan.h"
#include "partitioner/program.h"

namespace spillway::partitioner {

struct Options {
  Strategy strategy = Strategy::kFused;
  Objective objective = Objective::kLatency;
};

[[nodiscard]] std::variant<Plan, Infeasible> partition(const Graph& graph, const configs::NpuConfig& npu,
                                                       const Options& options = {});

/// The smallest scratchpad under which partition() succeeds (for this graph, config and precision; the same for every
/// strategy).
[[nodiscard]] Bytes smallest_budget(const Graph& graph, const configs::NpuConfig& npu);

[[nodiscard]] Program lower(const Graph& graph, const configs::NpuConfig& npu, const Plan& plan);

}  // namespace spillway::partitioner
