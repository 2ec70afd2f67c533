// What of a graph is known before it runs: the shape arithmetic that exporters leave in a graph, above all in one with
// dynamic axes.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "workloads/graph.h"
#include "workloads/operators/operators.h"

namespace spillway::workloads {

/// Constants of at most this many elements are looked at and folded; larger ones (weights) are left where they are.
inline constexpr std::int64_t kMaxFoldedElements = std::int64_t{1} << 20;
/// The same for weights stored as integers, which a DequantizeLinear turns into floats.
inline constexpr std::int64_t kMaxDequantizedElements = std::int64_t{1} << 25;
/// Nodes of more operations than this run where everything else does.
inline constexpr std::int64_t kMaxFoldedWork = std::int64_t{1} << 26;

/// Evaluates nodes whose inputs are known. Used node by node, in topological order, after each node's shape inference.
class Folder {
 public:
  explicit Folder(Graph& graph) : graph_(graph), values_(graph.tensors.size()) {}

  /// The value of a constant of at most kMaxFoldedElements elements that is at hand; nullptr otherwise.
  [[nodiscard]] const HostTensor* value(TensorId id);

  /// Makes the outputs of `node` constant if they can be known, and marks it folded. Whether a node is folded does not
  /// depend on whether the weights are at hand: from absent values follow absent values.
  void fold(Node& node);

 private:
  [[nodiscard]] bool fold_by_evaluation(Node& node, const OpDef& def);
  [[nodiscard]] bool fold_uniform(Node& node, const OpDef& def);
  [[nodiscard]] std::optional<float> uniform_value(TensorId id);
  [[nodiscard]] bool set_outputs(Node& node, std::vector<HostTensor> results);

  Graph& graph_;
  std::vector<std::shared_ptr<const HostTensor>> values_;  ///< by TensorId, once asked for
};

}  // namespace spillway::workloads
