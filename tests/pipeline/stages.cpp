#include "tests/pipeline/stages.h"

#include <catch2/catch.hpp>

namespace spillway::test {

Staged stage(const workloads::Graph& graph, configs::NpuConfig npu, const partitioner::Options& options) {
  Staged s;
  s.npu = std::move(npu);
  auto proposal = partitioner::propose(graph, s.npu, options);
  if (const auto* no = std::get_if<partitioner::Infeasible>(&proposal.outcome)) {
    FAIL("does not fit: " << no->group << " needs " << no->demand << " bytes of " << no->budget);
  }
  s.graph = std::move(proposal.graph);
  s.plan = std::get<partitioner::Plan>(std::move(proposal.outcome));
  s.program = partitioner::lower(s.graph, s.npu, s.plan);
  return s;
}

workloads::Graph zoo(const std::string& model, const std::string& graph) {
  return workloads::canonicalise(workloads::zoo_graph(model, graph));
}

configs::NpuConfig npu_with(const std::string& preset, configs::Bytes bytes, const std::string& precision) {
  configs::NpuConfig npu = configs::load_config(preset);
  if (bytes > 0) npu.scratchpad.size = bytes;
  if (!precision.empty()) npu.precision = configs::uniform_precision(precision);
  return npu;
}

void require_proven(const partitioner::Program& program) {
  const auto violations = partitioner::check(program, 3);
  for (const auto& violation : violations) UNSCOPED_INFO(violation.what);
  REQUIRE(violations.empty());
}

}  // namespace spillway::test
