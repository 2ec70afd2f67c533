#include "partitioner/schedule.h"

#include <algorithm>
#include <limits>
#include <map>
#include <tuple>

#include "configs/error.h"
#include "partitioner/slices.h"

namespace spillway::partitioner {

namespace {

constexpr double kUnwished = 1e15;  // of a fate that was not wished for: only where nothing else is possible

struct Entry {
  StorageId storage = kNone;
  Home home = Home::kScratchpad;
  Bytes bytes = 0;
  int until = 0;        ///< position of the last reader that finds it here
  bool sliced = false;  ///< only the part of the slice being run
  bool operator<(const Entry& o) const { return storage < o.storage; }
};

struct Dropped {
  StorageId storage = kNone;
  int until = 0;
};

struct State {
  double cost = 0;
  double objective = 0;    ///< of that
  double pending = 0;      ///< loads still to come of what is in DRAM
  Bytes resident = 0;      ///< of entries
  Bytes segment_peak = 0;  ///< largest need of any group since slices began
  int slices = 1;
  int since = 0;  ///< position at which they began
  double extra_macs = 0;
  std::vector<Entry> entries;  ///< by storage
  std::vector<Dropped> dropped;
  std::vector<StorageId> against;
  // how it came about
  int from = kNone;  ///< position
  int parent = kNone;
  const Prepared* prepared = nullptr;
  Residents residents;

  [[nodiscard]] double rank() const { return cost + pending; }
};

class Beam {
 public:
  Beam(Workbench& bench, Bytes budget, const Wishes& wishes)
      : bench_(bench),
        model_(bench.model),
        search_(bench.search),
        sequence_(bench.sequence),
        budget_(budget),
        wishes_(wishes),
        batch_(batch_of(bench.model)),
        remake_prices_(bench.model.layout.storages.size()) {
    each_ = static_cast<std::size_t>(
        std::clamp(wishes.states / std::max(1, sequence_.size()), 1, sequence_.size() <= kFewPrimitives ? 128 : 32));
  }

  std::optional<Schedule> run() {
    const int n = sequence_.size();
    if (wishes_.slices != Slices::kNo) {
      may_slice_ = where_to_slice(model_, sequence_, budget_, batch_, wishes_.weights_again);
      must_slice_ = wishes_.slices == Slices::kMust;
    }
    states_.assign(n + 1, {});
    states_[0].push_back({});
    for (int i = 0; i < n; ++i) {
      prune(i);
      if (too_slow(i)) return std::nullopt;
      for (std::size_t k = 0; k < states_[i].size(); ++k) {
        grow(i, static_cast<int>(k), states_[i][k].slices);
        // Slices begin where nothing has begun, and end where nothing of theirs is left.
        if (states_[i][k].slices == 1) {
          if (wishes_.slices != Slices::kNo) grow(i, static_cast<int>(k), batch_);
        } else if (leaves_slices(states_[i][k])) {
          grow(i, static_cast<int>(k), 1);
        }
      }
    }
    const State* best = nullptr;
    for (const State& s : states_[n]) {
      if (best == nullptr || s.cost < best->cost) best = &s;
    }
    if (best == nullptr) return std::nullopt;
    return unroll(*best);
  }

 private:
  /// Whether even the cheapest way here costs so much more than that of the schedule to beat that the rest will not
  /// make up for it.
  bool too_slow(int i) const {
    if (wishes_.to_beat == nullptr || states_[i].empty()) return false;
    const auto known = wishes_.to_beat->pace.find(i);
    if (known == wishes_.to_beat->pace.end()) return false;
    return std::all_of(states_[i].begin(), states_[i].end(), [&](const State& s) {
      return s.objective > known->second + wishes_.slack * wishes_.to_beat->objective;
    });
  }

  // --- states ---

  static bool leaves_slices(const State& s) {
    return std::none_of(s.entries.begin(), s.entries.end(), [](const Entry& e) { return e.sliced; });
  }

  /// Keeps the best states at several rents: what a byte held for one more primitive is taken to cost. Without rent
  /// the best states hold all they can, and for long; at a high one they hold next to nothing. What room is worth is
  /// only known once later groups have been seen.
  void prune(int i) {
    auto& states = states_[i];
    keep_best_of_equals(states);
    static constexpr std::array<double, 7> kRents = {0, 0.005, 0.02, 0.06, 0.2, 0.6, 1e6};  // transfers per primitive
    const double bytes_per_cycle = model_.npu.dram_bytes_per_cycle();
    std::vector<double> rent(states.size(), 0);
    for (std::size_t k = 0; k < states.size(); ++k) {
      for (const Entry& e : states[k].entries) rent[k] += static_cast<double>(e.bytes) * (e.until - i + 1);
      rent[k] /= bytes_per_cycle;
    }
    std::vector<bool> keep(states.size(), false);
    // Slices pay off late: those that began long ago are not measured by those that have just begun.
    static constexpr std::array<int, 3> kAges = {8, 24, 64};
    const auto mode_of = [&](const State& s) {
      if (s.slices == 1) return 0;
      const auto age = std::upper_bound(kAges.begin(), kAges.end(), i - s.since) - kAges.begin();
      return 1 + 2 * static_cast<int>(age) + (leaves_slices(s) ? 1 : 0);
    };
    for (int mode = 0; mode <= 2 * (static_cast<int>(kAges.size()) + 1); ++mode) {
      std::vector<std::size_t> order;
      for (std::size_t k = 0; k < states.size(); ++k) {
        if (mode_of(states[k]) == mode) order.push_back(k);
      }
      for (const double price : kRents) {
        const auto value = [&](std::size_t k) { return states[k].rank() + price * rent[k]; };
        const std::size_t wanted = std::min(order.size(), each_);
        std::partial_sort(
            order.begin(), order.begin() + static_cast<std::ptrdiff_t>(wanted), order.end(),
            [&](std::size_t a, std::size_t b) { return value(a) != value(b) ? value(a) < value(b) : a < b; });
        for (std::size_t k = 0; k < wanted; ++k) keep[order[k]] = true;
      }
      // One that holds little and has nothing to make again can always go on.
      const auto safe = std::min_element(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        return std::tuple(states[a].dropped.size(), states[a].resident, states[a].rank(), a) <
               std::tuple(states[b].dropped.size(), states[b].resident, states[b].rank(), b);
      });
      if (safe != order.end()) keep[*safe] = true;
    }
    std::vector<State> kept;
    for (std::size_t k = 0; k < states.size(); ++k) {
      if (keep[k]) kept.push_back(std::move(states[k]));
    }
    states = std::move(kept);
  }

  /// Of states that leave the same behind, whatever led to them, the cheapest; what takes no room to speak of does not
  /// count.
  void keep_best_of_equals(std::vector<State>& states) const {
    const Bytes little = std::min(kTiny, budget_ / 512);
    using Key = std::tuple<int, std::vector<std::tuple<StorageId, Home, int, bool>>, std::vector<StorageId>>;
    std::map<Key, std::size_t> best;
    for (std::size_t k = 0; k < states.size(); ++k) {
      Key key;
      std::get<0>(key) = states[k].slices;
      for (const Entry& e : states[k].entries) {
        if (e.bytes > little) std::get<1>(key).emplace_back(e.storage, e.home, e.until, e.sliced);
      }
      for (const Dropped& d : states[k].dropped) std::get<2>(key).push_back(d.storage);
      const auto [known, fresh] = best.try_emplace(std::move(key), k);
      if (!fresh && states[k].rank() < states[known->second].rank()) known->second = k;
    }
    std::vector<std::size_t> keep;
    keep.reserve(best.size());
    for (const auto& [key, k] : best) keep.push_back(k);
    std::sort(keep.begin(), keep.end());
    std::vector<State> kept;
    kept.reserve(keep.size());
    for (const std::size_t k : keep) kept.push_back(std::move(states[k]));
    states = std::move(kept);
  }

  void grow(int i, int k, int slices) {
    if (slices > 1 && batch_ < 2) return;
    const int n = sequence_.size();
    int failures = 0;
    for (int j = i + 1; j <= std::min(n, i + kLength); ++j) {
      if (slices > 1 ? !may_slice_[j - 1] : must_slice_ && may_slice_[j - 1]) break;
      // A group that cannot be may become one again with what follows it (two results that meet), but not for long.
      constexpr int kPatience = 3;
      if (!extend(i, k, j, slices) && ++failures > kPatience) break;
    }
  }

  /// Adds the states in which [i, j) is the next group.
  bool extend(int i, int k, int j, int slices) {
    std::vector<StorageId> remade;
    for (const Dropped& d : states_[i][k].dropped) {
      const auto& readers = sequence_.readers[d.storage];
      const auto next = std::lower_bound(readers.begin(), readers.end(), i);
      if (next != readers.end() && *next < j) remade.push_back(d.storage);
    }
    if (!worth_it(i, j)) return false;
    const Prepared& plain = bench_.group(i, j, slices, remade, {});
    if (!plain.ok) return plain.hopeful;
    combine(i, k, j, slices, plain);
    // The same with one result made again by those who read it.
    for (const int l : plain.results) {
      const StorageId s = plain.group.locals[l].storage;
      if (!may_recompute(s) || sequence_.maker[s] < i || sequence_.maker[s] >= j) continue;
      const Prepared& without = bench_.group(i, j, slices, remade, {s});
      if (without.ok) combine(i, k, j, slices, without);
    }
    return true;
  }

  /// What [i, j) costs as one group with all the scratchpad to itself: everything else in DRAM, or all of it beside.
  std::array<double, 2> alone(int i, int j) {
    const auto [known, fresh] = alone_.try_emplace({i, j});
    if (!fresh) return known->second;
    constexpr double kNever = std::numeric_limits<double>::infinity();
    known->second = {kNever, kNever};
    const Prepared& p = bench_.group(i, j, 1, {}, {});
    if (!p.ok) return known->second;
    Residents residents(p.group.locals.size(), Home::kDram);
    const Candidate* out = search_.best(*p.structure, p.group, residents, budget_, wishes_.care);
    for (const int l : p.sources) residents[l] = Home::kScratchpad;
    for (const int l : p.results) residents[l] = Home::kScratchpad;
    const Candidate* in = search_.best(*p.structure, p.group, residents, budget_, wishes_.care);
    known->second = {out == nullptr ? kNever : out->score, in == nullptr ? kNever : in->score};
    return known->second;
  }

  /// A group is not worth trying if it costs more than its halves both where everything moves and where nothing does.
  bool worth_it(int i, int j) {
    if (j == i + 1 || sequence_.size() <= kFewPrimitives) return true;
    const auto [known, fresh] = worth_.try_emplace({i, j}, true);
    if (!fresh) return known->second;
    if (!bench_.group(i, j, 1, {}, {}).ok) return true;
    const auto whole = alone(i, j);
    std::array<double, 2> split;
    split.fill(std::numeric_limits<double>::infinity());
    for (int m = i + 1; m < j; ++m) {
      const auto a = alone(i, m);
      const auto b = alone(m, j);
      for (std::size_t k = 0; k < split.size(); ++k) split[k] = std::min(split[k], a[k] + b[k]);
    }
    const bool worth = whole[0] <= split[0] || whole[1] <= split[1];
    return worth_[{i, j}] = worth;
  }

  bool may_recompute(StorageId s) {
    if (!wishes_.fates[s].recompute) return false;
    const Storage& storage = model_.layout.storages[s];
    // Statistics of a tensor are complete before their first reader starts: no reader can gather them itself.
    if (storage.storage_class == StorageClass::kStatistics) return false;
    if (storage.is_output || storage.bytes() <= std::min(kTiny, budget_ / 16)) return false;
    const Remake* chain = remake_of(s);
    if (chain == nullptr) return false;
    if (!wishes_.fates[s].spill) return true;
    // In long sequences, what costs more to make again, once, than to store and load is not worth a look: the price
    // does not know what the reader's own work would hide.
    return sequence_.size() <= kFewPrimitives || remake_price(s) < 2 * transfer(s);
  }

  const Remake* remake_of(StorageId s) {
    const Remake* remake = bench_.remake_of(s);
    return remake != nullptr && static_cast<double>(remake->macs) <= wishes_.extra_macs ? remake : nullptr;
  }

  Bytes room(StorageId s, bool sliced, int slices) const {
    return aligned(model_.layout.storages[s].bytes() / (sliced ? slices : 1));
  }

  /// The last reader before the longest stretch without any, if readers follow it; else kNone.
  int last_near(StorageId s) const {
    const auto& readers = sequence_.readers[s];
    int near = kNone;
    int longest = 3;
    int before = sequence_.maker[s];
    for (std::size_t r = 0; r < readers.size(); ++r) {
      if (readers[r] - before > longest && r > 0) longest = readers[r] - before, near = readers[r - 1];
      before = readers[r];
    }
    return near;
  }

  double transfer(StorageId s) const {
    return static_cast<double>(model_.layout.storages[s].bytes()) / model_.npu.dram_bytes_per_cycle();
  }

  int readers_from(StorageId s, int position) const {
    const auto& readers = sequence_.readers[s];
    return static_cast<int>(readers.end() - std::lower_bound(readers.begin(), readers.end(), position));
  }

  struct Option {
    Home home = Home::kDram;
    int until = 0;
    bool sliced = false;
  };

  std::vector<Option> options_of(StorageId s, int j, int slices) const {
    const Storage& storage = model_.layout.storages[s];
    const int last = sequence_.readers[s].back();
    if (storage.bytes() <= kTiny) {
      if (slices == 1) return {{Home::kScratchpad, last, false}, {Home::kDram, 0, false}};
      return {{Home::kScratchpad, last, true}, {Home::kScratchpad, last, false}, {Home::kDram, 0, false}};
    }
    std::vector<Option> options;
    if (room(s, slices > 1, slices) < budget_) {
      const int near = last_near(s);
      if (slices > 1) {
        options.push_back({Home::kScratchpad, last, true});
        if (near >= j) options.push_back({Home::kBoth, near, true});
      }
      if (room(s, false, 1) < budget_) {
        options.push_back({Home::kScratchpad, last, false});
        if (near >= j) options.push_back({Home::kBoth, near, false});
      }
    }
    options.push_back({Home::kDram, 0, false});
    return options;
  }

  /// Every combination of homes for the group's results; with many results the smaller ones follow a rule.
  void combine(int i, int k, int j, int slices, const Prepared& p) {
    std::vector<int> results = p.results;
    std::stable_sort(results.begin(), results.end(),
                     [&](int a, int b) { return p.group.storage(a).bytes() > p.group.storage(b).bytes(); });
    std::vector<std::vector<Option>> options;
    const std::size_t free = each_ > 1 ? 3 : 2;
    for (std::size_t r = 0; r < results.size(); ++r) {
      options.push_back(options_of(p.group.locals[results[r]].storage, j, slices));
      if (r >= free) options.back().resize(1);
    }
    std::vector<std::size_t> pick(results.size(), 0);
    while (true) {
      std::vector<Option> chosen;
      for (std::size_t r = 0; r < results.size(); ++r) chosen.push_back(options[r][pick[r]]);
      add(i, k, j, slices, p, results, chosen);
      std::size_t r = 0;
      while (r < pick.size() && ++pick[r] == options[r].size()) pick[r++] = 0;
      if (r == pick.size()) break;
    }
  }

  void add(int i, int k, int j, int slices, const Prepared& p, const std::vector<int>& results,
           const std::vector<Option>& chosen) {
    const State& before = states_[i][k];
    const bool enters = slices > 1 && before.slices == 1;
    Bytes fresh = 0;     // held from here on
    Bytes crossing = 0;  // of that, held through all slices
    for (std::size_t r = 0; r < results.size(); ++r) {
      if (chosen[r].home == Home::kDram) continue;
      const Bytes bytes = room(p.group.locals[results[r]].storage, chosen[r].sliced, slices);
      fresh += bytes;
      if (slices > 1 && !chosen[r].sliced) crossing += bytes;
    }
    const Bytes available = budget_ - before.resident - fresh;
    if (available <= 0) return;
    if (crossing > 0 && !enters && before.segment_peak + crossing > budget_) return;
    Residents residents(p.group.locals.size(), Home::kDram);
    for (const int l : p.sources) {
      if (const Entry* e = find(before, p.group.locals[l].storage)) residents[l] = e->home;
    }
    for (std::size_t r = 0; r < results.size(); ++r) residents[results[r]] = chosen[r].home;
    // In long sequences tiles are searched for at a few budgets only; between them the next smaller one serves.
    const Bytes grain = sequence_.size() <= kWalkedPrimitives ? 1 : std::max<Bytes>(1, budget_ / 16);
    const Candidate* candidate = nullptr;
    for (const Bytes limit : {available / grain * grain, available}) {
      if (candidate == nullptr && limit > 0) {
        candidate = search_.best(*p.structure, p.group, residents, limit, wishes_.care);
      }
    }
    if (candidate == nullptr) return;

    State after;
    const int times = p.idle ? 0 : slices;
    after.cost = before.cost + times * candidate->score;
    after.objective = before.objective + times * search_.objective(*candidate);
    after.extra_macs = before.extra_macs + static_cast<double>(p.macs) + times * candidate->extra_macs;
    if (after.extra_macs > wishes_.extra_macs && p.macs > 0) return;
    after.slices = slices;
    after.since = enters ? i : before.since;
    after.entries = before.entries;
    after.dropped = before.dropped;
    after.against = before.against;
    after.pending = before.pending;
    const Bytes need = before.resident + fresh + candidate->scratchpad;
    after.segment_peak = slices == 1 ? 0 : std::max(enters ? 0 : before.segment_peak + crossing, need);
    // Loads that have been paid now.
    for (const int l : p.sources) {
      const StorageId s = p.group.locals[l].storage;
      if (residents[l] == Home::kDram) after.pending -= transfer(s) * (readers_from(s, i) - readers_from(s, j));
    }
    if (!keep_frontiers(i, j, p, results, chosen, after)) return;
    for (std::size_t r = 0; r < results.size(); ++r) {
      const StorageId s = p.group.locals[results[r]].storage;
      const Option& o = chosen[r];
      judge(s, o.home, p, after);
      if (o.home != Home::kScratchpad) {
        after.pending += transfer(s) * readers_from(s, o.home == Home::kBoth ? o.until + 1 : j);
      }
      if (o.home == Home::kDram) continue;
      int until = o.until;
      for (const auto& [storage, needed] : extended_) {
        if (storage == s) until = std::max(until, needed);
      }
      after.entries.push_back({s, o.home, room(s, o.sliced, slices), until, o.sliced});
    }
    for (const StorageId s : p.dropped) {
      if (sequence_.maker[s] < i || sequence_.maker[s] >= j || sequence_.readers[s].back() < j) continue;
      after.dropped.push_back({s, sequence_.readers[s].back()});
      after.pending += remake_price(s) * readers_from(s, j);
      if (!wishes_.fates[s].recompute) after.cost += kUnwished, after.against.push_back(s);
    }
    // What was dropped and has been made again now; not what was made again on the way to it.
    for (const Dropped& d : before.dropped) {
      if (std::find(p.dropped.begin(), p.dropped.end(), d.storage) == p.dropped.end()) continue;
      after.pending -= remake_price(d.storage) * (readers_from(d.storage, i) - readers_from(d.storage, j));
    }
    // What nobody reads any more goes; what came from before the slices stays until the last of them.
    std::erase_if(after.entries, [&](const Entry& e) { return e.until < j && (slices == 1 || e.sliced); });
    std::erase_if(after.dropped, [&](const Dropped& d) { return d.until < j; });
    after.resident = 0;
    for (const Entry& e : after.entries) after.resident += e.bytes;
    std::sort(after.entries.begin(), after.entries.end());
    after.from = i;
    after.parent = k;
    after.prepared = &p;
    after.residents = std::move(residents);
    states_[j].push_back(std::move(after));
    constexpr std::size_t kMany = 512;
    if (states_[j].size() > kMany) prune(j);
  }

  void judge(StorageId s, Home home, const Prepared& p, State& after) const {
    if (std::find(p.dropped.begin(), p.dropped.end(), s) != p.dropped.end()) return;
    const Fates& wish = wishes_.fates[s];
    if (home == Home::kScratchpad ? wish.hold : wish.spill) return;
    after.cost += kUnwished;
    after.against.push_back(s);
  }

  /// What making a storage again will cost a reader: its operators with all they read in the scratchpad, and the loads
  /// of what they start from. (Less, where the reader's own work hides part of it.)
  double remake_price(StorageId s) {
    const Remake* r = remake_of(s);
    if (r == nullptr) return 0;
    auto& known = remake_prices_[s];
    if (known) return *known;
    known = 0;
    for (const int p : r->primitives) *known += alone(p, p + 1)[1];
    for (const StorageId f : r->frontier) *known += transfer(f);
    return *known;
  }

  /// What is dropped starts from tensors that must still be there when it is made again. False if they will not be.
  bool keep_frontiers(int i, int j, const Prepared& p, const std::vector<int>& results,
                      const std::vector<Option>& chosen, State& after) {
    extended_.clear();
    for (const StorageId s : p.dropped) {
      if (sequence_.maker[s] < i || sequence_.maker[s] >= j) continue;
      const int until = sequence_.readers[s].back();
      if (until < j) continue;
      for (const StorageId f : remake_of(s)->frontier) {
        const int maker = sequence_.maker[f];
        if (maker == kNone) continue;  // a graph input
        if (std::any_of(after.dropped.begin(), after.dropped.end(), [&](const Dropped& d) { return d.storage == f; })) {
          return false;
        }
        if (maker >= i) {
          // Made in this very group.
          bool kept = false;
          for (std::size_t r = 0; r < results.size(); ++r) {
            if (p.group.locals[results[r]].storage != f) continue;
            kept = true;
            if (chosen[r].home == Home::kScratchpad) extended_.emplace_back(f, until);
          }
          if (!kept) return false;
          continue;
        }
        const auto e = std::find_if(after.entries.begin(), after.entries.end(),
                                    [&](const Entry& entry) { return entry.storage == f; });
        if (e != after.entries.end()) {
          if (e->home == Home::kScratchpad) e->until = std::max(e->until, until);
        } else if (sequence_.readers[f].back() < i) {
          return false;  // nobody was to read it any more: it may never have been stored
        }
      }
    }
    return true;
  }

  static const Entry* find(const State& state, StorageId s) {
    const auto it = std::lower_bound(state.entries.begin(), state.entries.end(), s,
                                     [](const Entry& e, StorageId id) { return e.storage < id; });
    return it != state.entries.end() && it->storage == s ? &*it : nullptr;
  }

  // --- the result ---

  /// The chain of states as groups; those of a run of slices as often as there are slices.
  Schedule unroll(const State& last) const {
    std::vector<const State*> path;
    for (const State* s = &last; s->parent != kNone; s = &states_[s->from][s->parent]) path.push_back(s);
    std::reverse(path.begin(), path.end());
    Schedule result;
    result.objective = last.objective;
    for (const State* s : path) result.pace[s->from] = states_[s->from][s->parent].objective;
    result.against = last.against;
    std::sort(result.against.begin(), result.against.end());
    result.against.erase(std::unique(result.against.begin(), result.against.end()), result.against.end());
    std::map<StorageId, std::size_t> open;  // stays that later groups may lengthen
    for (std::size_t a = 0; a < path.size();) {
      std::size_t b = a + 1;
      const int slices = path[a]->slices;
      while (slices > 1 && b < path.size() && path[b]->slices == slices) ++b;
      for (int index = 0; index < slices; ++index) {
        for (std::size_t k = a; k < b; ++k) emit(*path[k], index, result, open);
      }
      a = b;
    }
    for (Scheduled& group : result.groups) group.available = budget_;
    for (const Stay& stay : result.stays) {
      for (int g = stay.first; g <= stay.last; ++g) result.groups[g].available -= stay.bytes;
    }
    return result;
  }

  void emit(const State& s, int index, Schedule& result, std::map<StorageId, std::size_t>& open) const {
    const Prepared& p = *s.prepared;
    if (p.idle) return;
    const int g = static_cast<int>(result.groups.size());
    Scheduled group{p.group, p.dropped, s.residents, 0};
    if (s.slices > 1 && !slice(group.group, index, s.slices))
      internal_error("a group has slices at one time and none at another");
    for (std::size_t l = 0; l < s.residents.size(); ++l) {
      if (s.residents[l] == Home::kDram) continue;
      const StorageId storage = p.group.locals[l].storage;
      const auto known = open.find(storage);
      const bool made = p.group.locals[l].producer != kNone;
      if (known != open.end() && (!made || !sliced(s, storage))) {
        result.stays[known->second].last = g;
        continue;
      }
      if (!made) internal_error("a resident that nobody made");
      const bool part = sliced(s, storage);
      Stay stay;
      stay.storage = storage;
      stay.home = s.residents[l];
      stay.part = part ? group.group.part_of(static_cast<int>(l)) : model_.layout.storages[storage].whole();
      stay.first = stay.last = g;
      stay.bytes = room(storage, part, s.slices);
      open[storage] = result.stays.size();
      result.stays.push_back(stay);
    }
    result.groups.push_back(std::move(group));
  }

  /// Whether a result of the group is held for its slice only.
  bool sliced(const State& s, StorageId storage) const {
    if (s.slices == 1) return false;
    const Entry* e = find(s, storage);
    return e == nullptr || e->sliced;
  }

  Workbench& bench_;
  const Model& model_;
  Search& search_;
  const Sequence& sequence_;
  Bytes budget_;
  const Wishes& wishes_;
  std::size_t each_ = 1;  // states kept by rent and mode
  int batch_;
  std::vector<char> may_slice_;  // by position
  bool must_slice_ = false;      // there
  std::map<std::pair<int, int>, std::array<double, 2>> alone_;
  std::map<std::pair<int, int>, bool> worth_;
  std::vector<std::vector<State>> states_;            // by position
  std::vector<std::optional<double>> remake_prices_;  // by storage, once asked for
  std::vector<std::pair<StorageId, int>> extended_;   // of the state being made: results to be kept for longer
};

}  // namespace

std::optional<Schedule> schedule(Workbench& bench, Bytes budget, const Wishes& wishes) {
  return Beam(bench, budget, wishes).run();
}

}  // namespace spillway::partitioner
