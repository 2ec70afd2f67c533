// An Expand whose readers all broadcast anyway is not needed.
#include <algorithm>
#include <array>
#include <string_view>

#include "workloads/canonical/patterns.h"

namespace spillway::workloads {

namespace {

constexpr std::array<std::string_view, 19> kBroadcasting = {
    "Add", "And", "BitShift", "Div",   "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Min",
    "Mod", "Mul", "Or",       "PRelu", "Pow",   "Sub",     "Where",          "Xor"};

/// The output keeps its shape when `expanded` is read as `source`: another operand still spans every axis.
bool broadcasts_anyway(const Rewriter& rewriter, NodeId id, TensorId expanded, TensorId source) {
  const Node& node = rewriter.node(id);
  if (std::find(kBroadcasting.begin(), kBroadcasting.end(), node.op) == kBroadcasting.end()) return false;
  if (node.op == "PRelu" && node.inputs[0] == expanded) return false;  // broadcasts its slope only
  const Shape& out = rewriter.tensor(node.outputs[0]).shape;
  for (std::size_t d = 0; d < out.size(); ++d) {
    bool spanned = out[d] == 1;
    for (const TensorId input : node.inputs) {
      const Shape& shape = rewriter.tensor(input == expanded ? source : input).shape;
      const std::size_t missing = out.size() - std::min(out.size(), shape.size());
      if (shape.size() > out.size()) return false;
      if (d >= missing && shape[d - missing] == out[d]) spanned = true;
    }
    if (!spanned) return false;
  }
  // The source's own rank must not stretch the output beyond what it was.
  return rewriter.tensor(source).shape.size() <= out.size();
}

}  // namespace

void drop_expands(Rewriter& rewriter) {
  for (const NodeId id : rewriter.nodes()) {
    const Node& node = rewriter.node(id);
    if (node.op != "Expand" || node.inputs.size() != 1 || rewriter.is_output(node.outputs[0])) continue;
    const auto& readers = rewriter.tensor(node.outputs[0]).consumers;
    const bool droppable = std::all_of(readers.begin(), readers.end(), [&](NodeId reader) {
      return broadcasts_anyway(rewriter, reader, node.outputs[0], node.inputs[0]);
    });
    if (droppable && !readers.empty()) rewriter.bypass(id);
  }
}

}  // namespace spillway::workloads
