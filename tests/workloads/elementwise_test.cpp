#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "tests/workloads/one_node.h"

namespace spillway::workloads {
namespace {

using namespace test;
using Catch::Matchers::Contains;
using configs::VectorOp;
using Floats = std::vector<float>;
using Ints = std::vector<std::int64_t>;

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::int64_t count(const configs::VectorWork& work, VectorOp op) { return work[static_cast<std::size_t>(op)]; }

/// The output of a unary operator on values, against a double-precision formula.
template <typename Formula>
void check_unary(const std::string& op, const Floats& x, Formula formula, Attributes attributes = {}) {
  const auto n = static_cast<std::int64_t>(x.size());
  const Floats y = computed(op, {floats({n}, x)}, std::move(attributes));
  for (std::size_t i = 0; i < x.size(); ++i) {
    INFO(op << "(" << x[i] << ")");
    CHECK(y[i] == Approx(formula(static_cast<double>(x[i]))).epsilon(2e-6).margin(1e-7));
  }
}

TEST_CASE("element-wise operators refuse shapes that do not broadcast", "[operators][elementwise]") {
  CHECK_THAT(refusal("Add", {floats({2, 3}, Floats(6)), floats({2}, Floats(2))}),
             Contains("node 'the_node'") && Contains("2x3 and 2 do not broadcast"));
  CHECK_THAT(refusal("Where", {bools({4}, {1, 0, 1, 0}), floats({3}, Floats(3)), floats({3}, Floats(3))}),
             Contains("do not broadcast"));
}

TEST_CASE("element-wise operators refuse missing and superfluous inputs", "[operators][elementwise]") {
  CHECK_THAT(refusal("Add", {floats({1}, {1})}), Contains("input 1 is missing"));
  CHECK_THAT(refusal("Add", {floats({1}, {1}), omitted()}), Contains("input 1 is missing"));
  CHECK_THAT(refusal("Neg", {floats({1}, {1}), floats({1}, {1})}), Contains("has 2 inputs when it takes at most 1"));
  CHECK_THAT(refusal("Neg", {floats({1}, {1})}, {}, 2), Contains("has 2 outputs"));
}

TEST_CASE("element-wise operators refuse mixed and wrong types", "[operators][elementwise]") {
  CHECK_THAT(refusal("Mul", {floats({1}, {1}), ints({1}, {1})}), Contains("float32 and int64"));
  CHECK_THAT(refusal("And", {floats({1}, {1}), floats({1}, {1})}), Contains("should be bool"));
  CHECK_THAT(refusal("Exp", {ints({1}, {1})}), Contains("is int64 when it should be a floating-point type"));
  CHECK_THAT(refusal("Mod", {floats({1}, {1}), floats({1}, {1})}), Contains("fmod is 0 when it should be 1"));
  CHECK_THAT(refusal("PRelu", {floats({1}, {1}), floats({2}, {1, 1})}), Contains("does not broadcast to 1"));
  CHECK_THAT(refusal("Gelu", {floats({1}, {1})}, {{"approximate", std::string("fast")}}), Contains("'fast'"));
  CHECK_THAT(refusal("Cast", {floats({1}, {1})}, {{"to", std::int64_t{8}}}), Contains("element type 8"));
}

TEST_CASE("integer division by zero is an error, not a crash", "[operators][elementwise]") {
  CHECK_THAT(refusal("Div", {ints({1}, {3}), ints({1}, {0})}), Contains("division by zero"));
  CHECK_THAT(refusal("Mod", {ints({1}, {3}), ints({1}, {0})}), Contains("division by zero"));
  const auto lowest = std::numeric_limits<std::int64_t>::min();
  CHECK(compute_ints("Div", {ints({1}, {lowest}), ints({1}, {-1})}) == Ints{lowest});  // wraps, as hardware does
}

TEST_CASE("arithmetic broadcasts as NumPy does", "[operators][elementwise]") {
  // [2, 1, 3] + [4, 1] -> [2, 4, 3]
  const OneNode add("Add", {floats({2, 1, 3}, {0, 1, 2, 10, 11, 12}), floats({4, 1}, {0, 100, 200, 300})});
  REQUIRE(add.output().shape == Shape{2, 4, 3});
  CHECK(add.evaluate()[0].floats() == Floats{0,  1,  2,  100, 101, 102, 200, 201, 202, 300, 301, 302,
                                             10, 11, 12, 110, 111, 112, 210, 211, 212, 310, 311, 312});
  // A scalar, a row and a column against a matrix.
  const HostTensor m = floats({2, 3}, {1, 2, 3, 4, 5, 6});
  CHECK(computed("Sub", {m, floats({}, {1})}) == Floats{0, 1, 2, 3, 4, 5});
  CHECK(computed("Mul", {floats({3}, {1, 10, 100}), m}) == Floats{1, 20, 300, 4, 50, 600});
  CHECK(computed("Div", {m, floats({2, 1}, {1, 2})}) == Floats{1, 2, 3, 2, 2.5, 3});
  // A broadcast against an empty tensor is empty.
  CHECK(OneNode("Add", {floats({0, 3}, {}), floats({1}, {1})}).evaluate()[0].floats().empty());
}

TEST_CASE("integers keep integer semantics", "[operators][elementwise]") {
  CHECK(compute_ints("Div", {ints({4}, {7, -7, 7, -7}), ints({4}, {2, 2, -2, -2})}) == Ints{3, -3, -3, 3});
  CHECK(compute_ints("Mod", {ints({4}, {7, -7, 7, -7}), ints({4}, {3, 3, -3, -3})}) == Ints{1, 2, -2, -1});
  CHECK(compute_ints("Mod", {ints({4}, {7, -7, 7, -7}), ints({4}, {3, 3, -3, -3})}, {{"fmod", std::int64_t{1}}}) ==
        Ints{1, -1, 1, -1});
  CHECK(computed("Mod", {floats({2}, {-4.5F, 4.5F}), floats({2}, {2, -2})}, {{"fmod", std::int64_t{1}}}) ==
        Floats{-0.5F, 0.5F});
  CHECK(compute_ints("Pow", {ints({4}, {3, -2, 1, 2}), ints({4}, {4, 3, -1, -1})}) == Ints{81, -8, 1, 0});
  CHECK(compute_ints("Add", {ints({1}, {200}, DataType::kUint8), ints({1}, {100}, DataType::kUint8)}) == Ints{44});
  CHECK(compute_ints("Neg", {ints({2}, {5, -5})}) == Ints{-5, 5});
  CHECK(compute_ints("Max", {ints({2}, {1, 9}), ints({1}, {4}), ints({2}, {2, 2})}) == Ints{4, 9});
  // Large integers that no float holds.
  const std::int64_t big = (std::int64_t{1} << 53) + 1;
  CHECK(compute_ints("Add", {ints({1}, {big}), ints({1}, {2})}) == Ints{big + 2});
}

TEST_CASE("powers, of integers and with exponents of another type", "[operators][elementwise]") {
  CHECK(computed("Pow", {floats({3}, {3, 2, 4}), floats({3}, {2, -1, 0.5F})}) == Floats{9, 0.5F, 2});
  CHECK(computed("Pow", {floats({2}, {3, 5}), ints({}, {2})}) == Floats{9, 25});
  CHECK(compute_ints("Pow", {ints({1}, {9}), floats({}, {0.5F})}) == Ints{3});
}

TEST_CASE("LogAddExp where exp() would overflow, and of nothing", "[operators][elementwise]") {
  constexpr float kNothing = -std::numeric_limits<float>::infinity();
  const auto found = computed("LogAddExp", {floats({6}, {0, 1000, -1000, kNothing, kNothing, 3}),
                                            floats({6}, {0, 1000, -1001, 5, kNothing, kNothing})});
  CHECK(found[0] == Approx(std::log(2.0)));
  CHECK(found[1] == Approx(1000 + std::log(2.0)));
  CHECK(found[2] == Approx(-1000 + std::log1p(std::exp(-1.0))));
  CHECK(found[3] == 5.0F);
  CHECK(found[4] == kNothing);
  CHECK(found[5] == 3.0F);
}

TEST_CASE("comparisons, logic and selection", "[operators][elementwise]") {
  const HostTensor a = floats({4}, {1, 2, 3, kNaN});
  const HostTensor b = floats({1}, {2});
  CHECK(compute_ints("Less", {a, b}) == Ints{1, 0, 0, 0});
  CHECK(compute_ints("LessOrEqual", {a, b}) == Ints{1, 1, 0, 0});
  CHECK(compute_ints("Greater", {a, b}) == Ints{0, 0, 1, 0});
  CHECK(compute_ints("GreaterOrEqual", {a, b}) == Ints{0, 1, 1, 0});
  CHECK(compute_ints("Equal", {a, b}) == Ints{0, 1, 0, 0});
  CHECK(compute_ints("Equal", {ints({2}, {-1, 4}), ints({1}, {-1})}) == Ints{1, 0});
  CHECK(OneNode("Equal", {a, b}).output().type == DataType::kBool);
  const HostTensor p = bools({4}, {0, 0, 1, 1});
  const HostTensor q = bools({4}, {0, 1, 0, 1});
  CHECK(compute_ints("And", {p, q}) == Ints{0, 0, 0, 1});
  CHECK(compute_ints("Or", {p, q}) == Ints{0, 1, 1, 1});
  CHECK(compute_ints("Xor", {p, q}) == Ints{0, 1, 1, 0});
  CHECK(compute_ints("Not", {p}) == Ints{1, 1, 0, 0});
  CHECK(compute_ints("IsNaN", {a}) == Ints{0, 0, 0, 1});
  CHECK(compute_ints("IsInf", {floats({3}, {kInfinity, -kInfinity, 1})}) == Ints{1, 1, 0});
  CHECK(compute_ints("IsInf", {floats({2}, {kInfinity, -kInfinity})}, {{"detect_negative", std::int64_t{0}}}) ==
        Ints{1, 0});
  CHECK(computed("Where", {bools({2, 1}, {1, 0}), floats({2}, {1, 2}), floats({}, {9})}) == Floats{1, 2, 9, 9});
  CHECK(compute_ints("Where", {bools({2}, {1, 0}), ints({2}, {1, 2}), ints({1}, {-7})}) == Ints{1, -7});
}

TEST_CASE("any number of operands", "[operators][elementwise]") {
  const HostTensor a = floats({2}, {1, 6});
  const HostTensor b = floats({1}, {3});
  const HostTensor c = floats({2}, {5, kNaN});
  CHECK(computed("Sum", {a}) == Floats{1, 6});
  CHECK(computed("Sum", {a, b, a}) == Floats{5, 15});
  CHECK(computed("Mean", {a, b, a}) == Floats{5.0F * (1.0F / 3), 15.0F * (1.0F / 3)});
  CHECK(computed("Min", {a, b}) == Floats{1, 3});
  const Floats largest = computed("Max", {a, c});
  CHECK(largest[0] == 5);
  CHECK(std::isnan(largest[1]));
  CHECK(OneNode("Sum", {b, a, floats({3, 1}, {1, 2, 3})}).output().shape == Shape{3, 2});
}

TEST_CASE("Clip takes its bounds as attributes or inputs", "[operators][elementwise]") {
  const HostTensor x = floats({4}, {-5, 0, 5, kNaN});
  const Floats attribute = computed("Clip", {x}, {{"min", -1.0F}, {"max", 2.0F}});
  CHECK(Floats(attribute.begin(), attribute.begin() + 3) == Floats{-1, 0, 2});
  CHECK(std::isnan(attribute[3]));
  const HostTensor y = floats({3}, {-5, 0, 5});
  CHECK(computed("Clip", {y, floats({}, {-1}), floats({}, {2})}) == Floats{-1, 0, 2});
  CHECK(computed("Clip", {y, omitted(), floats({}, {2})}) == Floats{-5, 0, 2});
  CHECK(computed("Clip", {y}) == Floats{-5, 0, 5});
  CHECK(compute_ints("Clip", {ints({3}, {-5, 0, 5}), ints({}, {-1})}) == Ints{-1, 0, 5});
  CHECK_THAT(refusal("Clip", {y, floats({2}, {1, 2})}), Contains("should be a scalar"));
}

TEST_CASE("Cast truncates, wraps and tests", "[operators][elementwise]") {
  const auto cast = [](HostTensor x, std::int64_t to) {
    return OneNode("Cast", {std::move(x)}, {{"to", to}}).evaluate()[0];
  };
  constexpr std::int64_t kToFloat = 1, kToUint8 = 2, kToInt32 = 6, kToInt64 = 7, kToBool = 9, kToHalf = 10;
  CHECK(cast(floats({4}, {1.9F, -1.9F, kNaN, 1e30F}), kToInt64).ints() ==
        Ints{1, -1, 0, std::numeric_limits<std::int64_t>::max()});
  CHECK(cast(ints({2}, {257, -1}), kToUint8).ints() == Ints{1, 255});
  CHECK(cast(ints({1}, {(std::int64_t{1} << 32) + 5}), kToInt32).ints() == Ints{5});
  CHECK(cast(floats({3}, {0, -0.5F, 2}), kToBool).ints() == Ints{0, 1, 1});
  CHECK(cast(bools({2}, {0, 1}), kToFloat).floats() == Floats{0, 1});
  const HostTensor half = cast(floats({1}, {1.00001F}), kToHalf);
  CHECK(half.type == DataType::kFloat16);
  CHECK(half.floats() == Floats{1.0F});  // rounds, as any implementation does
}

TEST_CASE("unary functions against double precision", "[operators][elementwise]") {
  const Floats x = {-3.0F, -1.0F, -0.25F, 0.0F, 0.5F, 1.0F, 2.5F, 20.0F};
  const auto sigmoid = [](double v) { return 1.0 / (1.0 + std::exp(-v)); };
  const auto softplus = [](double v) { return std::log1p(std::exp(v)); };
  check_unary("Neg", x, [](double v) { return -v; });
  check_unary("Abs", x, [](double v) { return std::abs(v); });
  check_unary("Exp", x, [](double v) { return std::exp(v); });
  check_unary("Erf", x, [](double v) { return std::erf(v); });
  check_unary("Sin", x, [](double v) { return std::sin(v); });
  check_unary("Cos", x, [](double v) { return std::cos(v); });
  check_unary("Tanh", x, [](double v) { return std::tanh(v); });
  check_unary("Sqrt", {0.0F, 2.0F, 9.0F}, [](double v) { return std::sqrt(v); });
  check_unary("Log", {0.5F, 2.0F, 9.0F}, [](double v) { return std::log(v); });
  check_unary("Reciprocal", {0.5F, -4.0F}, [](double v) { return 1 / v; });
  check_unary("Sigmoid", x, sigmoid);
  check_unary("Silu", x, [&](double v) { return v * sigmoid(v); });
  check_unary("Silu", x, [&](double v) { return v * sigmoid(1.702 * v); }, {{"alpha", 1.702F}});
  check_unary("QuickGelu", x, [&](double v) { return v * sigmoid(1.702 * v); });
  check_unary("Gelu", x, [](double v) { return 0.5 * v * (1 + std::erf(v / std::sqrt(2.0))); });
  check_unary("Gelu", x,
              [](double v) { return 0.5 * v * (1 + std::tanh(std::sqrt(2 / M_PI) * (v + 0.044715 * v * v * v))); },
              {{"approximate", std::string("tanh")}});
  check_unary("Relu", x, [](double v) { return std::max(v, 0.0); });
  check_unary("LeakyRelu", x, [](double v) { return v < 0 ? 0.2 * v : v; }, {{"alpha", 0.2F}});
  check_unary("Elu", x, [](double v) { return v < 0 ? 1.5 * std::expm1(v) : v; }, {{"alpha", 1.5F}});
  check_unary("Celu", x, [](double v) { return v < 0 ? 2 * std::expm1(v / 2) : v; }, {{"alpha", 2.0F}});
  check_unary("Selu", x,
              [](double v) { return 1.0507009873554805 * (v > 0 ? v : 1.6732632423543772 * std::expm1(v)); });
  check_unary("ThresholdedRelu", x, [](double v) { return v > 0.75 ? v : 0; }, {{"alpha", 0.75F}});
  check_unary("Softplus", x, softplus);
  check_unary("Softsign", x, [](double v) { return v / (1 + std::abs(v)); });
  check_unary("HardSigmoid", x, [](double v) { return std::clamp(0.2 * v + 0.5, 0.0, 1.0); });
  check_unary("HardSwish", x, [](double v) { return v * std::clamp(v / 6 + 0.5, 0.0, 1.0); });
  check_unary("Mish", x, [&](double v) { return v * std::tanh(softplus(v)); });
}

TEST_CASE("rounding and signs", "[operators][elementwise]") {
  const HostTensor x = floats({6}, {-1.5F, -0.5F, 0.5F, 1.5F, 2.5F, 2.7F});
  CHECK(computed("Round", {x}) == Floats{-2, 0, 0, 2, 2, 3});  // halves to even
  CHECK(computed("Ceil", {x}) == Floats{-1, 0, 1, 2, 3, 3});
  CHECK(computed("Floor", {x}) == Floats{-2, -1, 0, 1, 2, 2});
  CHECK(computed("Sign", {floats({3}, {-2, 0, 3})}) == Floats{-1, 0, 1});
  CHECK(compute_ints("Sign", {ints({3}, {-2, 0, 3})}) == Ints{-1, 0, 1});
  CHECK(compute_ints("Abs", {ints({2}, {-2, 3})}) == Ints{2, 3});
  CHECK(computed("PRelu", {floats({2, 2}, {-1, 2, -3, -4}), floats({2}, {0.5F, 0.25F})}) ==
        Floats{-0.5F, 2, -1.5F, -1});
}

TEST_CASE("activations stay finite where float overflows", "[operators][elementwise]") {
  const HostTensor x = floats({2}, {-200.0F, 200.0F});
  CHECK(computed("Sigmoid", {x}) == Floats{0, 1});
  CHECK(computed("Silu", {x}) == Floats{0, 200});
  CHECK(computed("Softplus", {x}) == Floats{0, 200});
  CHECK(computed("Mish", {x}) == Floats{0, 200});
  CHECK(computed("Gelu", {x}) == Floats{0, 200});
}

TEST_CASE("vector work adds up primitive operations per element", "[operators][elementwise]") {
  const HostTensor x = floats({2, 3}, Floats(6, 0.5F));
  const auto work = [&](const std::string& op, std::vector<In> inputs, Attributes attributes = {}) {
    return OneNode(op, std::move(inputs), std::move(attributes)).work();
  };
  CHECK(work("Add", {x, floats({1}, {1})}) == work_of(VectorOp::kAddMul, 6));
  CHECK(work("Div", {x, x}) == work_of(VectorOp::kDiv, 6));
  CHECK(work("Less", {x, x}) == work_of(VectorOp::kCompare, 6));
  CHECK(work("Sum", {x, x, x}) == work_of(VectorOp::kAddMul, 12));
  CHECK(work("Pow", {x, fixed(floats({}, {2}))}) == work_of(VectorOp::kAddMul, 6));
  CHECK(work("Pow", {x, fixed(floats({}, {0.5F}))}) == work_of(VectorOp::kSqrt, 6));
  CHECK(count(work("Pow", {x, x}), VectorOp::kExp) == 12);
  const auto silu = work("Silu", {x});  // sigmoid: exp, add, div; then a multiplication
  CHECK(count(silu, VectorOp::kExp) == 6);
  CHECK(count(silu, VectorOp::kAddMul) == 12);
  CHECK(count(silu, VectorOp::kDiv) == 6);
  CHECK(count(work("Silu", {x}, {{"alpha", 1.702F}}), VectorOp::kAddMul) == 18);
  const auto gelu = work("Gelu", {x});
  CHECK(count(gelu, VectorOp::kErf) == 6);
  CHECK(count(gelu, VectorOp::kAddMul) == 24);
}

TEST_CASE("random operators are seeded, counter-based and distributed as asked", "[operators][random]") {
  const HostTensor like = floats({100, 100}, Floats(10000));
  const auto draw = [&](const std::string& op, Attributes attributes) {
    return computed(op, {like}, std::move(attributes));
  };
  const Floats a = draw("RandomNormalLike", {{"seed", 1.0F}, {"mean", 3.0F}, {"scale", 2.0F}});
  CHECK(a == draw("RandomNormalLike", {{"seed", 1.0F}, {"mean", 3.0F}, {"scale", 2.0F}}));
  CHECK(a != draw("RandomNormalLike", {{"seed", 2.0F}, {"mean", 3.0F}, {"scale", 2.0F}}));
  double mean = 0;
  double variance = 0;
  for (const float v : a) mean += v / 1e4;
  for (const float v : a) variance += (v - mean) * (v - mean) / 1e4;
  CHECK(mean == Approx(3).margin(4 * 2 / 100.0));        // four standard errors
  CHECK(variance == Approx(4).margin(4 * 4 * 0.01414));  // of a variance: sigma^2 sqrt(2 / n)
  const Floats u = draw("RandomUniformLike", {{"low", -1.0F}, {"high", 3.0F}});
  CHECK(*std::min_element(u.begin(), u.end()) >= -1);
  CHECK(*std::max_element(u.begin(), u.end()) < 3);
  const OneNode shaped("RandomNormal", {}, {{"shape", IntList{2, 5}}, {"dtype", std::int64_t{1}}});
  CHECK(shaped.output().shape == Shape{2, 5});
  CHECK_THAT(refusal("RandomNormalLike", {ints({1}, {1})}), Contains("not a float type"));
  CHECK(count(shaped.work(), VectorOp::kExp) == 20);  // logarithm and cosine
}

TEST_CASE("trigonometry, hyperbolic functions and Shrink", "[operators][elementwise]") {
  const auto near = [](const char* op, float x, float wanted) {
    INFO(op);
    CHECK(computed(op, {floats({}, {x})}).at(0) == Approx(wanted).margin(1e-6));
  };
  near("Tan", 0.7853982F, 1.0F);
  near("Asin", 0.5F, 0.5235988F);
  near("Acos", 0.5F, 1.0471976F);
  near("Atan", 1.0F, 0.7853982F);
  near("Sinh", 1.0F, 1.1752012F);
  near("Cosh", 1.0F, 1.5430806F);
  near("Asinh", 1.1752012F, 1.0F);
  near("Acosh", 1.5430806F, 1.0F);
  near("Atanh", 0.7615942F, 1.0F);
  // The examples of the ONNX specification: hard and soft.
  const HostTensor x = floats({5}, {-2, -1, 0, 1, 2});
  CHECK(computed("Shrink", {x}, {{"lambd", 1.5F}}) == std::vector<float>{-2, 0, 0, 0, 2});
  CHECK(computed("Shrink", {x}, {{"lambd", 1.5F}, {"bias", 1.5F}}) == std::vector<float>{-0.5F, 0, 0, 0, 0.5F});
}

}  // namespace
}  // namespace spillway::workloads
