// Small graphs that have gone wrong, or nearly: executed through the modelled NPU and compared with the reference.
#include <catch2/catch.hpp>

#include "tests/pipeline/stages.h"
#include "tests/workloads/graph_builder.h"

namespace {

using namespace spillway;
using Ints = std::vector<std::int64_t>;

void require_right(const workloads::Graph& exported, configs::Bytes budget) {
  const auto graph = workloads::canonicalise(exported);
  const auto inputs = workloads::test::random_inputs(graph);
  const auto wanted = workloads::execute(graph, inputs);
  for (const auto strategy : {partitioner::Strategy::kFused, partitioner::Strategy::kLayerByLayer}) {
    INFO(name_of(strategy) << " at " << budget);
    const auto s = test::stage(graph, test::npu_with("edge-8mb", budget, "fp32"), {.strategy = strategy});
    test::require_proven(s.program);
    const auto run = simulator::simulate_functional(s.program, s.npu, inputs);
    CHECK(workloads::test::distance(wanted, run.outputs) <= 1e-5);
  }
}

}  // namespace

TEST_CASE("Concat of pieces that lie in another order than the whole", "[pipeline][odd]") {
  // A rotary embedding: halves of a transposed tensor change places, one of them negated.
  workloads::test::GraphBuilder b;
  const auto x = b.op("Relu", {b.input("x", {1, 10, 4, 16})});
  const auto heads = b.op("Transpose", {x}, {{"perm", Ints{0, 2, 1, 3}}});
  const auto halves = b.ops("Split", {heads}, {{"axis", std::int64_t{3}}}, 2);
  const auto rotated = b.op("Concat", {b.op("Neg", {halves[1]}), halves[0]}, {{"axis", std::int64_t{3}}});
  const auto graph = b.finish({rotated});
  require_right(graph, 8 << 20);
  require_right(graph, 1 << 10);
}

TEST_CASE("a product of a tensor with itself", "[pipeline][odd]") {
  // One buffer serves both operands; its window spans what lies between them.
  workloads::test::GraphBuilder b;
  const auto x = b.op("Relu", {b.input("x", {1, 96, 14})});
  const auto y = b.op("MatMul", {x, b.op("Transpose", {x}, {{"perm", Ints{0, 2, 1}}})});
  const auto graph = b.finish({x, y});
  require_right(graph, 64 << 10);
  const auto canonical = workloads::canonicalise(graph);
  const auto npu = test::npu_with("edge-8mb", 2 << 10, "fp32");
  const auto refused = partitioner::partition(canonical, npu);
  REQUIRE(std::holds_alternative<partitioner::Infeasible>(refused));
  require_right(graph, std::get<partitioner::Infeasible>(refused).smallest_budget);
}

TEST_CASE("a graph whose inputs exceed the DRAM is refused at once", "[pipeline][odd]") {
  workloads::test::GraphBuilder b;
  const auto x = b.input("x", {1, 3, 300000, 300000});
  const auto graph = workloads::canonicalise(b.finish({b.op("Relu", {x})}));
  CHECK_THROWS_WITH(partitioner::partition(graph, test::npu_with("edge-8mb", 0)),
                    Catch::Contains("tensor 'x'") && Catch::Contains("540000000000 bytes"));
}
