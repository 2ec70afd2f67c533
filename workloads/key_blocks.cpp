#include "workloads/key_blocks.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "configs/error.h"
#include "workloads/canonical/rewriter.h"

namespace spillway::workloads {

namespace {

constexpr float kNoScore = -30000.0F;  // differences of two such are finite in fp16 too; -infinity would make NaN

/// Element by element, with broadcasting: what may be done to scores, or to weights, block by block.
bool is_pointwise(const std::string& op) {
  constexpr std::array kOps = {"Add", "Sub", "Mul", "Div", "Min", "Max", "Where", "Tanh", "Neg", "Clip", "Identity"};
  return std::find(kOps.begin(), kOps.end(), op) != kOps.end();
}

/// Another name for the same elements in the same order.
bool renames(const Node& node) { return node.op == "Reshape" || node.op == "Squeeze" || node.op == "Unsqueeze"; }

/// Keeps the last axis as it is, or goes element by element.
bool keeps_keys(const Graph& graph, const Node& node, TensorId data) {
  const Shape& in = graph.tensors[data].shape;
  const Shape& out = graph.output(node).shape;
  if (in.empty() || out.empty() || in.back() != out.back()) return false;
  if (renames(node)) return true;
  if (node.op == "Transpose") {
    const auto perm = node.integers("perm");
    return !perm.empty() && perm.back() == static_cast<std::int64_t>(in.size()) - 1;
  }
  if (!is_pointwise(node.op) || elements_of(in) != elements_of(out)) return false;
  return std::count(node.inputs.begin(), node.inputs.end(), data) == 1;
}

NodeId sole_reader(const Graph& graph, TensorId tensor) {
  const Tensor& t = graph.tensors[tensor];
  return !graph.is_output(tensor) && t.consumers.size() == 1 ? t.consumers[0] : kNone;
}

/// A product of two activations, and nothing that would have to be added once only.
bool multiplies_activations(const Graph& graph, const Node& node) {
  return node.op == "MatMul" && graph.has_input(node, 0) && graph.has_input(node, 1) && !graph.has_input(node, 2) &&
         !graph.input(node, 0).is_constant() && !graph.input(node, 1).is_constant() &&
         graph.input(node, 0).shape.size() >= 2 && graph.input(node, 1).shape.size() >= 2;
}

/// The input that the node's output is made of: the only one that is computed and as large.
TensorId carried(const Graph& graph, const Node& node) {
  TensorId found = kNone;
  for (const TensorId id : node.inputs) {
    if (id == kNone || graph.tensors[id].producer == kNone) continue;
    if (graph.tensors[id].elements() != graph.output(node).elements()) continue;
    if (found != kNone) return kNone;
    found = id;
  }
  return found;
}

/// Cuts one attention.
class Cut {
 public:
  Cut(Rewriter& rewriter, const KeyedAttention& attention, std::int64_t blocks)
      : r_(rewriter), a_(attention), blocks_(blocks), step_((attention.count + blocks - 1) / blocks) {}

  void make() {
    const std::string softmax = r_.node(a_.softmax).name;
    for (std::int64_t j = 0; j < blocks_; ++j) {
      begin_ = j * step_;
      end_ = std::min(a_.count, begin_ + step_);
      tag_ = fmt::format(":keys{}-{}", begin_, end_);
      const TensorId scores = scores_of_block(j == 0);
      const TensorId log = logarithm(softmax, scores);
      take_in(softmax, log, mixed(weights_of_block(softmax, scores, log, j == 0), j == 0));
    }
    nodes_.back().outputs = {r_.node(a_.mix).outputs[0]};
    std::vector<NodeId> matched{a_.scores};
    matched.insert(matched.end(), a_.before.begin(), a_.before.end());
    matched.push_back(a_.softmax);
    matched.insert(matched.end(), a_.after.begin(), a_.after.end());
    matched.push_back(a_.mix);
    r_.replace(matched, std::move(nodes_));
  }

 private:
  TensorId add(Node node, const std::string& name, Shape shape) {
    node.name = name;
    node.outputs = {r_.add_tensor(name, type_, std::move(shape))};
    nodes_.push_back(std::move(node));
    return nodes_.back().outputs[0];
  }

  /// The block's part of a tensor along `axis`.
  TensorId part(TensorId tensor, std::int64_t axis, std::int64_t begin, std::int64_t end, const std::string& tag) {
    const Tensor whole = r_.tensor(tensor);
    Node slice;
    slice.op = slice.name = "Slice";
    slice.inputs = {tensor};
    slice.attributes["axes"] = std::vector<std::int64_t>{axis};
    slice.attributes["starts"] = std::vector<std::int64_t>{begin};
    slice.attributes["ends"] = std::vector<std::int64_t>{end};
    Shape shape = whole.shape;
    shape[axis] = end - begin;
    slice.name = whole.name + tag;
    slice.outputs = {r_.add_tensor(slice.name, whole.type, std::move(shape))};
    nodes_.push_back(std::move(slice));
    return nodes_.back().outputs[0];
  }

  /// The same node for the block: `data` instead of what it read, other operands cut where they have the keys' axis.
  TensorId moved(NodeId id, TensorId from, TensorId data, bool claims) {
    Node node = r_.node(id);
    Shape shape = r_.tensor(node.outputs[0]).shape;
    shape.back() = end_ - begin_;
    for (TensorId& input : node.inputs) {
      if (input == kNone) continue;
      if (input == from) {
        input = data;
        continue;
      }
      const Shape& other = r_.tensor(input).shape;
      if (other.empty() || other.back() != a_.count || a_.count == 1) continue;
      input = part(input, static_cast<std::int64_t>(other.size()) - 1, begin_, end_, tag_);
    }
    if (node.op == "Reshape") node.attributes["shape"] = shape;
    if (!claims) node.origins.clear();
    const std::string name = node.name + tag_;
    return add(std::move(node), name, std::move(shape));
  }

  TensorId scores_of_block(bool first) {
    const Node& product = r_.node(a_.scores);
    type_ = r_.tensor(product.outputs[0]).type;
    const auto rank = static_cast<std::int64_t>(r_.tensor(a_.keys).shape.size());
    const std::int64_t axis = product.integer("transB", 0) != 0 ? rank - 2 : rank - 1;
    TensorId from = product.outputs[0];
    Node node = product;
    node.inputs[1] = part(a_.keys, axis, begin_, end_, tag_);
    if (!first) node.origins.clear();
    Shape shape = r_.tensor(from).shape;
    shape.back() = end_ - begin_;
    const std::string name = product.name + tag_;
    TensorId data = add(std::move(node), name, std::move(shape));
    for (const NodeId id : a_.before) {
      data = moved(id, from, data, first);
      from = r_.node(id).outputs[0];
    }
    return data;
  }

  /// l_j, no lower than any finite score may be where a mask may have left none.
  TensorId logarithm(const std::string& softmax, TensorId scores) {
    Shape shape = r_.tensor(scores).shape;
    Node node;
    node.op = "ReduceLogSumExp";
    node.inputs = {scores};
    node.attributes["axes"] = std::vector<std::int64_t>{static_cast<std::int64_t>(shape.size()) - 1};
    node.attributes["keepdims"] = std::int64_t{1};
    shape.back() = 1;
    const TensorId log = add(std::move(node), softmax + ".log" + tag_, shape);
    if (a_.before.empty()) return log;
    Node floor;
    floor.op = "Max";
    floor.inputs = {log, r_.add_constant(softmax + ".floor" + tag_, HostTensor{type_, {}, std::vector{kNoScore}})};
    return add(std::move(floor), softmax + ".floored" + tag_, shape);
  }

  TensorId weights_of_block(const std::string& softmax, TensorId scores, TensorId log, bool first) {
    const Shape shape = r_.tensor(scores).shape;
    Node below;
    below.op = "Sub";
    below.inputs = {scores, log};
    Node power;
    power.op = "Exp";
    power.inputs = {add(std::move(below), softmax + ".below" + tag_, shape)};
    if (first) power.origins = r_.node(a_.softmax).origins;
    TensorId data = add(std::move(power), softmax + tag_, shape);
    TensorId from = r_.node(a_.softmax).outputs[0];
    for (const NodeId id : a_.after) {
      data = moved(id, from, data, first);
      from = r_.node(id).outputs[0];
    }
    return data;
  }

  TensorId mixed(TensorId weights, bool first) {
    Node node = r_.node(a_.mix);
    const auto rank = static_cast<std::int64_t>(r_.tensor(a_.values).shape.size());
    const std::int64_t axis = node.integer("transB", 0) != 0 ? rank - 1 : rank - 2;
    node.inputs = {weights, part(a_.values, axis, begin_, end_, tag_)};
    if (!first) node.origins.clear();
    const std::string name = node.name + tag_;
    return add(std::move(node), name, r_.tensor(r_.node(a_.mix).outputs[0]).shape);
  }

  TensorId node(const char* op, std::vector<TensorId> inputs, const std::string& name) {
    Node made;
    made.op = op;
    made.inputs = std::move(inputs);
    const Shape shape = r_.tensor(made.inputs[0]).shape;
    return add(std::move(made), name + tag_, shape);
  }

  /// Takes the block into what those before it came to.
  void take_in(const std::string& softmax, TensorId log, TensorId part) {
    const Shape column = with_last(r_.tensor(part).shape, 1);
    if (sum_ == kNone) {
      sum_ = part;
      log_ = log;
      return;
    }
    // The share is taken from what all have come to, so that this is all that a block leaves to the next.
    log_ = node("LogAddExp", {log, log_}, softmax + ".total");
    TensorId share = node("Exp", {node("Sub", {log, log_}, softmax + ".lead")}, softmax + ".share");
    if (r_.tensor(share).shape != column) {
      Node view;
      view.op = "Reshape";
      view.inputs = {share};
      view.attributes["shape"] = column;
      share = add(std::move(view), softmax + ".column" + tag_, column);
    }
    const TensorId off = node("Sub", {part, sum_}, softmax + ".off");
    sum_ = node("Add", {node("Mul", {off, share}, softmax + ".step"), sum_}, softmax + ".sum");
  }

  static Shape with_last(Shape shape, std::int64_t extent) {
    shape.back() = extent;
    return shape;
  }

  Rewriter& r_;
  const KeyedAttention& a_;
  std::int64_t blocks_, step_;
  std::int64_t begin_ = 0, end_ = 0;
  std::string tag_;
  DataType type_ = DataType::kFloat32;
  TensorId log_ = kNone, sum_ = kNone;  ///< of the blocks so far
  std::vector<Node> nodes_;
};

}  // namespace

std::optional<KeyedAttention> keyed_attention(const Graph& graph, NodeId softmax) {
  const Node& node = graph.nodes[softmax];
  if (node.op != "Softmax") return std::nullopt;
  const Shape& shape = graph.output(node).shape;
  const auto rank = static_cast<std::int64_t>(shape.size());
  const std::int64_t axis = node.integer("axis", -1);
  if (rank < 2 || (axis != -1 && axis != rank - 1) || shape.back() < 2) return std::nullopt;
  const DataType type = graph.output(node).type;
  if (!is_float(type) || type == DataType::kFloat64) return std::nullopt;
  KeyedAttention found{.softmax = softmax, .count = shape.back()};
  TensorId at = node.inputs[0];
  for (;;) {
    const NodeId maker = graph.tensors[at].producer;
    if (maker == kNone || sole_reader(graph, at) == kNone) return std::nullopt;
    if (graph.nodes[maker].op == "MatMul") {
      found.scores = maker;
      break;
    }
    const TensorId from = carried(graph, graph.nodes[maker]);
    if (from == kNone || !keeps_keys(graph, graph.nodes[maker], from)) return std::nullopt;
    found.before.insert(found.before.begin(), maker);
    at = from;
  }
  at = node.outputs[0];
  for (;;) {
    const NodeId reader = sole_reader(graph, at);
    if (reader == kNone) return std::nullopt;
    if (graph.nodes[reader].op == "MatMul") {
      found.mix = reader;
      break;
    }
    // What is not linear in the weights cannot be done to parts of them.
    if (!renames(graph.nodes[reader]) || !keeps_keys(graph, graph.nodes[reader], at)) return std::nullopt;
    found.after.push_back(reader);
    at = graph.nodes[reader].outputs[0];
  }
  const Node& scores = graph.nodes[found.scores];
  const Node& mix = graph.nodes[found.mix];
  if (!multiplies_activations(graph, scores) || !multiplies_activations(graph, mix)) return std::nullopt;
  if (mix.inputs[0] != at || mix.inputs[1] == at || mix.integer("transA", 0) != 0) return std::nullopt;
  found.keys = scores.inputs[1];
  found.values = mix.inputs[1];
  // One weight for each row of the result: the values must not bring a batch of their own.
  const Shape& result = graph.output(mix).shape;
  if (graph.output(mix).elements() / result.back() != graph.tensors[at].elements() / found.count) return std::nullopt;
  return found;
}

Graph in_key_blocks(const Graph& graph, const KeyBlocks& blocks) {
  Rewriter rewriter(graph, Rewriter::Origins::kKept);
  const auto bad = [&](const std::string& softmax, const std::string& problem) {
    throw Error(ErrorKind::kBadInput, Place{.file = graph.source, .node = softmax}, problem,
                "name a Softmax between a product with keys and a product with values");
  };
  for (const auto& [name, count] : blocks) {
    const auto is_it = [&](const Node& node) { return node.op == "Softmax" && node.name == name; };
    const auto at = std::find_if(graph.nodes.begin(), graph.nodes.end(), is_it);
    if (at == graph.nodes.end()) bad(name, "the graph has no Softmax of this name");
    const auto attention = keyed_attention(graph, static_cast<NodeId>(at - graph.nodes.begin()));
    if (!attention) bad(name, "is not an attention whose keys can be cut into blocks");
    const std::int64_t step = count < 1 ? 0 : (attention->count + count - 1) / count;
    if (count < 2 || count > std::min(attention->count, kMostKeyBlocks) || (count - 1) * step >= attention->count) {
      bad(name, fmt::format("{} keys cannot be cut into {} equal blocks and a rest", attention->count, count));
    }
    Cut(rewriter, *attention, count).make();
  }
  Graph result = rewriter.finish();
  result.key_blocks = graph.key_blocks;
  result.key_blocks.insert(blocks.begin(), blocks.end());
  return result;
}

}  // namespace spillway::workloads
