#include "partitioner/explain_remake.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace spillway::partitioner {

namespace {

class RemakeExplainer {
 public:
  explicit RemakeExplainer(PlanQuestions& ask) : ask_(ask) {
    const auto& options = ask.options;
    const bool wished = options.skips == Wish::kRecompute ||
                        std::any_of(options.tensors.begin(), options.tensors.end(),
                                    [](const auto& entry) { return entry.second == Wish::kRecompute; });
    if (wished) return;
    const std::int64_t macs = ask.graph_macs();
    const std::int64_t added = macs_of(ask.graph, ask.npu, ask.plan) - macs;
    const auto most = static_cast<std::int64_t>(options.recompute_limit * static_cast<double>(macs));
    most_macs_ = std::max<std::int64_t>(0, most - added);
  }

  TensorExplanation run(const TensorFate& fate) {
    TensorExplanation e;
    e.fate = fate;
    e.saved = fate.written + fate.read;
    e.saved_cycles = static_cast<Cycles>(static_cast<double>(e.saved) / ask_.npu.dram_bytes_per_cycle());
    e.most_macs = most_macs_;
    const Storage& storage = ask_.model.layout.storages[fate.storage];
    find_groups(fate.storage);
    e.readers = static_cast<int>(readers_.size());
    if (ask_.plan.strategy == Strategy::kLayerByLayer)
      return because(e, Why::kAsked, "layer by layer nothing is made again");
    if (storage.is_output) return because(e, Why::kNoSource, "an output of the graph");
    if (storage.storage_class == StorageClass::kStatistics) {
      return because(e, Why::kNoSource, "statistics are complete before their first reader starts");
    }
    if (const Wish wish = wish_for(fate); wish == Wish::kHold || wish == Wish::kSpill) {
      return because(e, Why::kAsked, std::string(name_of(wish)));
    }
    const auto chain =
        remake(ask_.model, ask_.sequence, fate.storage, [this](StorageId s) { return there_for_all(s); });
    if (!chain) {
      if (!remake(ask_.model, ask_.sequence, fate.storage)) {
        return because(e, Why::kNoSource, "there is nothing to make it again from but itself");
      }
      return because(e, Why::kGone, "what it is made from is neither in DRAM nor in the scratchpad by then");
    }
    e.operators = static_cast<int>(chain->primitives.size());
    e.operator_cycles = chain->cycles * e.readers;
    e.macs = chain->macs * e.readers;
    e.read_instead = chain->weights * e.readers;
    for (const StorageId f : chain->frontier) {
      for (const int r : readers_) {
        if (ask_.groups.home(r, f) == Home::kDram) e.read_instead += ask_.model.layout.storages[f].bytes();
      }
    }
    const bool too_many = e.most_macs >= 0 && e.macs > e.most_macs;
    if (price(*chain, fate, e)) {
      if (!pays_) {
        e.why = Why::kCostsMore;
      } else if (e.why == Why::kNothing) {
        e.why = Why::kNotFound;
      }
    }
    if (too_many) e.besides = std::exchange(e.why, Why::kMacs);
    return e;
  }

 private:
  static TensorExplanation& because(TensorExplanation& e, Why why, std::string detail) {
    e.why = why;
    e.detail = std::move(detail);
    return e;
  }

  [[nodiscard]] Wish wish_for(const TensorFate& fate) const {
    for (const auto& [name, wish] : ask_.options.tensors) {
      const TensorId tensor = ask_.graph.find_tensor(name);
      if (name == fate.name || (tensor != kNone && ask_.model.storage_of(tensor) == fate.storage)) return wish;
    }
    return fate.skip ? ask_.options.skips : Wish::kAuto;
  }

  void find_groups(StorageId s) {
    readers_.clear();
    makers_.clear();
    for (int g = 0; g < ask_.groups.size(); ++g) {
      const PlannedGroup& p = ask_.groups[g];
      const int l = p.group.local_of(s);
      if (l == kNone) continue;
      if (p.group.locals[l].producer != kNone) {
        if (p.group.locals[l].stored) makers_.push_back(g);
      } else if (p.residents[l] == Home::kDram) {
        readers_.push_back(g);
      }
    }
  }

  /// In DRAM, or in the scratchpad while each of those runs that would make it again.
  [[nodiscard]] bool there_for_all(StorageId s) const {
    if (ask_.groups.in_dram(s) || ask_.model.layout.storages[s].bytes() <= kTiny) return true;
    return std::all_of(readers_.begin(), readers_.end(), [&](int r) { return ask_.groups.home(r, s) != Home::kDram; });
  }

  /// Every group concerned, priced as it would be then. False, with the reason, if one cannot be.
  bool price(const Remake& chain, const TensorFate& fate, TensorExplanation& e) {
    std::vector<NodeId> nodes;
    for (const int p : chain.primitives) {
      for (const NodeId n : ask_.sequence.primitives[p]) {
        // Statistics are kept from the first time.
        if (ask_.model.op(n).op_class != workloads::OpClass::kStatistics) nodes.push_back(n);
      }
    }
    double score = 0;
    for (const int r : readers_) {
      std::vector<NodeId> more;
      std::vector<StorageId> dropped;
      const auto& own = ask_.groups[r].group.nodes;
      for (const NodeId n : nodes) {
        if (std::find(own.begin(), own.end(), n) != own.end()) continue;
        more.push_back(n);
        dropped.push_back(ask_.model.output_of(n));
      }
      if (!change(r, ask_.groups.with(r, more, dropped), score, e)) return false;
    }
    for (const int m : makers_) {
      const PlannedGroup without = ask_.groups.with(m, {}, {fate.storage});
      const auto& locals = without.group.locals;
      if (std::none_of(locals.begin(), locals.end(), [](const Local& l) { return l.stored; })) {
        // All it makes is dropped: it need not run.
        e.costs -= ask_.cost_of(m);
        score -= ask_.chosen(m).score;
      } else if (!change(m, without, score, e)) {
        return false;
      }
    }
    e.compared = true;
    e.read_instead = e.costs.moved + e.saved;
    pays_ = ask_.pays(e.costs, score);
    return true;
  }

  bool change(int g, const PlannedGroup& now, double& score, TensorExplanation& e) {
    const Verdict verdict = ask_.judge(now);
    if (verdict.candidate == nullptr) {
      e.reader = g;
      e.demand = verdict.demand;
      e.available = now.available;
      because(e, verdict.why, verdict.detail);
      return false;
    }
    if (verdict.why == Why::kLimit) {
      e.reader = g;
      because(e, Why::kLimit, verdict.detail);
    }
    e.costs += ask_.cost_of(now, *verdict.candidate);
    e.costs -= ask_.cost_of(g);
    score += verdict.candidate->score - ask_.chosen(g).score;
    return true;
  }

  PlanQuestions& ask_;
  std::int64_t most_macs_ = -1;
  // of the tensor looked at
  std::vector<int> readers_, makers_;
  bool pays_ = false;
};

}  // namespace

std::vector<TensorExplanation> explain_tensors(PlanQuestions& questions) {
  RemakeExplainer explainer(questions);
  std::vector<TensorExplanation> result;
  for (const TensorFate& fate : fates_of(questions.graph, questions.npu, questions.plan)) {
    if (fate.fate == Fate::kSpill || fate.fate == Fate::kHoldFirst) result.push_back(explainer.run(fate));
  }
  return result;
}

}  // namespace spillway::partitioner
