// Silu: x * sigmoid(alpha x) (Elfwing et al. 2018; alpha 1.702 is the sigmoid form of GELU).
// Gelu: x/2 (1 + erf(x/sqrt 2)), and its tanh form x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
// (Hendrycks and Gimpel 2016).
#include <algorithm>
#include <cmath>
#include <numbers>

#include "workloads/canonical/algebra.h"
#include "workloads/canonical/patterns.h"

namespace spillway::workloads {

namespace {

struct Form {
  const char* function;  // the exported operator
  Polynomial outer;      // of x and f = function(inner)
  Polynomial inner;      // of x; empty: any multiple of x, which becomes alpha
  const char* op;
  const char* approximate;
};

std::vector<Form> forms() {
  const double c = std::sqrt(2.0 / std::numbers::pi);
  const Polynomial half_of_both = {{{1, 0}, 0.5}, {{1, 1}, 0.5}};
  return {
      {"Sigmoid", {{{1, 1}, 1.0}}, {}, "Silu", nullptr},
      {"Erf", half_of_both, {{{1, 0}, std::numbers::sqrt2 / 2}}, "Gelu", nullptr},
      {"Tanh", half_of_both, {{{1, 0}, c}, {{3, 0}, c * 0.044715}}, "Gelu", "tanh"},
  };
}

/// `tensor` and what it is computed from by arithmetic, nearest first: what x might be.
std::vector<TensorId> candidates(const Rewriter& rewriter, TensorId tensor) {
  constexpr std::size_t kMost = 16;
  std::vector<TensorId> found{tensor};
  for (std::size_t i = 0; i < found.size(); ++i) {
    const NodeId id = rewriter.producer(found[i]);
    if (id == kNone) continue;
    const Node& node = rewriter.node(id);
    if (node.op != "Mul" && node.op != "Div" && node.op != "Add" && node.op != "Sub" && node.op != "Pow") continue;
    for (const TensorId input : node.inputs) {
      if (input == kNone || rewriter.tensor(input).is_constant() || found.size() >= kMost) continue;
      if (std::find(found.begin(), found.end(), input) == found.end()) found.push_back(input);
    }
  }
  return found;
}

bool rewrite(Rewriter& rewriter, NodeId function, const Form& form, TensorId x, TensorId result) {
  const TensorId f = rewriter.node(function).outputs[0];
  Algebra outer(rewriter, {x, f});
  const auto result_polynomial = outer.of(result);
  if (!result_polynomial || !outer.matches(*result_polynomial, form.outer)) return false;

  Algebra inner(rewriter, {x, kNone});
  const auto argument = inner.of(rewriter.node(function).inputs[0]);
  if (!argument) return false;
  double alpha = 1.0;
  if (form.inner.empty()) {
    if (argument->size() != 1 || argument->begin()->first != std::array<int, 2>{1, 0}) return false;
    alpha = argument->begin()->second;
  } else if (!inner.matches(*argument, form.inner)) {
    return false;
  }
  if (rewriter.tensor(result).shape != rewriter.tensor(x).shape) return false;

  // The node that makes the result comes last: the replacement takes its place.
  const NodeId last = rewriter.producer(result);
  std::vector<NodeId> matched;
  for (const auto& nodes : {inner.visited(), outer.visited()}) {
    for (const NodeId id : nodes) {
      if (id != last && std::find(matched.begin(), matched.end(), id) == matched.end()) matched.push_back(id);
    }
  }
  matched.push_back(function);
  matched.push_back(last);
  if (!rewriter.exclusive(matched, result)) return false;

  Node node;
  node.name = rewriter.node(function).name;
  node.op = form.op;
  node.inputs = {x};
  node.outputs = {result};
  if (alpha != 1.0) node.attributes["alpha"] = static_cast<float>(alpha);
  if (form.approximate != nullptr) node.attributes["approximate"] = std::string(form.approximate);
  rewriter.replace(matched, {std::move(node)});
  return true;
}

void match(Rewriter& rewriter, NodeId id, const Form& form) {
  constexpr int kClimb = 4;  // operators between the function and the result in the longest form
  TensorId result = rewriter.node(id).outputs[0];
  const auto xs = candidates(rewriter, rewriter.node(id).inputs[0]);
  for (int i = 0; i < kClimb; ++i) {
    const NodeId reader = rewriter.sole_consumer(result);
    if (reader == kNone || rewriter.node(reader).inputs.size() != 2) return;
    result = rewriter.node(reader).outputs[0];
    for (const TensorId x : xs) {
      if (rewrite(rewriter, id, form, x, result)) return;
    }
  }
}

}  // namespace

void recognise_activations(Rewriter& rewriter) {
  for (const Form& form : forms()) {
    for (const NodeId id : rewriter.nodes()) {
      if (rewriter.alive(id) && rewriter.node(id).op == form.function) match(rewriter, id, form);
    }
  }
}

}  // namespace spillway::workloads
