#include "partitioner/allocate.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <tuple>

#include "partitioner/buffer_chain.h"

namespace spillway::partitioner {

namespace {

/// A resident, or a reservation: room kept free in its groups.
struct Block {
  int first = 0, last = 0;
  Bytes bytes = 0;
};

bool overlap(const Block& a, const Block& b) { return a.first <= b.last && b.first <= a.last; }

struct Placement {
  std::vector<int> order;  ///< of blocks
  std::vector<Bytes> addresses;
  Bytes overflow = 0;        ///< over all groups: what reaches over the budget
  int worst_group = 0;       ///< with most of it
  std::vector<Bytes> reach;  ///< by group: how far up residents and packed buffers reach
  Bytes packed_peak = 0;     ///< over all groups: how far up residents and packed buffers reach
  BufferChain chain;         ///< if nothing reaches over the budget
  [[nodiscard]] bool fits() const { return overflow == 0; }
  [[nodiscard]] auto cost() const { return std::tuple(overflow, chain.colliding_pairs, chain.waiting, packed_peak); }
};

class Allocator {
 public:
  Allocator(const std::vector<Residency>& residencies, const std::vector<Group>& groups, Bytes budget)
      : budget_(budget), residents_(residencies.size()), spaces_(groups.size()), alive_(groups.size()) {
    for (const Residency& r : residencies) add_block({r.first_group, r.last_group, r.bytes});
    for (std::size_t i = 0; i < residencies.size(); ++i) {
      for (int g = blocks_[i].first; g <= blocks_[i].last; ++g) alive_[g].push_back(static_cast<int>(i));
    }
    for (std::size_t g = 0; g < groups.size(); ++g) {
      auto& order = buffers_.emplace_back(groups[g].buffers.size());
      const auto bytes = [&](int b) { return groups[g].buffers[b].slots * groups[g].buffers[b].slot_bytes; };
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return bytes(a) > bytes(b); });
      for (const int b : order) spaces_[g].sizes.push_back(bytes(b));
    }
  }

  /// Residents in the order of a key, largest first.
  Placement greedy(const std::function<Bytes(const Block&)>& key) {
    std::vector<int> order(residents_);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
      return std::pair(key(blocks_[a]), blocks_[a].bytes) > std::pair(key(blocks_[b]), blocks_[b].bytes);
    });
    return place(order);
  }
  /// If `from` differs by the place of one block in the order (or that it has it, or has it not), what that does not
  /// touch is taken over.
  Placement place(const std::vector<int>& order, const Placement* from = nullptr, int moved = kNone);

  Placement climb(Placement best);

  [[nodiscard]] Bytes buffer_bytes(std::size_t g) const {
    return std::accumulate(spaces_[g].sizes.begin(), spaces_[g].sizes.end(), Bytes{0});
  }
  /// Bytes of the residents alive in group g, and in group `also`.
  [[nodiscard]] Bytes resident_bytes(std::size_t g, std::size_t also) const {
    Bytes bytes = 0;
    for (const int i : alive_[g]) {
      if (blocks_[i].first <= static_cast<int>(also) && static_cast<int>(also) <= blocks_[i].last) {
        bytes += blocks_[i].bytes;
      }
    }
    return bytes;
  }
  /// Whether the buffers of g and g + 1 could not be apart wherever they lay.
  [[nodiscard]] bool must_collide(std::size_t g) const {
    const Bytes here = buffer_bytes(g);
    const Bytes next = buffer_bytes(g + 1);
    return here > 0 && next > 0 && resident_bytes(g, g + 1) + here + next > budget_;
  }
  [[nodiscard]] int unavoidable() const {
    int pairs = 0;
    for (std::size_t g = 0; g + 1 < spaces_.size(); ++g) pairs += must_collide(g) ? 1 : 0;
    return pairs;
  }
  [[nodiscard]] Bytes peak_demand() const {
    Bytes peak = 0;
    for (std::size_t g = 0; g < spaces_.size(); ++g) peak = std::max(peak, resident_bytes(g, g) + buffer_bytes(g));
    return peak;
  }
  /// The buffer of group g that stands at `position` in its order of placing.
  [[nodiscard]] int buffer_at(std::size_t g, std::size_t position) const { return buffers_[g][position]; }

 private:
  void add_block(const Block& block) {
    const int added = static_cast<int>(blocks_.size());
    auto& beside = beside_.emplace_back();
    for (int other = 0; other < added; ++other) {
      if (!overlap(block, blocks_[other])) continue;
      beside.push_back(other);
      beside_[other].push_back(added);
    }
    blocks_.push_back(block);
  }
  /// What lies in group g, lowest first. Valid until the next call.
  [[nodiscard]] const Intervals& occupied(const Placement& placement, std::size_t g) {
    occupied_.clear();
    for (const int i : alive_[g]) {
      occupied_.push_back({placement.addresses[i], placement.addresses[i] + blocks_[i].bytes});
    }
    sort_by_begin(occupied_);
    return occupied_;
  }
  [[nodiscard]] Bytes reach_in(const Placement& placement, std::size_t g) {
    const Intervals& taken = occupied(placement, g);
    const Bytes top = taken.empty() ? 0 : taken.back().end;
    return reach_of(spaces_[g].sizes, gaps_of(taken, top), top, budget_);
  }
  /// Fills in what the residents leave free below `limit` in group g, and what of them dies with it.
  void leave_space(const Placement& placement, std::size_t g, Bytes limit) {
    spaces_[g].gaps = gaps_of(occupied(placement, g), limit);
    spaces_[g].dying.clear();
    for (const int i : alive_[g]) {
      if (blocks_[i].last != static_cast<int>(g) || blocks_[i].bytes == 0) continue;
      spaces_[g].dying.push_back({placement.addresses[i], placement.addresses[i] + blocks_[i].bytes});
    }
    sort_by_begin(spaces_[g].dying);
  }
  struct Neighbour {
    std::vector<int> order;  ///< empty: there is none
    int moved = kNone;
  };
  Neighbour neighbour(const Placement& from, std::uint64_t step);
  int colliding_pair(const Placement& placement, std::uint64_t step) const;

  Bytes budget_;
  std::size_t residents_;                 ///< the first of the blocks; the rest are reservations
  std::vector<Block> blocks_;             ///< grows during a climb
  std::vector<std::vector<int>> beside_;  ///< by block: those alive at the same time
  std::vector<GroupSpace> spaces_;        ///< by group; gaps and dying are those of the placement being made
  std::vector<std::vector<int>> alive_, buffers_;
  Intervals occupied_;
};

Placement Allocator::place(const std::vector<int>& order, const Placement* from, int moved) {
  Placement placement;
  placement.order = order;
  placement.addresses.assign(blocks_.size(), 0);
  std::vector<char> placed(blocks_.size(), 0);
  std::vector<char> elsewhere(blocks_.size(), 0);  // than in `from`
  Intervals around;
  for (const int i : order) {
    bool touched = from == nullptr || i == moved || overlap(blocks_[i], blocks_[moved]);
    for (std::size_t k = 0; k < beside_[i].size() && !touched; ++k) touched = elsewhere[beside_[i][k]] != 0;
    placed[i] = 1;
    if (!touched) {
      placement.addresses[i] = from->addresses[i];
      continue;
    }
    around.clear();
    for (const int other : beside_[i]) {
      if (!placed[other]) continue;
      around.push_back({placement.addresses[other], placement.addresses[other] + blocks_[other].bytes});
    }
    sort_by_begin(around);
    Bytes at = 0;
    for (const Interval& taken : around) {
      if (taken.begin - at >= blocks_[i].bytes) break;
      at = std::max(at, taken.end);
    }
    placement.addresses[i] = at;
    const bool fresh = from == nullptr || static_cast<std::size_t>(i) >= from->addresses.size();
    elsewhere[i] = fresh || at != from->addresses[i] ? 1 : 0;
  }
  // Most residents stay where they are: only groups in which one does not are looked at again.
  std::vector<char> stale(spaces_.size(), from == nullptr ? 1 : 0);
  for (std::size_t i = 0; i < residents_; ++i) {
    if (elsewhere[i] == 0) continue;
    for (int g = blocks_[i].first; g <= blocks_[i].last; ++g) stale[g] = 1;
  }
  Bytes most = 0;
  for (std::size_t g = 0; g < spaces_.size(); ++g) {
    placement.reach.push_back(stale[g] != 0 ? reach_in(placement, g) : from->reach[g]);
    placement.packed_peak = std::max(placement.packed_peak, placement.reach[g]);
    const Bytes over = std::max<Bytes>(0, placement.reach[g] - budget_);
    placement.overflow += over;
    if (over > most) most = over, placement.worst_group = static_cast<int>(g);
  }
  if (!placement.fits()) return placement;
  // Above the residents, two groups' buffers side by side never need more than this; so that a scratchpad without end
  // has no addresses at its end.
  Bytes widest = 0;
  for (std::size_t g = 0; g < spaces_.size(); ++g) widest = std::max(widest, buffer_bytes(g));
  const Bytes limit = std::min(budget_, placement.packed_peak + 2 * widest);
  for (std::size_t g = 0; g < spaces_.size(); ++g) leave_space(placement, g, limit);
  placement.chain = place_chain(spaces_);
  if (placement.chain.stuck >= 0) {  // the bound on the work of packing was met: as good as not fitting
    placement.overflow = 1;
    placement.worst_group = placement.chain.stuck;
    placement.reach[placement.worst_group] = budget_ + 1;
    placement.chain = {};
  }
  return placement;
}

/// A number that looks random and is the same every time (splitmix64, public domain by S. Vigna).
std::uint64_t scrambled(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15U;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31);
}

/// One of the colliding pairs that need not collide; -1 if there is none.
int Allocator::colliding_pair(const Placement& placement, std::uint64_t step) const {
  const auto spans = [&](std::size_t g) {
    Intervals taken;
    for (std::size_t b = 0; b < spaces_[g].sizes.size(); ++b) {
      taken.push_back({placement.chain.addresses[g][b], placement.chain.addresses[g][b] + spaces_[g].sizes[b]});
    }
    sort_by_begin(taken);
    return taken;
  };
  std::vector<int> pairs;
  for (std::size_t g = 0; g + 1 < spaces_.size(); ++g) {
    if (!must_collide(g) && overlap_of(spans(g), spans(g + 1)) > 0) pairs.push_back(static_cast<int>(g));
  }
  return pairs.empty() ? -1 : pairs[step % pairs.size()];
}

/// A neighbour of the placement's order: something that lies around the trouble comes earlier or later.
Allocator::Neighbour Allocator::neighbour(const Placement& from, std::uint64_t step) {
  const std::uint64_t dice = scrambled(step);
  std::vector<int> order = from.order;
  int first = from.worst_group;
  int last = first;
  if (from.fits()) {
    first = colliding_pair(from, dice >> 40);
    if (first < 0) return {};
    last = first + 1;
  }
  std::vector<std::size_t> around;  // positions in the order of what is alive there
  for (std::size_t p = 0; p < order.size(); ++p) {
    if (overlap(blocks_[order[p]], {first, last, 0})) around.push_back(p);
  }
  if (around.empty()) return {};
  if (step % 8 > 4) {  // and what lies around those
    for (const std::size_t p : around) {
      first = std::min(first, blocks_[order[p]].first);
      last = std::max(last, blocks_[order[p]].last);
    }
    around.clear();
    for (std::size_t p = 0; p < order.size(); ++p) {
      if (overlap(blocks_[order[p]], {first, last, 0})) around.push_back(p);
    }
  }
  if (step % 4 == 0) {  // room for the buffers themselves, before some of the residents around them
    Bytes bytes = 0;
    for (int g = first; g <= last; ++g) bytes += buffer_bytes(g);
    add_block({first, last, bytes});
    const std::size_t before = around[(dice >> 8) % around.size()];
    const int added = static_cast<int>(blocks_.size()) - 1;
    order.insert(order.begin() + static_cast<std::ptrdiff_t>(before), added);
    return {std::move(order), added};
  }
  const std::size_t mover = around[(dice >> 8) % around.size()];
  const int moved = order[mover];
  if (order[mover] >= static_cast<int>(residents_) && step % 4 == 1) {
    order.erase(order.begin() + static_cast<std::ptrdiff_t>(mover));  // a reservation that did no good
    return {std::move(order), moved};
  }
  const std::size_t target = step % 4 == 3 ? around.front() : around[(dice >> 24) % around.size()];
  const auto at = [&](std::size_t p) { return order.begin() + static_cast<std::ptrdiff_t>(p); };
  if (target < mover) {
    std::rotate(at(target), at(mover), at(mover) + 1);
  } else {
    std::rotate(at(mover), at(mover) + 1, at(target) + 1);
  }
  return {std::move(order), moved};
}

Placement Allocator::climb(Placement best) {
  // Not fitting costs a resident or a larger tile: worth more work than a wait is.
  constexpr int kStepsToFit = 240;  // without a gain
  constexpr int kStepsToPart = 16;
  constexpr int kMostSteps = 4000;
  constexpr int kPatience = 40;  // steps without a gain, after which a worse placement is gone on from
  Placement now = best;
  int fitting = 0;
  int idle = 0;
  int since_best = 0;
  for (int step = 0; step < kMostSteps && since_best < kStepsToFit && fitting < kStepsToPart; ++step) {
    if (now.fits()) ++fitting;
    const auto [order, moved] = neighbour(now, static_cast<std::uint64_t>(step));
    if (order.empty()) break;
    Placement trial = place(order, &now, moved);
    const bool kick = ++idle % kPatience == 0;
    ++since_best;
    if (trial.cost() > now.cost() && !kick) continue;  // as good is taken: plateaus are wide
    if (trial.cost() < now.cost()) idle = 0;
    now = std::move(trial);
    if (now.overflow < best.overflow) since_best = 0;
    if (now.cost() < best.cost()) best = now;
  }
  return best;
}

}  // namespace

std::optional<AllocationFailure> allocate(std::vector<Residency>& residencies, std::vector<Group>& groups, Bytes budget,
                                          AllocationReport& report, const std::vector<int>& start) {
  Allocator allocator(residencies, groups, budget);
  report = {};
  report.peak_demand = allocator.peak_demand();
  report.unavoidable_pairs = allocator.unavoidable();
  std::optional<Placement> best;
  const auto consider = [&](const char* name, Placement placement) {
    report.attempts.push_back({name, placement.packed_peak, placement.chain.colliding_pairs, placement.fits()});
    if (best && placement.cost() >= best->cost()) return;
    best = std::move(placement);
    report.algorithm = name;
  };
  consider("largest first", allocator.greedy([](const Block& b) { return b.bytes; }));
  consider("longest first", allocator.greedy([](const Block& b) { return Bytes{b.last - b.first}; }));
  consider("largest area first", allocator.greedy([](const Block& b) { return b.bytes * (b.last - b.first + 1); }));
  if (!start.empty()) consider("earlier order", allocator.place(start));
  if (!best->fits() || best->chain.colliding_pairs > report.unavoidable_pairs) {
    consider("hill climb", allocator.climb(*best));
  }
  report.packed_peak = best->packed_peak;
  report.fragmentation = report.packed_peak - report.peak_demand;
  report.colliding_pairs = best->chain.colliding_pairs;
  if (!best->fits()) {
    AllocationFailure failure{best->worst_group, best->reach[best->worst_group] - budget, {}};
    for (const int i : best->order) {
      if (i < static_cast<int>(residencies.size())) failure.order.push_back(i);
    }
    return failure;
  }
  for (std::size_t i = 0; i < residencies.size(); ++i) {
    residencies[i].address = best->addresses[i];
    report.peak_address = std::max(report.peak_address, residencies[i].address + residencies[i].bytes);
  }
  for (std::size_t g = 0; g < groups.size(); ++g) {
    for (std::size_t p = 0; p < groups[g].buffers.size(); ++p) {
      Buffer& buffer = groups[g].buffers[allocator.buffer_at(g, p)];
      buffer.address = best->chain.addresses[g][p];
      report.peak_address = std::max(report.peak_address, buffer.address + buffer.slots * buffer.slot_bytes);
    }
  }
  return std::nullopt;
}

}  // namespace spillway::partitioner
