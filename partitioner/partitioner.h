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

#include <map>
#include <string>
#include <variant>
#include <vector>

#include "configs/configs.h"
#include "partitioner/checker.h"
#include "partitioner/plan.h"
#include "partitioner/program.h"

namespace spillway::partitioner {

/// What is asked to become of a tensor that later groups read.
enum class Wish : std::uint8_t {
  kAuto,       ///< whatever the objective gains by
  kHold,       ///< stays in the scratchpad to its last reader
  kSpill,      ///< goes through DRAM; readers close by may still find it in the scratchpad
  kRecompute,  ///< is dropped, and made again by those who read it
};
[[nodiscard]] std::string_view name_of(Wish wish);

/// How Softmax and the products around it (attention) may run.
enum class Attention : std::uint8_t {
  kFused,    ///< as the objective has it: mostly in blocks of queries whose scores never leave the scratchpad
  kSliced,   ///< whole score matrices, one of the batch (a head) at a time, where one fits; else as kUnfused
  kUnfused,  ///< scores are a tensor like any other
};

struct Options {
  Strategy strategy = Strategy::kFused;
  Objective objective = Objective::kLatency;
  // For kFused:
  Wish skips = Wish::kAuto;               ///< of every skip (order.h); where it cannot be, the tensor takes its own way
  std::map<std::string, Wish> tensors{};  ///< by tensor name, before `skips`; must be possible
  double recompute_limit = 0.01;  ///< share of the graph's MACs that recomputing may add, unless it is wished for
  bool slices = false;            ///< also consider groups that run once for each of the batch
  Attention attention = Attention::kFused;
  /// For propose(): attentions in so many blocks of keys (1: never); 0: where that is better.
  std::int64_t key_blocks = 0;
};

/// Throws Error(kBadInput) if `options.tensors` names one that no group could keep, and Error(kDoesNotFit) if what it
/// asks for cannot be: with demand, budget and gap.
[[nodiscard]] std::variant<Plan, Infeasible> partition(const Graph& graph, const configs::NpuConfig& npu,
                                                       const Options& options = {});

/// A graph as it is to run, and the plan for that.
struct Proposal {
  Graph graph;
  std::variant<Plan, Infeasible> outcome;
};
/// partition() for the graph as it is, and with attentions in blocks of keys (workloads/key_blocks.h) where keys and
/// values take more than half of the scratchpad: the better of them.
[[nodiscard]] Proposal propose(const Graph& graph, const configs::NpuConfig& npu, const Options& options = {});

/// Up to `count` different plans, those first that are predicted to be best by the objective: what the searches behind
/// partition() come upon, for more budgets, objectives and limits than it looks at. For comparing predictions with what
/// is simulated; takes many times as long. Empty where partition() says Infeasible.
[[nodiscard]] std::vector<Plan> candidates(const Graph& graph, const configs::NpuConfig& npu, const Options& options,
                                           int count);

/// The smallest scratchpad under which partition() succeeds (for this graph, config and precision; the same for every
/// strategy).
[[nodiscard]] Bytes smallest_budget(const Graph& graph, const configs::NpuConfig& npu);

[[nodiscard]] Program lower(const Graph& graph, const configs::NpuConfig& npu, const Plan& plan);

}  // namespace spillway::partitioner
