#include "partitioner/primitives.h"

#include <algorithm>
#include <set>

namespace spillway::partitioner {

using workloads::OpClass;

namespace {

bool is_activation(const Model& model, NodeId node) {
  static constexpr std::string_view kActivations[] = {"Silu", "Relu", "LeakyRelu", "Sigmoid",
                                                      "Gelu", "Clip", "HardSwish"};
  const std::string& op = model.graph.nodes[node].op;
  return std::find(std::begin(kActivations), std::end(kActivations), op) != std::end(kActivations);
}

/// The product with a bias whose only reader `node` scales it by one constant (CLIP's queries; without a bias the
/// constant is the product's alpha); kNone if it is no such.
NodeId scaled_product(const Model& model, NodeId node) {
  const Node& n = model.graph.nodes[node];
  if ((n.op != "Mul" && n.op != "Div") || n.inputs.size() != 2) return kNone;
  for (int i = 0; i < 2; ++i) {
    const workloads::Tensor& factor = model.graph.input(n, 1 - i);
    if (!factor.is_constant() || factor.elements() != 1 || (n.op == "Div" && i != 0)) continue;
    const StorageId input = model.storage_of(n.inputs[i]);
    const NodeId producer = model.producer[input];
    if (producer == kNone || model.op(producer).op_class != OpClass::kMatrix) continue;
    if (model.readers[input].size() == 1 && !model.layout.storages[input].is_output) return producer;
  }
  return kNone;
}

}  // namespace

std::vector<Nodes> primitives(const Model& model) {
  std::vector<Nodes> groups;
  std::vector<int> member(model.graph.nodes.size(), kNone);
  for (const NodeId n : model.executed) {
    if (model.is_virtual(n)) continue;
    if (const NodeId product = scaled_product(model, n); product != kNone) {
      member[n] = member[product];
      groups[member[n]].push_back(n);
      continue;
    }
    if (is_activation(model, n)) {
      const StorageId input = model.storage_of(model.graph.nodes[n].inputs[0]);
      const NodeId producer = model.producer[input];
      const bool only = model.readers[input].size() == 1 && !model.layout.storages[input].is_output;
      if (producer != kNone && only && member[producer] != kNone) {
        const std::string& op = model.graph.nodes[producer].op;
        if (op == "NormApply" || op == "ChannelAffine" || op == "LayerNormalization") {
          member[n] = member[producer];
          groups[member[n]].push_back(n);
          continue;
        }
      }
    }
    member[n] = static_cast<int>(groups.size());
    groups.push_back({n});
  }
  return groups;
}

Nodes with_virtual(const Model& model, const Nodes& nodes) {
  std::set<NodeId> all(nodes.begin(), nodes.end());
  std::vector<NodeId> stack = nodes;
  while (!stack.empty()) {
    const NodeId n = stack.back();
    stack.pop_back();
    for (const TensorId input : model.graph.nodes[n].inputs) {
      if (input == kNone) continue;
      const NodeId producer = model.producer[model.storage_of(input)];
      if (producer != kNone && model.is_virtual(producer) && all.insert(producer).second) stack.push_back(producer);
    }
  }
  return {all.begin(), all.end()};
}

}  // namespace spillway::partitioner
