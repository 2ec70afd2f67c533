// A product with a constant matrix whose result is only read in slices of its columns (a gated feed-forward layer's
// halves, joint queries, keys and values) is one product per slice: each with its own columns of the matrix, which is
// addressing. A tile of the gate then needs the same columns of both halves, not everything between them.
#include <algorithm>

#include "workloads/canonical/patterns.h"

namespace spillway::workloads {

namespace {

struct Columns {
  NodeId slice = kNone;
  std::int64_t begin = 0, end = 0;
};

/// The slices that read `y`, by column, if they share it out and nobody else reads it; else empty.
std::vector<Columns> shares_of(const Rewriter& rewriter, TensorId y) {
  const Tensor& tensor = rewriter.tensor(y);
  const auto rank = static_cast<std::int64_t>(tensor.shape.size());
  if (rewriter.is_output(y) || rank == 0) return {};
  std::vector<Columns> shares;
  for (const NodeId reader : tensor.consumers) {
    const Node& slice = rewriter.node(reader);
    if (slice.op != "Slice" || slice.inputs.size() != 1) return {};
    const auto axes = slice.integers("axes", {});
    const auto starts = slice.integers("starts", {});
    if (axes.size() != 1 || starts.size() != 1 || (axes[0] != rank - 1 && axes[0] != -1)) return {};
    if (slice.integers("steps", {1}) != std::vector<std::int64_t>{1}) return {};
    const std::int64_t all = tensor.shape.back();
    const std::int64_t begin = std::clamp<std::int64_t>(starts[0] < 0 ? starts[0] + all : starts[0], 0, all);
    shares.push_back({reader, begin, begin + rewriter.tensor(slice.outputs[0]).shape.back()});
  }
  std::sort(shares.begin(), shares.end(), [](const Columns& a, const Columns& b) { return a.begin < b.begin; });
  std::int64_t next = 0;
  for (const Columns& share : shares) {
    if (share.begin != next) return {};
    next = share.end;
  }
  if (next != tensor.shape.back() || shares.size() < 2) return {};
  return shares;
}

void share_out(Rewriter& rewriter, NodeId id) {
  const Node product = rewriter.node(id);
  const TensorId matrix = product.inputs[1];
  const auto rank = static_cast<std::int64_t>(rewriter.tensor(matrix).shape.size());
  if (!rewriter.tensor(matrix).is_constant() || rank < 2) return;
  const auto shares = shares_of(rewriter, product.outputs[0]);
  if (shares.empty()) return;
  std::vector<Node> nodes;
  std::vector<NodeId> matched;
  const auto part_of = [&](TensorId constant, std::int64_t axis, const Columns& share) {
    const std::string name =
        rewriter.tensor(constant).name + ":" + std::to_string(share.begin) + "-" + std::to_string(share.end);
    Shape shape = rewriter.tensor(constant).shape;
    shape[axis] = share.end - share.begin;
    Node slice;
    slice.name = name;
    slice.op = "Slice";
    slice.inputs = {constant};
    slice.outputs = {rewriter.add_tensor(name, rewriter.tensor(constant).type, std::move(shape))};
    slice.attributes["axes"] = std::vector<std::int64_t>{axis};
    slice.attributes["starts"] = std::vector<std::int64_t>{share.begin};
    slice.attributes["ends"] = std::vector<std::int64_t>{share.end};
    nodes.push_back(std::move(slice));
    return nodes.back().outputs[0];
  };
  const bool transposed = product.integer("transB", 0) != 0;
  for (const Columns& share : shares) {
    Node part = product;
    part.name = product.name + ":" + std::to_string(share.begin);
    part.inputs[1] = part_of(matrix, transposed ? rank - 2 : rank - 1, share);
    if (part.inputs.size() > 2) part.inputs[2] = part_of(product.inputs[2], 0, share);
    part.outputs = {rewriter.node(share.slice).outputs[0]};
    part.origins = rewriter.node(share.slice).origins;
    if (&share == &shares.front()) {
      part.name = product.name;
      part.origins.insert(part.origins.end(), product.origins.begin(), product.origins.end());
      std::sort(part.origins.begin(), part.origins.end());
    }
    matched.push_back(share.slice);
    nodes.push_back(std::move(part));
  }
  matched.push_back(id);  // whoever reads a slice may stand before the next one: all goes where the product is
  rewriter.replace(matched, std::move(nodes));
}

}  // namespace

void share_out_products(Rewriter& rewriter) {
  for (const NodeId id : rewriter.nodes()) {
    if (rewriter.alive(id) && rewriter.node(id).op == "MatMul") share_out(rewriter, id);
  }
}

}  // namespace spillway::workloads
