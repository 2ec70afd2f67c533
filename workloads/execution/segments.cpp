#include "workloads/execution/segments.h"

#include <algorithm>
#include <deque>
#include <map>

#include "workloads/compute/strided.h"

namespace spillway::workloads {

namespace {

bool computes_floats(const Graph& graph, const Node& node) {
  const auto plain = [&](TensorId id) {
    const Tensor& tensor = graph.tensors[id];
    return is_float(tensor.type) && tensor.type != DataType::kFloat64 && tensor.shape.size() <= kMaxRank &&
           elements_of(tensor.shape) > 0;
  };
  if (node.folded || node.outputs.size() != 1 || node.outputs[0] == kNone || !plain(node.outputs[0])) return false;
  return std::all_of(node.inputs.begin(), node.inputs.end(), [&](TensorId id) { return id == kNone || plain(id); });
}

bool is_element_wise(const Node& node) {
  const OpDef& def = operator_of(node);
  return def.op_class == OpClass::kElementwise && def.strided != nullptr && def.region != nullptr;
}

/// Rows along the last axis.
bool is_row_softmax(const Graph& graph, const Node& node) {
  if (node.op != "Softmax") return false;
  const auto rank = static_cast<std::int64_t>(graph.output(node).shape.size());
  const std::int64_t axis = node.integer("axis", graph.opset >= 13 ? -1 : 1);
  return axis == -1 || axis == rank - 1;
}

bool is_product(const Graph& graph, const Node& node) {
  return node.op == "MatMul" && graph.input(node, 0).shape.size() >= 2 && graph.input(node, 1).shape.size() >= 2 &&
         node.integer("transA", 0) == 0;
}

/// Grows a segment backwards from its last node.
class Growth {
 public:
  Growth(const Graph& graph, const std::set<TensorId>& kept, const std::vector<int>& taken)
      : graph_(graph), kept_(kept), taken_(taken) {}

  /// Element-wise operators up to the node; empty if there are none before it.
  [[nodiscard]] Segment chain(NodeId last) {
    const Node& root = graph_.nodes[static_cast<std::size_t>(last)];
    if (!computes_floats(graph_, root) || !is_element_wise(root)) return {};
    nodes_ = {last};
    shape_ = graph_.output(root).shape;
    grow([this](const Node& node) { return is_element_wise(node); });
    return finished(2);
  }

  /// The attention that the node ends; empty if it ends none.
  [[nodiscard]] Segment attention(NodeId last) {
    const Node& root = graph_.nodes[static_cast<std::size_t>(last)];
    if (!computes_floats(graph_, root)) return {};
    nodes_ = {last};
    if (!is_product(graph_, root)) return {};
    // The scores must be rows of the output.
    shape_ = graph_.input(root, 0).shape;
    const Shape& out = graph_.output(root).shape;
    if (shape_.size() != out.size() || !std::equal(shape_.begin(), shape_.end() - 1, out.begin())) return {};
    bool softmax = false, product = false;
    grow([&](const Node& node) {
      if (is_element_wise(node)) return true;
      if (!softmax && is_row_softmax(graph_, node)) return softmax = true;
      return softmax && !product && is_product(graph_, node) && (product = true);
    });
    if (!softmax) return {};
    return finished(2);
  }

  /// The product with what follows it; empty if nothing does.
  [[nodiscard]] Segment product(NodeId first) {
    const Node& root = graph_.nodes[static_cast<std::size_t>(first)];
    if (operator_of(root).strided_with_tail == nullptr || !computes_floats(graph_, root)) return {};
    shape_ = graph_.output(root).shape;
    Segment segment{.nodes = {first}, .is_product = true};
    while (!segment.rectify) {
      const TensorId result = graph_.nodes[static_cast<std::size_t>(segment.nodes.back())].outputs[0];
      if (kept_.contains(result)) break;
      const NodeId next = only_reader(result);
      if (next == kNone || taken_[static_cast<std::size_t>(next)] >= 0) break;
      const Node& node = graph_.nodes[static_cast<std::size_t>(next)];
      if (!computes_floats(graph_, node) || graph_.output(node).shape != shape_) break;
      if (node.op == "Relu") {
        segment.rectify = true;
      } else if (node.op == "Add" && segment.plus.size() < Tail{}.plus.size()) {
        segment.plus.push_back(node.inputs[node.inputs[0] == result ? 1 : 0]);
      } else {
        break;
      }
      segment.nodes.push_back(next);
    }
    return segment.nodes.size() > 1 ? segment : Segment{};
  }

 private:
  /// The node that alone reads the tensor, once; kNone if there is none.
  [[nodiscard]] NodeId only_reader(TensorId tensor) const {
    NodeId reader = kNone;
    for (const NodeId consumer : graph_.tensors[tensor].consumers) {
      const Node& node = graph_.nodes[static_cast<std::size_t>(consumer)];
      if (node.folded) continue;
      if (reader != kNone || std::count(node.inputs.begin(), node.inputs.end(), tensor) != 1) return kNone;
      reader = consumer;
    }
    return reader;
  }

  /// Whether everything that reads the node's output is in the segment.
  [[nodiscard]] bool joins(NodeId id) const {
    const Node& node = graph_.nodes[static_cast<std::size_t>(id)];
    if (taken_[static_cast<std::size_t>(id)] >= 0 || !computes_floats(graph_, node)) return false;
    const TensorId output = node.outputs[0];
    if (kept_.contains(output) || graph_.tensors[output].shape != shape_) return false;
    const auto& consumers = graph_.tensors[output].consumers;
    return std::all_of(consumers.begin(), consumers.end(), [&](NodeId consumer) {
      return graph_.nodes[static_cast<std::size_t>(consumer)].folded ||
             std::find(nodes_.begin(), nodes_.end(), consumer) != nodes_.end();
    });
  }

  template <typename Fits>
  void grow(Fits fits) {
    for (bool grown = true; grown;) {
      grown = false;
      for (std::size_t i = 0; i < nodes_.size(); ++i) {
        const Node& node = graph_.nodes[static_cast<std::size_t>(nodes_[i])];
        if (node.op == "MatMul" && i > 0) continue;  // its operands come from outside
        for (std::size_t k = 0; k < node.inputs.size(); ++k) {
          if (node.inputs[k] == kNone || (i == 0 && node.op == "MatMul" && k > 0)) continue;
          const NodeId producer = graph_.tensors[node.inputs[k]].producer;
          if (producer == kNone || std::find(nodes_.begin(), nodes_.end(), producer) != nodes_.end()) continue;
          if (!joins(producer) || !fits(graph_.nodes[static_cast<std::size_t>(producer)])) continue;
          nodes_.push_back(producer);
          grown = true;
        }
      }
    }
  }

  [[nodiscard]] Segment finished(std::size_t least) {
    if (nodes_.size() < least) return {};
    std::sort(nodes_.begin(), nodes_.end());
    return {std::move(nodes_)};
  }

  const Graph& graph_;
  const std::set<TensorId>& kept_;
  const std::vector<int>& taken_;
  std::vector<NodeId> nodes_;
  Shape shape_;  // of every tensor between the nodes
};

}  // namespace

Segments::Segments(const Graph& graph, const std::set<TensorId>& kept) : segment_of_(graph.nodes.size(), -1) {
  const auto last = static_cast<NodeId>(graph.nodes.size()) - 1;
  const auto is_free = [&](NodeId node) { return segment_of_[static_cast<std::size_t>(node)] < 0; };
  for (NodeId i = last; i >= 0; --i) {
    if (is_free(i)) add(Growth(graph, kept, segment_of_).attention(i));
  }
  for (NodeId i = 0; i <= last; ++i) {
    if (is_free(i)) add(Growth(graph, kept, segment_of_).product(i));
  }
  for (NodeId i = last; i >= 0; --i) {
    if (is_free(i)) add(Growth(graph, kept, segment_of_).chain(i));
  }
}

void Segments::add(Segment segment) {
  if (segment.nodes.empty()) return;
  for (const NodeId node : segment.nodes) {
    segment_of_[static_cast<std::size_t>(node)] = static_cast<int>(segments_.size());
  }
  segments_.push_back(std::move(segment));
}

const Segment* Segments::of(NodeId node) const {
  const int index = segment_of_[static_cast<std::size_t>(node)];
  return index < 0 ? nullptr : &segments_[static_cast<std::size_t>(index)];
}

namespace {

void run_product(const Graph& graph, const Segment& segment, const std::vector<ConstStridedView>& values,
                 const StridedView& out, compute::Sums sums) {
  const Node& node = graph.nodes[static_cast<std::size_t>(segment.nodes[0])];
  std::vector<ConstStridedView> inputs;
  for (const TensorId id : node.inputs) {
    inputs.push_back(id == kNone ? ConstStridedView{} : values[static_cast<std::size_t>(id)]);
  }
  Tail tail;
  tail.rectify = segment.rectify;
  for (std::size_t i = 0; i < segment.plus.size(); ++i) {
    const ConstStridedView& given = values[static_cast<std::size_t>(segment.plus[i])];
    ConstStridedView& plus = tail.plus[i];
    plus = {out.box, given.data, {}};
    const int shift = out.box.rank - given.box.rank;
    for (int d = 0; d < given.box.rank; ++d) {
      if (given.box.extent[d] > 1) plus.stride[d + shift] = given.stride[d];
    }
  }
  operator_of(node).strided_with_tail(graph, node, inputs, tail, out, sums);
}

}  // namespace

void run_segment(const Graph& graph, const Segment& segment, const std::vector<ConstStridedView>& values,
                 const StridedView& out, compute::Sums sums) {
  if (segment.is_product) return run_product(graph, segment, values, out, sums);
  const auto node_at = [&](std::size_t i) -> const Node& {
    return graph.nodes[static_cast<std::size_t>(segment.nodes[i])];
  };
  const std::size_t count = segment.nodes.size();
  const bool attention = node_at(count - 1).op == "MatMul";

  // Second operands whose columns are not adjacent would be transposed for every piece: once is enough.
  std::map<TensorId, ConstStridedView> transposed;
  std::deque<compute::Scratch> copies;
  for (std::size_t i = 0; i < count; ++i) {
    const Node& node = node_at(i);
    if (node.op != "MatMul") continue;
    const ConstStridedView& b = values[static_cast<std::size_t>(node.inputs[1])];
    const int n_axis = b.box.rank - (node.integer("transB", 0) != 0 ? 2 : 1);
    if (b.stride[n_axis] == 1 || transposed.contains(node.inputs[1])) continue;
    StridedView to{b.box, copies.emplace_back(b.box.elements()).get(), {}};
    to.stride = compute::dense_strides(b.box);
    if (n_axis == b.box.rank - 2) {
      to.stride[n_axis] = 1;
      to.stride[n_axis + 1] = b.box.extent[n_axis];
    }
    compute::copy(b, to);
    transposed[node.inputs[1]] = compute::readable(to);
  }
  const auto source = [&](TensorId id) -> const ConstStridedView& {
    const auto found = transposed.find(id);
    return found != transposed.end() ? found->second : values[static_cast<std::size_t>(id)];
  };

  // Pieces: leading dimensions one by one, then stretches of the next.
  Box interior = whole(graph.output(node_at(0)).shape);
  const std::int64_t largest = attention ? std::int64_t{1} << 18 : std::int64_t{1} << 14;  // elements of a piece
  std::int64_t size = interior.elements();
  int cut = 0;
  const int cuttable = attention ? out.box.rank - 2 : out.box.rank - 1;
  while (cut < cuttable && size / interior.extent[cut] >= largest) size /= interior.extent[cut++];
  const std::int64_t line = size / interior.extent[cut];
  const std::int64_t step =
      std::clamp<std::int64_t>(largest / std::max<std::int64_t>(line, 1), 1, interior.extent[cut]);
  const std::int64_t stretches = (interior.extent[cut] + step - 1) / step;
  std::int64_t pieces = stretches;
  for (int d = 0; d < cut; ++d) pieces *= interior.extent[d];

  const auto run_piece = [&](std::int64_t piece) {
    Box box = out.box;
    std::int64_t rest = piece / stretches;
    for (int d = cut - 1; d >= 0; --d) {
      box.set(d, static_cast<std::int32_t>(rest % interior.extent[d]), 1);
      rest /= interior.extent[d];
    }
    const std::int64_t first = piece % stretches * step;
    box.set(cut, static_cast<std::int32_t>(first),
            static_cast<std::int32_t>(std::min(step, interior.extent[cut] - first)));

    std::vector<Box> boxes(count);
    boxes[count - 1] = box;
    std::vector<ConstStridedView> between(count);
    std::vector<int> last_reader(count, -1);
    const auto maker_of = [&](TensorId tensor) {
      for (std::size_t i = 0; i < count; ++i) {
        if (node_at(i).outputs[0] == tensor) return static_cast<int>(i);
      }
      return -1;
    };
    for (std::size_t i = count; i-- > 0;) {
      const Node& node = node_at(i);
      for (std::size_t k = 0; k < node.inputs.size(); ++k) {
        const int maker = node.inputs[k] == kNone ? -1 : maker_of(node.inputs[k]);
        if (maker < 0) continue;
        boxes[static_cast<std::size_t>(maker)] = operator_of(node).region(graph, node, static_cast<int>(k), boxes[i]);
        last_reader[static_cast<std::size_t>(maker)] =
            std::max(last_reader[static_cast<std::size_t>(maker)], static_cast<int>(i));
      }
    }
    std::deque<compute::Scratch> buffers;
    std::vector<ConstStridedView> inputs;
    for (std::size_t i = 0; i < count; ++i) {
      const Node& node = node_at(i);
      inputs.clear();
      float* reuse = nullptr;
      for (const TensorId id : node.inputs) {
        const int maker = id == kNone ? -1 : maker_of(id);
        inputs.push_back(maker >= 0    ? between[static_cast<std::size_t>(maker)]
                         : id == kNone ? ConstStridedView{}
                                       : source(id));
        // Values between nodes have one shape: the last reader may write where it reads.
        if (maker >= 0 && last_reader[static_cast<std::size_t>(maker)] == static_cast<int>(i) &&
            std::count(node.inputs.begin(), node.inputs.end(), id) == 1) {
          reuse = const_cast<float*>(between[static_cast<std::size_t>(maker)].data);  // from `buffers`
        }
      }
      StridedView to{boxes[i], nullptr, {}};
      if (i + 1 == count) {
        to.stride = out.stride;
        to.data = out.data;
        for (int d = 0; d < box.rank; ++d) to.data += out.stride[d] * (box.begin[d] - out.box.begin[d]);
      } else {
        to.stride = compute::dense_strides(boxes[i]);
        to.data = reuse != nullptr ? reuse : buffers.emplace_back(boxes[i].elements()).get();
      }
      operator_of(node).strided(graph, node, inputs, to, sums);
      between[i] = compute::readable(to);
    }
  };
  compute::parallel_for(pieces, run_piece);
}

}  // namespace spillway::workloads
