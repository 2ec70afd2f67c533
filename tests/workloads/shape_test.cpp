#include <catch2/catch.hpp>
#include <limits>
#include <numeric>

#include "tests/workloads/one_node.h"
#include "workloads/operators/parameters.h"

namespace spillway::workloads {
namespace {

using namespace test;
using Catch::Matchers::Contains;
using Catch::Matchers::Equals;
using Floats = std::vector<float>;
using Ints = std::vector<std::int64_t>;

HostTensor zeros(Shape shape) {
  const auto n = static_cast<std::size_t>(elements_of(shape));
  return floats(std::move(shape), Floats(n));
}
HostTensor counting(Shape shape) {
  HostTensor t = zeros(std::move(shape));
  std::iota(t.floats().begin(), t.floats().end(), 0.0F);
  return t;
}
Shape shape_after(const std::string& op, std::vector<In> inputs, Attributes attributes = {}) {
  return OneNode(op, std::move(inputs), std::move(attributes)).output().shape;
}
std::shared_ptr<const HostTensor> held(HostTensor t) { return std::make_shared<const HostTensor>(std::move(t)); }

TEST_CASE("Reshape copies, infers and refuses extents", "[operators][view]") {
  const HostTensor x = zeros({2, 3, 4});
  CHECK(shape_after("Reshape", {x, fixed(list({4, 6}))}) == Shape{4, 6});
  CHECK(shape_after("Reshape", {x, fixed(list({0, -1}))}) == Shape{2, 12});
  CHECK(shape_after("Reshape", {x, fixed(list({-1}))}) == Shape{24});
  CHECK(shape_after("Reshape", {x}, {{"shape", IntList{6, 4}}}) == Shape{6, 4});
  CHECK(shape_after("Reshape", {zeros({0, 3}), fixed(list({3, 0}))}, {{"allowzero", std::int64_t{1}}}) == Shape{3, 0});
  CHECK(shape_after("Reshape", {zeros({1}), fixed(list({}))}).empty());
  CHECK_THAT(refusal("Reshape", {x, fixed(list({5, -1}))}), Contains("cannot make 2x3x4 (24 elements) into"));
  CHECK_THAT(refusal("Reshape", {x, fixed(list({-1, -1}))}), Contains("more than one -1"));
  CHECK_THAT(refusal("Reshape", {x, fixed(list({24, 1, 1, 0}))}), Contains("copies extent 3"));
  CHECK_THAT(refusal("Reshape", {x, fixed(list({-24}))}), Contains("-24 is negative"));
  CHECK_THAT(refusal("Reshape", {x, fixed(list({std::int64_t{1} << 62, 4, 4}))}), !Contains("internal") && !Equals(""));
  CHECK_THAT(refusal("Reshape", {x, list({24})}), Contains("not known before the graph runs"));
}

TEST_CASE("Squeeze and Unsqueeze take axes as attribute or input", "[operators][view]") {
  const HostTensor x = zeros({1, 3, 1});
  CHECK(shape_after("Squeeze", {x}) == Shape{3});
  CHECK(shape_after("Squeeze", {x}, {{"axes", IntList{0}}}) == Shape{3, 1});
  CHECK(shape_after("Squeeze", {x, fixed(list({-1}))}) == Shape{1, 3});
  CHECK(shape_after("Unsqueeze", {x}, {{"axes", IntList{0, 4}}}) == Shape{1, 1, 3, 1, 1});
  CHECK(shape_after("Unsqueeze", {x, fixed(list({-1, 1}))}) == Shape{1, 1, 3, 1, 1});
  CHECK_THAT(refusal("Squeeze", {x, fixed(list({1}))}), Contains("axis 1 is 3 when it should be 1"));
  CHECK_THAT(refusal("Squeeze", {x, fixed(list({3}))}), Contains("axis 3 is outside a tensor of rank 3"));
  CHECK_THAT(refusal("Unsqueeze", {x, fixed(list({0, 0}))}), Contains("axis 0 is given twice"));
  CHECK_THAT(refusal("Unsqueeze", {x}), Contains("axes are missing"));
}

TEST_CASE("Flatten, Identity, Dropout", "[operators][view]") {
  const HostTensor x = counting({2, 3, 4});
  CHECK(shape_after("Flatten", {x}) == Shape{2, 12});
  CHECK(shape_after("Flatten", {x}, {{"axis", std::int64_t{0}}}) == Shape{1, 24});
  CHECK(shape_after("Flatten", {x}, {{"axis", std::int64_t{3}}}) == Shape{24, 1});
  CHECK(shape_after("Flatten", {x}, {{"axis", std::int64_t{-1}}}) == Shape{6, 4});
  CHECK_THAT(refusal("Flatten", {x}, {{"axis", std::int64_t{4}}}), Contains("axis 4"));
  CHECK(computed("Identity", {x}) == x.floats());
  const OneNode dropout("Dropout", {x}, {}, 2);
  const auto results = dropout.evaluate();
  CHECK(results[0].floats() == x.floats());
  CHECK(results[1].ints() == Ints(24, 1));
  CHECK_THAT(refusal("Dropout", {x, omitted(), fixed(bools({}, {1}))}), Contains("training mode"));
}

TEST_CASE("Transpose permutes", "[operators][view]") {
  CHECK(computed("Transpose", {counting({2, 3})}) == Floats{0, 3, 1, 4, 2, 5});  // default: reversed
  const OneNode one("Transpose", {counting({2, 3, 2})}, {{"perm", IntList{1, 0, 2}}});
  REQUIRE(one.output().shape == Shape{3, 2, 2});
  CHECK(one.evaluate()[0].floats() == Floats{0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11});
  CHECK_THAT(refusal("Transpose", {counting({2, 3})}, {{"perm", IntList{0, 0}}}), Contains("given twice"));
  CHECK_THAT(refusal("Transpose", {counting({2, 3})}, {{"perm", IntList{0}}}), Contains("perm has 1 elements"));
}

TEST_CASE("a Reshape's region is exact where a dimension survives", "[operators][view]") {
  // [2, 6, 5] -> [2, 3, 2, 5]: head split, everything else untouched
  const OneNode one("Reshape", {zeros({2, 6, 5}), fixed(list({2, 3, 2, 5}))});
  Box out;
  out.rank = 4;
  out.set(0, 1, 1), out.set(1, 1, 2), out.set(2, 0, 2), out.set(3, 2, 2);
  Box expected;
  expected.rank = 3;
  expected.set(0, 1, 1), expected.set(1, 2, 4), expected.set(2, 2, 2);
  CHECK(one.def().region(one.graph(), one.node(), 0, out) == expected);
}

TEST_CASE("Shape and Size read shapes only", "[operators][shape]") {
  const HostTensor x = zeros({2, 3, 4});
  CHECK(compute_ints("Shape", {x}) == Ints{2, 3, 4});
  CHECK(compute_ints("Shape", {x}, {{"start", std::int64_t{-2}}}) == Ints{3, 4});
  CHECK(compute_ints("Shape", {x}, {{"start", std::int64_t{1}}, {"end", std::int64_t{-1}}}) == Ints{3});
  CHECK(compute_ints("Shape", {x}, {{"start", std::int64_t{2}}, {"end", std::int64_t{1}}}).empty());
  CHECK(compute_ints("Size", {x}) == Ints{24});
}

TEST_CASE("Constant and ConstantOfShape", "[operators][shape]") {
  CHECK(computed("Constant", {}, {{"value", held(floats({2}, {1, 2}))}}) == Floats{1, 2});
  CHECK(computed("Constant", {}, {{"value_float", 3.0F}}) == Floats{3});
  CHECK(compute_ints("Constant", {}, {{"value_ints", IntList{4, 5}}}) == Ints{4, 5});
  CHECK_THAT(refusal("Constant", {}), Contains("has none of the attributes"));
  CHECK(computed("ConstantOfShape", {fixed(list({2, 2}))}) == Floats(4, 0));
  CHECK(compute_ints("ConstantOfShape", {fixed(list({3}))}, {{"value", held(ints({1}, {7}))}}) == Ints{7, 7, 7});
  CHECK_THAT(refusal("ConstantOfShape", {fixed(list({3}))}, {{"value", held(ints({2}, {7, 8}))}}),
             Contains("should hold one element"));
  CHECK_THAT(refusal("ConstantOfShape", {fixed(list({-3}))}), !Contains("internal") && !Equals(""));
}

TEST_CASE("Range counts as ONNX says", "[operators][shape]") {
  const auto range = [](std::int64_t a, std::int64_t b, std::int64_t c) {
    return compute_ints("Range", {fixed(ints({}, {a})), fixed(ints({}, {b})), fixed(ints({}, {c}))});
  };
  CHECK(range(3, 9, 3) == Ints{3, 6});
  CHECK(range(3, 10, 3) == Ints{3, 6, 9});
  CHECK(range(10, 4, -2) == Ints{10, 8, 6});
  CHECK(range(10, 4, 2).empty());
  CHECK(computed("Range", {fixed(floats({}, {0})), fixed(floats({}, {1})), fixed(floats({}, {0.4F}))}).size() == 3);
  const auto bad = [](std::int64_t a, std::int64_t b, std::int64_t c) {
    return refusal("Range", {fixed(ints({}, {a})), fixed(ints({}, {b})), fixed(ints({}, {c}))});
  };
  constexpr auto kMost = std::numeric_limits<std::int64_t>::max();
  CHECK_THAT(bad(0, 5, 0), Contains("delta is 0"));
  CHECK_THAT(bad(0, kMost, 1), Contains("too many elements"));
  CHECK_THAT(bad(-kMost, kMost, 1), Contains("overflows"));
  CHECK_THAT(refusal("Range", {ints({}, {0}), ints({}, {5}), ints({}, {1})}), Contains("not known before"));
}

TEST_CASE("EyeLike and OneHot", "[operators][shape]") {
  CHECK(computed("EyeLike", {zeros({2, 3})}, {{"k", std::int64_t{1}}}) == Floats{0, 1, 0, 0, 0, 1});
  CHECK(computed("EyeLike", {zeros({3, 2})}, {{"k", std::int64_t{-1}}}) == Floats{0, 0, 1, 0, 0, 1});
  CHECK(computed("EyeLike", {zeros({2, 2})}, {{"k", std::numeric_limits<std::int64_t>::min()}}) == Floats(4, 0));
  const In values = floats({2}, {-1, 1});
  CHECK(computed("OneHot", {ints({2}, {1, -1}), fixed(ints({}, {3})), values}) == Floats{-1, 1, -1, -1, -1, 1});
  CHECK(computed("OneHot", {ints({2}, {1, 5}), fixed(ints({}, {2})), values}, {{"axis", std::int64_t{0}}}) ==
        Floats{-1, -1, 1, -1});
  CHECK_THAT(refusal("OneHot", {ints({2}, {1, 5}), fixed(ints({}, {0})), values}), Contains("should be positive"));
}

TEST_CASE("constant parameter inputs become attributes with the same meaning", "[operators][parameters]") {
  const OneNode one("Slice", {counting({10}), fixed(list({8})), fixed(list({0})), fixed(list({0})), fixed(list({-3}))});
  Node node = one.node();
  inline_parameters(one.graph(), node);
  CHECK(node.inputs.size() == 1);
  CHECK(node.integers("starts") == IntList{8});
  CHECK(node.integers("steps") == IntList{-3});
  const OneNode clip("Clip", {counting({3}), omitted(), fixed(floats({}, {1}))});
  node = clip.node();
  inline_parameters(clip.graph(), node);
  CHECK(node.inputs.size() == 1);
  CHECK(node.real("max", 0) == 1.0F);
  CHECK_FALSE(node.attributes.contains("min"));
  const OneNode free_bound("Clip", {counting({3}), omitted(), floats({}, {1})});  // arrives at run time: stays data
  node = free_bound.node();
  inline_parameters(free_bound.graph(), node);
  CHECK(node.inputs.size() == 3);
  CHECK(parameter_name("Slice", 0, 17).empty());
  CHECK(parameter_name("Pad", 2, 17) == "value");
  CHECK(parameter_name("Resize", 1, 10) == "scales");
  CHECK(parameter_name("Resize", 1, 11) == "roi");
}

TEST_CASE("the operator table is sorted, unique and complete in itself", "[operators]") {
  const auto table = operator_table();
  for (std::size_t i = 0; i < table.size(); ++i) {
    INFO(table[i].name);
    if (i > 0) CHECK(table[i - 1].name < table[i].name);
    CHECK(table[i].infer != nullptr);
    CHECK((table[i].evaluate != nullptr || table[i].kernel != nullptr));
    CHECK(find_operator(table[i].name) == &table[i]);
    const bool addressing = table[i].op_class == OpClass::kShape || table[i].op_class == OpClass::kView;
    if (addressing) continue;
    if (table[i].kernel == nullptr) continue;  // rewritten by canonicalise() before anything executes it
    CHECK(table[i].region != nullptr);
    CHECK((table[i].vector_work != nullptr) == (table[i].op_class != OpClass::kMatrix));
    CHECK((table[i].matrix_shape != nullptr) == (table[i].op_class == OpClass::kMatrix));
  }
  CHECK(find_operator("StringNormalizer") == nullptr);
  Node node;
  node.name = "n1";
  node.op = "StringNormalizer";
  CHECK_THROWS_WITH(operator_of(node), Contains("node 'n1'") && Contains("'StringNormalizer' is not supported"));
}

}  // namespace
}  // namespace spillway::workloads
