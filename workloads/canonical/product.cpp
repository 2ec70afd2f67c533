// Matrix products and convolutions take their bias in: Gemm becomes MatMul, a transposed constant operand becomes an
// attribute, an Add of a constant per output column or channel becomes the bias, and one constant that scales a whole
// product (attention's 1 / sqrt(d)) becomes its alpha: sums are scaled as they drain anyway.
#include <algorithm>

#include "workloads/canonical/patterns.h"

namespace spillway::workloads {

namespace {

void rewrite_gemm(Rewriter& rewriter, NodeId id) {
  const Node& gemm = rewriter.node(id);
  const TensorId result = gemm.outputs[0];
  const Tensor& out = rewriter.tensor(result);
  const std::int64_t columns = out.shape.back();
  const float beta = gemm.real("beta", 1.0F);
  const float alpha = gemm.real("alpha", 1.0F);
  const TensorId c = gemm.inputs.size() > 2 && beta != 0.0F ? gemm.inputs[2] : kNone;

  Node product;
  product.name = gemm.name;
  product.op = "MatMul";
  product.inputs = {gemm.inputs[0], gemm.inputs[1]};
  product.outputs = {result};
  for (const char* name : {"transA", "transB"}) {
    if (gemm.integer(name, 0) != 0) product.attributes[name] = std::int64_t{1};
  }
  if (alpha != 1.0F) product.attributes["alpha"] = alpha;
  if (c == kNone) {
    rewriter.replace(std::vector{id}, {std::move(product)});
    return;
  }
  const Tensor& addend = rewriter.tensor(c);
  const bool is_row = addend.shape == Shape{columns} || addend.shape == Shape{1, columns};
  if (addend.is_constant() && is_row && beta == 1.0F) {
    product.inputs.push_back(rewriter.reshaped(c, {columns}));
    rewriter.replace(std::vector{id}, {std::move(product)});
    return;
  }
  const std::string name = out.name;
  const DataType type = out.type;
  const Shape shape = out.shape;
  std::vector<Node> nodes;
  Node sum;
  sum.name = product.name + ":sum";
  sum.op = "Add";
  sum.inputs = {rewriter.add_tensor(name + ":product", type, shape), c};
  sum.outputs = {result};
  product.outputs = {sum.inputs[0]};
  product.origins = gemm.origins;
  nodes.push_back(std::move(product));
  if (beta != 1.0F) {
    Node scaled;
    scaled.name = gemm.name + ":beta";
    scaled.op = "Mul";
    HostTensor factor;
    factor.type = type;
    factor.data = std::vector<float>{beta};
    const Shape addend_shape = rewriter.tensor(c).shape;
    scaled.inputs = {c, rewriter.add_constant(name + ":beta", std::move(factor))};
    scaled.outputs = {rewriter.add_tensor(name + ":addend", type, addend_shape)};
    sum.inputs[1] = scaled.outputs[0];
    nodes.push_back(std::move(scaled));
  }
  nodes.push_back(std::move(sum));
  rewriter.replace(std::vector{id}, std::move(nodes));
}

/// A vector operand is a matrix of one row or column whose axis the result does not show (NumPy's matmul): addressing
/// before and after the product.
void give_vectors_an_axis(Rewriter& rewriter, NodeId id) {
  Node product = rewriter.node(id);
  const bool row = rewriter.tensor(product.inputs[0]).shape.size() == 1;
  const bool column = rewriter.tensor(product.inputs[1]).shape.size() == 1;
  if ((!row && !column) || product.inputs.size() != 2) return;
  std::vector<Node> nodes;
  const auto reshape = [&](TensorId from, TensorId to, const std::string& suffix) {
    Node node;
    node.name = product.name + suffix;
    node.op = "Reshape";
    node.inputs = {from};
    node.outputs = {to};
    node.attributes["shape"] = std::vector<std::int64_t>(rewriter.tensor(to).shape);
    return node;
  };
  const auto widen = [&](std::size_t i, Shape shape, const std::string& suffix) {
    const TensorId from = product.inputs[i];
    const std::string name = product.name + suffix;
    if (rewriter.tensor(from).is_constant()) {
      product.inputs[i] = rewriter.reshaped(from, shape);
      return;
    }
    product.inputs[i] = rewriter.add_tensor(name, rewriter.tensor(from).type, std::move(shape));
    nodes.push_back(reshape(from, product.inputs[i], suffix));
  };
  const TensorId result = product.outputs[0];
  Shape shape = rewriter.tensor(result).shape;
  if (column) shape.push_back(1);
  if (row) shape.insert(shape.end() - 1, 1);
  const std::int64_t length = rewriter.tensor(product.inputs[row ? 0 : 1]).shape[0];
  if (row) widen(0, {1, length}, ":row");
  if (column) widen(1, {length, 1}, ":column");
  product.outputs[0] = rewriter.add_tensor(product.name + ":product", rewriter.tensor(result).type, std::move(shape));
  const TensorId matrix = product.outputs[0];
  nodes.push_back(product);
  nodes.push_back(reshape(matrix, result, ":result"));
  rewriter.replace(std::vector{id}, std::move(nodes));
}

/// MatMul of a Transpose (of the last two axes) of a constant: the weight stays as it lies in the file.
void take_transposed_weight(Rewriter& rewriter, NodeId id) {
  const NodeId transpose = rewriter.producer(rewriter.node(id).inputs[1], "Transpose");
  if (transpose == kNone || rewriter.sole_consumer(rewriter.node(transpose).outputs[0]) != id) return;
  const TensorId weight = rewriter.node(transpose).inputs[0];
  const auto rank = static_cast<std::int64_t>(rewriter.tensor(weight).shape.size());
  if (!rewriter.tensor(weight).is_constant() || rank < 2) return;
  std::vector<std::int64_t> swapped;
  for (std::int64_t d = 0; d < rank; ++d) swapped.push_back(d);
  std::vector<std::int64_t> reversed(swapped.rbegin(), swapped.rend());
  std::swap(swapped[rank - 1], swapped[rank - 2]);
  if (rewriter.node(transpose).integers("perm", reversed) != swapped) return;
  const auto origins = rewriter.node(transpose).origins;
  rewriter.set_input(id, 1, weight);
  rewriter.erase(transpose);
  Node& node = rewriter.edit(id);
  node.attributes["transB"] = 1 - node.integer("transB", 0);
  node.origins.insert(node.origins.end(), origins.begin(), origins.end());
  std::sort(node.origins.begin(), node.origins.end());
}

/// Add of a constant along output axis `axis` (negative: from the back), right after a product without bias.
void take_bias(Rewriter& rewriter, NodeId id, bool channels_first) {
  const Node& product = rewriter.node(id);
  const TensorId y = product.outputs[0];
  const Shape& shape = rewriter.tensor(y).shape;
  if (product.inputs.size() > 2 || shape.empty()) return;
  const NodeId add = rewriter.sole_consumer(y, "Add");
  const TensorId constant = add == kNone ? kNone : rewriter.other_input(add, y);
  if (constant == kNone || !rewriter.tensor(constant).is_constant()) return;
  const TensorId result = rewriter.node(add).outputs[0];
  if (rewriter.tensor(result).shape != shape) return;
  Shape found = rewriter.tensor(constant).shape;
  std::int64_t count = 0;
  if (channels_first) {
    if (!is_per_channel(found, shape)) return;
    count = shape[1];
  } else {
    const bool vector = rewriter.tensor(product.inputs[1]).shape.size() < 2;  // then the last axis is not columns
    if (vector || found.empty() || found.back() != shape.back() || elements_of(found) != shape.back()) return;
    count = shape.back();
  }
  Node node = product;
  node.origins.clear();
  node.inputs.push_back(rewriter.reshaped(constant, {count}));
  node.outputs = {result};
  rewriter.replace(std::vector{id, add}, {std::move(node)});
}

/// Mul or Div by one constant number, right after a product without bias.
void take_scale(Rewriter& rewriter, NodeId id) {
  const Node& product = rewriter.node(id);
  const TensorId y = product.outputs[0];
  if (product.inputs.size() > 2 || !is_float(rewriter.tensor(y).type)) return;
  const NodeId reader = rewriter.sole_consumer(y);
  if (reader == kNone) return;
  const Node& scaling = rewriter.node(reader);
  const bool divides = scaling.op == "Div" && scaling.inputs[0] == y;
  if (scaling.op != "Mul" && !divides) return;
  const auto factor = rewriter.scalar(rewriter.other_input(reader, y));
  const TensorId result = scaling.outputs[0];
  if (!factor || (divides && *factor == 0) || rewriter.tensor(result).shape != rewriter.tensor(y).shape) return;
  Node node = product;
  node.origins.clear();
  node.attributes["alpha"] = static_cast<float>(product.real("alpha", 1.0F) * (divides ? 1.0 / *factor : *factor));
  node.outputs = {result};
  rewriter.replace(std::vector{id, reader}, {std::move(node)});
}

}  // namespace

void unify_products(Rewriter& rewriter) {
  for (const NodeId id : rewriter.nodes()) {
    if (rewriter.node(id).op == "Gemm") rewrite_gemm(rewriter, id);
    if (rewriter.node(id).op == "MatMul") give_vectors_an_axis(rewriter, id);
  }
  for (const NodeId id : rewriter.nodes()) {
    if (!rewriter.alive(id)) continue;
    const std::string& op = rewriter.node(id).op;
    if (op == "MatMul") {
      take_transposed_weight(rewriter, id);
      take_scale(rewriter, id);
      if (!rewriter.alive(id)) continue;  // its successor has no bias to take: the constant came first
      take_bias(rewriter, id, false);
    } else if (op == "Conv" || op == "ConvTranspose") {
      take_bias(rewriter, id, true);
    }
  }
}

}  // namespace spillway::workloads
