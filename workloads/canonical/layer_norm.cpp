// LayerNormalization (Ba et al. 2016) as exporters write it:
//   m = ReduceMean(x); d = x - m; v = ReduceMean(d^2); y = d / Sqrt(v + epsilon); y * scale + bias
// with d^2 as Pow or Mul, d written once or twice, and the division as Div or as Mul with a Reciprocal.
#include <algorithm>

#include "workloads/canonical/patterns.h"

namespace spillway::workloads {

namespace {

/// The first of the trailing axes that a ReduceMean reduces; nullopt if it is not one over trailing axes.
std::optional<std::int64_t> first_reduced_axis(const Rewriter& rewriter, NodeId id) {
  const Node& node = rewriter.node(id);
  if (node.inputs.size() != 1 || node.integer("keepdims", 1) != 1) return std::nullopt;
  const auto rank = static_cast<std::int64_t>(rewriter.tensor(node.inputs[0]).shape.size());
  auto axes = node.integers("axes");
  if (axes.empty()) return std::nullopt;
  for (std::int64_t& axis : axes) axis = axis < 0 ? axis + rank : axis;
  std::sort(axes.begin(), axes.end());
  for (std::size_t i = 0; i < axes.size(); ++i) {
    if (axes[i] != rank - static_cast<std::int64_t>(axes.size() - i)) return std::nullopt;
  }
  return axes.front();
}

struct Match {
  std::vector<NodeId> nodes;  // the last makes the result
  TensorId x = kNone;
  std::int64_t axis = 0;
  double epsilon = 0.0;
};

/// d = Sub(x, ReduceMean(x)).
bool is_deviation(const Rewriter& rewriter, TensorId d, Match& match) {
  const NodeId sub = rewriter.producer(d, "Sub");
  if (sub == kNone) return false;
  const TensorId x = rewriter.node(sub).inputs[0];
  const NodeId mean = rewriter.producer(rewriter.node(sub).inputs[1], "ReduceMean");
  if (mean == kNone || rewriter.node(mean).inputs[0] != x || (match.x != kNone && match.x != x)) return false;
  const auto axis = first_reduced_axis(rewriter, mean);
  if (!axis || (match.x != kNone && *axis != match.axis)) return false;
  match.x = x;
  match.axis = *axis;
  for (const NodeId id : {mean, sub}) {
    if (std::find(match.nodes.begin(), match.nodes.end(), id) == match.nodes.end()) match.nodes.push_back(id);
  }
  return true;
}

/// v = ReduceMean(d^2).
bool is_variance(const Rewriter& rewriter, TensorId v, Match& match) {
  const NodeId mean = rewriter.producer(v, "ReduceMean");
  if (mean == kNone) return false;
  const TensorId squared = rewriter.node(mean).inputs[0];
  const NodeId square = rewriter.producer(squared);
  if (square == kNone || rewriter.node(square).inputs.size() != 2) return false;
  const auto& operands = rewriter.node(square).inputs;
  const bool power = rewriter.node(square).op == "Pow" && rewriter.scalar(operands[1]) == 2.0;
  const bool product = rewriter.node(square).op == "Mul" && operands[0] == operands[1];
  if ((!power && !product) || !is_deviation(rewriter, operands[0], match)) return false;
  if (first_reduced_axis(rewriter, mean) != match.axis) return false;
  match.nodes.push_back(square);
  match.nodes.push_back(mean);
  return true;
}

/// Division of the deviation by the square root that `root` computes; returns the quotient.
TensorId match_quotient(const Rewriter& rewriter, NodeId root, Match& match) {
  const TensorId deviation_of = rewriter.node(root).outputs[0];
  NodeId reader = rewriter.sole_consumer(deviation_of);
  if (reader == kNone) return kNone;
  match.nodes.push_back(root);
  TensorId numerator = kNone;
  if (rewriter.node(reader).op == "Div" && rewriter.node(reader).inputs[1] == deviation_of) {
    numerator = rewriter.node(reader).inputs[0];
  } else if (rewriter.node(reader).op == "Reciprocal") {
    match.nodes.push_back(reader);
    const TensorId inverse = rewriter.node(reader).outputs[0];
    reader = rewriter.sole_consumer(inverse, "Mul");
    if (reader == kNone) return kNone;
    numerator = rewriter.other_input(reader, inverse);
  }
  if (numerator == kNone || !is_deviation(rewriter, numerator, match)) return kNone;
  match.nodes.push_back(reader);
  return rewriter.node(reader).outputs[0];
}

/// The constant by which the only reader of `y` (of type `op`) scales or shifts the normalised axes, with that reader.
std::optional<std::pair<NodeId, TensorId>> affine(Rewriter& rewriter, TensorId y, std::string_view op,
                                                  std::int64_t axis) {
  const NodeId reader = rewriter.sole_consumer(y, op);
  if (reader == kNone) return std::nullopt;
  const TensorId constant = rewriter.other_input(reader, y);
  if (constant == kNone || !rewriter.tensor(constant).is_constant()) return std::nullopt;
  const Shape& full = rewriter.tensor(y).shape;
  const Shape wanted(full.begin() + axis, full.end());
  Shape found = rewriter.tensor(constant).shape;
  if (found.size() > full.size()) return std::nullopt;
  while (found.size() > wanted.size() && found.front() == 1) found.erase(found.begin());
  if (found != wanted) return std::nullopt;
  return std::pair{reader, rewriter.reshaped(constant, wanted)};
}

void match_layer_norm(Rewriter& rewriter, NodeId root) {
  Match match;
  const NodeId add = rewriter.producer(rewriter.node(root).inputs[0], "Add");
  if (add == kNone) return;
  TensorId variance = kNone;
  for (const int side : {0, 1}) {
    if (const auto epsilon = rewriter.scalar(rewriter.node(add).inputs[1 - side])) {
      match.epsilon = *epsilon;
      variance = rewriter.node(add).inputs[side];
    }
  }
  if (variance == kNone || !is_variance(rewriter, variance, match)) return;
  match.nodes.push_back(add);
  TensorId result = match_quotient(rewriter, root, match);
  if (result == kNone || !rewriter.exclusive(match.nodes, result)) return;

  Node node;
  node.name = rewriter.node(match.nodes.front()).name;
  node.op = "LayerNormalization";
  node.inputs = {match.x};
  if (const auto scale = affine(rewriter, result, "Mul", match.axis)) {
    node.inputs.push_back(scale->second);
    match.nodes.push_back(scale->first);
    result = rewriter.node(scale->first).outputs[0];
  }
  if (const auto bias = affine(rewriter, result, "Add", match.axis)) {
    node.inputs.resize(2, kNone);
    node.inputs.push_back(bias->second);
    match.nodes.push_back(bias->first);
    result = rewriter.node(bias->first).outputs[0];
  }
  node.outputs = {result};
  const auto rank = static_cast<std::int64_t>(rewriter.tensor(match.x).shape.size());
  node.attributes["axis"] = match.axis - rank;
  node.attributes["epsilon"] = static_cast<float>(match.epsilon);
  rewriter.replace(match.nodes, {std::move(node)});
}

}  // namespace

void recognise_layer_norm(Rewriter& rewriter) {
  for (const NodeId id : rewriter.nodes()) {
    if (!rewriter.alive(id)) continue;
    const Node& node = rewriter.node(id);
    const bool root = node.op == "Sqrt" || (node.op == "Pow" && rewriter.scalar(node.inputs[1]) == 0.5);
    if (root) match_layer_norm(rewriter, id);
  }
}

}  // namespace spillway::workloads
