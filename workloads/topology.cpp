#include <fmt/format.h>

#include <algorithm>
#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/strong_components.hpp>
#include <functional>
#include <queue>
#include <string>
#include <vector>

#include "configs/error.h"
#include "workloads/graph.h"

namespace spillway::workloads {
namespace {

using Dependences = boost::adjacency_list<boost::vecS, boost::vecS, boost::directedS>;

/// An edge from producer to consumer for every tensor that a node reads.
Dependences dependences_of(const Graph& graph) {
  Dependences edges(graph.nodes.size());
  for (const auto& tensor : graph.tensors) {
    if (tensor.producer == kNone) continue;
    for (const auto consumer : tensor.consumers) boost::add_edge(tensor.producer, consumer, edges);
  }
  return edges;
}

/// The nodes of a shortest cycle through the first node (in file order) that lies on any cycle.
std::vector<NodeId> first_cycle(const Dependences& edges) {
  const auto count = static_cast<NodeId>(boost::num_vertices(edges));
  std::vector<int> component(count);
  const int components = boost::strong_components(
      edges, boost::make_iterator_property_map(component.begin(), get(boost::vertex_index, edges)));
  std::vector<int> size(components, 0);
  for (const int c : component) ++size[c];

  for (NodeId start = 0; start < count; ++start) {
    if (size[component[start]] == 1 && !boost::edge(start, start, edges).second) continue;
    std::vector<NodeId> reached_from(count, kNone);
    std::queue<NodeId> frontier;
    frontier.push(start);
    while (!frontier.empty()) {
      const NodeId at = frontier.front();
      frontier.pop();
      for (auto [edge, end] = boost::out_edges(at, edges); edge != end; ++edge) {
        const auto next = static_cast<NodeId>(boost::target(*edge, edges));
        if (component[next] != component[start] || reached_from[next] != kNone) continue;
        reached_from[next] = at;
        frontier.push(next);
      }
    }
    std::vector<NodeId> cycle{start};
    for (NodeId at = reached_from[start]; at != start; at = reached_from[at]) cycle.push_back(at);
    std::reverse(cycle.begin() + 1, cycle.end());
    return cycle;
  }
  internal_error("no cycle was found in a graph that cannot be ordered");
}

[[noreturn]] void throw_cycle(const Graph& graph, const std::vector<NodeId>& cycle) {
  constexpr std::size_t kShown = 8;
  std::string path;
  for (std::size_t i = 0; i < std::min(cycle.size(), kShown); ++i)
    path += fmt::format("'{}' -> ", graph.nodes[cycle[i]].name);
  if (cycle.size() > kShown) path += "... -> ";
  throw Error(ErrorKind::kBadInput, Place{.node = graph.nodes[cycle.front()].name},
              fmt::format("depends on its own output, through a cycle of {} node{}: {}'{}'", cycle.size(),
                          cycle.size() == 1 ? "" : "s", path, graph.nodes[cycle.front()].name));
}

}  // namespace

// Kahn's algorithm with the smallest index first: the order of the file wherever that is already topological.
void sort_topologically(Graph& graph) {
  connect(graph);
  const auto edges = dependences_of(graph);
  std::vector<int> waits_for(graph.nodes.size(), 0);
  for (auto [edge, end] = boost::edges(edges); edge != end; ++edge) ++waits_for[boost::target(*edge, edges)];

  std::priority_queue<NodeId, std::vector<NodeId>, std::greater<>> ready;
  for (NodeId id = 0; id < static_cast<NodeId>(graph.nodes.size()); ++id) {
    if (waits_for[id] == 0) ready.push(id);
  }
  std::vector<NodeId> order;
  order.reserve(graph.nodes.size());
  while (!ready.empty()) {
    const NodeId id = ready.top();
    ready.pop();
    order.push_back(id);
    for (auto [edge, end] = boost::out_edges(id, edges); edge != end; ++edge) {
      const auto next = static_cast<NodeId>(boost::target(*edge, edges));
      if (--waits_for[next] == 0) ready.push(next);
    }
  }
  if (order.size() != graph.nodes.size()) throw_cycle(graph, first_cycle(edges));
  if (std::is_sorted(order.begin(), order.end())) return;

  std::vector<Node> sorted;
  sorted.reserve(order.size());
  for (const auto id : order) sorted.push_back(std::move(graph.nodes[id]));
  graph.nodes = std::move(sorted);
  connect(graph);
}

}  // namespace spillway::workloads
