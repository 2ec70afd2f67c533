// Per-channel statistics of a Concat of channels are the Concat of the parts' statistics: each is then gathered where
// its part is produced, long before the Concat.
#include "workloads/canonical/patterns.h"

namespace spillway::workloads {

namespace {

/// Returns the new NormStatistics, whose inputs may be Concats in turn.
void distribute(Rewriter& rewriter, NodeId id) {
  const TensorId x = rewriter.node(id).inputs[0];
  const NodeId concat = rewriter.producer(x, "Concat");
  if (concat == kNone) return;
  const auto rank = static_cast<std::int64_t>(rewriter.tensor(x).shape.size());
  const std::int64_t axis = rewriter.node(concat).integer("axis", 0);
  if ((axis < 0 ? axis + rank : axis) != 1) return;

  const Node statistics = rewriter.node(id);
  const std::vector<TensorId> parts = rewriter.node(concat).inputs;
  std::vector<Node> nodes;
  Node joined;
  joined.name = statistics.name;
  joined.op = "Concat";
  joined.outputs = statistics.outputs;
  joined.attributes["axis"] = std::int64_t{1};
  const std::string name = rewriter.tensor(statistics.outputs[0]).name;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const Shape shape = rewriter.tensor(parts[i]).shape;
    Node part;
    part.name = statistics.name + "." + std::to_string(i);
    part.op = "NormStatistics";
    part.inputs = {parts[i]};
    part.outputs = {rewriter.add_tensor(name + "." + std::to_string(i), DataType::kFloat32, {shape[0], shape[1], 2})};
    if (i == 0) part.origins = statistics.origins;
    joined.inputs.push_back(part.outputs[0]);
    nodes.push_back(std::move(part));
  }
  nodes.push_back(std::move(joined));
  std::vector<TensorId> statistics_of_parts = nodes.back().inputs;
  rewriter.replace(std::vector{id}, std::move(nodes));
  for (const TensorId part : statistics_of_parts) distribute(rewriter, rewriter.producer(part));
}

}  // namespace

void distribute_statistics(Rewriter& rewriter) {
  for (const NodeId id : rewriter.nodes()) {
    if (rewriter.node(id).op == "NormStatistics") distribute(rewriter, id);
  }
}

}  // namespace spillway::workloads
