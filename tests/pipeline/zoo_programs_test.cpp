// The checker proves every Program of the zoo at full size, in the precision it is profiled in.
#include <catch2/catch.hpp>

#include "tests/pipeline/stages.h"

namespace {

using namespace spillway;

void prove(const std::string& model, partitioner::Strategy strategy) {
  for (const std::string& graph : workloads::zoo_graphs(model)) {
    INFO(model << "/" << graph << " " << name_of(strategy));
    const auto s = test::stage(test::zoo(model, graph), test::npu_with("edge-8mb", 0), {.strategy = strategy});
    test::require_proven(s.program);
  }
}

}  // namespace

TEST_CASE("sd15 fused is proven", "[pipeline][checker]") { prove("sd15", partitioner::Strategy::kFused); }
TEST_CASE("sd15 layer by layer is proven", "[pipeline][checker]") {
  prove("sd15", partitioner::Strategy::kLayerByLayer);
}
TEST_CASE("sd21 fused is proven", "[pipeline][checker]") { prove("sd21", partitioner::Strategy::kFused); }
TEST_CASE("sdxl fused is proven", "[pipeline][checker]") { prove("sdxl", partitioner::Strategy::kFused); }
TEST_CASE("sd-tiny is proven at several budgets", "[pipeline][checker]") {
  for (const auto strategy : {partitioner::Strategy::kFused, partitioner::Strategy::kLayerByLayer}) {
    for (const std::string& name : workloads::zoo_graphs("sd-tiny")) {
      const auto graph = test::zoo("sd-tiny", name);
      for (const configs::Bytes budget : {64 << 10, 256 << 10, 8 << 20}) {
        INFO(name << " at " << budget << " " << name_of(strategy));
        const auto s = test::stage(graph, test::npu_with("edge-8mb", budget), {.strategy = strategy});
        test::require_proven(s.program);
      }
    }
  }
}
