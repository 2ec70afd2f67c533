// Where NaN or infinity first appears while a graph runs.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "workloads/execution/value.h"
#include "workloads/workloads.h"

namespace spillway::workloads {

/// Looks at every float tensor that is computed and reports the operators whose results have NaN, or infinity, although
/// none of their inputs has: a mask of minus infinities that is given as a constant is no event.
class FiniteWatch {
 public:
  FiniteWatch(const Graph& graph, std::function<void(const NonFinite&)> report)
      : graph_(graph), report_(std::move(report)), state_(graph.tensors.size(), 0) {}

  void input(TensorId id, const Value& value);
  /// After the node; the values of its outputs, by TensorId.
  void after(const Node& node, const std::vector<std::optional<Value>>& values);

 private:
  [[nodiscard]] std::uint8_t state_of(TensorId id);

  const Graph& graph_;
  std::function<void(const NonFinite&)> report_;
  std::vector<std::uint8_t> state_;  ///< by TensorId: which of the two it has
};

}  // namespace spillway::workloads
