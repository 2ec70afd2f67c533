// The equation of an Einsum, read once for inference, evaluation, statistics and canonicalisation.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "workloads/operators/operators.h"

namespace spillway::workloads {

/// One character an axis. The axes of an ellipsis have characters below ' ' of their own, the last one being 1.
struct Einsum {
  std::vector<std::string> terms;  ///< labels of each operand
  std::string output;
  std::map<char, std::int64_t> extent;
  bool diagonal = false;  ///< an operand has a label twice

  [[nodiscard]] bool in_output(char label) const { return output.find(label) != std::string::npos; }
  [[nodiscard]] Shape shape_of(const std::string& labels) const;
  /// Products that the whole result is a sum of: the extents of all labels multiplied.
  [[nodiscard]] std::int64_t products() const;
};

/// Throws Error(kBadInput) placed at the node: an equation that is none, or does not go with the operands' shapes.
[[nodiscard]] Einsum read_einsum(const Graph& graph, const Node& node);

}  // namespace spillway::workloads
