#include "workloads/canonical/algebra.h"

#include <cmath>

namespace spillway::workloads {

namespace {

constexpr int kMaxDepth = 8;
constexpr int kMaxDegree = 4;

Polynomial sum(const Polynomial& a, const Polynomial& b, double sign) {
  Polynomial result = a;
  for (const auto& [powers, c] : b) result[powers] += sign * c;
  return result;
}

std::optional<Polynomial> product(const Polynomial& a, const Polynomial& b) {
  Polynomial result;
  for (const auto& [p, c] : a) {
    for (const auto& [q, d] : b) {
      if (p[0] + q[0] > kMaxDegree || p[1] + q[1] > kMaxDegree) return std::nullopt;
      result[{p[0] + q[0], p[1] + q[1]}] += c * d;
    }
  }
  return result;
}

std::optional<double> constant_of(const Polynomial& p) {
  if (p.size() == 1 && p.begin()->first == std::array<int, 2>{0, 0}) return p.begin()->second;
  return std::nullopt;
}

}  // namespace

std::optional<Polynomial> Algebra::of(TensorId tensor, int depth) {
  if (tensor == kNone || depth > kMaxDepth) return std::nullopt;
  if (tensor == variables_[0]) return Polynomial{{{1, 0}, 1.0}};
  if (tensor == variables_[1]) return Polynomial{{{0, 1}, 1.0}};
  if (rewriter_.tensor(tensor).is_constant()) {
    const auto value = rewriter_.scalar(tensor);
    if (!value) return std::nullopt;
    half_ = half_ || bytes_of(rewriter_.tensor(tensor).type) == 2;
    return Polynomial{{{0, 0}, *value}};
  }
  const NodeId id = rewriter_.producer(tensor);
  if (id == kNone || rewriter_.node(id).inputs.size() != 2) return std::nullopt;
  const Node& node = rewriter_.node(id);
  const bool known = node.op == "Add" || node.op == "Sub" || node.op == "Mul" || node.op == "Div" || node.op == "Pow";
  if (!known) return std::nullopt;
  const auto a = of(node.inputs[0], depth + 1);
  const auto b = a ? of(node.inputs[1], depth + 1) : std::nullopt;
  if (!a || !b) return std::nullopt;
  visited_.insert(id);
  if (node.op == "Add") return sum(*a, *b, 1.0);
  if (node.op == "Sub") return sum(*a, *b, -1.0);
  if (node.op == "Mul") return product(*a, *b);
  const auto constant = constant_of(*b);
  if (!constant) return std::nullopt;
  if (node.op == "Div") {
    if (*constant == 0.0) return std::nullopt;
    return product(*a, Polynomial{{{0, 0}, 1.0 / *constant}});
  }
  if (*constant != 1.0 && *constant != 2.0 && *constant != 3.0) return std::nullopt;
  std::optional<Polynomial> power = a;
  for (int i = 1; i < static_cast<int>(*constant) && power; ++i) power = product(*power, *a);
  return power;
}

bool Algebra::matches(const Polynomial& found, const Polynomial& wanted) const {
  const double tolerance = half_ ? 1e-3 : 4e-6;  // a few roundings of binary16 (2^-11), of a constant typed by hand
  const auto near_enough = [&](const Polynomial& a, const Polynomial& b) {
    for (const auto& [powers, c] : a) {
      const auto other = b.find(powers);
      const double d = other == b.end() ? 0.0 : other->second;
      if (std::abs(c - d) > tolerance * std::max(std::abs(c), std::abs(d))) return false;
    }
    return true;
  };
  return near_enough(found, wanted) && near_enough(wanted, found);
}

}  // namespace spillway::workloads
