#include "workloads/canonical/rewriter.h"

#include <algorithm>

#include "configs/error.h"
#include "workloads/operators/parameters.h"

namespace spillway::workloads {

Rewriter::Rewriter(const Graph& graph, Origins origins) {
  graph_.name = graph.name;
  graph_.source = graph.source;
  graph_.opset = graph.opset;
  graph_.tensors = graph.tensors;
  graph_.inputs = graph.inputs;
  graph_.outputs = graph.outputs;
  graph_.warnings = graph.warnings;
  is_output_.assign(graph_.tensors.size(), false);
  for (Tensor& tensor : graph_.tensors) {
    tensor.producer = kNone;
    tensor.consumers.clear();
    names_.insert(tensor.name);
  }
  for (const TensorId id : graph_.outputs) is_output_[id] = true;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    if (graph.nodes[i].folded) continue;
    Node node = graph.nodes[i];
    if (origins == Origins::kOwn) node.origins = {static_cast<NodeId>(i)};
    append(std::move(node), kNone);
  }
  remove_dead();  // before anything is matched: a dead reader would stop patterns, or inherit what a living one stands
                  // for
}

std::vector<NodeId> Rewriter::nodes() const {
  std::vector<NodeId> ids;
  for (NodeId id = first_; id != kNone; id = next_[id]) ids.push_back(id);
  return ids;
}

NodeId Rewriter::producer(TensorId id, std::string_view op) const {
  const NodeId found = producer(id);
  return found != kNone && node(found).op == op && node(found).outputs[0] == id ? found : kNone;
}

NodeId Rewriter::sole_consumer(TensorId id) const {
  return !is_output_[id] && tensor(id).consumers.size() == 1 ? tensor(id).consumers[0] : kNone;
}

NodeId Rewriter::sole_consumer(TensorId id, std::string_view op) const {
  const NodeId found = sole_consumer(id);
  return found != kNone && node(found).op == op ? found : kNone;
}

TensorId Rewriter::other_input(NodeId id, TensorId known) const {
  const auto& inputs = node(id).inputs;
  if (inputs.size() != 2 || inputs[0] == inputs[1]) return kNone;
  return inputs[0] == known ? inputs[1] : inputs[1] == known ? inputs[0] : kNone;
}

std::optional<HostTensor> Rewriter::value(TensorId id) const {
  constexpr std::int64_t kLargest = std::int64_t{1} << 20;
  if (id == kNone || !tensor(id).is_constant() || tensor(id).constant->missing()) return std::nullopt;
  if (tensor(id).elements() > kLargest) return std::nullopt;
  return materialise(tensor(id));
}

std::optional<double> Rewriter::scalar(TensorId id) const {
  if (id == kNone || !tensor(id).is_constant() || tensor(id).elements() != 1) return std::nullopt;
  const auto host = value(id);
  if (!host) return std::nullopt;
  return std::visit([](const auto& values) { return static_cast<double>(values[0]); }, host->data);
}

std::optional<double> Rewriter::uniform(TensorId id) const {
  if (id == kNone || !tensor(id).is_constant() || tensor(id).elements() == 0) return std::nullopt;
  if (const auto* generator = std::get_if<Generator>(&tensor(id).constant->source)) {
    if (generator->kind == Generator::Kind::kConstant) return generator->scale;
  }
  const auto host = value(id);
  if (!host) return std::nullopt;
  const auto first_if_all = [](const auto& values) -> std::optional<double> {
    const bool same = std::all_of(values.begin(), values.end(), [&](auto v) { return v == values.front(); });
    return same ? std::optional<double>(static_cast<double>(values.front())) : std::nullopt;
  };
  return std::visit(first_if_all, host->data);
}

bool Rewriter::exclusive(std::span<const NodeId> matched, TensorId result) const {
  for (const NodeId id : matched) {
    for (const TensorId out : node(id).outputs) {
      if (out == kNone || out == result) continue;
      if (is_output_[out]) return false;
      for (const NodeId reader : tensor(out).consumers) {
        if (std::find(matched.begin(), matched.end(), reader) == matched.end()) return false;
      }
    }
  }
  return true;
}

void Rewriter::replace(std::span<const NodeId> matched, std::vector<Node> replacements) {
  std::vector<NodeId> unclaimed;
  for (const NodeId id : matched) {
    const auto& origins = node(id).origins;
    unclaimed.insert(unclaimed.end(), origins.begin(), origins.end());
  }
  for (const Node& node : replacements) {
    for (const NodeId claimed : node.origins) std::erase(unclaimed, claimed);
  }
  auto& last = replacements.back().origins;
  last.insert(last.end(), unclaimed.begin(), unclaimed.end());
  std::sort(last.begin(), last.end());

  NodeId after = next_[matched.back()];
  while (std::find(matched.begin(), matched.end(), after) != matched.end()) after = next_[after];
  for (const NodeId id : matched) erase(id);
  for (Node& node : replacements) append(std::move(node), after);
}

void Rewriter::bypass(NodeId id) {
  const TensorId in = node(id).inputs[0];
  const TensorId out = node(id).outputs[0];
  const NodeId source = producer(in);
  NodeId heir = source;
  TensorId kept = in;
  if (is_output_[out]) {
    if (source == kNone || is_output_[in]) {
      Node& identity = graph_.nodes[id];
      detach(id);
      identity.op = "Identity";
      identity.inputs = {in};
      identity.outputs = {out};
      identity.attributes.clear();
      attach(id);
      return;
    }
    kept = out;
  } else if (heir == kNone && !tensor(out).consumers.empty()) {
    heir = tensor(out).consumers[0];
  }
  if (heir != kNone) {
    auto& origins = graph_.nodes[heir].origins;
    origins.insert(origins.end(), node(id).origins.begin(), node(id).origins.end());
    std::sort(origins.begin(), origins.end());
  }
  erase(id);
  const TensorId dropped = kept == in ? out : in;
  const auto readers = tensor(dropped).consumers;
  for (const NodeId reader : readers) {
    detach(reader);
    for (TensorId& input : graph_.nodes[reader].inputs) {
      if (input == dropped) input = kept;
    }
    attach(reader);
  }
  if (kept == out) {
    for (TensorId& output : graph_.nodes[source].outputs) {
      if (output == in) output = out;
    }
    graph_.tensors[out].producer = source;
    graph_.tensors[in].producer = kNone;
  }
}

void Rewriter::set_input(NodeId id, int i, TensorId tensor) {
  detach(id);
  graph_.nodes[id].inputs[i] = tensor;
  attach(id);
}

void Rewriter::inline_parameters(NodeId id) {
  detach(id);
  workloads::inline_parameters(graph_, graph_.nodes[id]);
  attach(id);
}

void Rewriter::erase(NodeId id) {
  detach(id);
  unlink(id);
  alive_[id] = false;
}

TensorId Rewriter::add_tensor(const std::string& name, DataType type, Shape shape) {
  std::string unique = name;
  for (int i = 2; !names_.insert(unique).second; ++i) unique = name + "." + std::to_string(i);
  Tensor added;
  added.name = std::move(unique);
  added.type = type;
  added.shape = std::move(shape);
  graph_.tensors.push_back(std::move(added));
  is_output_.push_back(false);
  return static_cast<TensorId>(graph_.tensors.size()) - 1;
}

TensorId Rewriter::add_constant(const std::string& name, HostTensor value) {
  const TensorId id = add_tensor(name, value.type, value.shape);
  graph_.tensors[id].constant = Constant{std::make_shared<const HostTensor>(std::move(value))};
  return id;
}

TensorId Rewriter::add_missing(const std::string& name, DataType type, Shape shape, const std::string& file) {
  const TensorId id = add_tensor(name, type, std::move(shape));
  graph_.tensors[id].constant = Constant{Constant::Missing{file}};
  return id;
}

TensorId Rewriter::reshaped(TensorId constant, const Shape& shape) {
  if (tensor(constant).shape == shape) return constant;
  if (!tensor(constant).is_constant() || elements_of(shape) != tensor(constant).elements()) {
    internal_error("only a constant is reshaped in place, and only to as many elements");
  }
  Constant source = *tensor(constant).constant;
  if (const auto* host = std::get_if<std::shared_ptr<const HostTensor>>(&source.source)) {
    HostTensor copy = **host;
    copy.shape = shape;
    source.source = std::make_shared<const HostTensor>(std::move(copy));
  }
  const TensorId id = add_tensor(tensor(constant).name, tensor(constant).type, shape);
  graph_.tensors[id].constant = std::move(source);
  return id;
}

TensorId Rewriter::part(TensorId constant, std::int64_t from, const Shape& shape) {
  const std::int64_t count = elements_of(shape);
  const Tensor& whole = tensor(constant);
  if (from == 0 && count == whole.elements()) return reshaped(constant, shape);
  if (!whole.is_constant() || from < 0 || from + count > whole.elements()) {
    internal_error("only a constant has parts, and none beyond its end");
  }
  Constant source = *whole.constant;
  if (auto* external = std::get_if<Constant::External>(&source.source)) {
    const std::size_t element = external->bytes / static_cast<std::size_t>(whole.elements());
    external->offset += static_cast<std::size_t>(from) * element;
    external->bytes = static_cast<std::size_t>(count) * element;
  } else if (!source.missing()) {
    const HostTensor all = materialise(whole);
    HostTensor some{all.type, shape, {}};
    some.data = std::visit(
        [&](const auto& values) -> decltype(some.data) {
          return std::decay_t<decltype(values)>(values.begin() + from, values.begin() + from + count);
        },
        all.data);
    source.source = std::make_shared<const HostTensor>(std::move(some));
  }
  const TensorId id = add_tensor(whole.name, whole.type, shape);
  graph_.tensors[id].constant = std::move(source);
  return id;
}

NodeId Rewriter::append(Node node, NodeId before) {
  const auto id = static_cast<NodeId>(graph_.nodes.size());
  graph_.nodes.push_back(std::move(node));
  alive_.push_back(true);
  const NodeId previous = before == kNone ? last_ : previous_[before];
  next_.push_back(before);
  previous_.push_back(previous);
  (previous == kNone ? first_ : next_[previous]) = id;
  (before == kNone ? last_ : previous_[before]) = id;
  attach(id);
  return id;
}

void Rewriter::attach(NodeId id) {
  for (const TensorId input : graph_.nodes[id].inputs) {
    if (input == kNone) continue;
    auto& consumers = graph_.tensors[input].consumers;
    if (std::find(consumers.begin(), consumers.end(), id) == consumers.end()) consumers.push_back(id);
  }
  for (const TensorId output : graph_.nodes[id].outputs) {
    if (output != kNone) graph_.tensors[output].producer = id;
  }
}

void Rewriter::detach(NodeId id) {
  for (const TensorId input : graph_.nodes[id].inputs) {
    if (input != kNone) std::erase(graph_.tensors[input].consumers, id);
  }
  for (const TensorId output : graph_.nodes[id].outputs) {
    if (output != kNone && graph_.tensors[output].producer == id) graph_.tensors[output].producer = kNone;
  }
}

void Rewriter::unlink(NodeId id) {
  const NodeId previous = previous_[id];
  const NodeId next = next_[id];
  (previous == kNone ? first_ : next_[previous]) = next;
  (next == kNone ? last_ : previous_[next]) = previous;
}

void Rewriter::remove_dead() {
  for (NodeId id = last_; id != kNone;) {
    const NodeId previous = previous_[id];
    const auto& outputs = node(id).outputs;
    const bool needed = std::any_of(outputs.begin(), outputs.end(), [&](TensorId out) {
      return out != kNone && (is_output_[out] || !tensor(out).consumers.empty());
    });
    if (!needed) erase(id);
    id = previous;
  }
}

Graph Rewriter::finish() {
  remove_dead();
  Graph result;
  result.name = graph_.name;
  result.source = graph_.source;
  result.opset = graph_.opset;
  result.warnings = graph_.warnings;
  for (const NodeId id : nodes()) result.nodes.push_back(std::move(graph_.nodes[id]));

  std::vector<bool> used(graph_.tensors.size(), false);
  for (const TensorId id : graph_.inputs) used[id] = true;
  for (const TensorId id : graph_.outputs) used[id] = true;
  for (Node& node : result.nodes) {
    for (const TensorId id : node.inputs) {
      if (id != kNone) used[id] = true;
    }
    for (TensorId& id : node.outputs) {
      if (id == kNone) continue;
      if (tensor(id).consumers.empty() && !is_output_[id] && id != node.outputs[0]) {
        id = kNone;
      } else {
        used[id] = true;
      }
    }
  }
  std::vector<TensorId> renamed(graph_.tensors.size(), kNone);
  for (std::size_t i = 0; i < used.size(); ++i) {
    if (!used[i]) continue;
    renamed[i] = static_cast<TensorId>(result.tensors.size());
    result.tensors.push_back(std::move(graph_.tensors[i]));
  }
  const auto rename = [&](const std::vector<TensorId>& ids) {
    std::vector<TensorId> out;
    out.reserve(ids.size());
    for (const TensorId id : ids) out.push_back(id == kNone ? kNone : renamed[id]);
    return out;
  };
  result.inputs = rename(graph_.inputs);
  result.outputs = rename(graph_.outputs);
  for (Node& node : result.nodes) {
    node.inputs = rename(node.inputs);
    node.outputs = rename(node.outputs);
  }
  connect(result);
  return result;
}

}  // namespace spillway::workloads
