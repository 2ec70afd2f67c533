// Internal: questions about a finished Plan, answered by the search and the cost model that made it.
#pragma once

#include <optional>
#include <vector>

#include "partitioner/explain.h"
#include "partitioner/planned_groups.h"

namespace spillway::partitioner {

/// Whether a group could run, and how.
struct Verdict {
  Why why = Why::kNothing;  ///< kNothing: it could
  std::string detail;
  Bytes demand = 0;
  std::vector<Infeasible::Term> terms;
  const Candidate* candidate = nullptr;  ///< its best loop, also where only a limit of the search is in the way
};

class PlanQuestions {
 public:
  PlanQuestions(const Graph& graph, const configs::NpuConfig& npu, const Options& options, const Plan& plan);
  PlanQuestions(const PlanQuestions&) = delete;
  PlanQuestions& operator=(const PlanQuestions&) = delete;

  /// The loop of a group of the plan, priced.
  [[nodiscard]] const Candidate& chosen(int g) const { return chosen_[g]; }
  /// All of what a loop costs.
  [[nodiscard]] Difference cost_of(const PlannedGroup& group, const Candidate& candidate);
  [[nodiscard]] Difference cost_of(int g) { return cost_of(groups[g], chosen(g)); }

  [[nodiscard]] Verdict judge(const PlannedGroup& group);
  /// Whether a change pays: in what is to be least, and by the score of the search, which weighs the other as well.
  [[nodiscard]] bool pays(const Difference& costs, double score) const {
    return score < 0 && (plan.objective == Objective::kMoves ? costs.moved : costs.cycles) <= 0;
  }
  /// That groups [first, last] hold more primitives than the search looks at; nothing if they do not.
  [[nodiscard]] std::string too_long(int first, int last) const;
  /// For groups that cannot run in one loop: says what stands between them, where that is a particular tensor or none.
  void name_barrier(int first, int last, Boundary& end) const;
  /// Of all its executed operators, once.
  [[nodiscard]] std::int64_t graph_macs() const;

  const Graph& graph;
  const configs::NpuConfig& npu;
  const Options& options;
  const Plan& plan;
  Model model;
  Sequence sequence;
  Search search;
  PlannedGroups groups;

 private:
  std::vector<Candidate> chosen_;
  std::vector<int> primitives_;  // by group: those that run for the first time
};

Difference& operator+=(Difference& a, const Difference& b);
Difference& operator-=(Difference& a, const Difference& b);

}  // namespace spillway::partitioner
