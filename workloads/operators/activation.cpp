// Unary mathematics and activations. Costs are what a vector unit spends without special function tables beyond those
// of its operation classes: logarithm and (hyper)trigonometry run on the exponential unit (kExp), a
// comparison-and-select, sign or absolute value is kCompare, rounding is kAddMul.
#include "workloads/operators/elementwise.h"
#include "workloads/operators/families.h"

namespace spillway::workloads {

namespace {

using configs::VectorOp;
using configs::VectorWork;
using elementwise::ops;
using elementwise::Plain;

constexpr VectorOp kAddMul = VectorOp::kAddMul;
constexpr VectorOp kCompare = VectorOp::kCompare;
constexpr VectorOp kDiv = VectorOp::kDiv;
constexpr VectorOp kExp = VectorOp::kExp;
constexpr VectorOp kSqrt = VectorOp::kSqrt;
constexpr VectorOp kErf = VectorOp::kErf;

/// A function of one number without attributes, with its cost per element.
template <auto kFunction, VectorOp kOp>
struct Function : Plain {
  using Plain::Plain;
  template <std::floating_point T>
  T operator()(T x) const {
    return kFunction(x);
  }
  static VectorWork cost(const Graph&, const Node&) { return ops(kOp, 1); }
};

template <std::floating_point T>
T sigmoid(T x) {
  return T{1} / (T{1} + std::exp(-x));
}
template <std::floating_point T>
T softplus(T x) {
  return (x > 0 ? x : T{0}) + std::log1p(std::exp(-std::abs(x)));
}

struct Exp : Plain {
  using Plain::Plain;
  template <std::floating_point T>
  T operator()(T x) const {
    return std::exp(x);
  }
  void row(std::int64_t n, float* y, const float* x) const { compute::simd().exp(n, x, y); }
  static VectorWork cost(const Graph&, const Node&) { return ops(kExp, 1); }
};
struct Erf : Plain {
  using Plain::Plain;
  template <std::floating_point T>
  T operator()(T x) const {
    return std::erf(x);
  }
  void row(std::int64_t n, float* y, const float* x) const { compute::simd().erf(n, x, y); }
  static VectorWork cost(const Graph&, const Node&) { return ops(kErf, 1); }
};
struct Sqrt : Plain {
  using Plain::Plain;
  template <std::floating_point T>
  T operator()(T x) const {
    return std::sqrt(x);
  }
  static VectorWork cost(const Graph&, const Node&) { return ops(kSqrt, 1); }
};
struct Reciprocal : Plain {
  using Plain::Plain;
  template <std::floating_point T>
  T operator()(T x) const {
    return 1.0F / x;
  }
  static VectorWork cost(const Graph&, const Node&) { return ops(kDiv, 1); }
};
struct Neg : Plain {
  using Plain::Plain;
  template <std::floating_point T>
  T operator()(T x) const {
    return -x;
  }
  std::int64_t operator()(std::int64_t x) const { return static_cast<std::int64_t>(-static_cast<std::uint64_t>(x)); }
  static VectorWork cost(const Graph&, const Node&) { return ops(kAddMul, 1); }
};
struct Abs : Plain {
  using Plain::Plain;
  template <std::floating_point T>
  T operator()(T x) const {
    return std::abs(x);
  }
  std::int64_t operator()(std::int64_t x) const {
    return x < 0 ? static_cast<std::int64_t>(-static_cast<std::uint64_t>(x)) : x;
  }
  static VectorWork cost(const Graph&, const Node&) { return ops(kCompare, 1); }
};
struct Sign : Plain {
  using Plain::Plain;
  template <std::floating_point T>
  T operator()(T x) const {
    return x > 0.0F ? 1.0F : x < 0.0F ? -1.0F : x;
  }  // NaN stays, -0 stays
  std::int64_t operator()(std::int64_t x) const { return (x > 0 ? 1 : 0) - (x < 0 ? 1 : 0); }
  static VectorWork cost(const Graph&, const Node&) { return ops(kCompare, 2); }
};
struct Tanh : Plain {
  using Plain::Plain;
  template <std::floating_point T>
  T operator()(T x) const {
    return std::tanh(x);
  }
  void row(std::int64_t n, float* y, const float* x) const { compute::simd().tanh(n, x, y); }
  static VectorWork cost(const Graph&, const Node&) { return ops(kExp, 1, kAddMul, 2, kDiv, 1); }  // (e-1)/(e+1)
};
struct Sigmoid : Plain {
  using Plain::Plain;
  template <std::floating_point T>
  T operator()(T x) const {
    return sigmoid(x);
  }
  void row(std::int64_t n, float* y, const float* x) const { compute::simd().sigmoid(n, x, y); }
  static VectorWork cost(const Graph&, const Node&) { return ops(kExp, 1, kAddMul, 1, kDiv, 1); }
};
/// x * sigmoid(alpha x): SiLU at alpha 1, QuickGELU at 1.702.
struct Silu {
  float alpha;
  Silu(const Graph&, const Node& n) : alpha(n.real("alpha", 1.0F)) {}
  template <std::floating_point T>
  T operator()(T x) const {
    return x * sigmoid(alpha * x);
  }
  void row(std::int64_t n, float* y, const float* x) const { compute::simd().silu(n, x, alpha, y); }
  static VectorWork cost(const Graph&, const Node& n) {
    return ops(kExp, 1, kAddMul, n.real("alpha", 1.0F) == 1.0F ? 2 : 3, kDiv, 1);
  }
};
/// com.microsoft QuickGelu: Silu whose alpha defaults to 1.702.
struct QuickGelu : Silu {
  QuickGelu(const Graph& g, const Node& n) : Silu(g, n) { alpha = n.real("alpha", 1.702F); }
  static VectorWork cost(const Graph&, const Node&) { return ops(kExp, 1, kAddMul, 3, kDiv, 1); }
};
/// 0.5 x (1 + erf(x / sqrt 2)), or with approximate = "tanh"
/// 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))   (Hendrycks and Gimpel 2016; ONNX Gelu-20)
struct Gelu {
  bool tanh_form;
  Gelu(const Graph&, const Node& n) : tanh_form(is_tanh(n)) {}
  template <std::floating_point T>
  T operator()(T x) const {
    if (tanh_form) return T(0.5) * x * (1 + std::tanh(T(0.7978845608028654) * (x + T(0.044715) * x * x * x)));
    return T(0.5) * x * (1 + std::erf(x * T(0.7071067811865475)));
  }
  void row(std::int64_t n, float* y, const float* x) const {
    if (!tanh_form) return compute::simd().gelu(n, x, y);
    for (std::int64_t i = 0; i < n; ++i) y[i] = (*this)(x[i]);
  }
  static bool is_tanh(const Node& n) { return n.text("approximate", "none") == "tanh"; }
  static VectorWork cost(const Graph&, const Node& n) {
    if (is_tanh(n)) return ops(kAddMul, 5 + 2 + 3, kExp, 1, kDiv, 1);  // argument, tanh, outer factors
    return ops(kErf, 1, kAddMul, 4);
  }
};
void infer_gelu(InferContext& context) {
  elementwise::infer_float(context);
  const std::string form = context.node.text("approximate", "none");
  if (form != "none" && form != "tanh") {
    bad_node(context.node, "attribute approximate is '" + form + "' when it should be 'none' or 'tanh'");
  }
}

struct Relu : Plain {
  using Plain::Plain;
  template <std::floating_point T>
  T operator()(T x) const {
    return x < 0.0F ? 0.0F : x;
  }  // NaN stays
  std::int64_t operator()(std::int64_t x) const { return x < 0 ? 0 : x; }
  static VectorWork cost(const Graph&, const Node&) { return ops(kCompare, 1); }
};
struct LeakyRelu {
  float alpha;
  LeakyRelu(const Graph&, const Node& n) : alpha(n.real("alpha", 0.01F)) {}
  template <std::floating_point T>
  T operator()(T x) const {
    return x < 0.0F ? alpha * x : x;
  }
  static VectorWork cost(const Graph&, const Node&) { return ops(kCompare, 1, kAddMul, 1); }
};
struct PRelu : Plain {
  using Plain::Plain;
  template <std::floating_point T>
  T operator()(T x, T slope) const {
    return x < 0.0F ? slope * x : x;
  }
  static VectorWork cost(const Graph&, const Node&) { return ops(kCompare, 1, kAddMul, 1); }
};
void infer_prelu(InferContext& context) {  // the slope broadcasts to the input, not both ways
  elementwise::infer_binary(context);
  check_float_input(context, 0);
  const Shape& x = context.graph.input(context.node, 0).shape;
  if (context.graph.output(context.node).shape != x) {
    bad_node(context.node, "slope of shape " + to_string(context.graph.input(context.node, 1).shape) +
                               " does not broadcast to " + to_string(x));
  }
}
struct Elu {
  float alpha;
  Elu(const Graph&, const Node& n) : alpha(n.real("alpha", 1.0F)) {}
  template <std::floating_point T>
  T operator()(T x) const {
    return x < 0.0F ? alpha * (std::exp(x) - 1.0F) : x;
  }
  static VectorWork cost(const Graph&, const Node&) { return ops(kCompare, 1, kExp, 1, kAddMul, 2); }
};
struct Selu {
  float alpha, gamma;
  Selu(const Graph&, const Node& n) : alpha(n.real("alpha", 1.67326319F)), gamma(n.real("gamma", 1.05070102F)) {}
  template <std::floating_point T>
  T operator()(T x) const {
    return gamma * (x > 0.0F ? x : alpha * (std::exp(x) - 1.0F));
  }
  static VectorWork cost(const Graph&, const Node&) { return ops(kCompare, 1, kExp, 1, kAddMul, 3); }
};
struct Celu {
  float alpha;
  Celu(const Graph&, const Node& n) : alpha(n.real("alpha", 1.0F)) {}
  template <std::floating_point T>
  T operator()(T x) const {
    return x < 0.0F ? alpha * (std::exp(x / alpha) - 1.0F) : x;
  }
  static VectorWork cost(const Graph&, const Node&) { return ops(kCompare, 1, kExp, 1, kAddMul, 3); }  // x * (1/alpha)
};
struct ThresholdedRelu {
  float alpha;
  ThresholdedRelu(const Graph&, const Node& n) : alpha(n.real("alpha", 1.0F)) {}
  template <std::floating_point T>
  T operator()(T x) const {
    return x > alpha ? x : 0.0F;
  }
  static VectorWork cost(const Graph&, const Node&) { return ops(kCompare, 1); }
};
struct Shrink {
  float bias, lambd;
  Shrink(const Graph&, const Node& n) : bias(n.real("bias", 0.0F)), lambd(n.real("lambd", 0.5F)) {}
  template <std::floating_point T>
  T operator()(T x) const {
    return x < -lambd ? x + bias : x > lambd ? x - bias : 0.0F;
  }
  static VectorWork cost(const Graph&, const Node&) { return ops(kCompare, 2, kAddMul, 1); }
};
struct Softplus : Plain {
  using Plain::Plain;
  template <std::floating_point T>
  T operator()(T x) const {
    return softplus(x);
  }
  static VectorWork cost(const Graph&, const Node&) { return ops(kExp, 2, kAddMul, 1); }
};
struct Softsign : Plain {
  using Plain::Plain;
  template <std::floating_point T>
  T operator()(T x) const {
    return x / (1.0F + std::abs(x));
  }
  static VectorWork cost(const Graph&, const Node&) { return ops(kCompare, 1, kAddMul, 1, kDiv, 1); }
};
struct HardSigmoid {
  float alpha, beta;
  HardSigmoid(const Graph&, const Node& n) : alpha(n.real("alpha", 0.2F)), beta(n.real("beta", 0.5F)) {}
  template <std::floating_point T>
  T operator()(T x) const {
    const T y = alpha * x + beta;
    return y < 0 ? T{0} : y > 1 ? T{1} : y;
  }
  static VectorWork cost(const Graph&, const Node&) { return ops(kCompare, 2, kAddMul, 2); }
};
struct HardSwish : Plain {
  using Plain::Plain;
  template <std::floating_point T>
  T operator()(T x) const {
    const T y = x * T(1.0 / 6.0) + T(0.5);
    return x * (y < 0 ? T{0} : y > 1 ? T{1} : y);
  }
  static VectorWork cost(const Graph&, const Node&) { return ops(kCompare, 2, kAddMul, 3); }
};
struct Mish : Plain {
  using Plain::Plain;
  template <std::floating_point T>
  T operator()(T x) const {
    return x * std::tanh(softplus(x));
  }
  static VectorWork cost(const Graph&, const Node&) { return ops(kExp, 3, kAddMul, 1 + 2 + 1, kDiv, 1); }
};

}  // namespace

std::span<const OpDef> activation_operators() {
  using elementwise::binary, elementwise::infer_float, elementwise::unary;
  static const std::vector<OpDef> table = {
      unary<Neg>("Neg"),
      unary<Abs>("Abs"),
      unary<Sign>("Sign"),
      unary<Sqrt>("Sqrt", infer_float),
      unary<Reciprocal>("Reciprocal", infer_float),
      unary<Exp>("Exp", infer_float),
      unary<Function<[](auto x) { return std::log(x); }, kExp>>("Log", infer_float),
      unary<Function<[](auto x) { return std::sin(x); }, kExp>>("Sin", infer_float),
      unary<Function<[](auto x) { return std::cos(x); }, kExp>>("Cos", infer_float),
      unary<Erf>("Erf", infer_float),
      unary<Function<[](auto x) { return std::tan(x); }, kExp>>("Tan", infer_float),
      unary<Function<[](auto x) { return std::asin(x); }, kExp>>("Asin", infer_float),
      unary<Function<[](auto x) { return std::acos(x); }, kExp>>("Acos", infer_float),
      unary<Function<[](auto x) { return std::atan(x); }, kExp>>("Atan", infer_float),
      unary<Function<[](auto x) { return std::sinh(x); }, kExp>>("Sinh", infer_float),
      unary<Function<[](auto x) { return std::cosh(x); }, kExp>>("Cosh", infer_float),
      unary<Function<[](auto x) { return std::asinh(x); }, kExp>>("Asinh", infer_float),
      unary<Function<[](auto x) { return std::acosh(x); }, kExp>>("Acosh", infer_float),
      unary<Function<[](auto x) { return std::atanh(x); }, kExp>>("Atanh", infer_float),
      unary<Function<[](auto x) { return std::ceil(x); }, kAddMul>>("Ceil", infer_float),
      unary<Function<[](auto x) { return std::floor(x); }, kAddMul>>("Floor", infer_float),
      unary<Function<[](auto x) { return std::nearbyint(x); }, kAddMul>>(
          "Round", infer_float),  // halves to even: the default rounding mode
      unary<Tanh>("Tanh", infer_float),
      unary<Sigmoid>("Sigmoid", infer_float),
      unary<Silu>("Silu", infer_float),
      unary<QuickGelu>("QuickGelu", infer_float),
      unary<Gelu>("Gelu", infer_gelu),
      unary<Relu>("Relu"),
      unary<LeakyRelu>("LeakyRelu", infer_float),
      binary<PRelu>("PRelu", infer_prelu),
      unary<Elu>("Elu", infer_float),
      unary<Selu>("Selu", infer_float),
      unary<Celu>("Celu", infer_float),
      unary<ThresholdedRelu>("ThresholdedRelu", infer_float),
      unary<Shrink>("Shrink", infer_float),
      unary<Softplus>("Softplus", infer_float),
      unary<Softsign>("Softsign", infer_float),
      unary<HardSigmoid>("HardSigmoid", infer_float),
      unary<HardSwish>("HardSwish", infer_float),
      unary<Mish>("Mish", infer_float),
  };
  return table;
}

}  // namespace spillway::workloads
