// BatchNormalization with fixed statistics (Ioffe and Szegedy 2015) is one scale and one shift a channel:
//   scale / sqrt(var + epsilon) * x + (bias - mean * scale / sqrt(var + epsilon))
#include <cmath>

#include "workloads/canonical/patterns.h"

namespace spillway::workloads {

namespace {

void match(Rewriter& rewriter, NodeId id) {
  const Node& exported = rewriter.node(id);
  if (exported.inputs.size() != 5) return;
  std::vector<HostTensor> values;
  const Constant::Missing* missing = nullptr;
  for (int i = 1; i < 5; ++i) {
    const Tensor& tensor = rewriter.tensor(exported.inputs[i]);
    if (!tensor.is_constant()) return;
    if (tensor.constant->missing()) {
      missing = &std::get<Constant::Missing>(tensor.constant->source);
    } else if (auto value = rewriter.value(exported.inputs[i]); value && value->holds_float()) {
      values.push_back(std::move(*value));
    } else {
      return;
    }
  }
  const Shape per_channel = rewriter.tensor(exported.inputs[1]).shape;
  const DataType type = rewriter.tensor(exported.inputs[1]).type;
  Node node;
  node.name = exported.name;
  node.op = "ChannelAffine";
  node.inputs = {exported.inputs[0]};
  node.outputs = {exported.outputs[0]};
  if (missing != nullptr) {
    const std::string file = missing->file;
    node.inputs.push_back(rewriter.add_missing(node.name + ".scale", type, per_channel, file));
    node.inputs.push_back(rewriter.add_missing(node.name + ".bias", type, per_channel, file));
  } else {
    const double epsilon = exported.real("epsilon", 1e-5F);
    HostTensor scale = values[0];
    HostTensor bias = values[1];
    for (std::size_t c = 0; c < scale.floats().size(); ++c) {
      const double factor = scale.floats()[c] / std::sqrt(double{values[3].floats()[c]} + epsilon);
      bias.floats()[c] = static_cast<float>(bias.floats()[c] - values[2].floats()[c] * factor);
      scale.floats()[c] = static_cast<float>(factor);
    }
    node.inputs.push_back(rewriter.add_constant(node.name + ".scale", std::move(scale)));
    node.inputs.push_back(rewriter.add_constant(node.name + ".bias", std::move(bias)));
  }
  rewriter.replace(std::vector{id}, {std::move(node)});
}

}  // namespace

void recognise_batch_norm(Rewriter& rewriter) {
  for (const NodeId id : rewriter.nodes()) {
    if (rewriter.node(id).op == "BatchNormalization") match(rewriter, id);
  }
}

}  // namespace spillway::workloads
