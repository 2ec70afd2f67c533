// Shapes that depend on data, while the reference executor runs a graph: each node that an import left open is inferred
// again just before it is evaluated, from the values that have arrived.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "workloads/graph.h"

namespace spillway::workloads {

class RuntimeShapes {
 public:
  /// Copies a graph that has dynamic shapes; any other is used as it is and must outlive this.
  explicit RuntimeShapes(const Graph& graph);
  RuntimeShapes(const RuntimeShapes&) = delete;
  RuntimeShapes& operator=(const RuntimeShapes&) = delete;

  [[nodiscard]] const Graph& graph() const { return copy_ ? *copy_ : static_; }

  /// Whether the types and shapes of the node's outputs were known before the run.
  [[nodiscard]] bool is_static(const Node& node) const;

  /// While it lives, the node's tensors in graph() have the types and shapes of this run, and what its inputs hold is
  /// at hand as if it were constant. Does nothing for nodes of static shape.
  class Inferred {
   public:
    Inferred(RuntimeShapes& shapes, const Node& node, std::span<const HostTensor* const> inputs);
    ~Inferred();
    Inferred(const Inferred&) = delete;
    Inferred& operator=(const Inferred&) = delete;

   private:
    RuntimeShapes& shapes_;
    std::vector<TensorId> lent_;  ///< inputs that look constant for the time being
  };

 private:
  const Graph& static_;
  std::optional<Graph> copy_;
};

}  // namespace spillway::workloads
