// Attention in blocks of keys on the machine: bytes added up by hand, results, and who is cut.
#include <catch2/catch.hpp>
#include <cmath>

#include "partitioner/plan_io.h"
#include "tests/pipeline/stages.h"
#include "tests/workloads/graph_builder.h"

namespace {

using namespace spillway;
using configs::Bytes;
using partitioner::Objective;
using partitioner::Plan;
using partitioner::StorageClass;

constexpr std::int64_t kTokens = 1024, kWidth = 64;
constexpr Bytes kMatrix = kTokens * kWidth;  // int8: queries, keys, values, result
constexpr Bytes kSmall = 64 << 10;           // keys and values are twice that

workloads::Graph attention() {
  workloads::test::GraphBuilder b;
  const auto q = b.input("q", {1, kTokens, kWidth});
  const auto k = b.input("k", {1, kWidth, kTokens});
  const auto v = b.input("v", {1, kTokens, kWidth});
  const auto weights = b.op("Softmax", {b.op("MatMul", {q, k})}, {{"axis", std::int64_t{-1}}});
  return workloads::canonicalise(b.finish({b.op("MatMul", {weights, v})}));
}

struct Cut {
  partitioner::Proposal proposal;
  partitioner::Program program;
  [[nodiscard]] const Plan& plan() const { return std::get<Plan>(proposal.outcome); }
};

Cut cut(const configs::NpuConfig& npu, std::int64_t blocks, Objective objective = Objective::kMoves) {
  Cut result;
  result.proposal = partitioner::propose(attention(), npu, {.objective = objective, .key_blocks = blocks});
  REQUIRE(std::holds_alternative<Plan>(result.proposal.outcome));
  result.program = partitioner::lower(result.proposal.graph, npu, result.plan());
  test::require_proven(result.program);
  return result;
}

Bytes moved(const Cut& c, const configs::NpuConfig& npu) {
  return simulator::simulate(c.program, npu).moves.of(StorageClass::kActivation);
}

std::int64_t blocks_in(const workloads::Graph& graph) {
  return graph.key_blocks.empty() ? 1 : graph.key_blocks.begin()->second;
}

}  // namespace

TEST_CASE("blocks of keys: queries and what there is so far pass once a block, scores never",
          "[pipeline][key_blocks]") {
  const auto npu = test::npu_with("edge-8mb", kSmall);
  for (const std::int64_t blocks : {4, 8}) {
    const Cut c = cut(npu, blocks);
    CHECK(blocks_in(c.proposal.graph) == blocks);
    // Queries are read by each block; keys and values once; the result is written by each, and read by all but one.
    CHECK(moved(c, npu) == kMatrix * (blocks + 2 + blocks + blocks - 1));
  }
}

TEST_CASE("attention is cut where that is less, and only there", "[pipeline][key_blocks]") {
  SECTION("keys and values are twice the scratchpad") {
    const auto npu = test::npu_with("edge-8mb", kSmall);
    const Cut whole = cut(npu, 1);
    const Cut free = cut(npu, 0);
    CHECK(blocks_in(whole.proposal.graph) == 1);
    CHECK(blocks_in(free.proposal.graph) > 1);
    CHECK(moved(free, npu) < moved(whole, npu) / 2);
  }
  SECTION("they are half of it") {
    const auto npu = test::npu_with("edge-8mb", 4 * kMatrix);
    const Cut free = cut(npu, 0);
    CHECK(blocks_in(free.proposal.graph) == 1);
    CHECK(moved(free, npu) == 4 * kMatrix);
  }
  SECTION("never worse than uncut, in any objective") {
    for (const Bytes budget : {Bytes{24} << 10, kSmall, Bytes{100} << 10, Bytes{200} << 10}) {
      const auto npu = test::npu_with("edge-8mb-slow", budget);
      CHECK(cut(npu, 0, Objective::kLatency).plan().cycles <= 1.005 * cut(npu, 1, Objective::kLatency).plan().cycles);
      CHECK(cut(npu, 0).plan().moves.total() <= 1.005 * cut(npu, 1).plan().moves.total());
    }
  }
}

TEST_CASE("blocks of keys compute what attention is", "[pipeline][key_blocks]") {
  const auto npu = test::npu_with("edge-8mb", 4 * kSmall, "fp32");
  const auto graph = attention();
  workloads::TensorMap inputs;
  for (const auto id : graph.inputs) {
    const auto& tensor = graph.tensors[id];
    inputs[tensor.name] = workloads::random_tensor(tensor.type, tensor.shape, 7 + static_cast<std::uint64_t>(id));
  }
  const auto wanted = workloads::execute(graph, inputs).begin()->second.floats();
  for (const std::int64_t blocks : {2, 3, 8}) {
    const Cut c = cut(npu, blocks);
    const auto run = simulator::simulate_functional(c.program, npu, inputs, {});
    const auto& found = run.outputs.begin()->second.floats();
    double largest = 0;
    double error = 0;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      largest = std::max(largest, std::abs(static_cast<double>(wanted[i])));
      error = std::max(error, std::abs(static_cast<double>(found[i]) - wanted[i]));
    }
    CHECK(error <= 2e-5 * largest);
  }
}

TEST_CASE("a plan in blocks of keys is saved with them and comes back", "[pipeline][key_blocks]") {
  const auto npu = test::npu_with("edge-8mb", kSmall);
  const Cut c = cut(npu, 4);
  const std::string text = partitioner::plan_to_json(c.plan(), c.proposal.graph, npu);
  const auto graph = partitioner::graph_of_plan(text, attention(), Place{.file = "a.json"});
  CHECK(graph.key_blocks == c.proposal.graph.key_blocks);
  const Plan again = partitioner::plan_from_json(text, graph, npu, Place{.file = "a.json"});
  CHECK(partitioner::plan_to_json(again, graph, npu) == text);
  CHECK_THROWS_WITH(partitioner::plan_from_json(text, attention(), npu, Place{.file = "a.json"}),
                    Catch::Contains("graph"));
  const auto spoilt = [&](const std::string& from, const std::string& to) {
    std::string other = text;
    const std::size_t at = other.find(from);
    REQUIRE(at != std::string::npos);
    other.replace(at, from.size(), to);
    return partitioner::graph_of_plan(other, attention(), Place{.file = "a.json"});
  };
  const std::string name = c.proposal.graph.key_blocks.begin()->first;
  CHECK_THROWS_WITH(spoilt("\"" + name + "\":4", "\"" + name + "\":1000000000"), Catch::Contains("1000000000"));
  CHECK_THROWS_WITH(spoilt("\"" + name + "\":4", "\"Softmax_77\":4"), Catch::Contains("no Softmax of this name"));
  CHECK_THROWS_WITH(spoilt("\"" + name + "\":4", "\"" + name + "\":1000"), Catch::Contains("cannot be cut into 1000"));
}
