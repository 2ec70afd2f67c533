// Is the graph what its edges say, and in an order that can be executed?
#include "workloads/graph.h"

#include <catch2/catch.hpp>

#include "configs/error.h"
#include "workloads/onnx/text.h"

using namespace spillway;
using namespace spillway::workloads;

namespace {

/// Nodes given as {name, inputs, outputs} over tensors t0, t1, ...
struct Edge {
  std::string name;
  std::vector<TensorId> inputs, outputs;
};
Graph graph_of(int tensors, const std::vector<Edge>& nodes) {
  Graph graph;
  for (int i = 0; i < tensors; ++i) graph.tensors.push_back(Tensor{.name = "t" + std::to_string(i)});
  for (const auto& n : nodes)
    graph.nodes.push_back(Node{.name = n.name, .op = "Op", .inputs = n.inputs, .outputs = n.outputs});
  return graph;
}

std::string order_of(const Graph& graph) {
  std::string order;
  for (const auto& node : graph.nodes) order += node.name;
  return order;
}

}  // namespace

TEST_CASE("elements: product, scalar, zero, overflow, negative", "[graph]") {
  CHECK(elements_of({2, 3, 4}) == 24);
  CHECK(elements_of({}) == 1);
  CHECK(elements_of({1LL << 40, 0, 1LL << 40}) == 0);
  CHECK(elements_of({1LL << 31, 1LL << 31}) == 1LL << 62);
  CHECK_THROWS_AS(elements_of({1LL << 31, 1LL << 31, 2}), Error);
  CHECK_THROWS_AS(elements_of({1LL << 62, 1LL << 62, 1LL << 62}), Error);
  CHECK_THROWS_AS(elements_of({4, -1}), Error);
  CHECK_THROWS_AS(elements_of({0, -1}), Error);
}

TEST_CASE("shapes are printed and boxed", "[graph]") {
  CHECK(to_string(Shape{1, 3, 224, 224}) == "1x3x224x224");
  CHECK(to_string(Shape{}) == "scalar");
  const auto box = whole({2, 3});
  CHECK(box.rank == 2);
  CHECK(box.elements() == 6);
  CHECK(whole({}).elements() == 1);
  CHECK_THROWS_AS(whole({1LL << 31}), Error);
  CHECK_THROWS_AS(whole(Shape(9, 1)), Error);
}

TEST_CASE("element types have ONNX's names and sizes", "[graph]") {
  CHECK(name_of(DataType::kBFloat16) == "bfloat16");
  CHECK(bytes_of(DataType::kFloat64) == 8);
  CHECK(bytes_of(DataType::kBool) == 1);
  CHECK(is_float(DataType::kFloat16));
  CHECK_FALSE(is_float(DataType::kUint64));
}

TEST_CASE("an attribute of the wrong kind is refused with node, name and both kinds", "[graph][errors]") {
  Node node{.name = "conv", .op = "Conv"};
  node.attributes["group"] = 2.0F;
  node.attributes["pads"] = std::vector<std::int64_t>{1, 1};
  CHECK(node.integer("absent", 7) == 7);
  CHECK(node.integers("pads") == std::vector<std::int64_t>{1, 1});
  CHECK(node.real("group", 0.0F) == 2.0F);
  try {
    (void)node.integer("group", 1);
    FAIL("a float passed as an integer");
  } catch (const Error& error) {
    CHECK(error.place().node == "conv");
    CHECK(error.problem() == "attribute 'group' is a float when it should be an integer");
  }
}

TEST_CASE("connect lists each consumer once, in node order", "[graph]") {
  auto graph = graph_of(3, {{"a", {0}, {1}}, {"b", {1, 1, kNone}, {2}}, {"c", {1, 2}, {}}});
  connect(graph);
  CHECK(graph.tensors[0].producer == kNone);
  CHECK(graph.tensors[1].producer == 0);
  CHECK(graph.tensors[1].consumers == std::vector<NodeId>{1, 2});
  CHECK(graph.tensors[2].consumers == std::vector<NodeId>{2});
  connect(graph);  // recomputed, not accumulated
  CHECK(graph.tensors[1].consumers == std::vector<NodeId>{1, 2});
}

TEST_CASE("two producers of a tensor are refused, both named", "[graph][errors]") {
  auto graph = graph_of(2, {{"a", {}, {0}}, {"b", {}, {0}}});
  try {
    connect(graph);
    FAIL("two producers passed");
  } catch (const Error& error) {
    CHECK(error.place().node == "b");
    CHECK(error.place().tensor == "t0");
    CHECK(error.problem().find("'a'") != std::string::npos);
  }
}

TEST_CASE("a topological order stays as it is; another is repaired with the fewest surprises", "[graph]") {
  auto sorted = graph_of(4, {{"a", {}, {0}}, {"b", {}, {1}}, {"c", {1}, {2}}, {"d", {0}, {3}}});
  sort_topologically(sorted);
  CHECK(order_of(sorted) == "abcd");

  // c needs b, which comes last; a and d stay in front of it.
  auto shuffled = graph_of(4, {{"c", {1}, {2}}, {"a", {}, {0}}, {"d", {0}, {3}}, {"b", {}, {1}}});
  sort_topologically(shuffled);
  CHECK(order_of(shuffled) == "adbc");
  CHECK(shuffled.tensors[1].producer == 2);
  CHECK(shuffled.tensors[1].consumers == std::vector<NodeId>{3});
}

TEST_CASE("a cycle is refused and spelled out", "[graph][errors]") {
  auto graph = graph_of(4, {{"a", {}, {0}}, {"b", {0, 3}, {1}}, {"c", {1}, {2}}, {"d", {2}, {3}}});
  try {
    sort_topologically(graph);
    FAIL("a cycle passed");
  } catch (const Error& error) {
    CHECK(error.place().node == "b");
    CHECK(error.problem().find("3 nodes: 'b' -> 'c' -> 'd' -> 'b'") != std::string::npos);
  }
  auto loop = graph_of(2, {{"x", {0, 1}, {1}}});
  CHECK_THROWS_WITH(sort_topologically(loop), Catch::Contains("1 node: 'x' -> 'x'"));
}

TEST_CASE("a chain of 200000 nodes is sorted without recursion", "[graph]") {
  constexpr int kNodes = 200000;
  Graph graph;
  graph.tensors.resize(kNodes + 1);
  for (int i = kNodes; i > 0; --i)
    graph.nodes.push_back(Node{.name = std::to_string(i), .op = "Op", .inputs = {i - 1}, .outputs = {i}});
  sort_topologically(graph);
  CHECK(graph.nodes.front().name == "1");
  CHECK(graph.nodes.back().name == std::to_string(kNodes));
  // The last output back into the first input: one cycle through all of them.
  graph.nodes.front().inputs = {kNodes};
  CHECK_THROWS_WITH(sort_topologically(graph), Catch::Contains("cycle of 200000 nodes"));
}

TEST_CASE("names must be printable UTF-8", "[graph][errors]") {
  CHECK_NOTHROW(check_text("/down_blocks.0/conv1/Conv", "a name"));
  CHECK_NOTHROW(check_text("h\xC3\xB6he \xE9\xAB\x98 \xF0\x9F\x98\x80", "a name"));
  CHECK_THROWS_WITH(check_text("\x1B[31mred", "a node name"),
                    Catch::Contains("a node name is not printable UTF-8: '\\x1b[31mred'"));
  CHECK_THROWS_AS(check_text("\xC0\x80", "a name"), Error);          // overlong
  CHECK_THROWS_AS(check_text("\xED\xA0\x80", "a name"), Error);      // surrogate
  CHECK_THROWS_AS(check_text("\xF4\x90\x80\x80", "a name"), Error);  // beyond Unicode
  CHECK_THROWS_AS(check_text("abc\xE9", "a name"), Error);           // cut short
  CHECK_THROWS_AS(check_text(std::string_view("a\0b", 3), "a name"), Error);
}
