#include "partitioner/max_flow.h"

#include <algorithm>
#include <limits>

namespace spillway::partitioner {

namespace {
constexpr MaxFlow::Amount kUnlimited = std::numeric_limits<MaxFlow::Amount>::max() / 4;
}

MaxFlow::MaxFlow(const std::vector<Amount>& capacities) : from_(2 + 2 * capacities.size()) {
  for (std::size_t v = 0; v < capacities.size(); ++v) {
    add(in(static_cast<int>(v)), out(static_cast<int>(v)), capacities[v]);
  }
}

void MaxFlow::add(int from, int to, Amount capacity) {
  from_[from].push_back(static_cast<int>(arcs_.size()));
  arcs_.push_back({to, capacity});
  from_[to].push_back(static_cast<int>(arcs_.size()));
  arcs_.push_back({from, 0});
}

void MaxFlow::add_source(int vertex) { add(0, in(vertex), kUnlimited); }
void MaxFlow::add_sink(int vertex) { add(out(vertex), 1, kUnlimited); }
void MaxFlow::add_arc(int from, int to) { add(out(from), in(to), kUnlimited); }

bool MaxFlow::layer() {
  level_.assign(from_.size(), -1);
  std::vector<int> queue{0};
  level_[0] = 0;
  for (std::size_t k = 0; k < queue.size(); ++k) {
    for (const int a : from_[queue[k]]) {
      if (arcs_[a].left <= 0 || level_[arcs_[a].to] >= 0) continue;
      level_[arcs_[a].to] = level_[queue[k]] + 1;
      queue.push_back(arcs_[a].to);
    }
  }
  return level_[1] >= 0;
}

// As deep as the layers of the graph are: a few times its longest chain of operators.
MaxFlow::Amount MaxFlow::push(int at, Amount limit) {  // NOLINT(misc-no-recursion)
  if (at == 1) return limit;
  for (; next_[at] < from_[at].size(); ++next_[at]) {
    const int a = from_[at][next_[at]];
    if (arcs_[a].left <= 0 || level_[arcs_[a].to] != level_[at] + 1) continue;
    const Amount pushed = push(arcs_[a].to, std::min(limit, arcs_[a].left));
    if (pushed == 0) continue;
    arcs_[a].left -= pushed;
    arcs_[a ^ 1].left += pushed;
    return pushed;
  }
  return 0;
}

MaxFlow::Amount MaxFlow::run() {
  Amount flow = 0;
  while (layer()) {
    next_.assign(from_.size(), 0);
    while (const Amount pushed = push(0, kUnlimited)) flow += pushed;
  }
  return flow;
}

// The vertices' own arcs were added first, in order; what their reverses have left is what flows.
MaxFlow::Amount MaxFlow::through(int vertex) const { return arcs_[2 * vertex + 1].left; }

}  // namespace spillway::partitioner
