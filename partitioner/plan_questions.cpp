#include "partitioner/plan_questions.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "partitioner/held_input.h"
#include "partitioner/loop_shares.h"

namespace spillway::partitioner {

Difference& operator+=(Difference& a, const Difference& b) {
  a.cycles += b.cycles;
  a.moved += b.moved;
  a.weights += b.weights;
  a.macs += b.macs;
  a.spent += b.spent;
  return a;
}

Difference& operator-=(Difference& a, const Difference& b) {
  a.cycles -= b.cycles;
  a.moved -= b.moved;
  a.weights -= b.weights;
  a.macs -= b.macs;
  a.spent -= b.spent;
  return a;
}

PlanQuestions::PlanQuestions(const Graph& the_graph, const configs::NpuConfig& the_npu, const Options& the_options,
                             const Plan& the_plan)
    : graph(the_graph),
      npu(the_npu),
      options(the_options),
      plan(the_plan),
      model(graph, npu, plan.layout),
      sequence(partitioner::sequence(model, plan.strategy == Strategy::kFused)),
      search(model, plan.objective, plan.strategy == Strategy::kLayerByLayer),
      groups(plan, model) {
  std::vector<int> position(graph.nodes.size(), kNone);
  for (int p = 0; p < sequence.size(); ++p) {
    for (const NodeId n : sequence.primitives[p]) position[n] = p;
  }
  std::vector<char> ran(static_cast<std::size_t>(sequence.size()), 0);
  for (int g = 0; g < groups.size(); ++g) {
    chosen_.push_back(search.priced(groups[g].group, groups[g].residents, groups.loop(g)));
    primitives_.push_back(0);
    for (const NodeId n : groups[g].group.nodes) {
      if (position[n] == kNone || ran[position[n]] != 0) continue;
      ran[position[n]] = 1;
      ++primitives_.back();
    }
  }
}

Difference PlanQuestions::cost_of(const PlannedGroup& group, const Candidate& candidate) {
  Difference cost;
  cost.cycles = candidate.cycles;
  cost.moved = candidate.moves.total();
  cost.weights = candidate.moves.of(StorageClass::kWeight);
  cost.macs = std::llround(candidate.extra_macs);
  cost.spent = shares_of(search.loop_of(group.group, candidate), group.group, group.residents, candidate.pipelining);
  for (const int l : group.loads) {
    const WholeLoad load = whole_load(group.group, l);
    cost.cycles += load.cycles;
    cost.moved += load.moves.total();
    cost.spent[SpentOn::kFill] += load.cycles;
  }
  return cost;
}

namespace {

std::string past_limits(const GroupModel& group, const Model& model) {
  const auto products = std::count_if(group.nodes.begin(), group.nodes.end(),
                                      [&](NodeId n) { return model.op(n).op_class == workloads::OpClass::kMatrix; });
  if (group.stages.size() > kMaxStages) return fmt::format("{} stages of at most {}", group.stages.size(), kMaxStages);
  if (products > kMaxProducts) return fmt::format("{} products of at most {}", products, kMaxProducts);
  if (group.nodes.size() > kMaxNodes) return fmt::format("{} operators of at most {}", group.nodes.size(), kMaxNodes);
  return {};
}

}  // namespace

Verdict PlanQuestions::judge(const PlannedGroup& p) {
  Verdict verdict;
  if (!p.group.ok()) {
    verdict.why = Why::kNotOne;
    verdict.detail = p.group.why_not;
    return verdict;
  }
  if (p.available > 0) verdict.candidate = search.best(p.group, p.residents, p.available);
  if (verdict.candidate != nullptr) {
    verdict.detail = past_limits(p.group, model);
    if (!verdict.detail.empty()) verdict.why = Why::kLimit;
    return verdict;
  }
  if (!search.structure_of(p.group).possible) {
    verdict.why = Why::kWhole;
    return verdict;
  }
  const std::vector<Buffer> buffers = search.least(p.group, p.residents);
  verdict.demand = bytes_of(buffers);
  verdict.why = verdict.demand > p.available ? Why::kDoesNotFit : Why::kNoLoop;
  verdict.terms = terms_of(model.layout, buffers);
  return verdict;
}

std::string PlanQuestions::too_long(int first, int last) const {
  int sum = 0;
  for (int g = first; g <= last; ++g) sum += primitives_[g];
  return sum > kLength ? fmt::format("{} primitives of at most {}", sum, kLength) : std::string();
}

void PlanQuestions::name_barrier(int first, int last, Boundary& end) const {
  std::set<StorageId> made, gathered;
  bool reads = false;
  for (int g = first; g <= last; ++g) {
    for (const Local& local : groups[g].group.locals) {
      if (local.producer != kNone) {
        if (g < last) (local.accumulates ? gathered : made).insert(local.storage);
        continue;
      }
      reads |= g == last && made.count(local.storage) != 0;
      if (gathered.count(local.storage) == 0) continue;
      end.detail = "statistics are complete only after the last tile";
      end.tensor = model.layout.storages[local.storage].name;
      return;
    }
  }
  if (!reads && last == first + 1) end.detail = "it reads nothing of what this one makes";
}

std::int64_t PlanQuestions::graph_macs() const {
  std::int64_t sum = 0;
  for (const NodeId n : model.executed) sum += model.macs(n);
  return sum;
}

}  // namespace spillway::partitioner
