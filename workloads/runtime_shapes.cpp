#include "workloads/runtime_shapes.h"

#include <algorithm>
#include <memory>

#include "workloads/operators/operators.h"

namespace spillway::workloads {

RuntimeShapes::RuntimeShapes(const Graph& graph) : static_(graph) {
  if (graph.has_dynamic_shapes()) copy_ = graph;
}

bool RuntimeShapes::is_static(const Node& node) const {
  return !copy_ || std::none_of(node.outputs.begin(), node.outputs.end(),
                                [&](TensorId id) { return id != kNone && copy_->tensors[id].dynamic; });
}

RuntimeShapes::Inferred::Inferred(RuntimeShapes& shapes, const Node& node, std::span<const HostTensor* const> inputs)
    : shapes_(shapes) {
  if (shapes.is_static(node)) return;
  Graph& graph = *shapes.copy_;
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    if (node.inputs[i] == kNone) continue;
    Tensor& tensor = graph.tensors[node.inputs[i]];
    tensor.type = inputs[i]->type;
    tensor.shape = inputs[i]->shape;
    if (tensor.is_constant()) continue;
    // Owned by the executor, which keeps it until the node has been evaluated.
    tensor.constant = Constant{std::shared_ptr<const HostTensor>(std::shared_ptr<const void>(), inputs[i])};
    lent_.push_back(node.inputs[i]);
  }
  Node& mutable_node = graph.nodes[static_cast<std::size_t>(&node - graph.nodes.data())];
  InferContext context{graph, mutable_node, [&](int i) { return inputs[static_cast<std::size_t>(i)]; }};
  try {
    operator_of(node).infer(context);
    for (const TensorId id : node.outputs) {
      if (id != kNone) static_cast<void>(whole(graph.tensors[id].shape));
    }
  } catch (...) {
    for (const TensorId id : lent_) graph.tensors[id].constant.reset();
    throw;
  }
}

RuntimeShapes::Inferred::~Inferred() {
  for (const TensorId id : lent_) shapes_.copy_->tensors[id].constant.reset();
}

}  // namespace spillway::workloads
