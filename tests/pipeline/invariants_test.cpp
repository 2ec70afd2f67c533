// Invariants that hold on every strategy, budget and workload.
#include <catch2/catch.hpp>
#include <numeric>

#include "tests/pipeline/stages.h"

namespace {

using namespace spillway;

void require_invariants(const test::Staged& s) {
  const auto result = simulator::simulate(s.program, s.npu);
  // Moves predicted equal bytes counted, exactly.
  CHECK(result.moves == s.plan.moves);
  CHECK(s.plan.moves.total() >= s.plan.compulsory_bytes);
  // Occupancy.
  CHECK(s.plan.peak_scratchpad <= s.plan.budget);
  CHECK(result.peak_scratchpad <= s.plan.budget);
  // Lower bounds of latency: ideal MAC cycles, and all moved bytes at peak bandwidth.
  CHECK(static_cast<double>(result.cycles) >=
        static_cast<double>(result.macs) / static_cast<double>(s.npu.mac_cells()));
  CHECK(static_cast<double>(result.cycles) >= static_cast<double>(result.moves.total()) / s.npu.dram_bytes_per_cycle());
  // Every cycle of every engine, and of the critical path, is accounted for.
  CHECK(std::accumulate(result.bound_by.begin(), result.bound_by.end(), configs::Cycles{0}) == result.cycles);
  for (const auto& engine : result.engines) {
    INFO(engine.name);
    CHECK(engine.busy + std::accumulate(engine.waiting.begin(), engine.waiting.end(), configs::Cycles{0}) ==
          result.cycles);
  }
  configs::Cycles critical = 0;
  for (const auto& group : result.groups) critical += group.critical;
  CHECK(critical == result.cycles);
}

}  // namespace

TEST_CASE("sd-tiny holds the invariants at several budgets", "[pipeline][invariants]") {
  for (const auto strategy : {partitioner::Strategy::kFused, partitioner::Strategy::kLayerByLayer}) {
    for (const std::string& name : workloads::zoo_graphs("sd-tiny")) {
      const auto graph = test::zoo("sd-tiny", name);
      for (const configs::Bytes budget : {64 << 10, 512 << 10, 8 << 20}) {
        INFO(name << " at " << budget << " " << name_of(strategy));
        require_invariants(test::stage(graph, test::npu_with("edge-8mb", budget), {.strategy = strategy}));
      }
    }
  }
}

TEST_CASE("sd15 holds the invariants", "[pipeline][invariants]") {
  for (const std::string& name : workloads::zoo_graphs("sd15")) {
    INFO(name);
    const auto s = test::stage(test::zoo("sd15", name), test::npu_with("edge-8mb", 0));
    require_invariants(s);
    // No multiply-accumulate is lost or done twice: no strategy of today recomputes a product.
    std::int64_t macs = 0;
    for (const auto& command : s.program.commands) macs += command.matrix.macs();
    const auto exported = workloads::statistics_of(workloads::zoo_graph("sd15", name));
    CHECK(macs >= exported.macs_total);
    CHECK(static_cast<double>(macs) <= 1.02 * static_cast<double>(exported.macs_total));
  }
}

TEST_CASE("sd21 and sdxl hold the invariants at several budgets", "[pipeline][invariants]") {
  for (const std::string model : {"sd21", "sdxl"}) {
    for (const std::string& name : workloads::zoo_graphs(model)) {
      const auto graph = test::zoo(model, name);
      for (const configs::Bytes budget : {2 << 20, 8 << 20, 32 << 20}) {
        if (name == "unet" && budget != 8 << 20) continue;  // a quarter of a minute each
        INFO(model << "/" << name << " at " << budget);
        require_invariants(test::stage(graph, test::npu_with("edge-8mb", budget)));
      }
    }
  }
}

TEST_CASE("layer by layer, sd15 holds the invariants at several budgets", "[pipeline][invariants]") {
  for (const std::string& name : workloads::zoo_graphs("sd15")) {
    for (const configs::Bytes budget : {1 << 20, 8 << 20, 32 << 20}) {
      INFO(name << " at " << budget);
      require_invariants(test::stage(test::zoo("sd15", name), test::npu_with("edge-8mb", budget),
                                     {.strategy = partitioner::Strategy::kLayerByLayer}));
    }
  }
}

TEST_CASE("planning, lowering and simulating are deterministic", "[pipeline][invariants]") {
  const auto graph = test::zoo("sd-tiny", "unet");
  const auto npu = test::npu_with("edge-8mb", 256 << 10);
  const auto a = test::stage(graph, npu);
  const auto b = test::stage(graph, npu);
  REQUIRE(a.program.commands.size() == b.program.commands.size());
  CHECK(a.plan.moves == b.plan.moves);
  CHECK(a.program.wait_pool == b.program.wait_pool);
  const auto x = simulator::simulate(a.program, npu);
  const auto y = simulator::simulate(b.program, npu);
  CHECK(x.cycles == y.cycles);
  CHECK(x.bound_by == y.bound_by);
}

TEST_CASE("the smallest budget runs and one alignment less does not", "[pipeline]") {
  for (const std::string name : {"text_encoder", "vae_decoder"}) {
    const auto graph = test::zoo("sd-tiny", name);
    const auto smallest = partitioner::smallest_budget(graph, test::npu_with("edge-8mb", 0));
    for (const auto strategy : {partitioner::Strategy::kFused, partitioner::Strategy::kLayerByLayer}) {
      INFO(name << " " << name_of(strategy) << " smallest " << smallest);
      CHECK(std::holds_alternative<partitioner::Plan>(
          partitioner::partition(graph, test::npu_with("edge-8mb", smallest), {.strategy = strategy})));
      const auto refused =
          partitioner::partition(graph, test::npu_with("edge-8mb", smallest - 64), {.strategy = strategy});
      REQUIRE(std::holds_alternative<partitioner::Infeasible>(refused));
      const auto& why = std::get<partitioner::Infeasible>(refused);
      CHECK(why.smallest_budget == smallest);
      CHECK(why.demand > why.budget);
      configs::Bytes sum = 0;
      for (const auto& term : why.terms) sum += term.bytes;
      CHECK(sum == why.demand);
    }
  }
}
