#include "partitioner/dependence.h"

#include <algorithm>

#include "workloads/operators/operators.h"

namespace spillway::partitioner {

namespace {

using workloads::OpClass;
using workloads::OpDef;

/// Region maps of these operators are exact: every element of the box of an input is needed.
bool exact_region(const Graph& graph, const Node& node, const OpDef& op) {
  switch (op.op_class) {
    case OpClass::kElementwise:
    case OpClass::kStatistics:
      return true;
    case OpClass::kRow:
      return node.op == "Softmax" || node.op == "LayerNormalization";
    case OpClass::kMatrix: {
      if (node.op == "MatMul") return true;
      if (node.op != "Conv") return false;
      // A stride over the kernel's extent, or a dilation, leaves elements between the taps unread.
      const auto& weights = graph.input(node, 1).shape;
      const auto strides = node.integers("strides");
      for (std::size_t d = 0; d < strides.size(); ++d) {
        if (d + 2 >= weights.size() || strides[d] > weights[d + 2]) return false;
      }
      const auto dilations = node.integers("dilations");
      return std::all_of(dilations.begin(), dilations.end(), [](auto d) { return d == 1; });
    }
    case OpClass::kWindow: {
      if (node.op != "Resize" || node.text("mode", "nearest") != "nearest") return false;
      const auto& from = graph.input(node, 0).shape;
      const auto& to = graph.output(node).shape;
      if (from.size() != to.size()) return false;
      for (std::size_t d = 0; d < from.size(); ++d) {
        if (to[d] < from[d]) return false;  // elements are left out
      }
      return true;
    }
    case OpClass::kMove:
      return node.op == "Concat";
    case OpClass::kView:
    case OpClass::kShape:
      return false;
  }
  return false;
}

class Finder {
 public:
  Finder(const Graph& graph, const Layout& layout)
      : graph_(graph),
        layout_(layout),
        producer_(layout.storages.size(), kNone),
        uneven_(layout.storages.size(), false) {}

  Dependences find() {
    if (!graph_.inputs.empty()) {
      const auto& shape = graph_.tensors[graph_.inputs.front()].shape;
      if (!shape.empty() && shape[0] > 1 && shape[0] < (1 << 30)) found_.batch = static_cast<int>(shape[0]);
    }
    found_.counted.assign(layout_.storages.size(), false);
    for (NodeId n = 0; n < static_cast<NodeId>(graph_.nodes.size()); ++n) {
      if (!layout_.is_view_node[n]) producer_[output_of(n)] = n;
    }
    for (StorageId s = 0; s < static_cast<StorageId>(layout_.storages.size()); ++s) {
      const Storage& storage = layout_.storages[s];
      found_.counted[s] = producer_[s] != kNone && !storage.is_input && !storage.is_output && batched(s) &&
                          storage.storage_class == StorageClass::kActivation;
    }
    for (NodeId n = 0; n < static_cast<NodeId>(graph_.nodes.size()); ++n) {
      if (!layout_.is_view_node[n]) add_dependences(n);
    }
    for (NodeId n = 0; n < static_cast<NodeId>(graph_.nodes.size()); ++n) {
      if (!layout_.is_view_node[n]) add_barrier(n);
    }
    return std::move(found_);
  }

 private:
  [[nodiscard]] const OpDef& op(NodeId n) const { return workloads::operator_of(graph_.nodes[n]); }
  [[nodiscard]] StorageId storage_of(TensorId t) const { return layout_.views[t].storage; }
  [[nodiscard]] StorageId output_of(NodeId n) const { return storage_of(graph_.nodes[n].outputs[0]); }
  [[nodiscard]] bool reads(NodeId n, int i) const {
    const Node& node = graph_.nodes[n];
    return graph_.has_input(node, i) && !is_constant(graph_, layout_, node.inputs[i]);
  }
  [[nodiscard]] bool batched(StorageId s) const {
    const Storage& storage = layout_.storages[s];
    return found_.batch == 1 || (storage.rank > 0 && storage.extent[0] == found_.batch);
  }
  /// Everything of element `n` of the batch.
  [[nodiscard]] Box part(StorageId s, int n) const {
    Box box = layout_.storages[s].whole();
    if (found_.batch > 1) box.set(0, n, 1);
    return box;
  }
  [[nodiscard]] bool shows_all(TensorId t) const {
    return graph_.tensors[t].elements() == layout_.storages[storage_of(t)].elements();
  }

  /// The box of input i's storage that a box of the output's storage needs; nullopt unless it is exactly that.
  [[nodiscard]] std::optional<Box> need(NodeId n, int i, const Box& out) const {
    const Node& node = graph_.nodes[n];
    bool exact = true;
    const Box logical = layout_.logical_hull(node.outputs[0], out, &exact);
    if (!exact || logical.empty() || logical.elements() != out.elements()) return std::nullopt;
    const Box from = op(n).region(graph_, node, i, logical);
    if (from.empty()) return std::nullopt;
    const Box box = layout_.to_storage(node.inputs[i], from);
    if (box.elements() != from.elements()) return std::nullopt;
    return box;
  }

  void add_dependences(NodeId n) {
    const Node& node = graph_.nodes[n];
    const OpDef& def = op(n);
    const StorageId to = output_of(n);
    if (def.region == nullptr || !exact_region(graph_, node, def) || !batched(to)) return;
    const bool concat = def.op_class == OpClass::kMove;
    int counted = 0;
    bool uneven = false;
    for (int i = 0; i < static_cast<int>(node.inputs.size()); ++i) {
      if (!reads(n, i)) continue;
      counted += found_.counted[storage_of(node.inputs[i])] ? 1 : 0;
      uneven = uneven || uneven_[storage_of(node.inputs[i])];
    }
    uneven_[to] = concat || (uneven && def.op_class == OpClass::kElementwise);
    for (int i = 0; i < static_cast<int>(node.inputs.size()); ++i) {
      if (!reads(n, i)) continue;
      const StorageId from = storage_of(node.inputs[i]);
      if (!batched(from)) continue;
      Dependence d;
      d.from = from;
      d.to = to;
      d.pieces = concat ? static_cast<int>(node.inputs.size()) : 1;
      d.all_used = d.all_wait = true;
      for (const int b : {0, found_.batch - 1}) {
        const auto box = need(n, i, part(to, b));
        d.all_used = d.all_used && box && *box == part(from, b);
        d.all_wait = d.all_wait && box && part(from, b).contains(*box);
      }
      d.all_wait = d.all_wait && (concat || corners_read(n, i));
      d.even = d.all_used && shows_all(node.inputs[i]) && shows_all(node.outputs[0]) && even(n, i, counted);
      if (d.all_used || d.all_wait) found_.all.push_back(d);
    }
  }

  /// Whether windows at both ends read anything but padding. They are the ones furthest out.
  [[nodiscard]] bool corners_read(NodeId n, int i) const {
    for (const bool last : {false, true}) {
      if (op(n).region(graph_, graph_.nodes[n], i, corner(n, last)).empty()) return false;
    }
    return true;
  }
  /// The first or the last element of the output.
  [[nodiscard]] Box corner(NodeId n, bool last) const {
    Box box = workloads::whole(graph_.output(graph_.nodes[n]).shape);
    for (int d = 0; d < box.rank; ++d) box.set(d, last ? box.extent[d] - 1 : 0, 1);
    return box;
  }

  [[nodiscard]] bool even(NodeId n, int i, int counted) const {
    const Node& node = graph_.nodes[n];
    const auto& from = graph_.input(node, i).shape;
    const auto& to = graph_.output(node).shape;
    const OpClass op_class = op(n).op_class;
    const bool uneven = uneven_[storage_of(node.inputs[i])];
    if (op_class == OpClass::kMove) return true;  // a piece keeps to itself; what follows is told by uneven_
    if (op_class == OpClass::kElementwise) {
      // Bytes that lie unevenly stay as they lie, if they are alone and an element's bytes do not shrink.
      if (uneven) {
        return counted == 1 && from == to &&
               layout_.storages[storage_of(node.inputs[i])].element_bytes() <=
                   layout_.storages[output_of(n)].element_bytes();
      }
      return from.size() <= to.size();
    }
    if (op_class == OpClass::kRow) return !uneven && from == to;
    if (op_class != OpClass::kMatrix && op_class != OpClass::kWindow) return false;
    if (node.op == "Conv" && node.integer("group", 1) != 1) return false;
    // Uneven only along the channels of a Concat, which a convolution reads all at every place.
    if (uneven && (node.op != "Conv" || !concat_of_channels(storage_of(node.inputs[i])))) return false;
    if (from.size() != to.size()) return false;
    // In each dimension, element j of `to` stands for [j / b, (j + 1) / b) and must read what of `from` lies there.
    for (std::size_t d = 0; d < to.size(); ++d) {
      const std::int64_t a = from[d];
      const std::int64_t b = to[d];
      for (std::int64_t j = 0; j < b; ++j) {
        Box out = corner(n, false);
        out.set(static_cast<int>(d), static_cast<std::int32_t>(j), 1);
        const Box box = op(n).region(graph_, node, i, out);
        if (box.begin[d] > j * a / b || box.end(static_cast<int>(d)) < ((j + 1) * a + b - 1) / b) return false;
        if (j == 0 && box.extent[d] == a && node.op == "MatMul") break;  // contracted: the same for all
      }
    }
    return true;
  }

  /// Whether a Concat on axis 1 made the storage, or a chain of element-wise operators from one.
  [[nodiscard]] bool concat_of_channels(StorageId s) const {
    for (NodeId n = producer_[s]; n != kNone; n = producer_[s]) {
      const Node& node = graph_.nodes[n];
      if (node.op == "Concat") {
        const auto rank = static_cast<std::int64_t>(graph_.output(node).shape.size());
        return (node.integer("axis", 0) + rank) % rank == 1;
      }
      StorageId next = kNone;
      for (int i = 0; i < static_cast<int>(node.inputs.size()); ++i) {
        if (reads(n, i) && uneven_[storage_of(node.inputs[i])]) next = storage_of(node.inputs[i]);
      }
      if (next == kNone || op(n).op_class != OpClass::kElementwise) return false;
      if (graph_.output(node).shape.size() != 4) return false;
      s = next;
    }
    return false;
  }

  [[nodiscard]] bool constant_operand(NodeId n) const {
    for (int i = 0; i < 2; ++i) {
      const Node& node = graph_.nodes[n];
      if (graph_.has_input(node, i) && is_constant(graph_, layout_, node.inputs[i])) return true;
    }
    return false;
  }

  /// Storages of which a single element of the operator's output needs all that belong to its element of the batch,
  /// looking back no further than the convolutions and products with weights before it.
  [[nodiscard]] std::vector<StorageId> whole_for(NodeId n, bool last) const {
    const int b = last ? found_.batch - 1 : 0;
    std::vector<StorageId> whole;
    struct Visit {
      NodeId node;
      Box out;
    };
    std::vector<Visit> stack{{n, layout_.to_storage(graph_.nodes[n].outputs[0], corner(n, last))}};
    std::vector<std::pair<StorageId, Box>> seen;
    while (!stack.empty()) {
      const Visit at = stack.back();
      stack.pop_back();
      for (int i = 0; i < static_cast<int>(graph_.nodes[at.node].inputs.size()); ++i) {
        if (!reads(at.node, i)) continue;
        const StorageId s = storage_of(graph_.nodes[at.node].inputs[i]);
        const auto box = need(at.node, i, at.out);
        if (!box || !batched(s) || std::find(seen.begin(), seen.end(), std::pair(s, *box)) != seen.end()) continue;
        seen.emplace_back(s, *box);
        if (*box == part(s, b)) {
          whole.push_back(s);
          continue;
        }
        const NodeId from = producer_[s];
        if (from == kNone || op(from).region == nullptr || !exact_region(graph_, graph_.nodes[from], op(from)))
          continue;
        if (op(from).op_class == OpClass::kMatrix && constant_operand(from)) continue;
        stack.push_back({from, *box});
      }
    }
    std::sort(whole.begin(), whole.end());
    whole.erase(std::unique(whole.begin(), whole.end()), whole.end());
    return whole;
  }

  void add_barrier(NodeId n) {
    if (op(n).op_class != OpClass::kMatrix || !constant_operand(n) || !batched(output_of(n))) return;
    if (!exact_region(graph_, graph_.nodes[n], op(n))) return;
    const auto first = whole_for(n, false);
    if (first.empty()) return;
    const auto last = whole_for(n, true);
    Barrier barrier;
    barrier.makes = output_of(n);
    std::set_intersection(first.begin(), first.end(), last.begin(), last.end(), std::back_inserter(barrier.whole));
    if (barrier.whole.empty()) return;
    // Of operators that wait for the same, the first: nothing is known of their order.
    for (const Barrier& other : found_.barriers) {
      if (other.whole == barrier.whole) return;
    }
    found_.barriers.push_back(std::move(barrier));
  }

  const Graph& graph_;
  const Layout& layout_;
  std::vector<NodeId> producer_;
  std::vector<bool> uneven_;  ///< by storage: bytes flow to parts of it only
  Dependences found_;
};

}  // namespace

Dependences dependences_of(const Graph& graph, const Layout& layout) { return Finder(graph, layout).find(); }

}  // namespace spillway::partitioner
