// Inputs that are parameters: ONNX passes the axes of a Squeeze or the bounds of a Slice as tensors since opset 10-13,
// but they are known before anything runs and no engine ever reads them. Every operator here accepts them in either
// form whatever the opset; canonicalise() turns them into attributes so that executed nodes have data inputs only.
#pragma once

#include <string_view>

#include "workloads/graph.h"

namespace spillway::workloads {

/// The attribute that input i of the operator corresponds to ("axes", "starts", ...); empty if the input is data.
[[nodiscard]] std::string_view parameter_name(std::string_view op, int i, std::int64_t opset = 20);

/// Moves every constant parameter input of the node into the attribute of its name and drops the input (trailing
/// omitted inputs are trimmed). A parameter that is not constant stays. Call connect() when done with the graph.
void inline_parameters(const Graph& graph, Node& node);

}  // namespace spillway::workloads
