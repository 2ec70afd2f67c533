#include "workloads/onnx/folding.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <string_view>
#include <utility>

#include "configs/error.h"
#include "workloads/operators/support.h"

namespace spillway::workloads {
namespace {

template <std::size_t N>
bool one_of(std::string_view op, const std::array<std::string_view, N>& names) {
  return std::find(names.begin(), names.end(), op) != names.end();
}

/// Operators of the reference executor alone whose work grows faster than their tensors: folded only where they are
/// small.
bool grows_fast(std::string_view op) {
  return one_of(op, std::array<std::string_view, 14>{"ConvInteger", "DFT", "Det", "GRU", "GridSample", "LSTM",
                                                     "MatMulInteger", "MaxRoiPool", "NonMaxSuppression", "QLinearConv",
                                                     "QLinearMatMul", "RNN", "RoiAlign", "STFT"});
}

/// Each run gives other values.
bool is_random(std::string_view op) {
  return one_of(op, std::array<std::string_view, 6>{"RandomNormal", "RandomNormalLike", "RandomUniform",
                                                    "RandomUniformLike", "Bernoulli", "Multinomial"});
}

/// Reads its input's shape, never its elements.
bool reads_shape_only(std::string_view op) { return op == "Shape" || op == "Size"; }

/// Every output element is some element of input 0.
bool copies_elements(std::string_view op) {
  return one_of(op, std::array<std::string_view, 9>{"Expand", "Flatten", "Identity", "Reshape", "Slice", "Squeeze",
                                                    "Tile", "Transpose", "Unsqueeze"});
}

/// Multiply-accumulates or vector operations of the whole node: two tensors of a million elements each can still make
/// a convolution of 10^12.
std::int64_t work_of(const OpDef& def, const Graph& graph, const Node& node) {
  const auto out = whole(graph.output(node).shape);
  if (def.matrix_shape != nullptr) return def.matrix_shape(graph, node, out).macs();
  if (def.vector_work == nullptr) return 0;
  const auto work = def.vector_work(graph, node, out);
  return std::accumulate(work.begin(), work.end(), std::int64_t{0});
}

bool can_evaluate(const OpDef& def) { return def.evaluate != nullptr || def.kernel != nullptr; }

/// The only value that the elements have, if a Generator can hold it.
std::optional<float> only_value(const HostTensor& tensor) {
  const auto same = [](const auto& values) {
    return !values.empty() && std::all_of(values.begin(), values.end(), [&](auto v) { return v == values.front(); });
  };
  if (tensor.holds_float()) return same(tensor.floats()) ? std::optional(tensor.floats().front()) : std::nullopt;
  if (tensor.holds_double()) {
    if (!same(tensor.doubles())) return std::nullopt;
    const double value = tensor.doubles().front();
    return static_cast<double>(static_cast<float>(value)) == value ? std::optional(static_cast<float>(value))
                                                                   : std::nullopt;
  }
  constexpr std::int64_t kExactInFloat = std::int64_t{1} << 24;
  if (!same(tensor.ints()) || std::abs(tensor.ints().front()) > kExactInFloat) return std::nullopt;
  return static_cast<float>(tensor.ints().front());
}

/// The node with every tensor shrunk to one element of the same rank.
Graph shrunk_to_one_element(const Graph& graph, const Node& node) {
  Graph one;
  one.opset = graph.opset;
  one.nodes.push_back(node);
  const auto shrink = [&](std::vector<TensorId>& ids) {
    for (auto& id : ids) {
      if (id == kNone) continue;
      const auto& tensor = graph.tensors[id];
      one.tensors.push_back(Tensor{.name = tensor.name, .type = tensor.type, .shape = Shape(tensor.shape.size(), 1)});
      id = static_cast<TensorId>(one.tensors.size() - 1);
    }
  };
  shrink(one.nodes.front().inputs);
  shrink(one.nodes.front().outputs);
  return one;
}

HostTensor filled(const Tensor& tensor, float value) {
  auto result = make_tensor(tensor.type, tensor.shape);
  const auto fill = [&]<typename T>(std::vector<T>& values) {
    std::fill(values.begin(), values.end(), static_cast<T>(value));
  };
  std::visit(fill, result.data);
  return result;
}

}  // namespace

const HostTensor* Folder::value(TensorId id) {
  if (id == kNone) return nullptr;
  auto& known = values_[id];
  if (known != nullptr) return known.get();
  const auto& tensor = graph_.tensors[id];
  if (!tensor.constant || tensor.constant->missing() || tensor.elements() > kMaxFoldedElements) return nullptr;
  const auto* held = std::get_if<std::shared_ptr<const HostTensor>>(&tensor.constant->source);
  known = held != nullptr ? *held : std::make_shared<const HostTensor>(materialise(tensor));
  return known.get();
}

void Folder::fold(Node& node) {
  const auto& def = operator_of(node);
  if (is_random(node.op)) return;
  const bool known = std::all_of(node.inputs.begin(), node.inputs.end(), [&](TensorId id) {
    return id == kNone || graph_.tensors[id].is_constant() || reads_shape_only(node.op);
  });
  if (known) node.folded = fold_by_evaluation(node, def) || fold_uniform(node, def);
}

bool Folder::fold_by_evaluation(Node& node, const OpDef& def) {
  // Weights that a quantised export stores as integers are constants all the same.
  constexpr std::int64_t kMaxFastElements = std::int64_t{1} << 12;
  const std::int64_t most = node.op == "DequantizeLinear" ? kMaxDequantizedElements
                            : grows_fast(node.op)         ? kMaxFastElements
                                                          : kMaxFoldedElements;
  const auto small = [&](TensorId id) { return id == kNone || graph_.tensors[id].elements() <= most; };
  if (!can_evaluate(def) || !std::all_of(node.outputs.begin(), node.outputs.end(), small)) return false;
  if (reads_shape_only(node.op)) {
    const auto& input = graph_.input(node, 0);
    const HostTensor shape_only{.type = input.type, .shape = input.shape, .data = {}};
    const std::array<const HostTensor*, 1> inputs{&shape_only};
    return set_outputs(node, evaluate_node(def, graph_, node, inputs));
  }
  if (!std::all_of(node.inputs.begin(), node.inputs.end(), small)) return false;
  if (work_of(def, graph_, node) > kMaxFoldedWork) return false;
  for (const auto id : node.inputs) {
    if (id == kNone || !graph_.tensors[id].constant->missing()) continue;
    for (const auto output : node.outputs) {
      if (output != kNone) graph_.tensors[output].constant = graph_.tensors[id].constant;
    }
    return true;
  }
  std::vector<const HostTensor*> inputs;
  std::vector<HostTensor> passing;  // too large to be kept once its one reader is folded
  passing.reserve(node.inputs.size());
  for (const auto id : node.inputs) {
    if (id != kNone && graph_.tensors[id].elements() > kMaxFoldedElements) {
      passing.push_back(materialise(graph_.tensors[id]));
      inputs.push_back(&passing.back());
    } else {
      inputs.push_back(value(id));
    }
  }
  return set_outputs(node, evaluate_node(def, graph_, node, inputs));
}

/// Tensors that have one value throughout stay known at any size. Exporters of attention leave such a chain behind:
/// ConstantOfShape of the scores' shape, times the factor 0, added to the scores (torch.baddbmm).
bool Folder::fold_uniform(Node& node, const OpDef& def) {
  std::optional<float> result;
  if (node.op == "ConstantOfShape") {
    const auto attribute = node.attributes.find("value");
    if (attribute == node.attributes.end()) {
      result = 0.0F;
    } else if (const auto* held = std::get_if<std::shared_ptr<const HostTensor>>(&attribute->second)) {
      result = only_value(**held);
    }
  } else if (copies_elements(node.op)) {
    result = uniform_value(node.inputs.front());
  } else if (can_evaluate(def) && (def.op_class == OpClass::kElementwise || node.op == "Cast")) {
    const auto one = shrunk_to_one_element(graph_, node);
    std::vector<HostTensor> values(node.inputs.size());
    std::vector<const HostTensor*> inputs(node.inputs.size(), nullptr);
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      if (node.inputs[i] == kNone) continue;
      const auto uniform = uniform_value(node.inputs[i]);
      if (!uniform) return false;
      values[i] = filled(one.input(one.nodes.front(), static_cast<int>(i)), *uniform);
      inputs[i] = &values[i];
    }
    result = only_value(evaluate_node(def, one, one.nodes.front(), inputs).at(0));
  }
  if (!result || node.outputs.size() != 1) return false;
  graph_.tensors[node.outputs.front()].constant =
      Constant{Generator{.kind = Generator::Kind::kConstant, .seed = 0, .scale = *result}};
  return true;
}

std::optional<float> Folder::uniform_value(TensorId id) {
  if (id == kNone) return std::nullopt;
  const auto& constant = graph_.tensors[id].constant;
  if (const auto* generator = std::get_if<Generator>(&constant->source)) {
    if (generator->kind == Generator::Kind::kConstant) return generator->scale;
  }
  const auto* host = value(id);
  return host != nullptr ? only_value(*host) : std::nullopt;
}

bool Folder::set_outputs(Node& node, std::vector<HostTensor> results) {
  for (std::size_t i = results.size(); i < node.outputs.size(); ++i) {
    if (node.outputs[i] != kNone) return false;  // an optional output that the kernel does not compute
  }
  for (std::size_t i = 0; i < node.outputs.size(); ++i) {
    if (node.outputs[i] == kNone) continue;
    auto& tensor = graph_.tensors[node.outputs[i]];
    if (results[i].type != tensor.type || results[i].shape != tensor.shape) {
      internal_error(fmt::format("node '{}' ({}) evaluates to something else than was inferred for '{}'", node.name,
                                 node.op, tensor.name));
    }
    tensor.constant = Constant{std::make_shared<const HostTensor>(std::move(results[i]))};
  }
  return true;
}

}  // namespace spillway::workloads
