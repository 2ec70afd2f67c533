// If, in a graph without control flow. A condition that is known before the graph runs (scripted exports are full of
// them: on shapes, on the sampling rate) decides it, and the branch that is taken replaces the node. Where data decide,
// both branches are computed and one result is selected: a branch has no effect but its outputs (if-conversion, Allen
// et al., POPL 1983), and this is also how a machine without branches runs it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "workloads/graph.h"
#include "workloads/onnx/onnx_proto.h"

namespace spillway::workloads {

[[nodiscard]] bool has_conditionals(const onnx::GraphProto& graph);

/// Replaces every If of `graph` whose condition is a constant in `known`, which was read from it, by the nodes of the
/// branch that is taken; that may bring further ones to light. Returns how many were replaced.
int resolve_conditionals(onnx::GraphProto& graph, const Graph& known);

/// An If of which both branches are computed.
struct Selection {
  std::string node;
  std::vector<std::string> outputs;  ///< each made by a Where of the branches' results, which must be of one shape
};

/// Help where computing both branches does not work out.
inline constexpr std::string_view kDecideIf =
    "the graph has an If that data decide, so both branches must work: give what decides it by --value NAME=INTEGER "
    "where that is an input, or export the branch you need";

/// Replaces every If of `graph` by both of its branches; that may bring further ones to light.
[[nodiscard]] std::vector<Selection> select_branches(onnx::GraphProto& graph);

}  // namespace spillway::workloads
