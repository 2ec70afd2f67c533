#include "partitioner/fuse.h"

#include <algorithm>
#include <limits>
#include <queue>
#include <set>

namespace spillway::partitioner {

using workloads::OpClass;

namespace {

bool is_activation(const Model& model, NodeId node) {
  static constexpr std::string_view kActivations[] = {"Silu", "Relu", "LeakyRelu", "Sigmoid",
                                                      "Gelu", "Clip", "HardSwish"};
  const std::string& op = model.graph.nodes[node].op;
  return std::find(std::begin(kActivations), std::end(kActivations), op) != std::end(kActivations);
}

/// Groups under merging: who is in which group, and who reads whom.
class Fuser {
 public:
  Fuser(const Model& model, Search& search, Bytes budget)
      : model_(model),
        search_(search),
        budget_(budget),
        none_(model.layout.storages.size(), Home::kDram),
        groups_(primitives(model)) {
    member_.assign(model.graph.nodes.size(), kNone);
    for (std::size_t g = 0; g < groups_.size(); ++g) {
      for (const NodeId n : groups_[g]) member_[n] = static_cast<int>(g);
    }
    cost_.assign(groups_.size(), -1);
  }

  std::vector<Nodes> run() {
    // The largest links first: what they would carry through DRAM is what fusion saves.
    std::vector<StorageId> links;
    for (StorageId s = 0; s < static_cast<StorageId>(model_.layout.storages.size()); ++s) {
      if (model_.producer[s] != kNone && !model_.is_virtual(model_.producer[s])) links.push_back(s);
    }
    std::stable_sort(links.begin(), links.end(), [&](StorageId a, StorageId b) {
      return model_.layout.storages[a].bytes() > model_.layout.storages[b].bytes();
    });
    std::vector<std::size_t> place(model_.layout.storages.size(), links.size());
    for (std::size_t i = 0; i < links.size(); ++i) place[links[i]] = i;
    for (std::size_t i = 0; i < links.size();) {
      const int g = merge_across(links[i]);
      if (g == kNone) {
        ++i;
        continue;
      }
      // What failed before may pay now: back to the largest link that the merged group touches.
      for (const NodeId n : groups_[g]) {
        i = std::min(i, place[model_.output_of(n)]);
        for (const TensorId input : model_.graph.nodes[n].inputs) {
          if (input != kNone) i = std::min(i, place[model_.storage_of(input)]);
        }
      }
    }
    return ordered();
  }

 private:
  /// Groups that read what `g` makes, through virtual Concats too.
  std::vector<int> consumers(int g) const {
    std::set<int> found;
    for (const NodeId n : groups_[g]) add_readers(model_.output_of(n), g, found);
    return {found.begin(), found.end()};
  }
  void add_readers(StorageId storage, int g, std::set<int>& found) const {
    for (const NodeId reader : model_.readers[storage]) {
      if (model_.is_virtual(reader)) {
        add_readers(model_.output_of(reader), g, found);
      } else if (member_[reader] != g) {
        found.insert(member_[reader]);
      }
    }
  }

  double cost(int g) {
    if (cost_[g] < 0) cost_[g] = cost_of(groups_[g]);
    return cost_[g];
  }
  double cost_of(const Nodes& nodes) {
    const GroupModel group = make_group(model_, with_virtual(model_, nodes));
    if (!group.ok()) return std::numeric_limits<double>::infinity();
    const Candidate* best = search_.best(group, none_, budget_);
    return best == nullptr ? std::numeric_limits<double>::infinity() : best->score;
  }

  /// A path from `a` to `b` through a third group would make the merged group wait for itself.
  bool convex(int a, int b) const {
    const NodeId last = *std::max_element(groups_[b].begin(), groups_[b].end());
    std::vector<int> stack;
    std::set<int> seen;
    const auto push = [&](int from) {
      for (const int c : consumers(from)) {
        if (from == a && c == b) continue;
        if (seen.insert(c).second) stack.push_back(c);
      }
    };
    push(a);
    while (!stack.empty()) {
      const int g = stack.back();
      stack.pop_back();
      if (g == b) return false;
      if (g == a || *std::min_element(groups_[g].begin(), groups_[g].end()) > last) continue;
      push(g);
    }
    return true;
  }

  /// Merges the group that makes `link` with one that reads it, if that pays; the merged group, or kNone.
  int merge_across(StorageId link) {
    const int g = member_[model_.producer[link]];
    std::set<int> readers;
    add_readers(link, g, readers);
    for (const int c : readers) {
      if (!tried_.insert({groups_[g], groups_[c]}).second) continue;
      if (!worth_trying(g, c) || !convex(g, c)) continue;
      Nodes both = groups_[g];
      both.insert(both.end(), groups_[c].begin(), groups_[c].end());
      std::sort(both.begin(), both.end());
      const GroupModel merged = make_group(model_, with_virtual(model_, both));
      if (!merged.ok() || merged.stages.size() > kMaxStages) continue;
      const double apart = cost(g) + cost(c);
      const Candidate* best = search_.best(merged, none_, budget_);
      if (best == nullptr || best->score > apart) continue;
      for (const NodeId n : groups_[c]) member_[n] = g;
      groups_[g] = std::move(both);
      groups_[c].clear();
      cost_[g] = best->score;
      return g;
    }
    return kNone;
  }

  /// Chains of matrix operators are tried where the link between them is large enough to matter.
  bool worth_trying(int a, int b) const {
    if (groups_[a].empty() || groups_[b].empty()) return false;
    if (groups_[a].size() + groups_[b].size() > kMaxNodes) return false;
    int products = 0;
    for (const auto* nodes : {&groups_[a], &groups_[b]}) {
      for (const NodeId n : *nodes) products += model_.op(n).op_class == OpClass::kMatrix ? 1 : 0;
    }
    return products <= kMaxProducts;
  }

  /// Execution order: a group runs when all it reads is there, earliest last node first.
  std::vector<Nodes> ordered() const {
    std::vector<int> waiting(groups_.size(), 0);
    std::vector<std::vector<int>> next(groups_.size());
    for (std::size_t g = 0; g < groups_.size(); ++g) {
      if (groups_[g].empty()) continue;
      next[g] = consumers(static_cast<int>(g));
      for (const int c : next[g]) ++waiting[c];
    }
    using Entry = std::pair<NodeId, int>;
    std::priority_queue<Entry, std::vector<Entry>, std::greater<>> ready;
    const auto enter = [&](int g) { ready.emplace(groups_[g].back(), g); };
    for (std::size_t g = 0; g < groups_.size(); ++g) {
      if (!groups_[g].empty() && waiting[g] == 0) enter(static_cast<int>(g));
    }
    std::vector<Nodes> result;
    while (!ready.empty()) {
      const int g = ready.top().second;
      ready.pop();
      result.push_back(groups_[g]);
      for (const int c : next[g]) {
        if (--waiting[c] == 0) enter(c);
      }
    }
    return result;
  }

  static constexpr std::size_t kMaxStages = 6;
  static constexpr std::size_t kMaxNodes = 48;  // a group's price grows with its nodes, planning with their square
  static constexpr int kMaxProducts = 2;

  const Model& model_;
  Search& search_;
  Bytes budget_;
  Residents none_;
  std::vector<Nodes> groups_;
  std::vector<int> member_;
  std::vector<double> cost_;
  std::set<std::pair<Nodes, Nodes>> tried_;
};

}  // namespace

std::vector<Nodes> primitives(const Model& model) {
  std::vector<Nodes> groups;
  std::vector<int> member(model.graph.nodes.size(), kNone);
  for (const NodeId n : model.executed) {
    if (model.is_virtual(n)) continue;
    if (is_activation(model, n)) {
      const StorageId input = model.storage_of(model.graph.nodes[n].inputs[0]);
      const NodeId producer = model.producer[input];
      const bool only = model.readers[input].size() == 1 && !model.layout.storages[input].is_output;
      if (producer != kNone && only && member[producer] != kNone) {
        const std::string& op = model.graph.nodes[producer].op;
        if (op == "NormApply" || op == "ChannelAffine" || op == "LayerNormalization") {
          member[n] = member[producer];
          groups[member[n]].push_back(n);
          continue;
        }
      }
    }
    member[n] = static_cast<int>(groups.size());
    groups.push_back({n});
  }
  return groups;
}

std::vector<Nodes> fuse(const Model& model, Search& search, Bytes budget) { return Fuser(model, search, budget).run(); }

Nodes with_virtual(const Model& model, const Nodes& nodes) {
  std::set<NodeId> all(nodes.begin(), nodes.end());
  std::vector<NodeId> stack = nodes;
  while (!stack.empty()) {
    const NodeId n = stack.back();
    stack.pop_back();
    for (const TensorId input : model.graph.nodes[n].inputs) {
      if (input == kNone) continue;
      const NodeId producer = model.producer[model.storage_of(input)];
      if (producer != kNone && model.is_virtual(producer) && all.insert(producer).second) stack.push_back(producer);
    }
  }
  return {all.begin(), all.end()};
}

}  // namespace spillway::partitioner
