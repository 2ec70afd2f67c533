// Small graphs written by hand, inferred node by node as the importer would.
#pragma once

#include <algorithm>
#include <set>
#include <string>

#include "one_node.h"

namespace spillway::workloads::test {

class GraphBuilder {
 public:
  explicit GraphBuilder(std::int64_t opset = 17) { graph_.opset = opset, graph_.source = "by hand"; }

  TensorId input(const std::string& name, Shape shape, DataType type = DataType::kFloat32) {
    const TensorId id = tensor(name, type, std::move(shape));
    graph_.inputs.push_back(id);
    return id;
  }
  TensorId constant(HostTensor value) {
    const TensorId id = tensor(numbered("constant"), value.type, value.shape);
    graph_.tensors[id].constant = Constant{std::make_shared<const HostTensor>(std::move(value))};
    return id;
  }
  TensorId scalar(float value) { return constant(floats({}, {value})); }
  /// Small pseudo-random values: different for every constant.
  TensorId random(const Shape& shape) {
    return constant(random_tensor(DataType::kFloat32, shape, 1000 + graph_.tensors.size()));
  }
  TensorId missing(Shape shape) {
    const TensorId id = tensor(numbered("weight"), DataType::kFloat32, std::move(shape));
    graph_.tensors[id].constant = Constant{Constant::Missing{"weights.bin"}};
    return id;
  }
  TensorId op(const std::string& type, std::vector<TensorId> inputs, Attributes attributes = {}) {
    return ops(type, std::move(inputs), std::move(attributes), 1)[0];
  }
  std::vector<TensorId> ops(const std::string& type, std::vector<TensorId> inputs, Attributes attributes, int outputs) {
    Node node;
    node.name = type + "_" + std::to_string(graph_.nodes.size());
    node.op = type;
    node.inputs = std::move(inputs);
    node.attributes = std::move(attributes);
    for (int i = 0; i < outputs; ++i) {
      node.outputs.push_back(tensor(node.name + ".out" + std::to_string(i), DataType::kFloat32, {}));
    }
    graph_.nodes.push_back(node);
    Node& added = graph_.nodes.back();
    InferContext context{graph_, added, [&](int i) -> const HostTensor* {
                           const Tensor& t = graph_.tensors[added.inputs[i]];
                           if (!t.is_constant() || t.constant->missing()) return nullptr;
                           return std::get<std::shared_ptr<const HostTensor>>(t.constant->source).get();
                         }};
    operator_of(added).infer(context);
    return graph_.nodes.back().outputs;
  }
  [[nodiscard]] Graph finish(std::vector<TensorId> outputs) {
    graph_.outputs = std::move(outputs);
    connect(graph_);
    return graph_;
  }
  [[nodiscard]] const Shape& shape(TensorId id) const { return graph_.tensors[id].shape; }

 private:
  [[nodiscard]] std::string numbered(std::string name) const {
    name += std::to_string(graph_.tensors.size());
    return name;
  }
  TensorId tensor(const std::string& name, DataType type, Shape shape) {
    Tensor added;
    added.name = name;
    added.type = type;
    added.shape = std::move(shape);
    graph_.tensors.push_back(std::move(added));
    return static_cast<TensorId>(graph_.tensors.size()) - 1;
  }

  Graph graph_;
};

inline std::map<std::string, int> op_counts(const Graph& graph) {
  std::map<std::string, int> counts;
  for (const Node& node : graph.nodes) ++counts[node.op];
  return counts;
}

inline const Node* find_op(const Graph& graph, const std::string& op) {
  const auto it = std::find_if(graph.nodes.begin(), graph.nodes.end(), [&](const Node& n) { return n.op == op; });
  return it == graph.nodes.end() ? nullptr : &*it;
}

/// Random values for every input of a graph.
inline TensorMap random_inputs(const Graph& graph, std::uint64_t seed = 7) {
  TensorMap inputs;
  for (const TensorId id : graph.inputs) {
    const Tensor& t = graph.tensors[id];
    inputs[t.name] = random_tensor(t.type, t.shape, seed + static_cast<std::uint64_t>(id), 5);
  }
  return inputs;
}

/// Largest difference relative to the largest reference value, over all outputs.
inline double distance(const TensorMap& reference, const TensorMap& found) {
  double worst = 0.0;
  for (const auto& [name, want] : reference) {
    const auto it = found.find(name);
    if (it == found.end() || it->second.shape != want.shape) return 1e30;
    double largest = 1e-30;
    double difference = 0.0;
    const auto at = [](const HostTensor& t, std::size_t i) {
      return t.holds_float() ? double{t.floats()[i]} : static_cast<double>(t.ints()[i]);
    };
    for (std::size_t i = 0; i < static_cast<std::size_t>(elements_of(want.shape)); ++i) {
      largest = std::max(largest, std::abs(at(want, i)));
      difference = std::max(difference, std::abs(at(want, i) - at(it->second, i)));
    }
    worst = std::max(worst, difference / largest);
  }
  return worst;
}

/// The exported nodes that something depends on: what a canonical graph must stand for.
inline std::set<NodeId> executed_nodes(const Graph& exported) {
  std::set<NodeId> needed;
  std::vector<TensorId> open = exported.outputs;
  while (!open.empty()) {
    const TensorId id = open.back();
    open.pop_back();
    const NodeId producer = exported.tensors[id].producer;
    if (producer == kNone || exported.nodes[producer].folded || !needed.insert(producer).second) continue;
    for (const TensorId in : exported.nodes[producer].inputs) {
      if (in != kNone) open.push_back(in);
    }
  }
  return needed;
}

/// Every executed exported node stands behind exactly one canonical node.
inline bool origins_are_a_partition(const Graph& exported, const Graph& canonical) {
  std::multiset<NodeId> claimed;
  for (const Node& node : canonical.nodes) claimed.insert(node.origins.begin(), node.origins.end());
  for (const NodeId id : executed_nodes(exported)) {
    if (claimed.count(id) != 1) return false;
  }
  return std::set<NodeId>(claimed.begin(), claimed.end()).size() == claimed.size();
}

}  // namespace spillway::workloads::test
