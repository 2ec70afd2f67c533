// partition(): groups, tiles, residency, addresses.

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>

#include "configs/error.h"
#include "partitioner/allocate.h"
#include "partitioner/bounds.h"
#include "partitioner/fuse.h"
#include "partitioner/partitioner.h"

namespace spillway::partitioner {

namespace {

constexpr Bytes kAlignment = 64;

class Planner {
 public:
  Planner(const Graph& graph, const configs::NpuConfig& npu, const Options& options)
      : graph_(graph),
        npu_(npu),
        options_(options),
        layout_(make_layout(graph, npu.precision)),
        model_(graph, npu, layout_),
        search_(model_, options.objective, options.strategy == Strategy::kLayerByLayer) {}

  /// What is in DRAM whatever the plan must fit there; found before the time is spent on planning.
  void require_dram() const {
    Bytes bytes = 0;
    StorageId largest = 0;
    for (StorageId s = 0; s < static_cast<StorageId>(layout_.storages.size()); ++s) {
      const Storage& storage = layout_.storages[s];
      if (storage.bytes() > layout_.storages[largest].bytes()) largest = s;
      if (storage.is_input || storage.is_output) bytes += storage.bytes();
    }
    if (bytes <= npu_.dram.size) return;
    throw Error(ErrorKind::kDoesNotFit, Place{.file = graph_.source, .tensor = layout_.storages[largest].name},
                fmt::format("inputs, weights and outputs take {} bytes, the DRAM has {}; the largest tensor takes {}",
                            bytes, npu_.dram.size, layout_.storages[largest].bytes()),
                fmt::format("--set dram.size={}, smaller shapes, or a narrower precision", bytes));
  }

  /// For a scratchpad of `budget` bytes. What was searched for one budget serves the next.
  std::variant<Plan, Infeasible> plan(Bytes budget) {
    budget_ = budget;
    if (const Neediest& most = neediest(); bytes_of(most.buffers) > budget) return refusal(most);
    groups_.clear();
    residencies_.clear();
    nodes_ = options_.strategy == Strategy::kFused ? fuse(model_, search_, budget) : primitives(model_);
    for (Nodes& nodes : nodes_) {
      nodes = with_virtual(model_, nodes);
      groups_.push_back(make_group(model_, nodes));
      if (!groups_.back().ok()) internal_error("a planned group does not stand: " + groups_.back().why_not);
    }
    residents_.assign(groups_.size(), Residents(layout_.storages.size(), Home::kDram));
    resident_bytes_.assign(groups_.size(), 0);
    find_lifetimes();
    chosen_.resize(groups_.size());
    for (std::size_t g = 0; g < groups_.size(); ++g) {
      const Candidate* c = best(static_cast<int>(g), budget);
      if (c == nullptr) return refusal({name_of(groups_[g]), search_.smallest(groups_[g], true)});
      chosen_[g] = *c;
    }
    choose_residents();
    return finish();
  }

  Bytes smallest_budget() { return bytes_of(neediest().buffers); }

 private:
  std::string name_of(const GroupModel& group) const {
    // The heaviest operator speaks for the group.
    NodeId best = group.nodes.front();
    double most = -1;
    for (const StageModel& stage : group.stages) {
      for (const StageNode& node : stage.nodes) {
        const auto& op = model_.op(node.node);
        const Node& n = graph_.nodes[node.node];
        auto weight = static_cast<double>(graph_.output(n).elements());
        if (op.matrix_shape != nullptr) {
          weight +=
              1e6 + static_cast<double>(op.matrix_shape(graph_, n, workloads::whole(graph_.output(n).shape)).macs());
        }
        if (weight > most) most = weight, best = node.node;
      }
    }
    return graph_.nodes[best].name;
  }

  /// The operator whose smallest tile needs most, whatever the budget.
  struct Neediest {
    std::string group;
    std::vector<Buffer> buffers;
  };
  const Neediest& neediest() {
    if (neediest_) return *neediest_;
    neediest_.emplace();
    for (const Nodes& nodes : primitives(model_)) {
      const GroupModel group = make_group(model_, with_virtual(model_, nodes));
      auto needed = search_.smallest(group);
      if (bytes_of(needed) <= bytes_of(neediest_->buffers)) continue;
      *neediest_ = {name_of(group), std::move(needed)};
    }
    return *neediest_;
  }

  Infeasible refusal(const Neediest& neediest) const {
    const Bytes most = bytes_of(neediest.buffers);
    Infeasible worst;
    worst.group = neediest.group;
    worst.demand = worst.smallest_budget = most;
    worst.budget = budget_;
    for (const Buffer& buffer : neediest.buffers) {
      const Storage& s = layout_.storages[buffer.storage];
      std::string window;
      for (int f = 0; f < s.rank; ++f) window += fmt::format("{}{}", f == 0 ? "" : "x", buffer.extent[f]);
      worst.terms.push_back(
          {s.name, buffer.slots * buffer.slot_bytes,
           fmt::format("{}: {} elements of {} in all", partitioner::name_of(s.storage_class), window, s.elements())});
    }
    std::stable_sort(worst.terms.begin(), worst.terms.end(),
                     [](const auto& a, const auto& b) { return a.bytes > b.bytes; });
    worst.levers = {fmt::format("--sram {}", most), "a narrower precision",
                    "fewer channels or a shorter row in the operator named"};
    return worst;
  }

  void find_lifetimes() {
    first_.assign(layout_.storages.size(), kNone);
    last_.assign(layout_.storages.size(), kNone);
    readers_.assign(layout_.storages.size(), {});
    for (int g = 0; g < static_cast<int>(groups_.size()); ++g) {
      for (const Local& local : groups_[g].locals) {
        if (local.producer != kNone) {
          if (!local.stored) continue;
          first_[local.storage] = g;
          last_[local.storage] = std::max(last_[local.storage], g);
        } else {
          last_[local.storage] = std::max(last_[local.storage], g);
          readers_[local.storage].push_back(g);
        }
      }
    }
  }

  const Candidate* best(int g, Bytes available) {
    if (available <= 0) return nullptr;
    // Tiles are searched for at a few budgets only; between them the next smaller one serves.
    const Bytes budget = budget_;
    constexpr int kSteps = 16;
    const Bytes coarse = available / std::max<Bytes>(1, budget / kSteps) * std::max<Bytes>(1, budget / kSteps);
    for (const Bytes limit : {coarse, available}) {
      if (limit <= 0) continue;
      if (const Candidate* found = search_.best(groups_[g], residents_[g], limit)) return found;
    }
    return nullptr;
  }

  Bytes resident_size(StorageId s) const {
    return (layout_.storages[s].bytes() + kAlignment - 1) / kAlignment * kAlignment;
  }

  /// Keeps `s` until the group `last`; if that is not its last reader, it goes to DRAM as well.
  bool hold(StorageId s, int last, bool always) {
    const Bytes bytes = resident_size(s);
    const int first = first_[s];
    const bool stored = last < last_[s];
    std::vector<Candidate> old(chosen_.begin() + first, chosen_.begin() + last + 1);
    double before = 0;
    double after = 0;
    bool fits = true;
    for (int g = first; g <= last; ++g) {
      resident_bytes_[g] += bytes;
      const bool touches = groups_[g].local_of(s) != kNone;
      if (touches) residents_[g][s] = stored ? Home::kBoth : Home::kScratchpad;
    }
    for (int g = first; g <= last && fits; ++g) {
      before += chosen_[g].score;
      const Bytes available = budget_ - resident_bytes_[g];
      const bool touches = groups_[g].local_of(s) != kNone;
      if (!touches && chosen_[g].scratchpad <= available) {
        after += chosen_[g].score;
        continue;
      }
      const Candidate* c = best(g, available);
      if (c == nullptr) {
        fits = false;
      } else {
        chosen_[g] = *c;
        after += c->score;
      }
    }
    if (fits && (always || after < before)) {
      Residency r;
      r.storage = s;
      r.part = layout_.storages[s].whole();
      r.first_group = first;
      r.last_group = last;
      r.stored = stored;
      r.bytes = bytes;
      residencies_.push_back(r);
      return true;
    }
    release(s, bytes, first, last);
    std::copy(old.begin(), old.end(), chosen_.begin() + first);
    return false;
  }

  void release(StorageId s, Bytes bytes, int first, int last) {
    for (int g = first; g <= last; ++g) {
      resident_bytes_[g] -= bytes;
      residents_[g][s] = Home::kDram;
    }
  }

  void choose_residents() {
    std::vector<StorageId> candidates;
    for (StorageId s = 0; s < static_cast<StorageId>(layout_.storages.size()); ++s) {
      if (first_[s] == kNone || last_[s] <= first_[s] || readers_[s].empty()) continue;
      if (resident_size(s) < budget_) candidates.push_back(s);
    }
    if (options_.strategy == Strategy::kLayerByLayer) {
      // DESIGN: a tensor stays only if it, its consumers' outputs and the buffers fit. In order of execution.
      std::stable_sort(candidates.begin(), candidates.end(),
                       [&](StorageId a, StorageId b) { return first_[a] < first_[b]; });
      for (const StorageId s : candidates) {
        if (stays(s)) hold(s, last_[s], true);
      }
      return;
    }
    // A tensor may stay for all its readers, or for those before the longest time that nobody reads it.
    struct Stay {
      StorageId storage;
      int last;
      bool tiny;
      double density;  ///< transfers saved per group that it stays
    };
    std::vector<Stay> choices;
    for (const StorageId s : candidates) {
      const auto add = [&](int last, std::size_t transfers) {
        choices.push_back({s, last, resident_size(s) <= kTiny,
                           static_cast<double>(transfers) / static_cast<double>(last - first_[s] + 1)});
      };
      add(last_[s], readers_[s].size() + 1);
      std::size_t near = 0;
      int longest = 0;
      for (std::size_t i = 1; i < readers_[s].size(); ++i) {
        const int away = readers_[s][i] - readers_[s][i - 1];
        if (away > longest) longest = away, near = i;
      }
      if (longest > 1) add(readers_[s][near - 1], near);
    }
    std::stable_sort(choices.begin(), choices.end(),
                     [](const Stay& a, const Stay& b) { return a.tiny != b.tiny ? a.tiny : a.density > b.density; });
    std::vector<bool> held(layout_.storages.size(), false);
    for (const Stay& stay : choices) {
      if (!held[stay.storage]) held[stay.storage] = hold(stay.storage, stay.last, false);
    }
  }

  bool stays(StorageId s) {
    for (int g = first_[s]; g <= last_[s]; ++g) {
      Bytes need = resident_size(s) + resident_bytes_[g];
      for (const Local& local : groups_[g].locals) {
        const bool output = local.producer != kNone && local.stored && local.storage != s;
        if (g > first_[s] && output && residents_[g][local.storage] == Home::kDram)
          need += resident_size(local.storage);
      }
      if (need + bytes_of(search_.smallest(groups_[g])) > budget_) return false;
    }
    return true;
  }

  Plan finish() {
    Plan plan;
    plan.graph = graph_.name;
    plan.strategy = options_.strategy;
    plan.objective = options_.objective;
    plan.budget = budget_;
    while (true) {
      plan.groups.clear();
      for (std::size_t g = 0; g < groups_.size(); ++g) plan.groups.push_back(group_record(static_cast<int>(g)));
      const auto failure = allocate(residencies_, plan.groups, plan.budget, plan.allocation);
      if (!failure) break;
      evict(failure->group);
    }
    for (std::size_t g = 0; g < plan.groups.size(); ++g) {
      plan.moves += plan.groups[g].moves;
      plan.cycles += plan.groups[g].cycles;
      plan.peak_scratchpad = std::max(plan.peak_scratchpad, plan.groups[g].scratchpad_bytes + resident_bytes_[g]);
    }
    plan.residencies = residencies_;
    plan.compulsory_bytes = compulsory_bytes(graph_, layout_);
    plan.layout = layout_;
    return plan;
  }

  /// Fragmentation: the resident with the largest size around the group that found no gap goes back to DRAM.
  void evict(int g) {
    std::size_t worst = residencies_.size();
    for (std::size_t i = 0; i < residencies_.size(); ++i) {
      const Residency& r = residencies_[i];
      if (r.first_group > g || g > r.last_group) continue;
      if (worst == residencies_.size() || r.bytes > residencies_[worst].bytes) worst = i;
    }
    if (worst == residencies_.size()) internal_error("buffers that fit the scratchpad find no place in it");
    const Residency r = residencies_[worst];
    residencies_.erase(residencies_.begin() + static_cast<std::ptrdiff_t>(worst));
    release(r.storage, r.bytes, r.first_group, r.last_group);
    for (int k = r.first_group; k <= r.last_group; ++k) {
      if (groups_[k].local_of(r.storage) == kNone) continue;
      const Candidate* c = best(k, budget_ - resident_bytes_[k]);
      if (c == nullptr) internal_error("a group that fitted no longer fits");
      chosen_[k] = *c;
    }
  }

  Group group_record(int g) {
    const GroupModel& model = groups_[g];
    const Candidate& c = chosen_[g];
    Group group;
    group.name = name_of(model);
    for (const StageModel& stage : model.stages) {
      Stage s;
      s.matrix = stage.kind == StageKind::kMatrix;
      for (const StageNode& node : stage.nodes) s.nodes.push_back(node.node);
      group.stages.push_back(std::move(s));
    }
    group.root = model.root();
    group.region = model.region;
    group.tile = c.tile;
    group.loop_order = c.order;
    group.pipelining = c.pipelining;
    group.buffers = search_.buffers(model, c, residents_[g]);
    group.scratchpad_bytes = c.scratchpad;
    group.steps = c.steps;
    group.moves = c.moves;
    group.cycles = c.cycles;
    return group;
  }

  static constexpr Bytes kTiny = 16 << 10;

  const Graph& graph_;
  const configs::NpuConfig& npu_;
  Options options_;
  Layout layout_;
  Model model_;
  Search search_;
  std::optional<Neediest> neediest_;
  // of the budget being planned for
  Bytes budget_ = 0;
  std::vector<Nodes> nodes_;
  std::vector<GroupModel> groups_;
  std::vector<Residents> residents_;   // by group, by storage: only storages the group touches are marked
  std::vector<Bytes> resident_bytes_;  // by group: all residents alive
  std::vector<int> first_, last_;
  std::vector<std::vector<int>> readers_;  // by storage: groups, in order
  std::vector<Candidate> chosen_;
  std::vector<Residency> residencies_;
};

}  // namespace

namespace {

double value_of(const Plan& plan) {
  return plan.objective == Objective::kMoves ? static_cast<double>(plan.moves.total())
                                             : static_cast<double>(plan.cycles);
}
double tie_break_of(const Plan& plan) {
  return plan.objective == Objective::kMoves ? static_cast<double>(plan.cycles)
                                             : static_cast<double>(plan.moves.total());
}

}  // namespace

std::variant<Plan, Infeasible> partition(const Graph& graph, const configs::NpuConfig& npu, const Options& options) {
  Planner planner(graph, npu, options);
  planner.require_dram();
  auto whole = planner.plan(npu.scratchpad.size);
  if (options.strategy == Strategy::kLayerByLayer || std::holds_alternative<Infeasible>(whole)) return whole;
  // A plan for half the scratchpad is a plan for all of it. The search is not exhaustive, so it may even be better:
  // with it, more scratchpad never makes the objective worse. Halving goes on while it costs little.
  constexpr double kLittle = 1.015;
  constexpr double kTie = 1.005;  // of plans this close in the objective, the one that is better otherwise
  std::vector<Plan> plans{std::get<Plan>(std::move(whole))};
  double least = value_of(plans[0]);
  for (Bytes budget = npu.scratchpad.size / 2; budget > 0; budget /= 2) {
    auto planned = planner.plan(budget);
    if (std::holds_alternative<Infeasible>(planned)) break;
    plans.push_back(std::get<Plan>(std::move(planned)));
    const double value = value_of(plans.back());
    least = std::min(least, value);
    if (value > kLittle * least) break;
  }
  // Nor is fusion always worth its dependencies: a plan without any is considered too.
  Options apart = options;
  apart.strategy = Strategy::kLayerByLayer;
  auto unfused = Planner(graph, npu, apart).plan(npu.scratchpad.size);
  if (auto* plan = std::get_if<Plan>(&unfused)) {
    plan->strategy = options.strategy;
    least = std::min(least, value_of(*plan));
    plans.push_back(std::move(*plan));
  }
  const Plan* best = nullptr;
  for (const Plan& plan : plans) {
    if (value_of(plan) > kTie * least) continue;
    if (best == nullptr || tie_break_of(plan) < tie_break_of(*best)) best = &plan;
  }
  Plan chosen = *best;
  chosen.budget = npu.scratchpad.size;
  return chosen;
}

Bytes smallest_budget(const Graph& graph, const configs::NpuConfig& npu) {
  return Planner(graph, npu, {}).smallest_budget();
}

}  // namespace spillway::partitioner
