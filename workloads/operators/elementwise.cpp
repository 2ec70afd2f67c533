// Arithmetic, comparison, logic and selection on broadcast operands (ONNX Broadcasting, multidirectional).
#include "workloads/operators/elementwise.h"

#include <functional>

#include "workloads/operators/families.h"

namespace spillway::workloads {

namespace elementwise {

void infer_same(InferContext& context) {
  check_arity(context, 1, 1);
  const Tensor& x = context.graph.input(context.node, 0);
  set_output(context, 0, x.type, x.shape);
}

void infer_float(InferContext& context) {
  check_arity(context, 1, 1);
  check_float_input(context, 0);
  infer_same(context);
}

void infer_test(InferContext& context) {
  check_arity(context, 1, 1);
  set_output(context, 0, DataType::kBool, context.graph.input(context.node, 0).shape);
}

namespace {

void check_same_type(const InferContext& context, int i, int j) {
  const DataType a = context.graph.input(context.node, i).type;
  const DataType b = context.graph.input(context.node, j).type;
  if (a != b) {
    bad_node(context.node, "inputs are " + std::string(name_of(a)) + " and " + std::string(name_of(b)) +
                               " when they should be of one type");
  }
}

Shape broadcast_inputs(const InferContext& context) {
  Shape shape = context.graph.input(context.node, 0).shape;
  for (int i = 1; i < static_cast<int>(context.node.inputs.size()); ++i) {
    shape = broadcast(context.node, shape, context.graph.input(context.node, i).shape);
  }
  return shape;
}

}  // namespace

void infer_binary(InferContext& context) {
  check_arity(context, 2, 2);
  check_same_type(context, 0, 1);
  set_output(context, 0, context.graph.input(context.node, 0).type, broadcast_inputs(context));
}

void infer_compare(InferContext& context) {
  check_arity(context, 2, 2);
  check_same_type(context, 0, 1);
  set_output(context, 0, DataType::kBool, broadcast_inputs(context));
}

void infer_logical(InferContext& context) {
  check_arity(context, 2, 2);
  for (int i = 0; i < 2; ++i) {
    if (context.graph.input(context.node, i).type != DataType::kBool) bad_node(context.node, "inputs should be bool");
  }
  set_output(context, 0, DataType::kBool, broadcast_inputs(context));
}

namespace {

// Integer overflow wraps around, as numpy's and hardware's does.
std::int64_t wrap_add(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
}
std::int64_t wrap_mul(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) * static_cast<std::uint64_t>(b));
}
std::int64_t wrap_negate(std::int64_t a) { return static_cast<std::int64_t>(-static_cast<std::uint64_t>(a)); }

struct Add : Plain {
  using Plain::Plain;
  template <std::floating_point T>
  T operator()(T a, T b) const {
    return a + b;
  }
  void row(std::int64_t n, float* y, const float* a, int step_a, const float* b, int step_b) const {
    compute::simd().add(n, a, step_a, b, step_b, y);
  }
  std::int64_t operator()(std::int64_t a, std::int64_t b) const { return wrap_add(a, b); }
  static VectorWork cost(const Graph&, const Node&) { return ops(VectorOp::kAddMul, 1); }
};
struct Sub : Add {
  using Add::Add;
  template <std::floating_point T>
  T operator()(T a, T b) const {
    return a - b;
  }
  void row(std::int64_t n, float* y, const float* a, int step_a, const float* b, int step_b) const {
    compute::simd().sub(n, a, step_a, b, step_b, y);
  }
  std::int64_t operator()(std::int64_t a, std::int64_t b) const { return wrap_add(a, wrap_negate(b)); }
};
struct Mul : Add {
  using Add::Add;
  template <std::floating_point T>
  T operator()(T a, T b) const {
    return a * b;
  }
  void row(std::int64_t n, float* y, const float* a, int step_a, const float* b, int step_b) const {
    compute::simd().mul(n, a, step_a, b, step_b, y);
  }
  std::int64_t operator()(std::int64_t a, std::int64_t b) const { return wrap_mul(a, b); }
};

struct Div {
  const Node& node;
  Div(const Graph&, const Node& n) : node(n) {}
  template <std::floating_point T>
  T operator()(T a, T b) const {
    return a / b;
  }
  void row(std::int64_t n, float* y, const float* a, int step_a, const float* b, int step_b) const {
    compute::simd().div(n, a, step_a, b, step_b, y);
  }
  std::int64_t operator()(std::int64_t a, std::int64_t b) const {
    if (b == 0) bad_node(node, "division by zero");
    return b == -1 ? wrap_negate(a) : a / b;
  }
  std::uint64_t operator()(std::uint64_t a, std::uint64_t b) const {
    if (b == 0) bad_node(node, "division by zero");
    return a / b;
  }
  static VectorWork cost(const Graph&, const Node&) { return ops(VectorOp::kDiv, 1); }
};

/// Attribute fmod: 1 takes the sign of the dividend as C does, 0 that of the divisor as Python does (integers only).
struct Mod {
  const Node& node;
  bool fmod;
  Mod(const Graph&, const Node& n) : node(n), fmod(n.integer("fmod", 0) != 0) {}
  template <std::floating_point T>
  T operator()(T a, T b) const {
    return std::fmod(a, b);
  }
  std::int64_t operator()(std::int64_t a, std::int64_t b) const {
    if (b == 0) bad_node(node, "division by zero");
    if (b == -1) return 0;
    const std::int64_t rest = a % b;
    return !fmod && rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
  }
  std::uint64_t operator()(std::uint64_t a, std::uint64_t b) const {
    if (b == 0) bad_node(node, "division by zero");
    return a % b;
  }
  // a - b * trunc(a / b)
  static VectorWork cost(const Graph&, const Node&) { return ops(VectorOp::kDiv, 1, VectorOp::kAddMul, 3); }
};
void infer_mod(InferContext& context) {
  infer_binary(context);
  if (is_float(context.graph.input(context.node, 0).type) && context.node.integer("fmod", 0) == 0) {
    bad_node(context.node, "attribute fmod is 0 when it should be 1 for floating-point inputs");
  }
}

void infer_log_add_exp(InferContext& context) {
  check_float_input(context, 0);
  infer_binary(context);
}
/// log(exp(a) + exp(b)) without overflow (canonical.h).
struct LogAddExp : Plain {
  using Plain::Plain;
  template <std::floating_point T>
  T operator()(T a, T b) const {
    const T gap = a == b ? T{0} : std::abs(a - b);  // infinities of one sign are no distance apart
    return (a > b ? a : b) + std::log1p(std::exp(-gap));
  }
  static VectorWork cost(const Graph&, const Node&) {
    return ops(VectorOp::kCompare, 1, VectorOp::kAddMul, 3, VectorOp::kExp, 2);
  }
};
struct Pow : Plain {
  using Plain::Plain;
  template <std::floating_point T>
  T operator()(T a, T b) const {
    return b == T{2} ? a * a : std::pow(a, b);
  }
  std::int64_t operator()(std::int64_t a, std::int64_t b) const {
    if (b < 0) return a == 1 ? 1 : a == -1 ? (b % 2 == 0 ? 1 : -1) : 0;
    std::int64_t result = 1;
    for (; b > 0; b >>= 1) {
      if ((b & 1) != 0) result = wrap_mul(result, a);
      a = wrap_mul(a, a);
    }
    return result;
  }
  // A known exponent of 2 is one multiplication, of 0.5 one square root; any other is exp(b log(a)).
  static VectorWork cost(const Graph& graph, const Node& node) {
    const Tensor& exponent = graph.input(node, 1);
    if (exponent.is_constant() && !exponent.constant->missing() && exponent.elements() == 1) {
      const HostTensor value = materialise(exponent);
      const float b = value.holds_float() ? value.floats()[0] : static_cast<float>(value.ints()[0]);
      if (b == 2.0F) return ops(VectorOp::kAddMul, 1);
      if (b == 0.5F) return ops(VectorOp::kSqrt, 1);
    }
    return ops(VectorOp::kExp, 2, VectorOp::kAddMul, 1);
  }
};
void infer_pow(InferContext& context) {  // the exponent may be of another type since opset 12
  check_arity(context, 2, 2);
  set_output(context, 0, context.graph.input(context.node, 0).type, broadcast_inputs(context));
}

/// One comparison or logical operation: result 0 or 1.
struct Test : Plain {
  using Plain::Plain;
  static VectorWork cost(const Graph&, const Node&) { return ops(VectorOp::kCompare, 1); }
};
template <typename Relation>
struct Compare : Test {
  using Test::Test;
  template <std::floating_point T>
  T operator()(T a, T b) const {
    return Relation()(a, b) ? T{1} : T{0};
  }
  std::int64_t operator()(std::int64_t a, std::int64_t b) const { return Relation()(a, b) ? 1 : 0; }
  std::uint64_t operator()(std::uint64_t a, std::uint64_t b) const { return Relation()(a, b) ? 1 : 0; }
};
struct And : Test {
  using Test::Test;
  std::int64_t operator()(std::int64_t a, std::int64_t b) const { return a & b; }
};
struct Or : Test {
  using Test::Test;
  std::int64_t operator()(std::int64_t a, std::int64_t b) const { return a | b; }
};
struct Xor : Test {
  using Test::Test;
  std::int64_t operator()(std::int64_t a, std::int64_t b) const { return a ^ b; }
};
struct Not : Test {
  using Test::Test;
  std::int64_t operator()(std::int64_t a) const { return a ^ 1; }
};
void infer_not(InferContext& context) {
  infer_test(context);
  if (context.graph.input(context.node, 0).type != DataType::kBool) bad_node(context.node, "input should be bool");
}
struct IsNaN : Test {
  using Test::Test;
  template <std::floating_point T>
  T operator()(T a) const {
    return std::isnan(a) ? T{1} : T{0};
  }
};
struct IsInf {
  bool positive, negative;
  IsInf(const Graph&, const Node& n)
      : positive(n.integer("detect_positive", 1) != 0), negative(n.integer("detect_negative", 1) != 0) {}
  template <std::floating_point T>
  T operator()(T a) const {
    return std::isinf(a) && (a > 0 ? positive : negative) ? T{1} : T{0};
  }
  static VectorWork cost(const Graph&, const Node&) { return ops(VectorOp::kCompare, 1); }
};
void infer_float_test(InferContext& context) {
  infer_test(context);
  check_float_input(context, 0);
}

struct Where : Test {
  using Test::Test;
  template <std::floating_point T>
  T operator()(T condition, T a, T b) const {
    return condition != 0 ? a : b;
  }
  std::int64_t operator()(std::int64_t condition, std::int64_t a, std::int64_t b) const {
    return condition != 0 ? a : b;
  }
};
void infer_where(InferContext& context) {
  check_arity(context, 3, 3);
  if (context.graph.input(context.node, 0).type != DataType::kBool) bad_node(context.node, "condition should be bool");
  check_same_type(context, 1, 2);
  set_output(context, 0, context.graph.input(context.node, 1).type, broadcast_inputs(context));
}

}  // namespace
}  // namespace elementwise

std::span<const OpDef> elementwise_operators() {
  namespace e = elementwise;
  using elementwise::binary, elementwise::ternary, elementwise::unary;
  static const std::vector<OpDef> table = {
      binary<e::Add>("Add"),
      binary<e::Sub>("Sub"),
      binary<e::Mul>("Mul"),
      binary<e::Div>("Div"),
      binary<e::Mod>("Mod", e::infer_mod),
      binary<e::Pow>("Pow", e::infer_pow),
      binary<e::LogAddExp>("LogAddExp", e::infer_log_add_exp),
      binary<e::Compare<std::equal_to<>>>("Equal", e::infer_compare),
      binary<e::Compare<std::less<>>>("Less", e::infer_compare),
      binary<e::Compare<std::less_equal<>>>("LessOrEqual", e::infer_compare),
      binary<e::Compare<std::greater<>>>("Greater", e::infer_compare),
      binary<e::Compare<std::greater_equal<>>>("GreaterOrEqual", e::infer_compare),
      binary<e::And>("And", e::infer_logical),
      binary<e::Or>("Or", e::infer_logical),
      binary<e::Xor>("Xor", e::infer_logical),
      unary<e::Not>("Not", e::infer_not),
      unary<e::IsNaN>("IsNaN", e::infer_float_test),
      unary<e::IsInf>("IsInf", e::infer_float_test),
      ternary<e::Where>("Where", e::infer_where),
  };
  return table;
}

}  // namespace spillway::workloads
