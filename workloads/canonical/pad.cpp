// Convolutions get explicit pads; a Pad with zeros before a convolution or an averaging pool becomes its pads.
#include <algorithm>

#include "workloads/canonical/patterns.h"
#include "workloads/operators/spatial.h"

namespace spillway::workloads {

namespace {

void write_pads(Node& node, const Window& window) {
  auto pads = window.pad_begin;
  pads.insert(pads.end(), window.pad_end.begin(), window.pad_end.end());
  node.attributes["pads"] = std::move(pads);
  node.attributes.erase("auto_pad");
}

Window window_of_node(const Rewriter& rewriter, const Node& node) {
  const Shape& x = rewriter.tensor(node.inputs[0]).shape;
  if (node.op == "AveragePool") return window_of(node, x, node.integers("kernel_shape"));
  const Shape& w = rewriter.tensor(node.inputs[1]).shape;
  return window_of(node, x, {w.begin() + 2, w.end()});
}

/// {begin..., end...} over all axes of a Pad with the constant zero; nullopt if it is another kind of Pad.
std::optional<std::vector<std::int64_t>> zero_pads(const Rewriter& rewriter, const Node& node) {
  if (node.inputs.size() != 1 || node.text("mode", "constant") != "constant") return std::nullopt;
  if (node.real("value", 0.0F) != 0.0F) return std::nullopt;
  const auto rank = static_cast<std::int64_t>(rewriter.tensor(node.inputs[0]).shape.size());
  const auto given = node.integers("pads");
  std::vector<std::int64_t> axes = node.integers("axes");
  if (axes.empty()) {
    for (std::int64_t d = 0; d < rank; ++d) axes.push_back(d);
  }
  if (given.size() != 2 * axes.size()) return std::nullopt;
  std::vector<std::int64_t> pads(static_cast<std::size_t>(2 * rank), 0);
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const std::int64_t axis = axes[i] < 0 ? axes[i] + rank : axes[i];
    pads[axis] = given[i];
    pads[axis + rank] = given[i + axes.size()];
  }
  return pads;
}

/// Whether zeros around the input mean the same to the node as its own pads do.
bool pads_with_zeros(const Node& node, const Window& window) {
  if (node.op == "Conv") return true;
  const auto none = [](const std::vector<std::int64_t>& pads) {
    return std::all_of(pads.begin(), pads.end(), [](std::int64_t p) { return p == 0; });
  };
  const bool counts_pads = node.integer("count_include_pad", 0) != 0;
  return node.integer("ceil_mode", 0) == 0 && (counts_pads || (none(window.pad_begin) && none(window.pad_end)));
}

void merge(Rewriter& rewriter, NodeId id) {
  const NodeId pad = rewriter.producer(rewriter.node(id).inputs[0], "Pad");
  if (pad == kNone || rewriter.sole_consumer(rewriter.node(pad).outputs[0]) != id) return;
  const auto pads = zero_pads(rewriter, rewriter.node(pad));
  Window window = window_of_node(rewriter, rewriter.node(id));
  if (!pads || !pads_with_zeros(rewriter.node(id), window)) return;
  const std::size_t rank = pads->size() / 2;
  for (std::size_t d = 0; d < rank; ++d) {
    const bool spatial = d >= 2;
    if (spatial ? (*pads)[d] < 0 || (*pads)[d + rank] < 0 : (*pads)[d] != 0 || (*pads)[d + rank] != 0) return;
  }
  for (std::size_t d = 2; d < rank; ++d) {
    window.pad_begin[d - 2] += (*pads)[d];
    window.pad_end[d - 2] += (*pads)[d + rank];
  }
  Node node = rewriter.node(id);
  write_pads(node, window);
  if (node.op == "AveragePool") node.attributes["count_include_pad"] = std::int64_t{1};
  node.inputs[0] = rewriter.node(pad).inputs[0];
  node.origins.clear();
  rewriter.replace(std::vector{pad, id}, {std::move(node)});
}

}  // namespace

void merge_pads(Rewriter& rewriter) {
  for (const NodeId id : rewriter.nodes()) {
    const std::string& op = rewriter.node(id).op;
    if (op == "Conv") {
      const Window window = window_of_node(rewriter, rewriter.node(id));
      write_pads(rewriter.edit(id), window);
    }
    if (op == "Conv" || op == "AveragePool") merge(rewriter, id);
  }
}

}  // namespace spillway::workloads
