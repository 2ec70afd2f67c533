// Names of tensors in a graph that is rewritten as protobuf.
#pragma once

#include <set>
#include <string>

#include "workloads/onnx/onnx_proto.h"

namespace spillway::workloads {

/// Every tensor's in `graph` itself.
[[nodiscard]] std::set<std::string> names_of(const onnx::GraphProto& graph);

/// `wanted`, or that with a number where it is taken; it is taken then.
[[nodiscard]] std::string fresh_name(const std::string& wanted, std::set<std::string>& taken);

}  // namespace spillway::workloads
