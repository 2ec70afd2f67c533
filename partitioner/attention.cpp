#include "partitioner/attention.h"

#include <algorithm>

namespace spillway::partitioner {

namespace {

bool is_softmax(const Model& model, NodeId node) { return model.graph.nodes[node].op == "Softmax"; }

bool multiplies_activations(const Model& model, NodeId node) {
  if (model.op(node).op_class != workloads::OpClass::kMatrix) return false;
  const auto& inputs = model.graph.nodes[node].inputs;
  return inputs.size() > 1 && inputs[0] != kNone && inputs[1] != kNone &&
         !is_constant(model.graph, model.layout, inputs[0]) && !is_constant(model.graph, model.layout, inputs[1]);
}

template <typename Is>
bool has(const GroupModel& group, Is is) {
  return std::any_of(group.nodes.begin(), group.nodes.end(), [&](NodeId node) { return is(*group.model, node); });
}

}  // namespace

bool attends(const GroupModel& group) { return has(group, is_softmax) && has(group, multiplies_activations); }

bool allows(Attention attention, const GroupModel& group) {
  if (attention == Attention::kFused || !attends(group)) return true;
  if (attention == Attention::kUnfused) return false;
  const NodeId last = group.stages[group.root_stage].nodes[0].node;
  return is_softmax(*group.model, last) || multiplies_activations(*group.model, last);
}

}  // namespace spillway::partitioner
