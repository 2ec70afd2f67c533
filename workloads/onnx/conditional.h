// If whose condition is known before the graph runs: scripted exports are full of them (conditions on shapes, on the
// sampling rate). The branch that is taken replaces the node.
#pragma once

#include "workloads/graph.h"
#include "workloads/onnx/onnx_proto.h"

namespace spillway::workloads {

[[nodiscard]] bool has_conditionals(const onnx::GraphProto& graph);

/// Replaces every If of `graph` whose condition is a constant in `known`, which was read from it, by the nodes of the
/// branch that is taken; that may bring further ones to light. Returns how many were replaced.
int resolve_conditionals(onnx::GraphProto& graph, const Graph& known);

}  // namespace spillway::workloads
