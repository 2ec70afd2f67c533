// Each pattern recognised in the orders in which exporters write it, near misses left alone, results unchanged.
#include <catch2/catch.hpp>
#include <cmath>
#include <numbers>

#include "graph_builder.h"

using namespace spillway;
using namespace spillway::workloads;
using namespace spillway::workloads::test;

namespace {

using Counts = std::map<std::string, int>;

/// Canonical form, after checking that it computes the same and accounts for every exported node.
Graph canonical(const Graph& exported, double tolerance = 2e-6) {
  Graph graph = canonicalise(exported);
  CHECK(origins_are_a_partition(exported, graph));
  const TensorMap inputs = random_inputs(exported);
  CHECK(distance(execute(exported, inputs), execute(graph, inputs)) <= tolerance);
  return graph;
}

Attributes axes(IntList values, std::int64_t keep = 1) { return {{"axes", std::move(values)}, {"keepdims", keep}}; }

/// The nine operators of a layer norm over the last axis of x.
TensorId layer_norm(GraphBuilder& b, TensorId x, bool pow, bool two_subs = false) {
  const TensorId mean = b.op("ReduceMean", {x}, axes({-1}));
  const TensorId d = b.op("Sub", {x, mean});
  const TensorId squared = pow ? b.op("Pow", {d, b.scalar(2.0F)}) : b.op("Mul", {d, d});
  const TensorId variance = b.op("ReduceMean", {squared}, axes({-1}));
  const TensorId root = b.op("Sqrt", {b.op("Add", {b.scalar(1e-5F), variance})});
  const TensorId numerator = two_subs ? b.op("Sub", {x, mean}) : d;
  return b.op("Div", {numerator, root});
}

TensorId group_norm(GraphBuilder& b, TensorId x, std::int64_t groups, const Shape& affine, HostTensor unit_scale) {
  const Shape shape = b.shape(x);
  const TensorId grouped = b.op("Reshape", {x, b.constant(list({0, groups, -1}))});
  const TensorId normal = b.op("InstanceNormalization",
                               {grouped, b.constant(std::move(unit_scale)),
                                b.constant(floats({groups}, std::vector<float>(static_cast<std::size_t>(groups))))},
                               {{"epsilon", 1e-6F}});
  const TensorId back = b.op("Reshape", {normal, b.constant(list(shape))});
  if (affine.empty()) return back;
  return b.op("Add", {b.random(affine), b.op("Mul", {back, b.random(affine)})});
}

HostTensor filled(Shape shape, float value) {
  std::vector<float> values(static_cast<std::size_t>(elements_of(shape)), value);
  return floats(std::move(shape), std::move(values));
}

}  // namespace

TEST_CASE("operators without an executable form are refused, all at once", "[canonical]") {
  GraphBuilder b;
  const TensorId x = b.input("x", {2, 3});
  const TensorId a = b.op("Shape", {x});
  const TensorId c = b.op("Shape", {x});
  const Graph graph = b.finish({a, c});
  CHECK_THROWS_WITH(canonicalise(graph), Catch::Contains("by hand") && Catch::Contains("Shape (2)"));

  GraphBuilder sorting;
  const auto top = sorting.ops("TopK", {sorting.input("x", {2, 3}), sorting.constant(list({1}))}, {}, 2);
  try {
    static_cast<void>(canonicalise(sorting.finish(top)));
    FAIL("a TopK was taken for executable");
  } catch (const Error& error) {
    CHECK_THAT(error.what(), Catch::Contains("TopK (1)"));
    CHECK_THAT(error.help(), Catch::Contains("cut the graph before them"));
  }
}

TEST_CASE("folded and dead nodes disappear", "[canonical]") {
  GraphBuilder b;
  const TensorId x = b.input("x", {2, 3});
  const TensorId shape = b.op("Shape", {x});
  const TensorId unused = b.op("Exp", {x});
  static_cast<void>(b.op("Neg", {unused}));
  const TensorId y = b.op("Tanh", {x});
  Graph graph = b.finish({y});
  graph.nodes[0].folded = true;
  graph.tensors[shape].constant = Constant{std::make_shared<const HostTensor>(list({2, 3}))};
  const Graph found = canonical(graph);
  CHECK(op_counts(found) == Counts{{"Tanh", 1}});
  CHECK(found.nodes[0].origins == std::vector<NodeId>{3});
  CHECK(found.tensors.size() == 2);
}

TEST_CASE("nodes that change nothing disappear, and outputs keep their names", "[canonical]") {
  GraphBuilder b;
  const TensorId x = b.input("x", {2, 3, 4});
  TensorId y = b.op("Identity", {x});
  y = b.op("Cast", {y}, {{"to", std::int64_t{1}}});
  y = b.op("Reshape", {y, b.constant(list({2, 3, 4}))});
  y = b.op("Transpose", {y}, {{"perm", IntList{0, 1, 2}}});
  y = b.op("Slice", {y, b.constant(list({0})), b.constant(list({99})), b.constant(list({1}))});
  y = b.op("Expand", {y, b.constant(list({1, 4}))});
  y = b.op("Mul", {b.scalar(1.0F), y});
  y = b.op("Div", {y, b.constant(floats({1}, {1.0F}))});
  y = b.op("Concat", {y}, {{"axis", std::int64_t{1}}});
  y = b.op("Add", {b.constant(filled({3, 4}, 0.0F)), y});
  y = b.op("Relu", {y});
  y = b.op("Dropout", {y});
  const Graph exported = b.finish({y});
  const Graph found = canonical(exported);
  CHECK(op_counts(found) == Counts{{"Relu", 1}});
  CHECK(found.tensors[found.outputs[0]].name == exported.tensors[exported.outputs[0]].name);
  CHECK(found.nodes[0].origins.size() == 12);
}

TEST_CASE("what looks like nothing but is something stays", "[canonical]") {
  GraphBuilder b;
  const TensorId x = b.input("x", {2, 3});
  const TensorId reversed = b.op(
      "Slice", {x, b.constant(list({-1})), b.constant(list({-99})), b.constant(list({1})), b.constant(list({-1}))});
  const TensorId stretched = b.op("Mul", {x, b.constant(filled({1, 1, 1}, 1.0F))});
  const TensorId inverse = b.op("Div", {b.scalar(1.0F), x});
  const TensorId square = b.op("Transpose", {x}, {{"perm", IntList{1, 0}}});
  const TensorId negated = b.op("Sub", {b.scalar(0.0F), x});
  const TensorId nearly = b.op("Mul", {x, b.constant(floats({3}, {1.0F, 1.0F, 2.0F}))});
  const Graph found = canonical(b.finish({reversed, stretched, inverse, square, negated, nearly}));
  CHECK(op_counts(found) == Counts{{"Slice", 1}, {"Mul", 2}, {"Div", 1}, {"Sub", 1}, {"Transpose", 1}});
}

TEST_CASE("an output that is an input keeps a node", "[canonical]") {
  GraphBuilder b;
  const TensorId x = b.input("x", {2});
  const TensorId y = b.op("Identity", {x});
  const TensorId z = b.op("Exp", {x});
  const TensorId w = b.op("Reshape", {z, b.constant(list({2}))});
  const Graph found = canonical(b.finish({y, z, w}));
  CHECK(op_counts(found) == Counts{{"Identity", 2}, {"Exp", 1}});
  CHECK(found.outputs.size() == 3);
}

TEST_CASE("division by a power of two multiplies", "[canonical]") {
  GraphBuilder b;
  const TensorId x = b.input("x", {4});
  const TensorId y = b.op("Div", {x, b.scalar(8.0F)});
  const TensorId z = b.op("Div", {x, b.scalar(3.0F)});
  const Graph found = canonical(b.finish({y, z}), 0.0);
  CHECK(op_counts(found) == Counts{{"Mul", 1}, {"Div", 1}});
  CHECK(materialise(found.input(*find_op(found, "Mul"), 1)).floats()[0] == 0.125F);
}

TEST_CASE("Silu, with and without a factor", "[canonical]") {
  for (const bool swapped : {false, true}) {
    GraphBuilder b;
    const TensorId x = b.input("x", {2, 3});
    const TensorId s = b.op("Sigmoid", {x});
    const TensorId y = swapped ? b.op("Mul", {s, x}) : b.op("Mul", {x, s});
    const TensorId quick = b.op("Sigmoid", {b.op("Mul", {b.scalar(1.702F), y})});
    const TensorId z = b.op("Mul", {quick, y});
    const Graph found = canonical(b.finish({z}));
    REQUIRE(op_counts(found) == Counts{{"Silu", 2}});
    CHECK(found.nodes[0].attributes.count("alpha") == 0);
    CHECK(found.nodes[1].real("alpha", 1.0F) == 1.702F);
    CHECK(found.nodes[0].name == "Sigmoid_0");
  }
}

TEST_CASE("not Silu: a gate, a shared sigmoid, an affine argument, an output", "[canonical]") {
  GraphBuilder b;
  const TensorId x = b.input("x", {2, 3});
  const TensorId g = b.input("g", {2, 3});
  const TensorId gated = b.op("Mul", {g, b.op("Sigmoid", {x})});
  const TensorId shared = b.op("Sigmoid", {x});
  const TensorId y = b.op("Add", {b.op("Mul", {x, shared}), shared});
  const TensorId shifted = b.op("Mul", {x, b.op("Sigmoid", {b.op("Add", {x, b.scalar(0.5F)})})});
  const TensorId out = b.op("Sigmoid", {x});
  const TensorId z = b.op("Mul", {x, out});
  const Graph found = canonical(b.finish({gated, y, shifted, out, z}));
  CHECK(op_counts(found)["Silu"] == 0);
  CHECK(op_counts(found)["Sigmoid"] == 4);
}

TEST_CASE("Gelu with the error function, in every order", "[canonical]") {
  for (int order = 0; order < 6; ++order) {
    GraphBuilder b;
    const TensorId x = b.input("x", {3, 5});
    const float root = 1.4142135381698608F;
    const TensorId argument =
        order % 2 == 0 ? b.op("Div", {x, b.scalar(root)}) : b.op("Mul", {b.scalar(0.70710678F), x});
    const TensorId erf = b.op("Erf", {argument});
    const TensorId a = order % 2 == 0 ? b.op("Add", {erf, b.scalar(1.0F)}) : b.op("Add", {b.scalar(1.0F), erf});
    TensorId y = kNone;
    if (order / 2 == 0) y = b.op("Mul", {b.op("Mul", {x, a}), b.scalar(0.5F)});
    if (order / 2 == 1) y = b.op("Mul", {b.op("Mul", {b.scalar(0.5F), x}), a});
    if (order / 2 == 2) y = b.op("Div", {b.op("Mul", {a, x}), b.scalar(2.0F)});
    const Graph found = canonical(b.finish({y}));
    INFO(order);
    CHECK(op_counts(found) == Counts{{"Gelu", 1}});
    CHECK(found.nodes[0].attributes.empty());
  }
}

TEST_CASE("Gelu with the hyperbolic tangent, in two forms", "[canonical]") {
  const float c = static_cast<float>(std::sqrt(2.0 / std::numbers::pi));
  for (const bool factored : {false, true}) {
    GraphBuilder b;
    const TensorId x = b.input("x", {3, 5});
    TensorId argument = kNone;
    if (factored) {  // x c (1 + 0.044715 x x)
      const TensorId square = b.op("Mul", {b.op("Mul", {x, b.scalar(0.044715F)}), x});
      argument = b.op("Mul", {b.op("Mul", {x, b.scalar(c)}), b.op("Add", {square, b.scalar(1.0F)})});
    } else {
      const TensorId cube = b.op("Mul", {b.op("Pow", {x, b.scalar(3.0F)}), b.scalar(0.044715F)});
      argument = b.op("Mul", {b.op("Add", {x, cube}), b.scalar(c)});
    }
    const TensorId a = b.op("Add", {b.op("Tanh", {argument}), b.scalar(1.0F)});
    const Graph found = canonical(b.finish({b.op("Mul", {b.op("Mul", {x, b.scalar(0.5F)}), a})}));
    REQUIRE(op_counts(found) == Counts{{"Gelu", 1}});
    CHECK(found.nodes[0].text("approximate", "none") == "tanh");
  }
}

TEST_CASE("not Gelu: wrong constants", "[canonical]") {
  for (const auto& [root, one, half] :
       {std::array{1.5F, 1.0F, 0.5F}, {1.41421356F, 1.1F, 0.5F}, {1.41421356F, 1.0F, 0.4F}}) {
    GraphBuilder b;
    const TensorId x = b.input("x", {3, 5});
    const TensorId a = b.op("Add", {b.op("Erf", {b.op("Div", {x, b.scalar(root)})}), b.scalar(one)});
    const Graph found = canonical(b.finish({b.op("Mul", {b.op("Mul", {x, a}), b.scalar(half)})}));
    CHECK(op_counts(found)["Gelu"] == 0);
    CHECK(op_counts(found)["Erf"] == 1);
  }
}

TEST_CASE("layer norm from its nine operators", "[canonical]") {
  for (const bool pow : {false, true}) {
    for (const bool two_subs : {false, true}) {
      GraphBuilder b;
      const TensorId x = b.input("x", {2, 5, 8});
      const TensorId y = b.op("Mul", {b.random({8}), layer_norm(b, x, pow, two_subs)});
      const TensorId z = b.op("Add", {y, b.random({1, 1, 8})});
      const Graph found = canonical(b.finish({z}));
      REQUIRE(op_counts(found) == Counts{{"LayerNormalization", 1}});
      CHECK(found.nodes[0].inputs.size() == 3);
      CHECK(found.input(found.nodes[0], 2).shape == Shape{8});
      CHECK(found.nodes[0].integer("axis", 0) == -1);
      CHECK(found.nodes[0].real("epsilon", 0.0F) == 1e-5F);
    }
  }
}

TEST_CASE("layer norm without scale, or with one that is not its own", "[canonical]") {
  GraphBuilder b;
  const TensorId x = b.input("x", {2, 5, 5});
  const TensorId plain = layer_norm(b, x, true);
  const TensorId shifted = b.op("Add", {layer_norm(b, x, true), b.random({5})});
  const TensorId per_row = b.op("Mul", {layer_norm(b, x, true), b.random({5, 1})});
  const Graph found = canonical(b.finish({plain, shifted, per_row}));
  CHECK(op_counts(found) == Counts{{"LayerNormalization", 3}, {"Mul", 1}});
}

TEST_CASE("not a layer norm: another axis, another mean, a deviation read elsewhere", "[canonical]") {
  GraphBuilder b;
  const TensorId x = b.input("x", {4, 4});
  const TensorId z = b.input("z", {4, 4});
  const auto norm = [&](TensorId of, TensorId mean_of, IntList first, IntList second) {
    const TensorId d = b.op("Sub", {of, b.op("ReduceMean", {mean_of}, axes(std::move(first)))});
    const TensorId v = b.op("ReduceMean", {b.op("Mul", {d, d})}, axes(std::move(second)));
    return std::pair{d, b.op("Div", {d, b.op("Sqrt", {b.op("Add", {v, b.scalar(1e-5F)})})})};
  };
  const auto columns = norm(x, x, {0}, {0}).second;
  const auto mixed = norm(x, x, {1}, {0}).second;
  const auto other = norm(x, z, {1}, {1}).second;
  const auto [deviation, kept] = norm(x, x, {1}, {1});
  const Graph found = canonical(b.finish({columns, mixed, other, deviation, kept}));
  CHECK(op_counts(found)["LayerNormalization"] == 0);
}

TEST_CASE("group norm as exported", "[canonical]") {
  GraphBuilder b;
  const TensorId x = b.input("x", {2, 6, 4, 3});
  const TensorId y = group_norm(b, x, 3, {6, 1, 1}, filled({3}, 1.0F));
  const Graph found = canonical(b.finish({y}));
  REQUIRE(op_counts(found) == Counts{{"NormApply", 1}, {"NormStatistics", 1}});
  const Node& statistics = found.nodes[0];
  const Node& apply = found.nodes[1];
  CHECK(found.output(statistics).shape == Shape{2, 6, 2});
  CHECK(apply.integer("groups", 0) == 3);
  CHECK(apply.real("epsilon", 0.0F) == 1e-6F);
  CHECK(found.input(apply, 2).shape == Shape{6});
  CHECK(found.input(apply, 3).shape == Shape{6});
  CHECK(statistics.origins == std::vector<NodeId>{1});      // the InstanceNormalization
  CHECK(apply.origins == std::vector<NodeId>{0, 2, 3, 4});  // Reshape, Reshape, Mul, Add
}

TEST_CASE("group norm with a constant along the width stays apart from it", "[canonical]") {
  GraphBuilder b;
  const TensorId x = b.input("x", {2, 6, 4, 6});
  const TensorId y = group_norm(b, x, 3, {6}, filled({3}, 1.0F));
  const Graph found = canonical(b.finish({y}));
  CHECK(op_counts(found) == Counts{{"NormApply", 1}, {"NormStatistics", 1}, {"Mul", 1}, {"Add", 1}});
}

TEST_CASE("group norm with a scale per group keeps its reshapes", "[canonical]") {
  GraphBuilder b;
  const TensorId x = b.input("x", {2, 6, 4, 3});
  const TensorId y = group_norm(b, x, 3, {}, floats({3}, {1.0F, 2.0F, 3.0F}));
  const Graph found = canonical(b.finish({y}));
  CHECK(op_counts(found) == Counts{{"NormApply", 1}, {"NormStatistics", 1}, {"Reshape", 2}});
  CHECK(find_op(found, "NormApply")->inputs.size() == 3);
}

TEST_CASE("instance norm and GroupNormalization of opset 18", "[canonical]") {
  GraphBuilder b(18);
  const TensorId x = b.input("x", {2, 6, 4, 3});
  const TensorId y = b.op("InstanceNormalization", {x, b.random({6}), b.random({6})});
  const TensorId z = b.op("GroupNormalization", {y, b.random({2}), b.random({2})}, {{"num_groups", std::int64_t{2}}});
  const TensorId w = b.op("GroupNormalization", {z, b.random({6}), b.random({6})}, {{"num_groups", std::int64_t{3}}});
  const Graph found = canonical(b.finish({w}));
  REQUIRE(op_counts(found) == Counts{{"NormApply", 3}, {"NormStatistics", 3}});
  CHECK(found.nodes[1].integer("groups", 0) == 6);
  CHECK(found.input(found.nodes[3], 2).shape == Shape{6});
}

TEST_CASE("batch norm folds into one scale and shift a channel", "[canonical]") {
  GraphBuilder b;
  const TensorId x = b.input("x", {2, 2, 3});
  const TensorId y = b.op("BatchNormalization",
                          {x, b.constant(floats({2}, {2.0F, 3.0F})), b.constant(floats({2}, {1.0F, -1.0F})),
                           b.constant(floats({2}, {5.0F, 0.5F})), b.constant(floats({2}, {3.0F, 8.0F}))},
                          {{"epsilon", 1.0F}});
  const Graph found = canonical(b.finish({y}));
  REQUIRE(op_counts(found) == Counts{{"ChannelAffine", 1}});
  // 2 / sqrt(3 + 1) = 1, 1 - 5 * 1 = -4;  3 / sqrt(8 + 1) = 1, -1 - 0.5 * 1 = -1.5
  CHECK(materialise(found.input(found.nodes[0], 1)).floats() == std::vector<float>{1.0F, 1.0F});
  CHECK(materialise(found.input(found.nodes[0], 2)).floats() == std::vector<float>{-4.0F, -1.5F});
}

TEST_CASE("weights that are missing stay missing", "[canonical]") {
  GraphBuilder b(18);
  const TensorId x = b.input("x", {2, 4, 3});
  const TensorId y = b.op("BatchNormalization", {x, b.missing({4}), b.missing({4}), b.missing({4}), b.missing({4})});
  const TensorId z = b.op("GroupNormalization", {y, b.missing({2}), b.missing({2})}, {{"num_groups", std::int64_t{2}}});
  const TensorId w = b.op("Conv", {z, b.missing({8, 4, 1})});
  const TensorId v = b.op("Add", {w, b.missing({8, 1})});
  const Graph exported = b.finish({v});
  const Graph found = canonicalise(exported);
  CHECK(origins_are_a_partition(exported, found));
  CHECK(op_counts(found) == Counts{{"ChannelAffine", 1}, {"NormApply", 1}, {"NormStatistics", 1}, {"Conv", 1}});
  CHECK(found.input(*find_op(found, "NormApply"), 2).constant->missing());
  CHECK(found.input(*find_op(found, "ChannelAffine"), 1).shape == Shape{4});
  CHECK(found.input(*find_op(found, "Conv"), 2).shape == Shape{8});
}

TEST_CASE("products take their bias in", "[canonical]") {
  GraphBuilder b;
  const TensorId x = b.input("x", {2, 5, 8});
  const TensorId y = b.op("Add", {b.random({6}), b.op("MatMul", {x, b.random({8, 6})})});
  const TensorId z = b.op("Add", {b.op("MatMul", {y, b.random({6, 4})}), b.random({1, 1, 4})});
  const Graph found = canonical(b.finish({z}));
  REQUIRE(op_counts(found) == Counts{{"MatMul", 2}});
  CHECK(found.nodes[0].name == "MatMul_0");
  CHECK(found.nodes[0].origins == std::vector<NodeId>{0, 1});
  CHECK(found.input(found.nodes[1], 2).shape == Shape{4});
}

TEST_CASE("not a bias: a row constant, a scalar, an activation, a product read twice", "[canonical]") {
  GraphBuilder b;
  const TensorId x = b.input("x", {5, 5});
  const TensorId w = b.random({5, 5});
  const TensorId rows = b.op("Add", {b.op("MatMul", {x, w}), b.random({5, 1})});
  const TensorId scalar = b.op("Add", {b.op("MatMul", {x, w}), b.scalar(2.0F)});
  const TensorId residual = b.op("Add", {b.op("MatMul", {x, w}), x});
  const TensorId shared = b.op("MatMul", {x, w});
  const TensorId sum = b.op("Add", {shared, b.random({5})});
  const TensorId wider = b.op("Add", {b.op("MatMul", {x, w}), b.random({2, 1, 5})});
  const Graph found = canonical(b.finish({rows, scalar, residual, sum, b.op("Neg", {shared}), wider}));
  CHECK(op_counts(found)["Add"] == 5);
  CHECK(op_counts(found)["MatMul"] == 5);
}

TEST_CASE("vector operands of a product become matrices", "[canonical]") {
  GraphBuilder b;
  const TensorId v = b.input("v", {7});
  const TensorId a = b.input("a", {5, 7});
  const TensorId t = b.input("t", {2, 7, 3});
  const std::vector<TensorId> results{b.op("MatMul", {v, v}), b.op("MatMul", {a, v}), b.op("MatMul", {v, t}),
                                      b.op("MatMul", {a, b.random({7})}), b.op("MatMul", {b.random({7}), t})};
  const Shape shapes[] = {{}, {5}, {2, 3}, {5}, {2, 3}};
  for (std::size_t i = 0; i < results.size(); ++i) CHECK(b.shape(results[i]) == shapes[i]);
  const Graph found = canonical(b.finish(results));
  CHECK(op_counts(found)["MatMul"] == 5);
  for (const Node& node : found.nodes) {
    if (node.op != "MatMul") continue;
    for (const TensorId id : {node.inputs[0], node.inputs[1], node.outputs[0]}) {
      CHECK(found.tensors[id].shape.size() >= 2);
    }
  }
}

TEST_CASE("Gemm becomes MatMul", "[canonical]") {
  GraphBuilder b;
  const TensorId x = b.input("x", {7, 4});
  const TensorId a = b.op("Gemm", {x, b.random({6, 4}), b.random({6})}, {{"transB", std::int64_t{1}}});
  const TensorId c =
      b.op("Gemm", {x, b.random({7, 3}), b.random({1, 3})}, {{"transA", std::int64_t{1}}, {"alpha", 0.5F}});
  const TensorId d = b.op("Gemm", {x, b.random({4, 3})});
  const TensorId e = b.op("Gemm", {x, b.random({4, 3}), b.random({3})}, {{"beta", 0.25F}});
  const TensorId f = b.op("Gemm", {x, b.random({4, 3}), b.random({7, 1})});
  const TensorId g = b.op("Gemm", {x, b.random({4, 3}), b.random({3})}, {{"beta", 0.0F}});
  const Graph found = canonical(b.finish({a, c, d, e, f, g}));
  CHECK(op_counts(found) == Counts{{"MatMul", 6}, {"Add", 2}, {"Mul", 1}});
  CHECK(found.nodes[0].integer("transB", 0) == 1);
  CHECK(found.nodes[0].inputs.size() == 3);
  CHECK(found.nodes[1].real("alpha", 1.0F) == 0.5F);
  CHECK(found.input(found.nodes[1], 2).shape == Shape{3});
}

TEST_CASE("a transposed weight stays where it is", "[canonical]") {
  GraphBuilder b;
  const TensorId x = b.input("x", {2, 5, 8});
  const TensorId w = b.random({6, 8});
  const TensorId y = b.op("MatMul", {x, b.op("Transpose", {w}, {{"perm", IntList{1, 0}}})});
  const TensorId k = b.op("MatMul", {x, b.op("Transpose", {x}, {{"perm", IntList{0, 2, 1}}})});
  const Graph found = canonical(b.finish({y, k}));
  CHECK(op_counts(found) == Counts{{"MatMul", 2}, {"Transpose", 1}});
  CHECK(found.nodes[0].integer("transB", 0) == 1);
}

TEST_CASE("convolutions take bias and pads in", "[canonical]") {
  GraphBuilder b;
  const TensorId x = b.input("x", {1, 3, 6, 6});
  const TensorId padded = b.op("Pad", {x, b.constant(list({0, 0, 0, 0, 0, 0, 1, 1})), b.scalar(0.0F)});
  const TensorId y = b.op("Conv", {padded, b.random({4, 3, 3, 3})}, {{"strides", IntList{2, 2}}});
  const TensorId z = b.op("Add", {y, b.random({1, 4, 1, 1})});
  const TensorId same = b.op("Conv", {z, b.random({4, 4, 2, 2})}, {{"auto_pad", std::string("SAME_UPPER")}});
  const Graph found = canonical(b.finish({same}));
  REQUIRE(op_counts(found) == Counts{{"Conv", 2}});
  CHECK(found.nodes[0].integers("pads") == IntList{0, 0, 1, 1});
  CHECK(found.nodes[0].inputs.size() == 3);
  CHECK(found.nodes[0].origins == std::vector<NodeId>{0, 1, 2});
  CHECK(found.nodes[1].integers("pads") == IntList{0, 0, 1, 1});
  CHECK(found.nodes[1].attributes.count("auto_pad") == 0);
}

TEST_CASE("pads that mean something else stay", "[canonical]") {
  GraphBuilder b;
  const TensorId x = b.input("x", {1, 3, 6, 6});
  const TensorId w = b.random({4, 3, 3, 3});
  const TensorId all = b.constant(list({0, 0, 1, 1, 0, 0, 1, 1}));
  const TensorId ones = b.op("Conv", {b.op("Pad", {x, all, b.scalar(1.0F)}), w});
  const TensorId reflected = b.op("Conv", {b.op("Pad", {x, all}, {{"mode", std::string("reflect")}}), w});
  const TensorId channels =
      b.op("Conv", {b.op("Pad", {x, b.constant(list({0, 1, 0, 0, 0, 0, 0, 0}))}), b.random({4, 4, 3, 3})});
  const TensorId shared = b.op("Pad", {x, all});
  const TensorId twice = b.op("Conv", {shared, w});
  const Attributes three{{"kernel_shape", IntList{3, 3}}};
  const TensorId largest = b.op("MaxPool", {b.op("Pad", {x, all})}, three);
  const Graph found = canonical(b.finish({ones, reflected, channels, twice, b.op("Neg", {shared}), largest}));
  CHECK(op_counts(found)["Pad"] == 5);
}

TEST_CASE("a zero pad before an averaging pool counts as its own", "[canonical]") {
  GraphBuilder b;
  const TensorId x = b.input("x", {1, 2, 5, 5});
  const TensorId padded = b.op("Pad", {x, b.constant(list({0, 0, 1, 1, 0, 0, 1, 1}))});
  const Attributes three{{"kernel_shape", IntList{3, 3}}, {"strides", IntList{2, 2}}};
  const Graph found = canonical(b.finish({b.op("AveragePool", {padded}, three)}));
  REQUIRE(op_counts(found) == Counts{{"AveragePool", 1}});
  CHECK(found.nodes[0].integer("count_include_pad", 0) == 1);
}

TEST_CASE("Split becomes Slices", "[canonical]") {
  GraphBuilder b;
  const TensorId x = b.input("x", {2, 7});
  const auto parts = b.ops("Split", {x, b.constant(list({3, 4}))}, {{"axis", std::int64_t{-1}}}, 2);
  const TensorId y = b.op("Neg", {parts[1]});
  const Graph found = canonical(b.finish({parts[0], y}));
  CHECK(op_counts(found) == Counts{{"Slice", 2}, {"Neg", 1}});
}

TEST_CASE("a product that is only read in slices is one product per slice", "[canonical]") {
  for (const bool transposed : {false, true}) {
    GraphBuilder b;
    const TensorId x = b.input("x", {2, 5, 8});
    const TensorId flat = b.op("Reshape", {x, b.constant(list({10, 8}))});
    const TensorId y = transposed
                           ? b.op("Gemm", {flat, b.random({12, 8}), b.random({12})}, {{"transB", std::int64_t{1}}})
                           : b.op("Add", {b.op("MatMul", {flat, b.random({8, 12})}), b.random({12})});
    const auto parts = b.ops("Split", {y, b.constant(list({8, 4}))}, {{"axis", std::int64_t{-1}}}, 2);
    const Graph found = canonical(b.finish({b.op("Relu", {parts[0]}), b.op("Neg", {parts[1]})}));
    // The slices that remain are of the matrix and the bias.
    CHECK(op_counts(found) == Counts{{"Reshape", 1}, {"MatMul", 2}, {"Slice", 4}, {"Relu", 1}, {"Neg", 1}});
    for (const Node& node : found.nodes) {
      if (node.op == "Slice") CHECK(found.input(node, 0).is_constant());
    }
  }
}

TEST_CASE("a product that is read whole, or not all in slices, stays one", "[canonical]") {
  GraphBuilder b;
  const TensorId x = b.input("x", {5, 8});
  const auto slice = [&](TensorId y, std::int64_t from, std::int64_t to) {
    return b.op("Slice", {y, b.constant(list({from})), b.constant(list({to})), b.constant(list({1}))});
  };
  const TensorId read = b.op("MatMul", {x, b.random({8, 6})});
  const TensorId gap = b.op("MatMul", {x, b.random({8, 6})});
  const TensorId twice = b.op("MatMul", {x, b.random({8, 6})});
  const TensorId w = b.op("Softmax", {x});
  const TensorId computed = b.op("MatMul", {x, b.op("Transpose", {w})});
  const Graph found =
      canonical(b.finish({b.op("Relu", {slice(read, 0, 3)}), b.op("Relu", {slice(read, 3, 6)}), b.op("Neg", {read}),
                          b.op("Relu", {slice(gap, 0, 2)}), b.op("Relu", {slice(gap, 3, 6)}),
                          b.op("Relu", {slice(twice, 0, 4)}), b.op("Relu", {slice(twice, 2, 6)}),
                          b.op("Relu", {slice(computed, 0, 2)}), b.op("Relu", {slice(computed, 2, 5)})}));
  auto counts = op_counts(found);
  CHECK(counts["MatMul"] == 4);
  CHECK(counts["Slice"] == 8);
}

TEST_CASE("Expand goes where its readers broadcast, and only there", "[canonical]") {
  GraphBuilder b;
  const TensorId x = b.input("x", {1, 4});
  const TensorId z = b.input("z", {3, 4});
  const TensorId wide = b.op("Expand", {x, b.constant(list({3, 4}))});
  const TensorId y = b.op("Add", {wide, z});
  const TensorId alone = b.op("Expand", {x, b.constant(list({3, 4}))});
  const TensorId w = b.op("Mul", {alone, b.scalar(2.0F)});
  const Graph found = canonical(b.finish({y, w}));
  CHECK(op_counts(found) == Counts{{"Add", 1}, {"Expand", 1}, {"Mul", 1}});
}

TEST_CASE("statistics of a Concat are gathered part by part", "[canonical]") {
  GraphBuilder b;
  const TensorId x = b.input("x", {2, 4, 3, 3});
  const TensorId z = b.input("z", {2, 6, 3, 3});
  const Attributes channels{{"axis", std::int64_t{-3}}};
  const TensorId inner = b.op("Concat", {x, z}, channels);
  const TensorId outer = b.op("Concat", {inner, x}, {{"axis", std::int64_t{1}}});
  const TensorId y = group_norm(b, outer, 7, {14, 1, 1}, filled({7}, 1.0F));
  const TensorId high = b.op("Concat", {x, x}, {{"axis", std::int64_t{2}}});
  const TensorId w = group_norm(b, high, 2, {4, 1, 1}, filled({2}, 1.0F));
  const Graph found = canonical(b.finish({y, w}));
  CHECK(op_counts(found) == Counts{{"Concat", 5}, {"NormApply", 2}, {"NormStatistics", 4}});
  for (const Node& node : found.nodes) {
    if (node.op != "NormStatistics") continue;
    const NodeId producer = found.tensors[node.inputs[0]].producer;
    CHECK((producer == kNone || found.output(found.nodes[producer]).name == "Concat_7.out0"));
  }
}

TEST_CASE("canonical nodes are in topological order and canonicalising again changes nothing", "[canonical]") {
  GraphBuilder b;
  const TensorId x = b.input("x", {2, 6, 4, 4});
  const TensorId y =
      group_norm(b, b.op("Concat", {x, x}, {{"axis", std::int64_t{1}}}), 3, {12, 1, 1}, filled({3}, 1.0F));
  const TensorId z = b.op("Conv", {b.op("Mul", {y, b.op("Sigmoid", {y})}), b.random({4, 12, 1, 1})});
  const Graph once = canonical(b.finish({z}));
  for (std::size_t n = 0; n < once.nodes.size(); ++n) {
    for (const TensorId in : once.nodes[n].inputs) {
      if (in != kNone) CHECK(once.tensors[in].producer < static_cast<NodeId>(n));
    }
  }
  const Graph twice = canonicalise(once);
  CHECK(op_counts(once) == op_counts(twice));
  CHECK(once.tensors.size() == twice.tensors.size());
}
