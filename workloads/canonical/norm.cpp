// Group, instance and (opset 18) GroupNormalization become statistics per channel and an element-wise application, so
// that statistics can be gathered where a tensor is produced and the normalisation applied where it is consumed.
// Exporters write GroupNorm (Wu and He 2018) as an instance normalisation of the tensor reshaped to [N, groups, rest],
// with unit scale and zero bias, followed by the learned scale and bias per channel.
#include "workloads/canonical/patterns.h"

namespace spillway::workloads {

namespace {

struct Norm {
  std::string name;
  TensorId x = kNone, result = kNone;
  TensorId scale = kNone, bias = kNone;  // [C] each
  std::int64_t groups = 1;
  float epsilon = 1e-5F;
};

/// What any normalising node says of itself.
Norm norm_of(const Node& node) {
  Norm norm;
  norm.name = node.name;
  norm.x = node.inputs[0];
  norm.result = node.outputs[0];
  norm.epsilon = node.real("epsilon", 1e-5F);
  return norm;
}

/// `claimed`: the exported nodes that the statistics stand for.
std::vector<Node> statistics_and_apply(Rewriter& rewriter, const Norm& norm, std::vector<NodeId> claimed) {
  const Shape& shape = rewriter.tensor(norm.x).shape;
  Node statistics;
  statistics.name = norm.name + ":statistics";
  statistics.op = "NormStatistics";
  statistics.inputs = {norm.x};
  statistics.outputs = {rewriter.add_tensor(rewriter.tensor(norm.result).name + ":statistics", DataType::kFloat32,
                                            {shape[0], shape[1], 2})};
  statistics.origins = std::move(claimed);
  Node apply;
  apply.name = norm.name;
  apply.op = "NormApply";
  apply.inputs = {norm.x, statistics.outputs[0], norm.scale, norm.bias};
  while (apply.inputs.back() == kNone) apply.inputs.pop_back();
  apply.outputs = {norm.result};
  apply.attributes["groups"] = norm.groups;
  apply.attributes["epsilon"] = norm.epsilon;
  return {std::move(statistics), std::move(apply)};
}

/// The one reader of `y`, of type `op`, whose other operand is a constant per channel (axis 1); the constant as [C].
std::optional<std::pair<NodeId, TensorId>> per_channel(Rewriter& rewriter, TensorId y, std::string_view op) {
  const NodeId reader = rewriter.sole_consumer(y, op);
  if (reader == kNone) return std::nullopt;
  const TensorId constant = rewriter.other_input(reader, y);
  if (constant == kNone || !rewriter.tensor(constant).is_constant()) return std::nullopt;
  if (rewriter.tensor(rewriter.node(reader).outputs[0]).shape != rewriter.tensor(y).shape) return std::nullopt;
  if (!is_per_channel(rewriter.tensor(constant).shape, rewriter.tensor(y).shape)) return std::nullopt;
  return std::pair{reader, rewriter.reshaped(constant, {rewriter.tensor(y).shape[1]})};
}

/// x [N, C, ...] -> Reshape [N, groups, ...] -> InstanceNormalization -> Reshape to x's shape (-> Mul -> Add).
bool match_group_norm(Rewriter& rewriter, NodeId id) {
  const Node& node = rewriter.node(id);
  const NodeId entry = rewriter.producer(node.inputs[0], "Reshape");
  const NodeId exit = rewriter.sole_consumer(node.outputs[0], "Reshape");
  if (entry == kNone || exit == kNone) return false;
  Norm norm = norm_of(node);
  norm.x = rewriter.node(entry).inputs[0];
  norm.result = rewriter.node(exit).outputs[0];
  const Shape& full = rewriter.tensor(norm.x).shape;
  const Shape& grouped = rewriter.tensor(node.inputs[0]).shape;
  if (full.size() < 2 || rewriter.tensor(norm.result).shape != full) return false;
  if (full[0] != grouped[0] || grouped[1] == 0 || full[1] % grouped[1] != 0) return false;
  norm.groups = grouped[1];
  if (rewriter.uniform(node.inputs[1]) != 1.0 || rewriter.uniform(node.inputs[2]) != 0.0) return false;

  std::vector<NodeId> matched{entry, id, exit};
  if (!rewriter.exclusive(matched, norm.result)) return false;
  if (const auto scale = per_channel(rewriter, norm.result, "Mul")) {
    matched.push_back(scale->first);
    norm.scale = scale->second;
    norm.result = rewriter.node(scale->first).outputs[0];
  }
  if (const auto bias = per_channel(rewriter, norm.result, "Add")) {
    matched.push_back(bias->first);
    norm.bias = bias->second;
    norm.result = rewriter.node(bias->first).outputs[0];
  }
  const auto claimed = node.origins;
  rewriter.replace(matched, statistics_and_apply(rewriter, norm, claimed));
  return true;
}

/// A plain instance normalisation: every channel is its own group.
void match_instance_norm(Rewriter& rewriter, NodeId id) {
  const Node& node = rewriter.node(id);
  Norm norm = norm_of(node);
  norm.groups = rewriter.tensor(norm.x).shape[1];
  if (rewriter.uniform(node.inputs[1]) != 1.0) norm.scale = node.inputs[1];
  if (rewriter.uniform(node.inputs[2]) != 0.0) norm.bias = node.inputs[2];
  rewriter.replace(std::vector{id}, statistics_and_apply(rewriter, norm, {}));
}

/// A parameter of one value a group (opset 18) as one value a channel; itself if it is that already (opset 21).
TensorId spread(Rewriter& rewriter, TensorId id, std::int64_t channels) {
  const Tensor& tensor = rewriter.tensor(id);
  const std::int64_t count = tensor.elements();
  if (count == channels) return rewriter.reshaped(id, {channels});
  if (!tensor.is_constant() || count == 0 || channels % count != 0) return kNone;
  if (const auto* missing = std::get_if<Constant::Missing>(&tensor.constant->source)) {
    const auto file = missing->file;
    return rewriter.add_missing(tensor.name + ".channels", tensor.type, {channels}, file);
  }
  const auto value = rewriter.value(id);
  if (!value) return kNone;
  HostTensor result;
  result.type = tensor.type;
  result.shape = {channels};
  std::vector<float> values;
  for (std::int64_t c = 0; c < channels; ++c) values.push_back(value->floats()[c / (channels / count)]);
  result.data = std::move(values);
  return rewriter.add_constant(tensor.name + ".channels", std::move(result));
}

void match_group_normalization(Rewriter& rewriter, NodeId id) {
  const Node& node = rewriter.node(id);
  Norm norm = norm_of(node);
  norm.groups = node.integer("num_groups", 1);
  const std::int64_t channels = rewriter.tensor(norm.x).shape[1];
  const bool constant = rewriter.tensor(node.inputs[1]).is_constant() && rewriter.tensor(node.inputs[2]).is_constant();
  if (!constant || norm.groups < 1 || channels % norm.groups != 0) return;
  norm.scale = spread(rewriter, node.inputs[1], channels);
  norm.bias = spread(rewriter, node.inputs[2], channels);
  if (norm.scale == kNone || norm.bias == kNone) return;
  rewriter.replace(std::vector{id}, statistics_and_apply(rewriter, norm, {}));
}

}  // namespace

void recognise_norms(Rewriter& rewriter) {
  for (const NodeId id : rewriter.nodes()) {
    if (!rewriter.alive(id)) continue;
    const Node& node = rewriter.node(id);
    if (node.op == "InstanceNormalization") {
      if (!match_group_norm(rewriter, id)) match_instance_norm(rewriter, id);
    } else if (node.op == "GroupNormalization") {
      match_group_normalization(rewriter, id);
    }
  }
}

}  // namespace spillway::workloads
