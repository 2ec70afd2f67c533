#include "partitioner/settle.h"

#include <algorithm>
#include <limits>

#include "configs/error.h"
#include "partitioner/held_input.h"

namespace spillway::partitioner {

namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();
constexpr double kWorthwhile = 0.5;  // of the score: less is noise

/// A storage that one group makes whole and later ones read; or an input of the graph, which the first of its readers
/// may load for the others.
struct Traveller {
  StorageId storage = kNone;
  Bytes bytes = 0;
  int maker = kNone;         ///< group; of an input its first reader
  std::vector<int> readers;  ///< groups, ascending
  int until = kNone;         ///< the last group that finds it in the scratchpad; kNone: it does not stay
  bool input = false;
  double load = 0;  ///< the score of loading an input whole
};

class Settler {
 public:
  Settler(const Model& model, Search& search, Bytes budget, const Wishes& wishes, Schedule& schedule)
      : model_(model), search_(search), wishes_(wishes), schedule_(schedule) {
    const std::size_t n = schedule.groups.size();
    free_.assign(n, budget);
    for (const Scheduled& g : schedule.groups) {
      structures_.push_back(&search.structure_of(g.group));
      locals_.emplace_back();
      for (std::size_t l = 0; l < g.group.locals.size(); ++l) {
        locals_.back().emplace(g.group.locals[l].storage, static_cast<int>(l));
      }
    }
    find_travellers();
    for (std::size_t g = 0; g < n; ++g) {
      for (const auto care : {Search::Care::kEstimate, Search::Care::kExact}) {
        cost_[static_cast<std::size_t>(care)].push_back(cost(static_cast<int>(g), care));
      }
    }
  }

  void run() {
    constexpr int kPasses = 8;
    for (int pass = 0; pass < kPasses; ++pass) {
      bool better = false;
      for (std::size_t t = 0; t < travellers_.size(); ++t) better |= improve(t);
      if (!better) break;
    }
    write_back();
  }

 private:
  void find_travellers() {
    const std::size_t storages = model_.layout.storages.size();
    std::vector<Traveller> all(storages);
    std::vector<char> odd(storages, 0);
    for (int g = 0; g < static_cast<int>(schedule_.groups.size()); ++g) {
      const Scheduled& s = schedule_.groups[g];
      const bool part = s.group.slices() > 1;
      for (const StorageId d : s.dropped) odd[d] = 1;
      for (const Local& local : s.group.locals) {
        Traveller& t = all[local.storage];
        // What is gathered from comes straight from DRAM.
        if (part || (local.direct_only && can_be_kept(model_, local.storage))) odd[local.storage] = 1;
        if (local.producer == kNone) {
          t.readers.push_back(g);
        } else if (local.stored) {
          if (t.maker != kNone) odd[local.storage] = 1;
          t.maker = g;
        }
      }
    }
    for (const Stay& stay : schedule_.stays) {
      Traveller& t = all[stay.storage];
      if (stay.part.elements() != model_.layout.storages[stay.storage].elements()) odd[stay.storage] = 1;
      if (t.until != kNone) odd[stay.storage] = 1;
      t.until = stay.last;
    }
    for (StorageId s = 0; s < static_cast<StorageId>(storages); ++s) {
      Traveller& t = all[s];
      t.storage = s;
      t.bytes = aligned(model_.layout.storages[s].bytes());
      if (t.readers.size() > 1 && can_be_kept(model_, s)) {
        t.input = true;
        t.maker = t.readers.front();
        t.readers.erase(t.readers.begin());
        if (odd[s] == 0) t.load = search_.load_score(schedule_.groups[t.maker].group, locals_[t.maker].at(s));
      }
      const bool travels = t.maker != kNone && !t.readers.empty() && t.readers.front() > t.maker;
      if (odd[s] != 0 || !travels) continue;
      travellers_.push_back(t);
    }
    std::stable_sort(travellers_.begin(), travellers_.end(),
                     [](const Traveller& a, const Traveller& b) { return a.bytes > b.bytes; });
    for (const Stay& stay : schedule_.stays) {
      for (int g = stay.first; g <= stay.last; ++g) free_[g] -= stay.bytes;
      if (odd[stay.storage] != 0) fixed_.push_back(stay);
    }
  }

  double cost(int g, Search::Care care) {
    if (free_[g] <= 0) return kNever;
    const Scheduled& s = schedule_.groups[g];
    const Candidate* c = search_.best(*structures_[g], s.group, s.residents, free_[g], care);
    return c == nullptr ? kNever : c->score;
  }

  [[nodiscard]] static Home home_of(const Traveller& t, int until, int g) {
    if (until == kNone || g > until) return Home::kDram;
    return t.input || until == t.readers.back() ? Home::kScratchpad : Home::kBoth;
  }

  [[nodiscard]] bool wished(const Traveller& t, int until) const {
    if (t.input) return true;
    const Fates& wish = wishes_.fates[t.storage];
    return until == t.readers.back() ? wish.hold : wish.spill;
  }

  using Change = std::pair<std::size_t, int>;  // a traveller and its new `until`

  void stay(std::size_t k, int until) {
    Traveller& t = travellers_[k];
    const auto place = [&](int g) { schedule_.groups[g].residents[locals_[g].at(t.storage)] = home_of(t, until, g); };
    place(t.maker);
    for (const int r : t.readers) place(r);
    for (int g = t.maker; g <= t.until; ++g) free_[g] += t.bytes;
    for (int g = t.maker; g <= until; ++g) free_[g] -= t.bytes;
    t.until = until;
  }

  /// Changes the stays of some travellers together, if that lowers the sum of scores.
  bool attempt(const std::vector<Change>& changes) {
    std::vector<Change> back;
    int first = std::numeric_limits<int>::max();
    int last = 0;
    double loads = 0;
    for (const auto& [k, until] : changes) {
      const Traveller& t = travellers_[k];
      loads += t.load * ((until == kNone ? 0 : 1) - (t.until == kNone ? 0 : 1));
      back.emplace_back(k, t.until);
      first = std::min(first, t.maker);
      last = std::max({last, t.until, until, t.readers.back()});
      stay(k, until);
    }
    // What the estimates find no gain in is not walked.
    bool better = true;
    std::array<std::vector<double>, 2> now;
    for (const auto care : {Search::Care::kEstimate, Search::Care::kExact}) {
      const auto c = static_cast<std::size_t>(care);
      double delta = loads;
      for (int g = first; g <= last && delta < kNever && better; ++g) {
        now[c].push_back(cost(g, care));
        delta += now[c].back() - cost_[c][g];
      }
      better = better && delta < -kWorthwhile;
    }
    if (better) {
      for (std::size_t c = 0; c < now.size(); ++c) std::copy(now[c].begin(), now[c].end(), cost_[c].begin() + first);
      return true;
    }
    std::reverse(back.begin(), back.end());
    for (const auto& [k, until] : back) stay(k, until);
    return false;
  }

  bool improve(std::size_t k) {
    bool better = false;
    std::vector<int> options(travellers_[k].readers.rbegin(), travellers_[k].readers.rend());
    options.push_back(kNone);
    for (const int until : options) {
      if (until == travellers_[k].until || !wished(travellers_[k], until)) continue;
      if (attempt({{k, until}})) {
        better = true;
        continue;
      }
      if (until > travellers_[k].until) better |= swap(k, until);
    }
    return better;
  }

  /// Lets `k` stay in the place of another.
  bool swap(std::size_t k, int until) {
    const Traveller& t = travellers_[k];
    for (std::size_t o = 0; o < travellers_.size(); ++o) {
      const Traveller& other = travellers_[o];
      if (o == k || other.until == kNone || other.until < t.maker || other.maker > until) continue;
      if (other.bytes * 4 < t.bytes) break;  // largest first
      std::vector<int> shorter{kNone};
      for (const int r : other.readers) {
        if (r < other.until) shorter.push_back(r);
      }
      for (const int s : shorter) {
        if (wished(other, s) && attempt({{o, s}, {k, until}})) return true;
      }
    }
    return false;
  }

  void write_back() {
    schedule_.stays = fixed_;
    for (const Traveller& t : travellers_) {
      if (t.until == kNone) continue;
      Stay stay;
      stay.storage = t.storage;
      stay.home = home_of(t, t.until, t.maker);
      stay.part = model_.layout.storages[t.storage].whole();
      stay.first = t.maker;
      stay.last = t.until;
      stay.bytes = t.bytes;
      schedule_.stays.push_back(stay);
    }
    std::stable_sort(schedule_.stays.begin(), schedule_.stays.end(), [](const Stay& a, const Stay& b) {
      return std::pair(a.first, a.storage) < std::pair(b.first, b.storage);
    });
    for (std::size_t g = 0; g < schedule_.groups.size(); ++g) schedule_.groups[g].available = free_[g];
  }

  const Model& model_;
  Search& search_;
  const Wishes& wishes_;
  Schedule& schedule_;
  std::vector<Search::Structure*> structures_;
  std::vector<std::map<StorageId, int>> locals_;  // by group: local of a storage
  std::vector<Traveller> travellers_;             // largest first
  std::vector<Stay> fixed_;
  std::vector<Bytes> free_;                  // by group, beside the stays
  std::array<std::vector<double>, 2> cost_;  // by Care and group
};

}  // namespace

void settle(const Model& model, Search& search, Bytes budget, const Wishes& wishes, Schedule& schedule) {
  Settler(model, search, budget, wishes, schedule).run();
}

}  // namespace spillway::partitioner
