#include "workloads/onnx/conditional.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "configs/error.h"
#include "workloads/onnx/names.h"

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
  void define(const std::string& name) { names_[name] = fresh_name(name, taken_); }
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

/// Adds the nodes of a branch to `result`. Returns the names of its outputs there.
std::vector<std::string> inline_branch(const onnx::NodeProto& node, bool taken, std::set<std::string>& names,
                                       onnx::GraphProto& result) {
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
  std::vector<std::string> outputs;
  for (const auto& output : branch.output()) outputs.push_back(rename(output.name()));
  return outputs;
}

/// The branch that is taken, and its results under the names of the node's.
void take_branch(const onnx::NodeProto& node, bool taken, std::set<std::string>& names, onnx::GraphProto& result) {
  const auto outputs = inline_branch(node, taken, names, result);
  for (int i = 0; i < node.output_size(); ++i) {
    if (node.output(i).empty()) continue;
    auto& identity = *result.add_node();
    identity.set_op_type("Identity");
    identity.add_input(outputs[static_cast<std::size_t>(i)]);
    identity.add_output(node.output(i));
  }
}

/// The condition of `node` without dimensions, so that it lends none to what is selected by it.
std::string scalar_condition(const onnx::NodeProto& node, std::set<std::string>& names, onnx::GraphProto& result) {
  auto& no_dimensions = *result.add_initializer();
  no_dimensions.set_name(fresh_name(node.input(0) + ":scalar_shape", names));
  no_dimensions.set_data_type(onnx::TensorProto::INT64);
  no_dimensions.add_dims(0);
  auto& reshape = *result.add_node();
  reshape.set_op_type("Reshape");
  reshape.add_input(node.input(0));
  reshape.add_input(no_dimensions.name());
  reshape.add_output(fresh_name(node.input(0) + ":scalar", names));
  return reshape.output(0);
}

Selection select_of(const onnx::NodeProto& node, std::set<std::string>& names, onnx::GraphProto& result) {
  if (node.input_size() != 1) {
    throw Error(ErrorKind::kBadInput, Place{.node = node.name()},
                fmt::format("If: has {} inputs, not a condition alone", node.input_size()));
  }
  const auto condition = scalar_condition(node, names, result);
  const auto yes = inline_branch(node, true, names, result), no = inline_branch(node, false, names, result);
  Selection selection{.node = node.name(), .outputs = {}};
  for (int i = 0; i < node.output_size(); ++i) {
    if (node.output(i).empty()) continue;
    const auto k = static_cast<std::size_t>(i);
    auto& where = *result.add_node();
    where.set_name(node.name());
    where.set_op_type("Where");
    for (const auto& input : {condition, yes[k], no[k]}) where.add_input(input);
    where.add_output(node.output(i));
    selection.outputs.push_back(node.output(i));
  }
  return selection;
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
      take_branch(node, *taken, names, graph);
      ++resolved;
    } else {
      graph.add_node()->Swap(&node);
    }
  }
  return resolved;
}

std::vector<Selection> select_branches(onnx::GraphProto& graph) {
  std::set<std::string> names = names_of(graph);
  std::vector<Selection> selections;
  google::protobuf::RepeatedPtrField<onnx::NodeProto> nodes;
  nodes.Swap(graph.mutable_node());
  for (auto& node : nodes) {
    if (is_if(node)) {
      selections.push_back(select_of(node, names, graph));
    } else {
      graph.add_node()->Swap(&node);
    }
  }
  return selections;
}

}  // namespace spillway::workloads
