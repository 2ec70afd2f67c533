#include "partitioner/buffer_chain.h"

#include <algorithm>
#include <tuple>

namespace spillway::partitioner {

namespace {

/// One placement of a group's buffers, and the best way to it.
struct State {
  std::vector<Bytes> addresses;
  Intervals occupied;
  int collisions = 0;
  Bytes waiting = 0;
  int before = 0;  ///< of the previous group's states
  [[nodiscard]] std::pair<int, Bytes> cost() const { return {collisions, waiting}; }
};

Intervals occupied_by(const std::vector<Bytes>& sizes, const std::vector<Bytes>& addresses) {
  Intervals occupied;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] > 0) occupied.push_back({addresses[i], addresses[i] + sizes[i]});
  }
  sort_by_begin(occupied);
  return occupied;
}

Intervals merged(const Intervals& a, const Intervals& b) {
  Intervals both(a.size() + b.size());
  std::merge(a.begin(), a.end(), b.begin(), b.end(), both.begin(),
             [](const Interval& x, const Interval& y) { return x.begin < y.begin; });
  return both;
}

/// The states of one group, reached from those of the group before.
std::vector<State> states_of(const GroupSpace& space, const std::vector<State>& before, const Intervals& dying) {
  std::vector<State> states;
  const auto reach = [&](const std::vector<Bytes>& addresses) {
    State state;
    state.addresses = addresses;
    state.occupied = occupied_by(space.sizes, addresses);
    for (const State& known : states) {
      if (known.occupied == state.occupied) return;
    }
    bool first = true;
    for (std::size_t b = 0; b < before.size(); ++b) {
      const Bytes shared = overlap_of(state.occupied, before[b].occupied);
      const int collisions = before[b].collisions + (shared > 0 ? 1 : 0);
      const Bytes waiting = before[b].waiting + shared + overlap_of(state.occupied, dying);
      if (!first && std::pair(collisions, waiting) >= state.cost()) continue;
      state.collisions = collisions;
      state.waiting = waiting;
      state.before = static_cast<int>(b);
      first = false;
    }
    states.push_back(std::move(state));
  };
  for (const From from : {From::kBottom, From::kTop}) {
    if (const auto addresses = pack(space.sizes, space.gaps, from)) reach(*addresses);
  }
  if (states.empty()) return states;
  for (const State& previous : before) {
    const bool pointless = previous.occupied.empty() && dying.empty();
    if (pointless) continue;
    for (const Intervals& taken : {merged(previous.occupied, dying), previous.occupied}) {
      const Intervals free = without(space.gaps, taken);
      bool placed = false;
      for (const From from : {From::kBottom, From::kTop}) {
        const auto addresses = pack(space.sizes, free, from);
        if (!addresses) break;
        reach(*addresses);
        placed = true;
      }
      if (placed) break;
    }
  }
  constexpr std::size_t kBeam = 6;
  std::stable_sort(states.begin(), states.end(), [](const State& a, const State& b) { return a.cost() < b.cost(); });
  if (states.size() > kBeam) states.resize(kBeam);
  return states;
}

}  // namespace

BufferChain place_chain(const std::vector<GroupSpace>& groups) {
  BufferChain chain;
  std::vector<std::vector<State>> states;
  const std::vector<State> before(1);  // nothing occupied
  for (std::size_t g = 0; g < groups.size(); ++g) {
    states.push_back(states_of(groups[g], g == 0 ? before : states.back(), g == 0 ? Intervals{} : groups[g - 1].dying));
    if (states.back().empty()) {
      chain.stuck = static_cast<int>(g);
      return chain;
    }
  }
  chain.addresses.resize(groups.size());
  if (groups.empty()) return chain;
  int at = 0;  // states are sorted by cost
  chain.colliding_pairs = states.back()[0].collisions;
  chain.waiting = states.back()[0].waiting;
  for (std::size_t g = groups.size(); g-- > 0;) {
    chain.addresses[g] = states[g][at].addresses;
    at = states[g][at].before;
  }
  return chain;
}

}  // namespace spillway::partitioner
