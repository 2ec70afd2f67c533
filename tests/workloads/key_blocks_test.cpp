// Attention in blocks of keys gives what attention gives.
#include "workloads/key_blocks.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "tests/workloads/graph_builder.h"

namespace spillway::workloads::test {

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
const Attributes kLast = {{"axis", std::int64_t{-1}}};

TensorMap inputs_of(const Graph& graph) {
  TensorMap inputs;
  for (const TensorId id : graph.inputs) {
    const Tensor& tensor = graph.tensors[id];
    inputs[tensor.name] = random_tensor(tensor.type, tensor.shape, 40 + static_cast<std::uint64_t>(id));
  }
  return inputs;
}

std::string softmax_of(const Graph& graph) {
  const auto at =
      std::find_if(graph.nodes.begin(), graph.nodes.end(), [](const Node& node) { return node.op == "Softmax"; });
  REQUIRE(at != graph.nodes.end());
  return at->name;
}

NodeId softmax_node(const Graph& graph) {
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    if (graph.nodes[i].op == "Softmax") return static_cast<NodeId>(i);
  }
  return kNone;
}

/// Largest difference over the largest value.
double error_of(const Graph& found, const Graph& wanted) {
  const TensorMap inputs = inputs_of(wanted);
  const TensorMap a = execute(found, inputs);
  const TensorMap b = execute(wanted, inputs);
  REQUIRE(a.size() == b.size());
  double largest = 0;
  double error = 0;
  for (const auto& [name, tensor] : b) {
    REQUIRE(a.at(name).shape == tensor.shape);
    for (std::size_t i = 0; i < tensor.floats().size(); ++i) {
      REQUIRE(std::isfinite(tensor.floats()[i]));
      largest = std::max(largest, std::abs(static_cast<double>(tensor.floats()[i])));
      const double off = std::abs(static_cast<double>(a.at(name).floats()[i]) - tensor.floats()[i]);
      error = off > error || std::isnan(off) ? off : error;
    }
  }
  return error / largest;
}

std::vector<NodeId> origins_of(const Graph& graph) {
  std::vector<NodeId> all;
  for (const Node& node : graph.nodes) all.insert(all.end(), node.origins.begin(), node.origins.end());
  std::sort(all.begin(), all.end());
  return all;
}

void check_blocks(const Graph& exported, const std::vector<std::int64_t>& counts) {
  const Graph graph = canonicalise(exported);
  for (const std::int64_t blocks : counts) {
    INFO(blocks << " blocks");
    const Graph cut = in_key_blocks(graph, {{softmax_of(graph), blocks}});
    CHECK(softmax_node(cut) == kNone);
    CHECK(cut.key_blocks == KeyBlocks{{softmax_of(graph), blocks}});
    CHECK(origins_of(cut) == origins_of(graph));
    CHECK(error_of(cut, graph) < 2e-6);
  }
}

constexpr std::int64_t kHeads = 3, kQueries = 12, kKeys = 10, kWidth = 6;

struct Operands {
  TensorId q, k, v;
};
Operands operands(GraphBuilder& b, bool keys_by_row = false) {
  const auto q = b.input("q", {kHeads, kQueries, kWidth});
  const auto k = b.input("k", keys_by_row ? Shape{kHeads, kKeys, kWidth} : Shape{kHeads, kWidth, kKeys});
  return {q, k, b.input("v", {kHeads, kKeys, kWidth + 1})};
}

/// 1 x 1 x queries x keys: -infinity where `hidden`.
template <typename Hidden>
HostTensor mask_of(float low, Hidden hidden) {
  HostTensor mask{DataType::kFloat32, {1, kQueries, kKeys}, std::vector<float>(kQueries * kKeys, 0.0F)};
  for (std::int64_t q = 0; q < kQueries; ++q) {
    for (std::int64_t k = 0; k < kKeys; ++k) {
      if (hidden(q, k)) mask.floats()[q * kKeys + k] = low;
    }
  }
  return mask;
}

}  // namespace

TEST_CASE("attention in blocks of keys is attention", "[workloads][key_blocks]") {
  GraphBuilder b;
  const auto [q, k, v] = operands(b);
  const auto scores = b.op("Mul", {b.op("MatMul", {q, k}), b.scalar(2.5F)});
  check_blocks(b.finish({b.op("MatMul", {b.op("Softmax", {scores}, kLast), v})}), {2, 3, 5, 10});
}

TEST_CASE("attention in blocks of keys, keys by row, heads split and joined around Softmax",
          "[workloads][key_blocks]") {
  GraphBuilder b;
  const auto [q, k, v] = operands(b, true);
  const auto shape = [&](std::vector<std::int64_t> to) {
    const auto rank = static_cast<std::int64_t>(to.size());
    return b.constant({DataType::kInt64, {rank}, std::move(to)});
  };
  auto scores = b.op("MatMul", {q, b.op("Transpose", {k}, {{"perm", std::vector<std::int64_t>{0, 2, 1}}})});
  scores = b.op("Reshape", {scores, shape({1, kHeads, kQueries, kKeys})});
  scores = b.op("Add", {scores, b.random({1, kHeads, 1, kKeys})});
  const auto weights = b.op("Reshape", {b.op("Softmax", {scores}, kLast), shape({kHeads, kQueries, kKeys})});
  check_blocks(b.finish({b.op("MatMul", {weights, v})}), {2, 4, 10});
}

TEST_CASE("masked keys have no weight, whichever blocks they fill", "[workloads][key_blocks]") {
  for (const float low : {-kInfinity, -3.4e38F, -65504.0F}) {
    INFO(low);
    for (const bool first : {true, false}) {
      GraphBuilder b;
      const auto [q, k, v] = operands(b);
      const auto mask = b.constant(
          mask_of(low, [&](std::int64_t i, std::int64_t j) { return first ? j < std::min(i, kKeys - 1) : j > i; }));
      const auto scores = b.op("Add", {b.op("MatMul", {q, k}), mask});
      check_blocks(b.finish({b.op("MatMul", {b.op("Softmax", {scores}, kLast), v})}), {2, 5, 10});
    }
  }
}

TEST_CASE("a row that is masked altogether is zeros, not NaN", "[workloads][key_blocks]") {
  GraphBuilder b;
  const auto [q, k, v] = operands(b);
  const auto mask = b.constant(mask_of(-kInfinity, [](std::int64_t i, std::int64_t) { return i == 4; }));
  const auto scores = b.op("Add", {b.op("MatMul", {q, k}), mask});
  const Graph graph = canonicalise(b.finish({b.op("MatMul", {b.op("Softmax", {scores}, kLast), v})}));
  const Graph cut = in_key_blocks(graph, {{softmax_of(graph), 3}});
  const auto results = execute(cut, inputs_of(graph));
  const auto& values = results.begin()->second.floats();
  for (std::int64_t c = 0; c <= kWidth; ++c) CHECK(values[4 * (kWidth + 1) + c] == 0.0F);
}

TEST_CASE("what is no attention, or cannot be cut, is not cut", "[workloads][key_blocks]") {
  GraphBuilder b;
  const auto [q, k, v] = operands(b);
  const auto scores = b.op("MatMul", {q, k});
  SECTION("the weights are a result too") {
    const auto weights = b.op("Softmax", {scores}, kLast);
    const Graph graph = canonicalise(b.finish({b.op("MatMul", {weights, v}), weights}));
    CHECK(!keyed_attention(graph, softmax_node(graph)));
  }
  SECTION("the softmax goes over the queries") {
    const auto weights = b.op("Softmax", {scores}, {{"axis", std::int64_t{1}}});
    const Graph graph = canonicalise(b.finish({b.op("MatMul", {weights, v})}));
    CHECK(!keyed_attention(graph, softmax_node(graph)));
  }
  SECTION("the values are weights") {
    const auto weights = b.op("Softmax", {scores}, kLast);
    const Graph graph = canonicalise(b.finish({b.op("MatMul", {weights, b.random({kKeys, kWidth})}), v}));
    CHECK(!keyed_attention(graph, softmax_node(graph)));
  }
  SECTION("something that is not linear follows the softmax") {
    const auto weights = b.op("Relu", {b.op("Softmax", {scores}, kLast)});
    const Graph graph = canonicalise(b.finish({b.op("MatMul", {weights, v})}));
    CHECK(!keyed_attention(graph, softmax_node(graph)));
    CHECK_THROWS_WITH(in_key_blocks(graph, {{softmax_of(graph), 2}}), Catch::Contains("not an attention"));
  }
  SECTION("the number of blocks") {
    const Graph graph = canonicalise(b.finish({b.op("MatMul", {b.op("Softmax", {scores}, kLast), v})}));
    const std::string name = softmax_of(graph);
    for (const std::int64_t blocks : {-1, 0, 1, 7, 11}) {  // 7 blocks of 2 would be more than there are
      CHECK_THROWS_WITH(in_key_blocks(graph, {{name, blocks}}), Catch::Contains("10 keys cannot be cut"));
    }
    CHECK_THROWS_WITH(in_key_blocks(graph, {{"Softmax_9", 2}}), Catch::Contains("no Softmax of this name"));
  }
}

}  // namespace spillway::workloads::test
