// Nodes that change nothing disappear, and what a node is told through constant inputs becomes its attributes.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "workloads/canonical/patterns.h"
#include "workloads/operators/parameters.h"

namespace spillway::workloads {

namespace {

bool same_shape(const Rewriter& rewriter, const Node& node) {
  return rewriter.tensor(node.inputs[0]).shape == rewriter.tensor(node.outputs[0]).shape;
}

bool is_identity_permutation(const Rewriter& rewriter, const Node& node) {
  const auto rank = static_cast<std::int64_t>(rewriter.tensor(node.inputs[0]).shape.size());
  std::vector<std::int64_t> unchanged(static_cast<std::size_t>(rank));
  std::iota(unchanged.begin(), unchanged.end(), 0);
  std::vector<std::int64_t> reversed(unchanged.rbegin(), unchanged.rend());
  return node.integers("perm", reversed) == unchanged;
}

/// Same shape and forward steps: a Slice that takes everything.
bool takes_everything(const Rewriter& rewriter, const Node& node) {
  if (!same_shape(rewriter, node) || node.inputs.size() != 1) return false;
  const auto steps = node.integers("steps");
  return std::all_of(steps.begin(), steps.end(), [](std::int64_t s) { return s > 0; });
}

bool all_zero(const std::vector<std::int64_t>& values) {
  return std::all_of(values.begin(), values.end(), [](std::int64_t v) { return v == 0; });
}

bool needs_second_output(const Rewriter& rewriter, const Node& node) {
  if (node.outputs.size() < 2 || node.outputs[1] == kNone) return false;
  return rewriter.is_output(node.outputs[1]) || !rewriter.tensor(node.outputs[1]).consumers.empty();
}

/// Input 0 reaches output 0 unchanged.
bool changes_nothing(const Rewriter& rewriter, NodeId id) {
  const Node& node = rewriter.node(id);
  if (node.inputs.empty() || node.inputs[0] == kNone || node.outputs[0] == kNone) return false;
  const Tensor& in = rewriter.tensor(node.inputs[0]);
  const Tensor& out = rewriter.tensor(node.outputs[0]);
  if (node.op == "Identity") return true;
  if (node.op == "Dropout") return !needs_second_output(rewriter, node);
  if (node.op == "Cast" || node.op == "CastLike") {
    // A narrower float rounds.
    const bool narrower = out.type == DataType::kFloat16 || out.type == DataType::kBFloat16;
    return in.type == out.type || (is_float(in.type) && is_float(out.type) && !narrower);
  }
  if (node.op == "Reshape" || node.op == "Squeeze" || node.op == "Unsqueeze" || node.op == "Flatten" ||
      node.op == "Expand") {
    return same_shape(rewriter, node);
  }
  if (node.op == "Transpose") return is_identity_permutation(rewriter, node);
  if (node.op == "Slice") return takes_everything(rewriter, node);
  if (node.op == "Pad") return same_shape(rewriter, node) && all_zero(node.integers("pads", {1}));
  if (node.op == "Concat" || node.op == "Sum" || node.op == "Max" || node.op == "Min" || node.op == "Mean") {
    return node.inputs.size() == 1;
  }
  if (node.op == "Split") return node.outputs.size() == 1;
  return false;
}

/// A product with ones, a quotient by ones, a sum with zeros, a difference to zeros: exports of batched attention add
/// zeros to its scores. Moves the other operand to input 0.
bool has_neutral_operand(Rewriter& rewriter, NodeId id) {
  const Node& node = rewriter.node(id);
  const bool commutes = node.op == "Mul" || node.op == "Add";
  if ((!commutes && node.op != "Div" && node.op != "Sub") || node.inputs.size() != 2) return false;
  const double neutral = node.op == "Mul" || node.op == "Div" ? 1.0 : 0.0;
  for (int i = 1; i >= (commutes ? 0 : 1); --i) {
    const TensorId other = node.inputs[1 - i];
    if (!rewriter.tensor(node.inputs[i]).is_constant() || rewriter.tensor(other).is_constant()) continue;
    if (rewriter.tensor(other).shape != rewriter.tensor(node.outputs[0]).shape) continue;
    if (rewriter.uniform(node.inputs[i]) != neutral) continue;
    rewriter.set_input(id, 0, other);
    return true;
  }
  return false;
}

/// Dividing by a power of two is multiplying by its reciprocal, exactly, and a multiplication costs less.
void divide_by_multiplying(Rewriter& rewriter, NodeId id) {
  const Node& node = rewriter.node(id);
  if (node.op != "Div" || node.inputs.size() != 2 || !is_float(rewriter.tensor(node.outputs[0]).type)) return;
  const auto divisor = rewriter.scalar(node.inputs[1]);
  if (!divisor || *divisor == 0.0 || !std::isfinite(*divisor)) return;
  int exponent = 0;
  if (std::abs(std::frexp(*divisor, &exponent)) != 0.5) return;
  const auto reciprocal = static_cast<float>(1.0 / *divisor);
  if (!std::isnormal(reciprocal)) return;
  const Tensor& constant = rewriter.tensor(node.inputs[1]);
  HostTensor value;
  value.type = constant.type;
  value.shape = constant.shape;
  value.data = std::vector<float>{reciprocal};
  const TensorId factor = rewriter.add_constant(constant.name + ".reciprocal", std::move(value));
  rewriter.set_input(id, 1, factor);
  rewriter.edit(id).op = "Mul";
}

}  // namespace

void simplify(Rewriter& rewriter) {
  for (const NodeId id : rewriter.nodes()) {
    rewriter.inline_parameters(id);
    if (changes_nothing(rewriter, id) || has_neutral_operand(rewriter, id)) {
      rewriter.bypass(id);
    } else {
      divide_by_multiplying(rewriter, id);
    }
  }
}

}  // namespace spillway::workloads
