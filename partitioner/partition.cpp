// partition(): groups, tiles, residency, addresses.

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <map>
#include <numeric>
#include <optional>

#include "configs/error.h"
#include "partitioner/allocate.h"
#include "partitioner/bounds.h"
#include "partitioner/energy.h"
#include "partitioner/objective.h"
#include "partitioner/partitioner.h"
#include "partitioner/primitives.h"
#include "partitioner/schedule.h"
#include "partitioner/settle.h"
#include "partitioner/slices.h"

namespace spillway::partitioner {

namespace {

constexpr int kManyStates = 5000;         // for the search that decides
constexpr double kWeightsAgain = 0.0195;  // of all weights: what slices of the batch may load again
constexpr double kLittle = 0.015;         // plans for less scratchpad that cost so much more are not looked at further

class Planner {
 public:
  Planner(const Graph& graph, const configs::NpuConfig& npu, const Options& options)
      : graph_(graph),
        npu_(npu),
        options_(options),
        layout_(make_layout(graph, npu.precision)),
        model_(graph, npu, layout_),
        search_(model_, options.objective, options.strategy == Strategy::kLayerByLayer, options.attention) {}

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

  /// From now on plans for another objective, whose offers compete for the one that was asked for.
  void aim(Objective objective, const Expense& near = {}) {
    search_.aim(objective, near);
    search_.weigh_bytes(1);
    wishes_.slices = options_.slices ? Slices::kMay : Slices::kNo;
    wishes_.slack = kLittle;
    wishes_.states = Wishes{}.states;
    to_beat_.reset();
  }

  /// For a scratchpad of `budget` bytes. What was searched for one budget serves the next.
  std::variant<Plan, Infeasible> plan(Bytes budget) {
    budget_ = budget;
    if (const Neediest& most = neediest(); bytes_of(most.buffers) > budget) return refusal(most);
    groups_.clear();
    residencies_.clear();
    dropped_.clear();
    if (options_.strategy == Strategy::kFused) return plan_fused();
    for (const Nodes& nodes : primitives(model_)) {
      groups_.push_back(make_group(model_, with_virtual(model_, nodes)));
      if (!groups_.back().ok()) internal_error("a planned group does not stand: " + groups_.back().why_not);
    }
    dropped_.resize(groups_.size());
    residents_.clear();
    for (const GroupModel& group : groups_) residents_.emplace_back(group.locals.size(), Home::kDram);
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

  /// For the whole scratchpad again, with skips as the mode has them where they can be, and nothing recomputed; nullopt
  /// if that falls behind the first plan.
  std::optional<Plan> plan_otherwise(Wish mode) {
    budget_ = npu_.scratchpad.size;
    const Wishes before = wishes_;
    wish_skips(mode);
    wishes_.extra_macs = 0;
    wishes_.slack = 0.002;
    wishes_.to_beat = to_beat_ ? &*to_beat_ : nullptr;
    wishes_.care = walks_all() ? Search::Care::kExact : Search::Care::kEstimate;
    auto found = schedule(bench_of(true), budget_, wishes_);
    if (found && stands(*found)) settle(model_, search_, budget_, wishes_, *found);
    wishes_ = before;
    if (!found || !adopt(*found)) return std::nullopt;
    return finish();
  }

  /// For kLatency: the next plans weigh bytes so many times (Search::weigh_bytes) and may run slices of the batch.
  void prefer_bytes(double times, Slices slices) {
    search_.weigh_bytes(times);
    wishes_.slices = slices;
    wishes_.slack = kTie;
    wishes_.states = kManyStates;
  }

  Bytes smallest_budget() { return bytes_of(neediest().buffers); }

  /// The next plan is no longer given up for what it costs more than the first.
  void forget_first() { to_beat_.reset(); }

  /// From now on, of the graph's MACs.
  void limit_recompute(double share) { wishes_.extra_macs = share * macs(); }

  [[nodiscard]] int batch() const { return batch_of(model_); }

  /// In the order that groups are cut from.
  int positions() { return sequence_of(true).size(); }

 private:
  /// Of a graph with few operators, no loop is judged by samples.
  bool walks_all() { return sequence_of(true).size() <= kWalkedPrimitives; }

  std::variant<Plan, Infeasible> plan_fused() {
    if (wishes_.fates.empty()) make_wishes();
    wishes_.to_beat = to_beat_ ? &*to_beat_ : nullptr;
    // The search judges long loops by samples. Where a whole walk finds that one cannot be, it is told and tries again,
    // and at last it walks them all.
    constexpr int kTries = 3;
    for (int attempt = 0; attempt <= kTries; ++attempt) {
      wishes_.care = attempt < kTries && !walks_all() ? Search::Care::kEstimate : Search::Care::kExact;
      auto found = schedule(bench_of(true), budget_, wishes_);
      // Where joined primitives do not fit, their parts may.
      if (!found && !to_beat_) found = schedule(bench_of(false), budget_, wishes_);
      if (!found) return refusal(neediest());
      if (!adopt(*found)) continue;
      // Where its samples deceived the search, it chooses again with what has been walked since.
      double walked = 0;
      for (const Candidate& c : chosen_) walked += search_.objective(c);
      if (!to_beat_ && attempt + 1 < kTries && walked > 1.01 * found->objective) continue;
      require_wishes(*found);
      search_.weigh_bytes(1);
      settle(model_, search_, budget_, wishes_, *found);
      if (!adopt(*found)) internal_error("a settled schedule does not stand");
      if (!to_beat_) to_beat_ = std::move(*found);
      return finish();
    }
    internal_error("no schedule stands up to its walks");
  }

  static Fates fates_of(Wish wish) {
    if (wish == Wish::kAuto) return {};
    return {.hold = wish == Wish::kHold, .spill = wish == Wish::kSpill, .recompute = wish == Wish::kRecompute};
  }

  void wish_skips(Wish wish) {
    const Sequence& sequence = sequence_of(true);
    for (std::size_t s = 0; s < sequence.skip.size(); ++s) {
      const Storage& storage = layout_.storages[s];
      const bool matters = storage.bytes() > kTiny && storage.storage_class != StorageClass::kStatistics;
      if (sequence.skip[s] && matters) wishes_.fates[s] = fates_of(wish);
    }
  }

  void make_wishes() {
    wishes_.fates.assign(layout_.storages.size(), {});
    wishes_.slices = options_.slices ? Slices::kMay : Slices::kNo;
    Bytes weights = 0;
    for (const Storage& s : layout_.storages) weights += s.storage_class == StorageClass::kWeight ? s.bytes() : 0;
    wishes_.weights_again = kWeightsAgain * static_cast<double>(weights);
    wishes_.slack = kLittle;
    bool remakes = options_.skips == Wish::kRecompute;
    wish_skips(options_.skips);
    for (const auto& [name, wish] : options_.tensors) {
      asked_[storage_named(name)] = {name, wish};
      wishes_.fates[storage_named(name)] = fates_of(wish);
      remakes |= wish == Wish::kRecompute;
    }
    // Whoever wishes for recomputation has decided that it may cost what it does.
    wishes_.extra_macs = remakes ? std::numeric_limits<double>::max() : options_.recompute_limit * macs();
  }

  StorageId storage_named(const std::string& name) const {
    const Sequence& sequence = *sequences_[1];
    const auto keepable = [&](StorageId s) {
      return s != kNone && sequence.maker[s] != kNone && !sequence.readers[s].empty();
    };
    const TensorId tensor = graph_.find_tensor(name);
    if (tensor != kNone && keepable(layout_.views[tensor].storage)) return layout_.views[tensor].storage;
    std::vector<std::string> names;
    for (StorageId s = 0; s < static_cast<StorageId>(layout_.storages.size()); ++s) {
      if (!keepable(s)) continue;
      if (layout_.storages[s].name == name) return s;
      names.push_back(layout_.storages[s].name);
    }
    const std::string nearest = nearest_name(name, names);
    throw Error(ErrorKind::kBadInput, Place{.file = graph_.source, .tensor = name},
                tensor == kNone ? "no such tensor" : "is no tensor that one operator makes and another reads",
                nearest.empty() ? "spillway partition MODEL --fates lists them" : "did you mean '" + nearest + "'?");
  }

  /// What was asked of single tensors is done or refused.
  void require_wishes(const Schedule& found) const {
    for (const StorageId s : found.against) {
      const auto asked = asked_.find(s);
      if (asked == asked_.end()) continue;
      const auto& [name, wish] = asked->second;
      const Place place{.file = graph_.source, .tensor = name};
      if (wish == Wish::kRecompute) {
        throw Error(ErrorKind::kDoesNotFit, place,
                    "cannot be made again: what it is made from is gone by then, or the operators together need more "
                    "scratchpad than there is",
                    "hold or spill it, or --sram with more");
      }
      const Bytes bytes = resident_size(s);
      Bytes beside = 0;
      const Sequence& sequence = *sequences_[1];
      for (int p = sequence.maker[s]; p <= sequence.readers[s].back(); ++p) {
        const GroupModel group = make_group(model_, with_virtual(model_, sequence.primitives[p]));
        Residents residents(group.locals.size(), Home::kDram);
        if (const int l = group.local_of(s); l != kNone) residents[l] = Home::kScratchpad;
        beside = std::max(beside, bytes_of(search_.smallest(group, residents)));
      }
      const Bytes demand = bytes + beside;
      throw Error(ErrorKind::kDoesNotFit, place,
                  fmt::format("asked to {}, which takes {} B and {} B of buffers beside it: {} B of {} B, {} B {}",
                              partitioner::name_of(wish), bytes, beside, demand, budget_, std::abs(demand - budget_),
                              demand > budget_ ? "short" : "to spare, but not beside the other tensors asked for"),
                  fmt::format("--sram {}, spill it, or ask less of other tensors", std::max(demand, 2 * budget_)));
    }
  }

  const Sequence& sequence_of(bool joined) {
    auto& known = sequences_[joined ? 1 : 0];
    if (!known) known = sequence(model_, joined);
    return *known;
  }

  Workbench& bench_of(bool joined) {
    auto& known = benches_[joined ? 1 : 0];
    if (!known) known.emplace(model_, search_, sequence_of(joined));
    return *known;
  }

  double macs() const {
    double sum = 0;
    for (const NodeId n : model_.executed) sum += static_cast<double>(model_.macs(n));
    return sum;
  }

  bool stands(const Schedule& found) {
    return std::all_of(found.groups.begin(), found.groups.end(),
                       [&](const Scheduled& s) { return search_.best(s.group, s.residents, s.available) != nullptr; });
  }

  /// Takes a schedule over. False if one of its groups does not fit after all.
  bool adopt(const Schedule& found) {
    groups_.clear();
    residents_.clear();
    dropped_.clear();
    chosen_.clear();
    residencies_.clear();
    bool stands = true;
    for (const Scheduled& s : found.groups) {
      const Candidate* c = search_.best(s.group, s.residents, s.available);
      stands &= c != nullptr;
      if (!stands) continue;
      groups_.push_back(s.group);
      residents_.push_back(s.residents);
      dropped_.push_back(s.dropped);
      chosen_.push_back(*c);
    }
    if (!stands) return false;
    resident_bytes_.assign(groups_.size(), 0);
    for (const Stay& stay : found.stays) {
      Residency r;
      r.storage = stay.storage;
      r.part = stay.part;
      r.first_group = stay.first;
      r.last_group = stay.last;
      r.stored = stay.home == Home::kBoth;
      r.bytes = stay.bytes;
      residencies_.push_back(r);
      for (int g = stay.first; g <= stay.last; ++g) resident_bytes_[g] += stay.bytes;
    }
    return true;
  }

  std::string name_of(const GroupModel& group) const {
    // The heaviest operator speaks for the group.
    NodeId best = group.nodes.front();
    double most = -1;
    for (const StageModel& stage : group.stages) {
      for (const StageNode& node : stage.nodes) {
        auto weight = static_cast<double>(graph_.output(graph_.nodes[node.node]).elements());
        if (model_.op(node.node).matrix_shape != nullptr) weight += 1e6 + static_cast<double>(model_.macs(node.node));
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
    worst.terms = terms_of(layout_, neediest.buffers);
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
    return search_.best(groups_[g], residents_[g], available);
  }

  Bytes resident_size(StorageId s) const { return aligned(layout_.storages[s].bytes()); }

  /// Keeps `s` from the group that makes it to its last reader, if all between then still have a tile.
  void hold(StorageId s) {
    const Bytes bytes = resident_size(s);
    const int first = first_[s];
    const int last = last_[s];
    const std::vector<Candidate> old(chosen_.begin() + first, chosen_.begin() + last + 1);
    bool fits = true;
    for (int g = first; g <= last; ++g) {
      resident_bytes_[g] += bytes;
      if (const int l = groups_[g].local_of(s); l != kNone) residents_[g][l] = Home::kScratchpad;
    }
    for (int g = first; g <= last && fits; ++g) {
      const Candidate* c = best(g, budget_ - resident_bytes_[g]);
      fits = c != nullptr;
      if (fits) chosen_[g] = *c;
    }
    if (fits) {
      Residency r;
      r.storage = s;
      r.part = layout_.storages[s].whole();
      r.first_group = first;
      r.last_group = last;
      r.bytes = bytes;
      residencies_.push_back(r);
      return;
    }
    release(s, bytes, first, last);
    std::copy(old.begin(), old.end(), chosen_.begin() + first);
  }

  void release(StorageId s, Bytes bytes, int first, int last) {
    for (int g = first; g <= last; ++g) {
      resident_bytes_[g] -= bytes;
      const int l = groups_[g].local_of(s);
      if (l != kNone) residents_[g][l] = Home::kDram;
    }
  }

  void choose_residents() {
    std::vector<StorageId> candidates;
    for (StorageId s = 0; s < static_cast<StorageId>(layout_.storages.size()); ++s) {
      if (first_[s] == kNone || last_[s] <= first_[s] || readers_[s].empty()) continue;
      if (resident_size(s) < budget_) candidates.push_back(s);
    }
    // DESIGN: a tensor stays only if it, its consumers' outputs and the buffers fit. In order of execution.
    std::stable_sort(candidates.begin(), candidates.end(),
                     [&](StorageId a, StorageId b) { return first_[a] < first_[b]; });
    for (const StorageId s : candidates) {
      if (stays(s)) hold(s);
    }
  }

  bool stays(StorageId s) {
    for (int g = first_[s]; g <= last_[s]; ++g) {
      Bytes need = resident_size(s) + resident_bytes_[g];
      for (std::size_t l = 0; l < groups_[g].locals.size(); ++l) {
        const Local& local = groups_[g].locals[l];
        const bool output = local.producer != kNone && local.stored && local.storage != s;
        if (g > first_[s] && output && residents_[g][l] == Home::kDram) need += resident_size(local.storage);
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
    for (std::size_t g = 0; g < groups_.size(); ++g) plan.groups.push_back(group_record(static_cast<int>(g)));
    std::vector<int> start;
    while (const auto failure = allocate(residencies_, plan.groups, plan.budget, plan.allocation, start)) {
      start = failure->order;
      for (const int g : make_room(*failure, start)) plan.groups[g] = group_record(g);
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

  /// What becomes of the groups that read or make a resident if it goes back to DRAM.
  struct Eviction {
    std::size_t residency = 0;
    std::vector<std::pair<int, Candidate>> groups;
    double costs = 0;  ///< of the score
  };

  /// Of the largest resident alive in a group.
  Eviction eviction_around(int g) {
    Eviction eviction;
    std::size_t& worst = eviction.residency;
    worst = residencies_.size();
    for (std::size_t i = 0; i < residencies_.size(); ++i) {
      const Residency& r = residencies_[i];
      if (r.first_group > g || g > r.last_group) continue;
      if (worst == residencies_.size() || r.bytes > residencies_[worst].bytes) worst = i;
    }
    if (worst == residencies_.size()) internal_error("buffers that fit the scratchpad find no place in it");
    const Residency& r = residencies_[worst];
    for (int k = r.first_group; k <= r.last_group; ++k) {
      const int l = groups_[k].local_of(r.storage);
      if (l == kNone) continue;
      Residents without = residents_[k];
      without[l] = Home::kDram;
      const Candidate* c = search_.best(groups_[k], without, budget_ - resident_bytes_[k] + r.bytes);
      if (c == nullptr) internal_error("a group that fitted no longer fits");
      eviction.groups.emplace_back(k, *c);
      eviction.costs += c->score - chosen_[k].score;
    }
    return eviction;
  }

  /// Fragmentation: the group that found no gap takes smaller tiles, or the largest resident around it goes back to
  /// DRAM; whichever costs less. The groups that have changed; `order` of the residents stays one.
  std::vector<int> make_room(const AllocationFailure& failure, std::vector<int>& order) {
    const int g = failure.group;
    Eviction eviction = eviction_around(g);
    const Candidate* smaller = best(g, chosen_[g].scratchpad - failure.over);
    if (smaller != nullptr && smaller->score - chosen_[g].score < eviction.costs) {
      chosen_[g] = *smaller;
      return {g};
    }
    const Residency r = residencies_[eviction.residency];
    release(r.storage, r.bytes, r.first_group, r.last_group);
    std::vector<int> changed;
    for (auto& [k, candidate] : eviction.groups) {
      chosen_[k] = std::move(candidate);
      changed.push_back(k);
    }
    const auto position = static_cast<int>(eviction.residency);
    residencies_.erase(residencies_.begin() + position);
    std::erase(order, position);
    for (int& i : order) i -= i > position ? 1 : 0;
    return changed;
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
    group.dropped = dropped_[g];
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

  const Graph& graph_;
  const configs::NpuConfig& npu_;
  Options options_;
  Layout layout_;
  Model model_;
  Search search_;
  std::optional<Neediest> neediest_;
  // of the budget being planned for
  Bytes budget_ = 0;
  std::array<std::optional<Sequence>, 2> sequences_;  // apart, joined
  std::array<std::optional<Workbench>, 2> benches_;   // of these
  std::optional<Schedule> to_beat_;                   // of the first budget: smaller ones are measured by it
  Wishes wishes_;
  std::map<StorageId, std::pair<std::string, Wish>> asked_;
  std::vector<std::vector<StorageId>> dropped_;  // by group
  std::vector<GroupModel> groups_;
  std::vector<Residents> residents_;   // by group
  std::vector<Bytes> resident_bytes_;  // by group: all residents alive
  std::vector<int> first_, last_;
  std::vector<std::vector<int>> readers_;  // by storage: groups, in order
  std::vector<Candidate> chosen_;
  std::vector<Residency> residencies_;
};

}  // namespace

namespace {

/// The plans to choose from, whichever search they come from.
class Market {
 public:
  Market(const Graph& graph, const configs::NpuConfig& npu, const Options& options)
      : graph_(graph), npu_(npu), options_(options), planner_(graph, npu, options) {
    planner_.require_dram();
  }

  /// Searches for what was asked for and, since no search is exhaustive, for other objectives: a plan for the least
  /// cycles may happen to move less than the one that was searched for moves.
  std::optional<Infeasible> fill() {
    for (const Objective objective : searched()) {
      // The plan with the least product also has the least sum when cycles and energy are weighed by its own: the mean
      // of two ratios is at least the root of their product. So each round weighs them by the best plan so far.
      const int rounds = objective == Objective::kEdp ? 2 : 1;
      for (int round = 0; round < rounds; ++round) {
        if (auto refused = search(objective)) return refused;
      }
    }
    return std::nullopt;
  }

  /// Searches in more ways than the best plan needs. False if nothing fits.
  bool vary() {
    constexpr int kParts = 16;  // of the scratchpad
    constexpr int kFewest = 4;  // of them, for other objectives' searches
    std::vector<Objective> objectives{options_.objective};
    if (options_.objective == Objective::kEdp) objectives = {Objective::kLatency};
    for (const Objective other : kObjectives) {
      if (other != objectives[0] && options_.strategy == Strategy::kFused) objectives.push_back(other);
    }
    for (const Objective objective : objectives) {
      aim(objective);
      const bool own = objective == objectives[0];
      const auto next = [&](int part) { return own ? (part > kParts / 2 ? part - 1 : part * 3 / 4) : part / 2; };
      for (int part = kParts; part >= (own ? 1 : kFewest); part = next(part)) {
        planner_.forget_first();
        auto planned = planner_.plan(npu_.scratchpad.size / kParts * part);
        if (auto* plan = std::get_if<Plan>(&planned)) take(std::move(*plan), objective);
      }
      if (offers_.empty()) return false;
      if (!own || options_.strategy != Strategy::kFused || !free()) continue;
      for (const Wish mode : {Wish::kAuto, Wish::kSpill, Wish::kHold}) {
        planner_.forget_first();
        if (auto planned = planner_.plan_otherwise(mode)) take(std::move(*planned), objective);
      }
      for (const double share : {5 * options_.recompute_limit, options_.recompute_limit}) {
        planner_.limit_recompute(share);
        planner_.forget_first();
        auto planned = planner_.plan(npu_.scratchpad.size);
        if (auto* plan = std::get_if<Plan>(&planned)) take(std::move(*plan), objective);
      }
    }
    return true;
  }

  const Plan& best(Objective objective) { return best_offer(objective).plan; }

  /// No two of them equal, those of least value first.
  std::vector<Plan> distinct(int count) {
    std::vector<std::pair<double, const Plan*>> order;
    for (Offer& offer : offers_) order.emplace_back(value_of(offer, options_.objective), &offer.plan);
    std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    std::vector<Plan> plans;
    for (const auto& [value, plan] : order) {
      if (static_cast<int>(plans.size()) >= count) break;
      const auto like = [&, &is = *plan](const Plan& other) { return same(other, is); };
      if (std::none_of(plans.begin(), plans.end(), like)) plans.push_back(*plan);
    }
    return plans;
  }

 private:
  /// But for addresses.
  static bool same(const Plan& a, const Plan& b) {
    const auto same_stage = [](const Stage& x, const Stage& y) { return x.nodes == y.nodes; };
    const auto same_group = [&](const Group& x, const Group& y) {
      return x.tile == y.tile && x.loop_order == y.loop_order && x.pipelining == y.pipelining && x.region == y.region &&
             x.dropped == y.dropped &&
             std::equal(x.stages.begin(), x.stages.end(), y.stages.begin(), y.stages.end(), same_stage);
    };
    const auto same_stay = [](const Residency& x, const Residency& y) {
      return x.storage == y.storage && x.part == y.part && x.first_group == y.first_group &&
             x.last_group == y.last_group && x.stored == y.stored;
    };
    return std::equal(a.groups.begin(), a.groups.end(), b.groups.begin(), b.groups.end(), same_group) &&
           std::equal(a.residencies.begin(), a.residencies.end(), b.residencies.begin(), b.residencies.end(),
                      same_stay);
  }

  struct Offer {
    Plan plan;
    std::optional<double> energy_pj;  // once asked for
  };

  /// Whether nothing is wished for. What is holds for the scratchpad that was given, and for the plan that was asked
  /// for.
  [[nodiscard]] bool free() const { return options_.skips == Wish::kAuto && options_.tensors.empty(); }

  std::vector<Objective> searched() {
    const Objective own = options_.objective;
    // Layer by layer no objective has a say.
    if (options_.strategy == Strategy::kLayerByLayer) return {Objective::kMoves};
    // The weights of a product come from a plan near it.
    if (!free() && own == Objective::kEdp) return {Objective::kLatency, own};
    if (!free()) return {own};
    const bool small = planner_.positions() <= kFewPrimitives;  // they are searched soon
    if (own == Objective::kLatency && !small) return {own};
    if (own == Objective::kMoves && !small) return {Objective::kLatency, own, Objective::kEnergy};
    return {kObjectives.begin(), kObjectives.end()};
  }

  void aim(Objective objective) {
    Expense near;
    if (objective == Objective::kEdp) {
      Offer& offer = best_offer(objective);
      near = {static_cast<double>(offer.plan.cycles), energy_pj(offer)};
    }
    planner_.aim(objective, near);
  }

  /// Adds what a search for this objective finds; what is wrong if that is nothing.
  std::optional<Infeasible> search(Objective objective) {
    aim(objective);
    auto whole = planner_.plan(npu_.scratchpad.size);
    if (auto* refused = std::get_if<Infeasible>(&whole)) return std::move(*refused);
    double least = take(std::move(std::get<Plan>(whole)), objective);
    if (options_.strategy == Strategy::kLayerByLayer || !free()) return std::nullopt;
    // A plan for half the scratchpad is a plan for all of it. The search is not exhaustive, so it may even be better:
    // with it, more scratchpad never makes the objective worse. Halving goes on while it costs little. What less
    // scratchpad would make again to move less, all of it need not: that only costs cycles.
    if (objective == Objective::kLatency) planner_.limit_recompute(0);
    for (Bytes budget = npu_.scratchpad.size / 2; budget > 0; budget /= 2) {
      auto planned = planner_.plan(budget);
      if (std::holds_alternative<Infeasible>(planned)) break;
      const double value = take(std::move(std::get<Plan>(planned)), objective);
      least = std::min(least, value);
      if (value > (1 + kLittle) * least) break;
    }
    planner_.limit_recompute(options_.recompute_limit);
    // What is forced in one of the modes may be chosen freely: a free choice is never worse than any of them.
    for (const Wish mode : {Wish::kAuto, Wish::kSpill, Wish::kHold}) {
      if (auto planned = planner_.plan_otherwise(mode)) least = std::min(least, take(std::move(*planned), objective));
    }
    if (objective == Objective::kLatency) {
      // Of plans about as fast as each other the one that moves least is wanted: one that was searched for that.
      struct Try {
        double bytes_weigh;
        Slices slices;
      };
      // Where slices find one, the search without is not worth its time.
      const std::vector<Try> tries = planner_.batch() > 1
                                         ? std::vector<Try>{{1.5, Slices::kMust}, {1, Slices::kMust}, {3, Slices::kMay}}
                                         : std::vector<Try>{{3, Slices::kNo}, {1.5, Slices::kNo}};
      for (const Try& t : tries) {
        planner_.prefer_bytes(t.bytes_weigh, t.slices);
        auto planned = planner_.plan(npu_.scratchpad.size);
        auto* plan = std::get_if<Plan>(&planned);
        if (plan != nullptr && take(std::move(*plan), objective) <= (1 + kTie) * least && t.slices == Slices::kMust)
          break;
      }
    }
    return std::nullopt;
  }

  double take(Plan plan, Objective objective) {
    plan.budget = npu_.scratchpad.size;
    offers_.push_back({std::move(plan), std::nullopt});
    return value_of(offers_.back(), objective);
  }

  double energy_pj(Offer& offer) {
    if (!offer.energy_pj) offer.energy_pj = energy_of(graph_, npu_, offer.plan).total_pj();
    return *offer.energy_pj;
  }

  double value_of(Offer& offer, Objective objective) {
    return objective_value(objective, offer.plan.cycles, offer.plan.moves.total(), [&] { return energy_pj(offer); });
  }

  /// Of plans that are close in the objective, the one that is better otherwise.
  Offer& best_offer(Objective objective) {
    std::vector<Bid> bids;
    for (Offer& offer : offers_) {
      bids.push_back({value_of(offer, objective), offer.plan.cycles, offer.plan.moves.total()});
    }
    return offers_[best_of(objective, bids)];
  }

  const Graph& graph_;
  const configs::NpuConfig& npu_;
  const Options& options_;
  Planner planner_;
  std::vector<Offer> offers_;
};

}  // namespace

std::variant<Plan, Infeasible> partition(const Graph& graph, const configs::NpuConfig& npu, const Options& options) {
  Market market(graph, npu, options);
  if (auto refused = market.fill()) return std::move(*refused);
  return market.best(options.objective);
}

std::vector<Plan> candidates(const Graph& graph, const configs::NpuConfig& npu, const Options& options, int count) {
  Market market(graph, npu, options);
  if (!market.vary()) return {};
  return market.distinct(count);
}

Bytes smallest_budget(const Graph& graph, const configs::NpuConfig& npu) {
  return Planner(graph, npu, {}).smallest_budget();
}

}  // namespace spillway::partitioner
