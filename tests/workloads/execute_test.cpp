#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>

#include "tests/workloads/graph_builder.h"
#include "tests/workloads/one_node.h"

namespace spillway::workloads {
namespace {

using namespace test;
using Catch::Matchers::Contains;
using Floats = std::vector<float>;

/// y = relu(x * w) + b, with the product kept as an inner tensor.
struct Small {
  GraphBuilder builder;
  TensorId x, product, y;
  Small() {
    x = builder.input("x", {2});
    product = builder.op("Mul", {x, builder.constant(floats({2}, {3, -3}))});
    y = builder.op("Add", {builder.op("Relu", {product}), builder.constant(floats({}, {1}))});
  }
  [[nodiscard]] Graph finish() { return builder.finish({y}); }
};

std::string refusal_of(const Graph& graph, const TensorMap& inputs, const std::vector<std::string>& keep = {}) {
  try {
    static_cast<void>(execute(graph, inputs, keep));
  } catch (const Error& error) {
    return error.kind() == ErrorKind::kBadInput ? error.what() : std::string("internal: ") + error.what();
  }
  return {};
}

TEST_CASE("execute refuses inputs that the graph does not have, lacks, or declares otherwise", "[execute]") {
  Small small;
  const Graph graph = small.finish();
  const HostTensor good = floats({2}, {1, 2});
  CHECK_THAT(refusal_of(graph, {{"x", good}, {"z", good}}), Contains("tensor 'z'") && Contains("not an input"));
  CHECK_THAT(refusal_of(graph, {}), Contains("tensor 'x'") && Contains("no value is given"));
  CHECK_THAT(refusal_of(graph, {{"x", floats({3}, {1, 2, 3})}}), Contains("is float32 3 when it should be float32 2"));
  CHECK_THAT(refusal_of(graph, {{"x", ints({2}, {1, 2})}}), Contains("is int64 2 when it should be float32 2"));
  CHECK_THAT(refusal_of(graph, {{"x", floats({2}, {1})}}), Contains("holds 1 elements for float32 2"));
  CHECK_THAT(refusal_of(graph, {{"x", good}}, {"nothing"}), Contains("'nothing'") && Contains("not a tensor"));
}

TEST_CASE("execute suggests the nearest input name", "[execute]") {
  GraphBuilder builder;
  const TensorId x = builder.input("timestep", {1});
  const Graph graph = builder.finish({builder.op("Neg", {x})});
  try {
    static_cast<void>(execute(graph, {{"timesteps", floats({1}, {1})}}));
    FAIL("accepted a wrong name");
  } catch (const Error& error) {
    CHECK(error.help() == "did you mean 'timestep'?");
  }
}

TEST_CASE("execute refuses missing weights", "[execute]") {
  GraphBuilder builder;
  const TensorId x = builder.input("x", {2});
  const Graph graph = builder.finish({builder.op("Mul", {x, builder.missing({2})})});
  CHECK_THAT(refusal_of(graph, {{"x", floats({2}, {1, 2})}}), Contains("weights.bin") && Contains("absent"));
}

TEST_CASE("execute names the node whose data is bad", "[execute]") {
  GraphBuilder builder;
  const TensorId i = builder.input("i", {1}, DataType::kInt64);
  const Graph graph = builder.finish({builder.op("Gather", {builder.constant(floats({2}, {1, 2})), i})});
  CHECK_THAT(refusal_of(graph, {{"i", ints({1}, {2})}}), Contains("node 'Gather_0'") && Contains("index 2"));
}

TEST_CASE("execute returns outputs and kept tensors", "[execute]") {
  Small small;
  const Graph graph = small.finish();
  const std::string inner = graph.tensors[small.product].name;
  const std::string out = graph.tensors[small.y].name;
  const TensorMap results = execute(graph, {{"x", floats({2}, {1, 2})}}, {inner, "x"});
  REQUIRE(results.size() == 3);
  CHECK(results.at(out).floats() == Floats{4, 1});
  CHECK(results.at(inner).floats() == Floats{3, -6});
  CHECK(results.at("x").floats() == Floats{1, 2});
}

TEST_CASE("execute takes any float width for a float input", "[execute]") {
  Small small;
  const Graph graph = small.finish();
  const std::string out = graph.tensors[small.y].name;
  HostTensor half = floats({2}, {1, 2});
  half.type = DataType::kFloat16;
  CHECK(execute(graph, {{"x", half}}).at(out).floats() == Floats{4, 1});
}

TEST_CASE("a tensor that is read twice by one node, and an output that is an input, survive", "[execute]") {
  GraphBuilder builder;
  const TensorId x = builder.input("x", {2});
  const TensorId square = builder.op("Mul", {x, x});
  const TensorId fourth = builder.op("Mul", {square, square});
  const Graph graph = builder.finish({fourth, x});
  const std::string name = graph.tensors[fourth].name;
  const TensorMap results = execute(graph, {{"x", floats({2}, {2, 3})}});
  CHECK(results.at(name).floats() == Floats{16, 81});
  CHECK(results.at("x").floats() == Floats{2, 3});
}

TEST_CASE("a node with several outputs gives those that are used", "[execute]") {
  GraphBuilder builder;
  const TensorId x = builder.input("x", {4});
  const auto parts = builder.ops("Split", {x}, {{"axis", std::int64_t{0}}}, 2);
  const Graph graph = builder.finish({parts[1]});
  const std::string name = graph.tensors[parts[1]].name;
  CHECK(execute(graph, {{"x", floats({4}, {1, 2, 3, 4})}}).at(name).floats() == Floats{3, 4});
}

/// The graph's outputs, and the same when every tensor is asked for, so that every node runs by itself.
std::pair<TensorMap, TensorMap> together_and_singly(const Graph& graph) {
  const TensorMap inputs = random_inputs(graph);
  std::vector<std::string> all;
  for (const Tensor& tensor : graph.tensors) all.push_back(tensor.name);
  TensorMap singly = execute(graph, inputs, all), outputs;
  for (const TensorId id : graph.outputs) outputs[graph.tensors[id].name] = singly.at(graph.tensors[id].name);
  return {execute(graph, inputs), std::move(outputs)};
}

bool same_bits(const TensorMap& a, const TensorMap& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.first == y.first && x.second.floats().size() == y.second.floats().size() &&
           std::memcmp(x.second.floats().data(), y.second.floats().data(), x.second.floats().size() * sizeof(float)) ==
               0;
  });
}

TEST_CASE("sums and Relu behind a convolution give the same bits as by themselves", "[execute][conv]") {
  const Attributes padded{{"pads", IntList{1, 1, 1, 1}}};
  const std::vector<Shape> addends = {{2, 5, 9, 11}, {2, 5, 1, 1}, {5, 1, 1}, {11}, {9, 1}, {2, 1, 9, 11}, {1}, {}};
  for (const Shape& first : addends) {
    for (const Shape& second : addends) {
      GraphBuilder builder;
      const TensorId x = builder.input("x", {2, 3, 9, 11});
      const TensorId product = builder.op("Conv", {x, builder.random({5, 3, 3, 3}), builder.random({5})}, padded);
      const TensorId sum = builder.op("Add", {product, builder.random(first)});
      const TensorId y = builder.op("Relu", {builder.op("Add", {builder.random(second), sum})});
      const Graph graph = builder.finish({y});
      INFO(to_string(first) << " and " << to_string(second));
      const auto [together, singly] = together_and_singly(graph);
      CHECK(same_bits(together, singly));
      CHECK(*std::min_element(together.begin()->second.floats().begin(), together.begin()->second.floats().end()) == 0);
    }
  }
}

TEST_CASE("sums and Relu behind a matrix product give the same bits as by themselves", "[execute][matmul]") {
  const std::vector<Shape> addends = {{3, 2, 40, 33}, {33}, {40, 1}, {2, 1, 33}, {3, 1, 1, 1}, {1, 1}, {}};
  for (const Shape& first : addends) {
    for (const Shape& second : addends) {
      GraphBuilder builder;
      const TensorId x = builder.input("x", {3, 2, 40, 20});
      const TensorId product = builder.op("MatMul", {x, builder.random({20, 33})});
      const TensorId sum = builder.op("Add", {builder.random(first), product});
      const TensorId y = builder.op("Relu", {builder.op("Add", {sum, builder.random(second)})});
      const Graph graph = builder.finish({y});
      INFO(to_string(first) << " and " << to_string(second));
      const auto [together, singly] = together_and_singly(graph);
      CHECK(same_bits(together, singly));
    }
  }
}

TEST_CASE("what is read elsewhere, or grows by a sum, is no tail of a product", "[execute][conv]") {
  GraphBuilder builder;
  const TensorId x = builder.input("x", {1, 2, 4, 4});
  const TensorId doubled = builder.op("Conv", {x, builder.random({2, 2, 1, 1})});
  const TensorId twice = builder.op("Add", {doubled, doubled});
  const TensorId shared = builder.op("Conv", {twice, builder.random({2, 2, 1, 1})});
  const TensorId left = builder.op("Add", {shared, x});
  const TensorId right = builder.op("Relu", {shared});
  const TensorId both = builder.op("Conv", {builder.op("Add", {left, right}), builder.random({2, 2, 1, 1})});
  const TensorId wider = builder.op("Add", {both, builder.random({3, 1, 1, 1})});  // three samples of one
  const TensorId late = builder.op("Conv", {wider, builder.random({2, 2, 1, 1})});
  const TensorId y = builder.op("Relu", {builder.op("Add", {late, builder.op("Neg", {wider})})});
  const Graph graph = builder.finish({y, both});
  const auto [together, singly] = together_and_singly(graph);
  CHECK(same_bits(together, singly));
}

TEST_CASE("folded nodes are not run: their outputs are constants", "[execute]") {
  GraphBuilder builder;
  const TensorId x = builder.input("x", {2});
  const TensorId folded = builder.op("Neg", {x});
  Graph graph = builder.finish({folded});
  const std::string name = graph.tensors[folded].name;
  graph.nodes[0].folded = true;
  graph.tensors[folded].constant = Constant{std::make_shared<const HostTensor>(floats({2}, {7, 8}))};
  CHECK(execute(graph, {{"x", floats({2}, {1, 2})}}).at(name).floats() == Floats{7, 8});
}

}  // namespace
}  // namespace spillway::workloads
