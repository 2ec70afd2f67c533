// The stages in a row, for tests that look at several of them.
#pragma once

#include <string>

#include "simulator/simulator.h"

namespace spillway::test {

struct Staged {
  workloads::Graph graph;
  configs::NpuConfig npu;
  partitioner::Plan plan;
  partitioner::Program program;
};

/// Plans and lowers a canonical graph as the program does; fails the test if it does not fit.
Staged stage(const workloads::Graph& graph, configs::NpuConfig npu, const partitioner::Options& options = {});

/// A zoo graph, canonical.
workloads::Graph zoo(const std::string& model, const std::string& graph);

/// A preset with its scratchpad set to `bytes` (0: as it is).
configs::NpuConfig npu_with(const std::string& preset, configs::Bytes bytes, const std::string& precision = "");

/// Requires that the checker finds nothing, showing the first findings.
void require_proven(const partitioner::Program& program);

}  // namespace spillway::test
