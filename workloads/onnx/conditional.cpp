#include "workloads/onnx/conditional.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "configs/error.h"

namespace spillway::workloads {
namespace {

bool is_if(const onnx::NodeProto& node) {
  return node.op_type() == "If" && (node.domain().empty() || node.domain() == "ai.onnx");
}

std::optional<bool> condition_of(const onnx::NodeProto& node, const Graph& known) {
  if (node.input_size() != 1) return std::nullopt;
  const TensorId id = known.find_tensor(node.input(0));
  if (id == kNone || !known.tensors[id].is_constant() || known.tensors[id].constant->missing()) return std::nullopt;
  const HostTensor value = materialise(known.tensors[id]);
  if (!value.holds_integer() || value.held() != 1) return std::nullopt;
  return value.ints()[0] != 0;
}

const onnx::GraphProto& branch_of(const onnx::NodeProto& node, bool taken) {
  const std::string wanted = taken ? "then_branch" : "else_branch";
  for (const auto& attribute : node.attribute()) {
    if (attribute.name() == wanted && attribute.has_g()) return attribute.g();
  }
  throw Error(ErrorKind::kBadInput, Place{.node = node.name()}, fmt::format("If: has no {}", wanted));
}

/// Gives what a branch defines names of its own, and leaves those of the graph around it alone.
class Renamer {
 public:
  explicit Renamer(std::set<std::string>& taken) : taken_(taken) {}

  void define(const std::string& name, const std::string& as) { names_[name] = as; }
  void define(const std::string& name) {
    std::string fresh = name;
    for (int n = 2; !taken_.insert(fresh).second; ++n) fresh = fmt::format("{}:{}", name, n);
    names_[name] = fresh;
  }
  [[nodiscard]] const std::string& operator()(const std::string& name) const {
    const auto found = names_.find(name);
    return found == names_.end() ? name : found->second;
  }

  /// A node and, within its own branches, whatever they read of the outside.
  void apply(onnx::NodeProto& node) const {
    for (auto& input : *node.mutable_input()) input = (*this)(input);
    for (auto& output : *node.mutable_output()) output = (*this)(output);
    apply_within(node);
  }

 private:
  void apply_within(onnx::NodeProto& node) const {
    for (auto& attribute : *node.mutable_attribute()) {
      if (!attribute.has_g()) continue;
      Renamer inner = *this;  // what the inner graph defines itself hides the names outside
      auto& graph = *attribute.mutable_g();
      for (const auto& inner_node : graph.node()) {
        for (const auto& output : inner_node.output()) inner.names_.erase(output);
      }
      for (const auto& initializer : graph.initializer()) inner.names_.erase(initializer.name());
      for (const auto& input : graph.input()) inner.names_.erase(input.name());
      for (auto& inner_node : *graph.mutable_node()) inner.apply(inner_node);
      for (auto& output : *graph.mutable_output()) output.set_name(inner(output.name()));
    }
  }

  std::set<std::string>& taken_;
  std::map<std::string, std::string> names_;
};

void inline_branch(const onnx::NodeProto& node, bool taken, std::set<std::string>& names, onnx::GraphProto& result) {
  const onnx::GraphProto& branch = branch_of(node, taken);
  if (branch.output_size() != node.output_size()) {
    throw Error(
        ErrorKind::kBadInput, Place{.node = node.name()},
        fmt::format("If: its branch has {} outputs when the node has {}", branch.output_size(), node.output_size()));
  }
  Renamer rename(names);
  for (const auto& inner : branch.node()) {
    for (const auto& output : inner.output()) {
      if (!output.empty()) rename.define(output);
    }
  }
  for (const auto& initializer : branch.initializer()) {
    rename.define(initializer.name());
    auto& copy = *result.add_initializer();
    copy = initializer;
    copy.set_name(rename(initializer.name()));
  }
  for (const auto& inner : branch.node()) {
    auto& copy = *result.add_node();
    copy = inner;
    rename.apply(copy);
    if (!copy.name().empty() && !node.name().empty()) copy.set_name(node.name() + "/" + copy.name());
  }
  for (int i = 0; i < node.output_size(); ++i) {
    if (node.output(i).empty()) continue;
    auto& identity = *result.add_node();
    identity.set_op_type("Identity");
    identity.add_input(rename(branch.output(i).name()));
    identity.add_output(node.output(i));
  }
}

}  // namespace

bool has_conditionals(const onnx::GraphProto& graph) {
  return std::any_of(graph.node().begin(), graph.node().end(), is_if);
}

int resolve_conditionals(onnx::GraphProto& graph, const Graph& known) {
  std::set<std::string> names;
  for (const auto& tensor : known.tensors) names.insert(tensor.name);
  int resolved = 0;
  google::protobuf::RepeatedPtrField<onnx::NodeProto> nodes;
  nodes.Swap(graph.mutable_node());
  for (auto& node : nodes) {
    const auto taken = is_if(node) ? condition_of(node, known) : std::nullopt;
    if (taken) {
      inline_branch(node, *taken, names, graph);
      ++resolved;
    } else {
      graph.add_node()->Swap(&node);
    }
  }
  return resolved;
}

}  // namespace spillway::workloads
