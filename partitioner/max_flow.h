// Internal: maximum flow with capacities on vertices, by Dinic's algorithm (Soviet Math. Doklady 11, 1970).
#pragma once

#include <cstdint>
#include <vector>

namespace spillway::partitioner {

class MaxFlow {
 public:
  using Amount = std::int64_t;

  /// Vertices 0 .. capacities.size() - 1, each of which lets its capacity through.
  explicit MaxFlow(const std::vector<Amount>& capacities);

  void add_source(int vertex);
  void add_sink(int vertex);
  void add_arc(int from, int to);  ///< without limit of its own

  [[nodiscard]] Amount run();
  /// After run(): what flows through the vertex.
  [[nodiscard]] Amount through(int vertex) const;

 private:
  struct Arc {
    int to;
    Amount left;
  };
  static int in(int vertex) { return 2 + 2 * vertex; }
  static int out(int vertex) { return 3 + 2 * vertex; }
  void add(int from, int to, Amount capacity);
  bool layer();
  Amount push(int at, Amount limit);

  std::vector<Arc> arcs_;               ///< 2 k and 2 k + 1 are each other's reverse
  std::vector<std::vector<int>> from_;  ///< by node: arcs; node 0 is the source, 1 the sink
  std::vector<int> level_;
  std::vector<std::size_t> next_;
};

}  // namespace spillway::partitioner
