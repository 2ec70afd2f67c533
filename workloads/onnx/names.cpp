#include "workloads/onnx/names.h"

#include <fmt/format.h>

namespace spillway::workloads {

std::set<std::string> names_of(const onnx::GraphProto& graph) {
  std::set<std::string> names;
  for (const auto& input : graph.input()) names.insert(input.name());
  for (const auto& initializer : graph.initializer()) names.insert(initializer.name());
  for (const auto& node : graph.node()) names.insert(node.output().begin(), node.output().end());
  return names;
}

std::string fresh_name(const std::string& wanted, std::set<std::string>& taken) {
  std::string fresh = wanted;
  for (int n = 2; !taken.insert(fresh).second; ++n) fresh = fmt::format("{}:{}", wanted, n);
  return fresh;
}

}  // namespace spillway::workloads
