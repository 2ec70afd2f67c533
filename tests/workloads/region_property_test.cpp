// The contract that tiling, fusion and functional execution stand on: a kernel that is given exactly the regions that
// the region map asks for computes, for any part of the output, what the operator is as a whole.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <random>
#include <set>

#include "tests/workloads/one_node.h"

namespace spillway::workloads {
namespace {

using namespace test;
using Random = std::mt19937;

struct Case {
  std::string op;
  std::vector<In> inputs;
  Attributes attributes{};
  std::int64_t opset = 17;
};

HostTensor noise(Shape shape, std::uint64_t seed = 1) { return random_tensor(DataType::kFloat32, shape, seed); }
/// Values in [0.5, 3]: for logarithms, roots, divisors, variances.
HostTensor positive(Shape shape, std::uint64_t seed = 2) {
  HostTensor t = noise(std::move(shape), seed);
  for (float& v : t.floats()) v = std::min(0.5F + std::abs(v), 3.0F);
  return t;
}
HostTensor truths(Shape shape, std::uint64_t seed = 3) {
  HostTensor t = random_tensor(DataType::kInt64, shape, seed, 2);
  t.type = DataType::kBool;
  return t;
}
HostTensor indices(Shape shape, std::int64_t bound) {
  HostTensor t = random_tensor(DataType::kInt64, shape, 4, 2 * bound);
  for (std::int64_t& v : t.ints()) v -= bound;  // negative indices too
  return t;
}

std::vector<Case> quantisation_cases() {
  const HostTensor x = noise({2, 3, 4});
  const HostTensor fine = floats({3}, {0.01F, 0.02F, 0.03F});
  const HostTensor zeros = ints({3}, {3, -2, 0}, DataType::kInt8);
  const Attributes on_grid{{"low", -128.0F}, {"high", 127.0F}};
  return {
      {"QuantizeLinear", {x, floats({}, {0.02F})}},
      {"QuantizeLinear", {x, fine, zeros}},
      {"DequantizeLinear", {ints({2, 3, 4}, std::vector<std::int64_t>(24, 77), DataType::kInt8), fine, zeros}},
      {"FakeQuantize", {x, floats({1}, {0.02F}), floats({1}, {3})}, on_grid},
      {"FakeQuantize", {x, fine, floats({3}, {3, -2, 0})}, on_grid},
  };
}

std::vector<Case> lrn_cases() {
  const HostTensor x = noise({2, 7, 3, 2});
  std::vector<Case> cases;
  for (const std::int64_t size : {1, 2, 3, 5, 99}) cases.push_back({"LRN", {x}, {{"size", size}, {"alpha", 0.5F}}});
  return cases;
}

std::vector<Case> elementwise_cases() {
  std::vector<Case> cases;
  const HostTensor x = noise({2, 3, 4, 5});
  for (const char* op : {"Neg",
                         "Abs",
                         "Sign",
                         "Exp",
                         "Sin",
                         "Cos",
                         "Erf",
                         "Ceil",
                         "Floor",
                         "Round",
                         "Tanh",
                         "Sigmoid",
                         "Silu",
                         "QuickGelu",
                         "Gelu",
                         "Relu",
                         "LeakyRelu",
                         "Elu",
                         "Selu",
                         "Celu",
                         "ThresholdedRelu",
                         "Softplus",
                         "Softsign",
                         "HardSigmoid",
                         "HardSwish",
                         "Mish",
                         "IsNaN",
                         "IsInf",
                         "Tan",
                         "Atan",
                         "Sinh",
                         "Cosh",
                         "Asinh",
                         "Shrink",
                         "Identity",
                         "Dropout",
                         "RandomNormalLike",
                         "RandomUniformLike"}) {
    cases.push_back({op, {x}});
  }
  const HostTensor within_one = floats({2, 3}, {-0.9F, -0.5F, 0, 0.1F, 0.6F, 0.95F});
  for (const char* op : {"Asin", "Acos", "Atanh"}) cases.push_back({op, {within_one}});
  cases.push_back({"Acosh", {floats({2, 2}, {1, 1.5F, 2, 9})}});
  for (const char* op : {"Sqrt", "Log", "Reciprocal"}) cases.push_back({op, {positive({3, 7})}});
  for (const char* op : {"Add", "Sub", "Mul", "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Max", "Min",
                         "Sum", "Mean", "PRelu"}) {
    cases.push_back({op, {x, noise({2, 3, 4, 5}, 9)}});
    cases.push_back({op, {x, noise({3, 1, 1}, 9)}});
    cases.push_back({op, {x, noise({5}, 9)}});
    if (std::string(op) != "PRelu") cases.push_back({op, {noise({4, 1}, 9), noise({2, 1, 5}, 8)}});
  }
  for (const char* op : {"Sum", "Mean", "Max", "Min"}) {
    cases.push_back({op, {x, noise({1, 3, 1, 5}, 9), noise({}, 8), noise({4, 1}, 7)}});
    cases.push_back({op, {x}});
  }
  cases.push_back({"Div", {x, positive({4, 1})}});
  cases.push_back({"LogAddExp", {x, noise({4, 1}, 9)}});
  cases.push_back({"Pow", {positive({2, 3, 4}), noise({3, 1}, 9)}});
  cases.push_back({"Mod", {x, positive({5})}, {{"fmod", std::int64_t{1}}}});
  cases.push_back({"Div", {indices({4, 5}, 50), ints({5}, {1, -2, 3, 7, -9})}});  // integers held as floats
  cases.push_back({"Mod", {indices({4, 5}, 50), ints({5}, {1, -2, 3, 7, -9})}});
  for (const char* op : {"And", "Or", "Xor"}) cases.push_back({op, {truths({3, 4}), truths({4}, 5)}});
  cases.push_back({"Not", {truths({3, 4})}});
  cases.push_back({"Where", {truths({3, 1, 5}), x, noise({4, 1}, 9)}});
  cases.push_back({"Clip", {x}, {{"min", -0.5F}, {"max", 0.25F}}});
  cases.push_back({"Clip", {x, floats({}, {-0.5F}), floats({}, {0.25F})}});
  for (const std::int64_t to : {1, 2, 6, 9, 10, 16}) cases.push_back({"Cast", {x}, {{"to", to}}});
  cases.push_back({"CastLike", {x, ints({2}, {1, 2})}});
  for (const char* op : {"BitwiseAnd", "BitwiseOr", "BitwiseXor"}) {
    cases.push_back({op, {indices({4, 5}, 50), indices({5}, 50)}});
  }
  cases.push_back({"BitwiseNot", {indices({4, 5}, 50)}});
  cases.push_back({"BitShift",
                   {ints({3}, {1, 5, 200}, DataType::kUint8), ints({3}, {3, 1, 2}, DataType::kUint8)},
                   {{"direction", std::string("RIGHT")}}});
  cases.push_back({"RandomNormal", {}, {{"shape", IntList{3, 4, 5}}}});
  cases.push_back({"RandomUniform", {}, {{"shape", IntList{30}}, {"seed", 4.0F}}});
  return cases;
}

std::vector<Case> move_cases() {
  const HostTensor x = noise({2, 3, 4, 5});
  const auto mode = [](const char* m) { return Attributes{{"mode", std::string(m)}}; };
  std::vector<Case> cases = {
      {"Concat",
       {noise({2, 1, 4}), noise({2, 3, 4}, 5), noise({2, 0, 4}), noise({2, 2, 4}, 6)},
       {{"axis", std::int64_t{1}}}},
      {"Concat", {noise({3}), noise({4}, 5)}, {{"axis", std::int64_t{0}}}},
      {"Slice",
       {x, fixed(list({1, -1, 4})), fixed(list({9, -9, 0})), fixed(list({1, 2, 3})), fixed(list({1, -2, -3}))}},
      {"Slice", {x}, {{"starts", IntList{0, 1}}, {"ends", IntList{5, 4}}, {"axes", IntList{3, 2}}}, 9},
      {"Expand", {noise({3, 1, 5}), fixed(list({2, 1, 4, 1}))}},
      {"OneHot", {indices({3, 4}, 5), fixed(ints({}, {5})), floats({2}, {-1, 2})}},
      {"OneHot", {indices({3, 4}, 9), fixed(ints({}, {5})), floats({2}, {-1, 2})}, {{"axis", std::int64_t{0}}}},
      {"Tile", {noise({2, 1, 3}), fixed(list({2, 3, 3}))}},
      {"Trilu", {noise({2, 5, 6})}},
      {"Trilu", {noise({5, 6}), fixed(ints({}, {-2}))}, {{"upper", std::int64_t{0}}}},
      {"Pad", {noise({3, 4}), fixed(list({1, 2, 3, 0})), fixed(floats({}, {7}))}},
      {"Pad", {noise({3, 4}), fixed(list({1, 2, 2, 3}))}, mode("reflect")},
      {"Pad", {noise({5, 4}), fixed(list({-1, 2, 2, -1}))}, mode("reflect")},
      {"Pad", {noise({5, 4}), fixed(list({-1, 2, 2, -1}))}},
      {"Pad", {noise({3, 4}), fixed(list({1, 2, 4, 6}))}, mode("edge")},
      {"Pad", {noise({3, 4}), fixed(list({1, 2, 3, 4}))}, mode("wrap")},
      {"DepthToSpace", {noise({2, 12, 2, 3})}, {{"blocksize", std::int64_t{2}}}},
      {"DepthToSpace", {noise({1, 18, 2, 3})}, {{"blocksize", std::int64_t{3}}, {"mode", std::string("CRD")}}},
      {"SpaceToDepth", {noise({2, 3, 4, 6})}, {{"blocksize", std::int64_t{2}}}},
      {"Gather", {noise({4, 6, 3}), indices({2, 5}, 6)}, {{"axis", std::int64_t{1}}}},
      {"Gather", {noise({4, 6}), indices({}, 4)}},
      {"Gather", {noise({4, 6}), fixed(ints({1}, {-2}))}, {{"axis", std::int64_t{1}}}},
      {"GatherElements", {noise({4, 6}), indices({3, 9}, 6)}, {{"axis", std::int64_t{1}}}},
      {"GatherND", {noise({2, 3, 4}), indices({2, 5, 1}, 3)}, {{"batch_dims", std::int64_t{1}}}},
      {"GatherND", {noise({3, 3, 4}), indices({5, 2}, 3)}},
      {"Transpose", {x}, {{"perm", IntList{2, 0, 3, 1}}}},
      {"Reshape", {noise({2, 6, 5}), fixed(list({2, 3, 2, 5}))}},
      {"Reshape", {noise({4, 6}), fixed(list({3, 8}))}},
      {"Flatten", {x}, {{"axis", std::int64_t{2}}}},
      {"Squeeze", {noise({1, 3, 1, 4})}},
      {"Unsqueeze", {noise({3, 4}), fixed(list({0, 2}))}},
  };
  return cases;
}

std::vector<Case> matrix_cases() {
  const auto conv = [](IntList pads, IntList strides, IntList dilations, std::int64_t group) {
    return Attributes{{"pads", std::move(pads)},
                      {"strides", std::move(strides)},
                      {"dilations", std::move(dilations)},
                      {"group", group}};
  };
  Attributes deconv = conv({1, 0, 1, 1}, {2, 3}, {1, 2}, 2);
  return {
      {"MatMul", {noise({3, 4, 5}), noise({5, 6}, 5)}},
      {"MatMul", {noise({2, 1, 4, 5}), noise({3, 5, 6}, 5)}},
      {"MatMul", {noise({5}), noise({2, 5, 3}, 5)}},
      {"MatMul", {noise({2, 3, 5}), noise({5}, 5)}},
      {"MatMul",
       {noise({2, 5, 4}), noise({2, 6, 5}, 5), noise({6}, 6)},
       {{"transA", std::int64_t{1}}, {"transB", std::int64_t{1}}, {"alpha", 0.125F}}},
      {"Gemm",
       {noise({4, 5}), noise({6, 5}, 5), noise({6}, 6)},
       {{"transB", std::int64_t{1}}, {"alpha", 0.5F}, {"beta", 2.0F}}},
      {"Gemm", {noise({5, 4}), noise({5, 6}, 5)}, {{"transA", std::int64_t{1}}}},
      {"Conv", {noise({2, 3, 7, 6}), noise({4, 3, 3, 3}, 5), noise({4}, 6)}, conv({1, 1, 1, 1}, {1, 1}, {1, 1}, 1)},
      {"Conv", {noise({1, 4, 9, 8}), noise({6, 2, 3, 2}, 5)}, conv({0, 1, 2, 0}, {2, 1}, {1, 3}, 2)},
      {"Conv", {noise({2, 3, 5, 4}), noise({8, 3, 1, 1}, 5), noise({8}, 6)}, conv({0, 0, 0, 0}, {1, 1}, {1, 1}, 1)},
      {"Conv", {noise({1, 6, 8, 8}), noise({6, 1, 3, 3}, 5)}, conv({1, 1, 1, 1}, {2, 2}, {1, 1}, 6)},
      {"Conv", {noise({2, 3, 10}), noise({4, 3, 3}, 5)}, {{"pads", IntList{2, 0}}}},
      {"ConvTranspose", {noise({2, 4, 4, 3}), noise({4, 3, 3, 2}, 5), noise({6}, 6)}, deconv},
      {"ConvTranspose", {noise({1, 2, 5, 5}), noise({2, 3, 2, 2}, 5)}, {{"strides", IntList{2, 2}}}},
  };
}

std::vector<Case> row_cases() {
  const HostTensor x = noise({2, 4, 3, 5});
  std::vector<Case> cases;
  for (const char* op : {"ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean",
                         "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare"}) {
    cases.push_back({op, {positive({2, 4, 3, 5})}, {{"axes", IntList{1, -1}}, {"keepdims", std::int64_t{0}}}});
    cases.push_back({op, {positive({2, 4, 3, 5})}, {{"axes", IntList{2}}}});
    cases.push_back({op, {positive({2, 4, 3, 5})}});
  }
  for (const char* op : {"Softmax", "LogSoftmax"}) {
    for (const std::int64_t axis : {-1, 1}) cases.push_back({op, {x}, {{"axis", axis}}});
    cases.push_back({op, {x}, {{"axis", std::int64_t{2}}}, 11});
  }
  for (const char* op : {"ArgMax", "ArgMin"}) {
    cases.push_back({op, {x}, {{"axis", std::int64_t{1}}, {"keepdims", std::int64_t{0}}}});
    cases.push_back({op, {x}, {{"axis", std::int64_t{-1}}}});
  }
  cases.push_back({"CumSum", {x, fixed(ints({}, {1}))}});
  cases.push_back(
      {"CumSum", {x, fixed(ints({}, {-1}))}, {{"exclusive", std::int64_t{1}}, {"reverse", std::int64_t{1}}}});
  cases.push_back({"LayerNormalization", {x, noise({5}, 7), noise({5}, 8)}, {{"axis", std::int64_t{-1}}}});
  cases.push_back({"LayerNormalization", {x, noise({3, 5}, 7)}, {{"axis", std::int64_t{2}}}});
  cases.push_back({"InstanceNormalization", {x, noise({4}, 7), noise({4}, 8)}});
  cases.push_back({"GroupNormalization", {x, noise({2}, 7), noise({2}, 8)}, {{"num_groups", std::int64_t{2}}}, 18});
  cases.push_back({"NormStatistics", {x}});
  cases.push_back({"NormApply", {x, positive({2, 4, 2}), noise({4}, 7), noise({4}, 8)}, {{"groups", std::int64_t{2}}}});
  cases.push_back({"NormApply", {x, positive({2, 4, 2})}, {{"groups", std::int64_t{4}}}});
  cases.push_back({"ChannelAffine", {x, noise({4}, 7), noise({4}, 8)}});
  cases.push_back({"BatchNormalization", {x, noise({4}, 7), noise({4}, 8), noise({4}, 9), positive({4})}});
  return cases;
}

std::vector<Case> window_cases() {
  const HostTensor x = noise({2, 3, 7, 6});
  const Attributes pool = {{"kernel_shape", IntList{3, 2}}, {"strides", IntList{2, 1}}, {"pads", IntList{1, 0, 1, 1}}};
  Attributes ceil = pool;
  ceil["ceil_mode"] = std::int64_t{1};
  Attributes with_pad = pool;
  with_pad["count_include_pad"] = std::int64_t{1};
  std::vector<Case> cases = {
      {"MaxPool", {x}, pool},
      {"MaxPool", {x}, ceil},
      {"AveragePool", {x}, pool},
      {"AveragePool", {x}, with_pad},
      {"AveragePool", {x}, ceil},
      {"GlobalAveragePool", {x}},
      {"GlobalMaxPool", {x}},
      {"Upsample", {x, fixed(floats({4}, {1, 1, 2, 3}))}, {{"mode", std::string("nearest")}}, 9},
  };
  for (const char* mode : {"nearest", "linear"}) {
    for (const char* where : {"asymmetric", "half_pixel", "align_corners", "pytorch_half_pixel"}) {
      const Attributes a = {{"mode", std::string(mode)},
                            {"coordinate_transformation_mode", std::string(where)},
                            {"nearest_mode", std::string("floor")}};
      cases.push_back({"Resize", {x, omitted(), fixed(floats({4}, {1, 1, 2, 1.5F}))}, a});
      cases.push_back({"Resize", {x, omitted(), omitted(), fixed(list({2, 3, 4, 11}))}, a});
    }
  }
  return cases;
}

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (auto family : {elementwise_cases(), lrn_cases(), quantisation_cases(), move_cases(), matrix_cases(), row_cases(),
                      window_cases()}) {
    cases.insert(cases.end(), family.begin(), family.end());
  }
  return cases;
}

std::vector<float> as_floats(const HostTensor& t) {
  if (t.holds_float()) return t.floats();
  return {t.ints().begin(), t.ints().end()};
}

std::vector<float> crop(const std::vector<float>& values, const Box& from, const Box& part) {
  std::vector<float> result(static_cast<std::size_t>(part.elements()));
  const Nest<2> nest(part, {dense_walk(part, part), dense_walk(from, part)});
  nest.for_each_row([&](const std::array<std::int64_t, 2>& at) {
    for (std::int64_t i = 0; i < nest.row_length(); ++i) {
      result[at[0] + i * nest.row_stride(0)] = values[at[1] + i * nest.row_stride(1)];
    }
  });
  return result;
}

Box random_part(const Box& all, Random& random) {
  Box part = all;
  for (int d = 0; d < all.rank; ++d) {
    const auto size = std::uniform_int_distribution<std::int32_t>(1, all.extent[d])(random);
    part.set(d, std::uniform_int_distribution<std::int32_t>(0, all.extent[d] - size)(random), size);
  }
  return part;
}

/// A box inside `all` that contains `box` and may be larger.
Box enlarged(const Box& box, const Box& all, Random& random) {
  if (box.empty()) return box;
  Box larger = box;
  for (int d = 0; d < all.rank; ++d) {
    const auto before = std::uniform_int_distribution<std::int32_t>(0, box.begin[d])(random);
    const auto after = std::uniform_int_distribution<std::int32_t>(0, all.extent[d] - box.end(d))(random);
    larger.set(d, box.begin[d] - before, box.extent[d] + before + after);
  }
  return larger;
}

std::string describe(const Box& box) {
  std::string text = "[";
  for (int d = 0; d < box.rank; ++d) {
    text += (d > 0 ? ", " : "") + std::to_string(box.begin[d]) + "+" + std::to_string(box.extent[d]);
  }
  return text + "]";
}

/// Sums are reordered by tiling in these classes; everything else must agree to the bit.
bool reorders_sums(OpClass c) {
  return c == OpClass::kMatrix || c == OpClass::kRow || c == OpClass::kStatistics || c == OpClass::kWindow;
}

void check_case(const Case& c, Random& random) {
  const OneNode one(c.op, c.inputs, c.attributes, 1, c.opset);
  const OpDef& def = one.def();
  REQUIRE(def.kernel != nullptr);
  REQUIRE(def.region != nullptr);
  const Box all = whole(one.output().shape);
  const std::vector<float> expected = as_floats(one.evaluate().at(0));
  std::vector<std::vector<float>> values;
  for (const In& in : one.inputs()) values.push_back(in.value ? as_floats(*in.value) : std::vector<float>());
  for (int round = 0; round < 16; ++round) {
    const Box out = round == 0 ? all : random_part(all, random);
    const bool exact = round % 2 == 0;
    std::string description = c.op + " of " + to_string(one.output().shape) + " at " + describe(out);
    std::vector<std::vector<float>> held_parts;
    std::vector<ConstRegionView> views;
    for (int i = 0; i < static_cast<int>(one.inputs().size()); ++i) {
      if (!one.graph().has_input(one.node(), i)) {
        views.push_back({});
        held_parts.emplace_back();
        continue;
      }
      const Box input = whole(one.graph().input(one.node(), i).shape);
      Box box = def.region(one.graph(), one.node(), i, out);
      INFO(description << ", input " << i << " of " << describe(input) << " asks for " << describe(box));
      REQUIRE(box.rank == input.rank);
      REQUIRE((box.empty() || input.contains(box)));
      if (!exact) box = enlarged(box, input, random);
      held_parts.push_back(box.empty() ? std::vector<float>() : crop(values[static_cast<std::size_t>(i)], input, box));
      views.push_back({box, nullptr});
    }
    for (std::size_t i = 0; i < views.size(); ++i) {
      if (one.node().inputs[i] != kNone) views[i].data = held_parts[i].data();
    }
    std::vector<float> result(static_cast<std::size_t>(out.elements()), -12345.0F);
    def.kernel(one.graph(), one.node(), views, RegionView{out, result.data()});
    const std::vector<float> wanted = crop(expected, all, out);
    const double tolerance = reorders_sums(def.op_class) ? 1e-5 : 0.0;
    for (std::size_t k = 0; k < wanted.size(); ++k) {
      const double limit = tolerance * std::max(1.0, static_cast<double>(std::abs(wanted[k])));
      if (!(std::abs(static_cast<double>(result[k]) - wanted[k]) <= limit)) {
        FAIL(description << (exact ? "" : " from larger inputs") << ": element " << k << " is " << result[k]
                         << " when it should be " << wanted[k]);
      }
    }
    if (def.op_class != OpClass::kMatrix && def.op_class != OpClass::kView) {
      const auto work = def.vector_work(one.graph(), one.node(), out);
      INFO(description);
      CHECK(std::any_of(work.begin(), work.end(), [](std::int64_t n) { return n > 0; }));
      CHECK(std::all_of(work.begin(), work.end(), [](std::int64_t n) { return n >= 0; }));
    } else if (def.op_class == OpClass::kMatrix) {
      const auto shape = def.matrix_shape(one.graph(), one.node(), out);
      INFO(description);
      // A transposed convolution also computes what a region's cropped border drops.
      CHECK(shape.m * shape.n * shape.batch >= out.elements());
      if (c.op != "ConvTranspose") CHECK(shape.m * shape.n * shape.batch == out.elements());
    }
  }
}

TEST_CASE("a kernel on any region equals the whole operator there", "[operators][region]") {
  Random random(20240601);
  for (const Case& c : all_cases()) check_case(c, random);
}

TEST_CASE("every operator that has a kernel is in the region test", "[operators][region]") {
  std::set<std::string> tested;
  for (const Case& c : all_cases()) tested.insert(c.op);
  for (const OpDef& def : operator_table()) {
    if (def.kernel == nullptr) continue;
    INFO(def.name);
    CHECK(tested.contains(std::string(def.name)));
  }
}

}  // namespace
}  // namespace spillway::workloads
