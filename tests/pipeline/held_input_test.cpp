// Inputs and constants of the graph that several groups read: the first may load one whole for the others.
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

/// An LSTM whose every step reads the same recurrent weights.
workloads::Graph recurrent(std::int64_t steps) {
  constexpr std::int64_t kHidden = 64;
  workloads::test::GraphBuilder b;
  const TensorId x = b.input("x", {steps, 1, kHidden});
  const TensorId y = b.op("LSTM", {x, b.random({1, 4 * kHidden, kHidden}), b.random({1, 4 * kHidden, kHidden})},
                          {{"hidden_size", kHidden}});
  return workloads::canonicalise(b.finish({y}));
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

TEST_CASE("weights that many groups read are read once where there is room", "[pipeline][held_input][recurrent]") {
  constexpr std::int64_t kSteps = 6;
  const auto s =
      test::stage(recurrent(kSteps), test::npu_with("edge-8mb", Bytes{8} << 20), {.objective = Objective::kMoves});
  test::require_proven(s.program);
  REQUIRE(s.plan.groups.size() > 2);
  const auto simulated = simulator::simulate(s.program, s.npu);
  CHECK(simulated.moves.of(StorageClass::kWeight) == 2 * 4 * 64 * 64);
  CHECK(simulated.moves.of(StorageClass::kActivation) == 2 * kSteps * 64);
  const auto narrow =
      test::stage(recurrent(kSteps), test::npu_with("edge-8mb", Bytes{12} << 10), {.objective = Objective::kMoves});
  test::require_proven(narrow.program);
  CHECK(simulator::simulate(narrow.program, narrow.npu).moves.of(StorageClass::kWeight) >=
        (1 + kSteps - 1) * 4 * 64 * 64);
}

TEST_CASE("an unrolled recurrence computes the same with its weights held", "[pipeline][held_input][recurrent]") {
  const auto s = test::stage(recurrent(5), test::npu_with("edge-8mb", Bytes{8} << 20, "fp32"));
  const workloads::TensorMap inputs{{"x", workloads::random_tensor(workloads::DataType::kFloat32, {5, 1, 64}, 3)}};
  const auto wanted = workloads::execute(s.graph, inputs).begin()->second.floats();
  const auto found = simulator::simulate_functional(s.program, s.npu, inputs, {}).outputs.begin()->second.floats();
  REQUIRE(found.size() == wanted.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) REQUIRE(std::abs(found[i] - wanted[i]) < 1e-6);
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
