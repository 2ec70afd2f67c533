// Inputs of the graph that several groups read: the first may load one whole for the others.
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
using workloads::TensorId;

constexpr std::int64_t kTokens = 64, kWidth = 256;
constexpr Bytes kContext = kTokens * kWidth;  // one byte each
constexpr int kLayers = 6;

/// Layers that add what a product makes of the context, as cross attention looks again and again at one prompt.
workloads::Graph conditioned() {
  workloads::test::GraphBuilder b;
  const TensorId context = b.input("context", {kTokens, kWidth});
  TensorId x = b.input("x", {kTokens, kWidth});
  for (int layer = 0; layer < kLayers; ++layer) {
    // A softmax's rows are whole: a layer's products do not join with the next one's.
    x = b.op("Softmax", {b.op("MatMul", {x, b.random({kWidth, kWidth})})}, {{"axis", std::int64_t{-1}}});
    x = b.op("Add", {x, b.op("MatMul", {context, b.random({kWidth, kWidth})})});
  }
  return workloads::canonicalise(b.finish({x}));
}

bool holds_context(const test::Staged& s) {
  for (const auto& r : s.plan.residencies) {
    if (s.plan.layout.storages[r.storage].name == "context") return true;
  }
  return false;
}

}  // namespace

TEST_CASE("with room for all, an input that many groups read is read once", "[pipeline][held_input]") {
  const auto s =
      test::stage(conditioned(), test::npu_with("edge-8mb", Bytes{64} << 20), {.objective = Objective::kMoves});
  REQUIRE(s.plan.groups.size() > 2);
  test::require_proven(s.program);
  CHECK(holds_context(s));
  CHECK(s.plan.moves.total() == s.plan.compulsory_bytes);
  // Both inputs once, the output once.
  const auto simulated = simulator::simulate(s.program, s.npu);
  CHECK(simulated.moves.of(StorageClass::kActivation) == 3 * kContext);
  CHECK(simulated.moves.total() == s.plan.moves.total());
}

TEST_CASE("without room an input is read by each that needs it", "[pipeline][held_input]") {
  const auto s =
      test::stage(conditioned(), test::npu_with("edge-8mb", Bytes{24} << 10), {.objective = Objective::kMoves});
  test::require_proven(s.program);
  CHECK(!holds_context(s));
  const auto simulated = simulator::simulate(s.program, s.npu);
  CHECK(simulated.moves.of(StorageClass::kActivation) >= (kLayers + 2) * kContext);
  CHECK(simulated.moves.total() == s.plan.moves.total());
}

TEST_CASE("a held input computes the same", "[pipeline][held_input]") {
  const auto s = test::stage(conditioned(), test::npu_with("edge-8mb", Bytes{64} << 20, "fp32"));
  REQUIRE(holds_context(s));
  workloads::TensorMap inputs;
  for (const auto id : s.graph.inputs) {
    const auto& tensor = s.graph.tensors[id];
    inputs[tensor.name] = workloads::random_tensor(tensor.type, tensor.shape, 3 + static_cast<std::uint64_t>(id));
  }
  const auto wanted = workloads::execute(s.graph, inputs).begin()->second.floats();
  const auto found = simulator::simulate_functional(s.program, s.npu, inputs, {}).outputs.begin()->second.floats();
  REQUIRE(found.size() == wanted.size());
  double error = 0;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    error = std::max(error, std::abs(static_cast<double>(found[i]) - wanted[i]));
  }
  CHECK(error < 1e-5);
}

TEST_CASE("a plan that holds an input is saved and comes back; spoilt ones are refused", "[pipeline][held_input]") {
  const auto s = test::stage(conditioned(), test::npu_with("edge-8mb", Bytes{64} << 20));
  REQUIRE(holds_context(s));
  const std::string text = partitioner::plan_to_json(s.plan, s.graph, s.npu);
  const Plan again = partitioner::plan_from_json(text, s.graph, s.npu, Place{.file = "a.json"});
  CHECK(partitioner::plan_to_json(again, s.graph, s.npu) == text);
  Plan spoilt = s.plan;
  for (auto& r : spoilt.residencies) {
    if (s.plan.layout.storages[r.storage].name == "context") r.stored = true;
  }
  CHECK_THROWS_WITH(partitioner::plan_from_json(partitioner::plan_to_json(spoilt, s.graph, s.npu), s.graph, s.npu,
                                                Place{.file = "a.json"}),
                    Catch::Contains("context"));
}
