#include "partitioner/explain.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "configs/error.h"
#include "partitioner/explain_remake.h"

namespace spillway::partitioner {

std::string_view name_of(Why why) {
  switch (why) {
    case Why::kNothing:
      return "nothing";
    case Why::kEnd:
      return "end of the graph";
    case Why::kNoSource:
      return "no source";
    case Why::kAsked:
      return "as asked";
    case Why::kSlices:
      return "other slice";
    case Why::kNotOne:
      return "not one loop";
    case Why::kWhole:
      return "executed whole";
    case Why::kDoesNotFit:
      return "does not fit";
    case Why::kNoLoop:
      return "no loop";
    case Why::kMacs:
      return "too many MACs";
    case Why::kGone:
      return "source is gone";
    case Why::kCostsMore:
      return "costs more";
    case Why::kLimit:
      return "search limit";
    case Why::kNotFound:
      return "not found";
  }
  internal_error("unknown reason");
}

namespace {

class Explainer {
 public:
  Explainer(const Graph& graph, const configs::NpuConfig& npu, const Options& options, const Plan& plan, Bytes more)
      : ask_(graph, npu, options, plan), more_(more) {}

  Explanation run() {
    Explanation result;
    result.more = more_;
    for (int g = 0; g < ask_.groups.size(); ++g) result.groups.push_back(explain_group(g));
    result.tensors = explain_tensors(ask_);
    return result;
  }

 private:
  GroupExplanation explain_group(int g) {
    GroupExplanation e;
    const PlannedGroup& p = ask_.groups[g];
    const Candidate& chosen = ask_.chosen(g);
    e.spent = ask_.cost_of(g).spent;
    e.available = p.available;
    e.end = end_of(g);
    // Groups that look alike are asked once.
    const auto key = std::tuple(&ask_.search.structure_of(p.group), p.residents, p.available, chosen.tile, chosen.order,
                                chosen.pipelining);
    const auto [known, fresh] = others_.try_emplace(key);
    if (fresh) {
      if (const auto next = ask_.search.next_best(p.group, p.residents, p.available, chosen)) {
        known->second.next = other_loop(p, *next, chosen);
      }
      const Candidate* more = ask_.search.best(p.group, p.residents, p.available + more_);
      if (more != nullptr && more->score < chosen.score) {
        OtherLoop loop = other_loop(p, *more, chosen);
        if (ask_.pays(loop.costs, more->score - chosen.score)) known->second.with_more = std::move(loop);
      }
    }
    e.next = known->second.next;
    e.with_more = known->second.with_more;
    return e;
  }

  OtherLoop other_loop(const PlannedGroup& p, const Candidate& other, const Candidate& chosen) {
    OtherLoop loop;
    loop.tile = other.tile;
    loop.order = other.order;
    loop.pipelining = other.pipelining;
    loop.steps = other.steps;
    loop.scratchpad = other.scratchpad;
    loop.costs = ask_.cost_of(p, other);
    loop.costs -= ask_.cost_of(p, chosen);
    return loop;
  }

  Boundary end_of(int g) {
    constexpr int kLookAhead = 3;  // what cannot be one loop may become one again with what follows
    Boundary first;
    first.why = Why::kEnd;
    for (int last = g + 1; last <= std::min(g + kLookAhead, ask_.groups.size() - 1); ++last) {
      Boundary end = end_before(g, last);
      if (last == g + 1) first = end;
      if (end.why != Why::kNotOne) return end;
    }
    return first;
  }

  /// What is in the way of one group from `g` to `last`.
  Boundary end_before(int g, int last) {
    Boundary end;
    end.with = last;
    if (ask_.plan.strategy == Strategy::kLayerByLayer) {
      end.why = Why::kAsked;
      return end;
    }
    if (!(ask_.groups[g].group.slices() == ask_.groups[last].group.slices() && slice_of(g) == slice_of(last))) {
      end.why = Why::kSlices;
      return end;
    }
    const PlannedGroup both = ask_.groups.joined(g, last);
    const Verdict verdict = ask_.judge(both);
    end.why = verdict.why;
    end.detail = verdict.detail;
    end.demand = verdict.demand;
    end.available = both.available;
    end.terms = verdict.terms;
    if (end.why == Why::kNotOne) ask_.name_barrier(g, last, end);
    if (verdict.candidate == nullptr) return end;
    end.costs = ask_.cost_of(both, *verdict.candidate);
    double apart = 0;
    for (int k = g; k <= last; ++k) {
      end.costs -= ask_.cost_of(k);
      apart += ask_.chosen(k).score;
    }
    end.compared = true;
    if (!ask_.pays(end.costs, verdict.candidate->score - apart)) {
      end.why = Why::kCostsMore;
    } else if (end.why == Why::kNothing) {
      end.detail = ask_.too_long(g, last);
      end.why = end.detail.empty() ? Why::kNotFound : Why::kLimit;
    }
    return end;
  }

  /// Where the part of the batch begins that a group runs for.
  [[nodiscard]] int slice_of(int g) const {
    const Box& region = ask_.groups[g].group.region;
    return region.rank == 0 ? 0 : region.begin[0] / std::max(1, region.extent[0]);
  }

  struct Others {
    std::optional<OtherLoop> next, with_more;
  };
  using Key = std::tuple<Search::Structure*, Residents, Bytes, std::array<std::int32_t, kMaxRank>, std::vector<int>,
                         Pipelining>;

  PlanQuestions ask_;
  Bytes more_;
  std::map<Key, Others> others_;
};

}  // namespace

Explanation explain(const Graph& graph, const configs::NpuConfig& npu, const Options& options, const Plan& plan,
                    Bytes more) {
  return Explainer(graph, npu, options, plan, more).run();
}

MoreScratchpad plan_with_more(const Graph& graph, const configs::NpuConfig& npu, const Options& options,
                              const Plan& plan, Bytes more) {
  MoreScratchpad result;
  result.more = more;
  configs::NpuConfig larger = npu;
  larger.scratchpad.size = plan.budget + more;
  Options same = options;
  same.strategy = plan.strategy;
  same.objective = plan.objective;
  auto planned = partition(graph, larger, same);
  const Plan* other = std::get_if<Plan>(&planned);
  if (other == nullptr) internal_error("a graph that fits a scratchpad does not fit a larger one");
  result.groups = static_cast<int>(other->groups.size());
  result.costs.cycles = other->cycles - plan.cycles;
  result.costs.moved = other->moves.total() - plan.moves.total();
  result.costs.weights = other->moves.of(StorageClass::kWeight) - plan.moves.of(StorageClass::kWeight);
  result.costs.macs = macs_of(graph, larger, *other) - macs_of(graph, npu, plan);
  std::map<StorageId, Fate> before;
  for (const TensorFate& fate : fates_of(graph, npu, plan)) before[fate.storage] = fate.fate;
  for (const TensorFate& fate : fates_of(graph, larger, *other)) {
    const auto known = before.find(fate.storage);
    if (known == before.end() || known->second == fate.fate) continue;
    result.changes.push_back({fate.name, fate.bytes, known->second, fate.fate});
  }
  return result;
}

}  // namespace spillway::partitioner
