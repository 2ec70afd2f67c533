// MatMul with NumPy's rules for 1-D operands and batch broadcasting, and Gemm. Canonical MatMuls also carry transA,
// transB (of the last two axes of an operand of rank 2 or more), alpha, and a bias per output column.
#include <vector>

#include "workloads/compute/strided.h"
#include "workloads/operators/families.h"
#include "workloads/operators/integer_products.h"
#include "workloads/operators/support.h"

namespace spillway::workloads {

namespace {

/// How the axes of a product's output answer those of its operands.
struct Product {
  int rank_a = 0, rank_b = 0;
  bool trans_a = false, trans_b = false;
  int batch_rank = 0;  // leading axes of the output
  int m_axis = -1;     // axis of the output; -1 for a 1-D operand
  int n_axis = -1;

  [[nodiscard]] int k_axis_a() const { return rank_a == 1 ? 0 : rank_a - (trans_a ? 2 : 1); }
  [[nodiscard]] int k_axis_b() const { return rank_b == 1 ? 0 : rank_b - (trans_b ? 1 : 2); }
  [[nodiscard]] int m_axis_a() const { return rank_a - (trans_a ? 1 : 2); }
  [[nodiscard]] int n_axis_b() const { return rank_b - (trans_b ? 2 : 1); }
};

Product product_of(const Graph& graph, const Node& node) {
  Product p;
  p.rank_a = static_cast<int>(graph.input(node, 0).shape.size());
  p.rank_b = static_cast<int>(graph.input(node, 1).shape.size());
  if (p.rank_a == 0 || p.rank_b == 0) bad_node(node, "an operand is a scalar");
  p.trans_a = p.rank_a > 1 && node.integer("transA", 0) != 0;
  p.trans_b = p.rank_b > 1 && node.integer("transB", 0) != 0;
  p.batch_rank = std::max({p.rank_a, p.rank_b, 2}) - 2;
  int rank = p.batch_rank;
  if (p.rank_a > 1) p.m_axis = rank++;
  if (p.rank_b > 1) p.n_axis = rank++;
  return p;
}

Shape product_shape(const Graph& graph, const Node& node) {
  const Product p = product_of(graph, node);
  const Shape& a = graph.input(node, 0).shape;
  const Shape& b = graph.input(node, 1).shape;
  const std::int64_t ka = a[p.k_axis_a()];
  const std::int64_t kb = b[p.k_axis_b()];
  if (ka != kb) {
    bad_node(node, "contracts " + std::to_string(ka) + " of " + to_string(a) + " with " + std::to_string(kb) + " of " +
                       to_string(b));
  }
  Shape result = broadcast(node, Shape(a.begin(), a.end() - std::min(2, p.rank_a)),
                           Shape(b.begin(), b.end() - std::min(2, p.rank_b)));
  if (p.m_axis >= 0) result.push_back(a[p.m_axis_a()]);
  if (p.n_axis >= 0) result.push_back(b[p.n_axis_b()]);
  return result;
}

void check_operands(const InferContext& context) {
  const DataType a = context.graph.input(context.node, 0).type;
  const DataType b = context.graph.input(context.node, 1).type;
  if (a != b) {
    bad_node(context.node, "operands are " + std::string(name_of(a)) + " and " + std::string(name_of(b)));
  }
}

void infer_matmul(InferContext& context) {
  check_arity(context, 2, 3);
  check_operands(context);
  Shape shape = product_shape(context.graph, context.node);
  if (context.graph.has_input(context.node, 2)) {
    const Shape& bias = context.graph.input(context.node, 2).shape;
    const Product p = product_of(context.graph, context.node);
    if (p.n_axis < 0 || bias != Shape{shape.back()}) {
      bad_node(context.node, "bias is " + to_string(bias) + " for an output of " + to_string(shape));
    }
  }
  set_output(context, 0, context.graph.input(context.node, 0).type, std::move(shape));
}

void infer_gemm(InferContext& context) {
  check_arity(context, 2, 3);
  check_operands(context);
  for (int i = 0; i < 2; ++i) {
    const Shape& shape = context.graph.input(context.node, i).shape;
    if (shape.size() != 2) bad_node(context.node, "operand is " + to_string(shape) + " when it should have rank 2");
  }
  Shape shape = product_shape(context.graph, context.node);
  if (context.graph.has_input(context.node, 2)) {
    const Shape& c = context.graph.input(context.node, 2).shape;
    if (broadcast(context.node, c, shape) != shape) {
      bad_node(context.node, "C is " + to_string(c) + " for an output of " + to_string(shape));
    }
  }
  set_output(context, 0, context.graph.input(context.node, 0).type, std::move(shape));
}

/// Box of an operand: batch axes broadcast, one matrix axis from the output, the contraction whole.
Box operand_region(const Graph& graph, const Node& node, int i, const Box& out, const Product& p) {
  Box box = whole_input(graph, node, i);
  const int matrix_rank = std::min(2, box.rank);
  const int shift = p.batch_rank - (box.rank - matrix_rank);
  for (int d = 0; d < box.rank - matrix_rank; ++d) {
    if (box.extent[d] != 1) box.set(d, out.begin[d + shift], out.extent[d + shift]);
  }
  const int axis = i == 0 ? p.m_axis : p.n_axis;
  if (axis >= 0) box.set(i == 0 ? p.m_axis_a() : p.n_axis_b(), out.begin[axis], out.extent[axis]);
  return box;
}

Box matmul_region(const Graph& graph, const Node& node, int i, const Box& out) {
  const Product p = product_of(graph, node);
  if (i < 2) return operand_region(graph, node, i, out, p);
  Box box = whole_input(graph, node, i);
  box.set(0, out.begin[p.n_axis], out.extent[p.n_axis]);
  return box;
}

Box gemm_region(const Graph& graph, const Node& node, int i, const Box& out) {
  return i < 2 ? operand_region(graph, node, i, out, product_of(graph, node)) : broadcast_region(graph, node, i, out);
}

/// Every matrix of the batch of `out`.
void multiply_regions(const Graph& graph, const Node& node, std::span<const ConstStridedView> inputs, const Tail& tail,
                      const StridedView& out, const float* column_bias, compute::Sums sums) {
  const Product p = product_of(graph, node);
  const Box region_a = operand_region(graph, node, 0, out.box, p);
  const Box region_b = operand_region(graph, node, 1, out.box, p);
  compute::Product product;
  product.m = p.m_axis < 0 ? 1 : out.box.extent[p.m_axis];
  product.n = p.n_axis < 0 ? 1 : out.box.extent[p.n_axis];
  product.k = region_a.extent[p.k_axis_a()];
  product.a = {inputs[0].data + compute::offset_in(inputs[0], region_a),
               p.rank_a == 1 ? 0 : inputs[0].stride[p.m_axis_a()], inputs[0].stride[p.k_axis_a()]};
  product.b = {inputs[1].data + compute::offset_in(inputs[1], region_b),
               p.rank_b == 1 ? 0 : inputs[1].stride[p.n_axis_b()], inputs[1].stride[p.k_axis_b()]};
  product.c = out.data;
  product.c_row = p.m_axis < 0 ? 0 : out.stride[p.m_axis];
  product.c_column = p.n_axis < 0 ? 1 : out.stride[p.n_axis];
  product.alpha = node.real("alpha", 1.0F);
  product.bias_j = column_bias;
  for (std::size_t i = 0; i < tail.plus.size(); ++i) {
    const ConstStridedView& plus = tail.plus[i];
    product.plus[i] = {plus.data, p.m_axis < 0 ? 0 : plus.stride[p.m_axis], p.n_axis < 0 ? 0 : plus.stride[p.n_axis]};
  }
  product.rectify = tail.rectify;

  Box batch;  // the output's batch axes
  batch.rank = p.batch_rank;
  for (int d = 0; d < batch.rank; ++d) batch.set(d, 0, out.box.extent[d]);
  const auto batch_step = [&](const ConstStridedView& view, const Box& region, int d) {
    const int own = d - (batch.rank - (region.rank - std::min(2, region.rank)));
    return own < 0 || region.extent[own] == 1 ? 0 : view.stride[own];
  };
  std::array<std::int64_t, kMaxRank> step_a{}, step_b{};
  for (int d = 0; d < batch.rank; ++d) {
    step_a[d] = batch_step(inputs[0], region_a, d);
    step_b[d] = batch_step(inputs[1], region_b, d);
  }
  // Axes of the batch over which b repeats are more rows of a where those lie evenly: b is packed once for all.
  for (; batch.rank > 0; --batch.rank) {
    const int d = batch.rank - 1;
    const std::int64_t extent = batch.extent[d];
    if (extent > 1) {
      bool even = p.m_axis >= 0 && step_b[d] == 0 && step_a[d] == product.m * product.a.line &&
                  out.stride[d] == product.m * product.c_row;
      for (std::size_t i = 0; i < tail.plus.size(); ++i) {
        even = even && (tail.plus[i].data == nullptr || tail.plus[i].stride[d] == product.m * product.plus[i].row);
      }
      if (!even) break;
    }
    product.m *= extent;
  }
  std::vector<compute::Product> products;
  const std::int64_t count = batch.elements();
  products.reserve(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) {
    compute::Product one = product;
    std::int64_t rest = i;
    for (int d = batch.rank - 1; d >= 0; --d) {
      const std::int64_t index = rest % batch.extent[d];
      rest /= batch.extent[d];
      one.a.data += index * step_a[d];
      one.b.data += index * step_b[d];
      one.c += index * out.stride[d];
      for (std::size_t t = 0; t < tail.plus.size(); ++t) {
        if (one.plus[t].data != nullptr) one.plus[t].data += index * tail.plus[t].stride[d];
      }
    }
    one.kept_b = inputs[1].packed;
    one.key_b = {one.b.data, one.n, one.k, one.b.line, one.b.k};
    products.push_back(one);
  }
  compute::multiply(products, sums);
}

void matmul_with_tail(const Graph& graph, const Node& node, std::span<const ConstStridedView> inputs, const Tail& tail,
                      const StridedView& out, compute::Sums sums) {
  if (out.box.empty()) return;
  std::vector<float> bias;
  if (inputs.size() > 2 && inputs[2].data != nullptr) {
    const int last = out.box.rank - 1;
    const float* from = inputs[2].data + (out.box.begin[last] - inputs[2].box.begin[0]) * inputs[2].stride[0];
    for (std::int32_t i = 0; i < out.box.extent[last]; ++i) bias.push_back(from[i * inputs[2].stride[0]]);
  }
  multiply_regions(graph, node, inputs, tail, out, bias.empty() ? nullptr : bias.data(), sums);
}

void matmul_kernel(const Graph& graph, const Node& node, std::span<const ConstStridedView> inputs,
                   const StridedView& out, compute::Sums sums) {
  matmul_with_tail(graph, node, inputs, {}, out, sums);
}

void gemm_kernel(const Graph& graph, const Node& node, std::span<const ConstStridedView> inputs, const StridedView& out,
                 compute::Sums sums) {
  if (out.box.empty()) return;
  multiply_regions(graph, node, inputs, {}, out, nullptr, sums);
  if (inputs.size() < 3 || inputs[2].data == nullptr) return;
  const float beta = node.real("beta", 1.0F);
  const ConstStridedView& c = inputs[2];
  std::array<std::int64_t, kMaxRank> step{};
  std::int64_t offset = 0;
  const Shape& shape = graph.input(node, 2).shape;
  const int shift = out.box.rank - c.box.rank;
  for (int d = 0; d < c.box.rank; ++d) {
    if (shape[static_cast<std::size_t>(d)] == 1) continue;
    step[d + shift] = c.stride[d];
    offset += c.stride[d] * (out.box.begin[d + shift] - c.box.begin[d]);
  }
  for (std::int32_t i = 0; i < out.box.extent[0]; ++i) {
    for (std::int32_t j = 0; j < out.box.extent[1]; ++j) {
      out.data[i * out.stride[0] + j * out.stride[1]] += beta * c.data[offset + i * step[0] + j * step[1]];
    }
  }
}

configs::MatrixShape product_work(const Graph& graph, const Node& node, const Box& out) {
  const Product p = product_of(graph, node);
  const Shape& b = graph.input(node, 1).shape;
  configs::MatrixShape shape;
  shape.m = p.m_axis < 0 ? 1 : out.extent[p.m_axis];
  shape.n = p.n_axis < 0 ? 1 : out.extent[p.n_axis];
  shape.k = graph.input(node, 0).shape[p.k_axis_a()];
  // Where the second operand is the same for several of the batch, their rows stream through one set of weights.
  const int shift = p.batch_rank - std::max(0, p.rank_b - 2);
  for (int d = 0; d < p.batch_rank; ++d) {
    const bool repeats = d < shift || b[d - shift] == 1;
    (repeats ? shape.m : shape.batch) *= out.extent[d];
  }
  return shape;
}

/// Integers exactly; floats by the kernel.
std::vector<HostTensor> evaluate_matmul(const Graph& graph, const Node& node,
                                        std::span<const HostTensor* const> inputs) {
  if (!inputs[0]->holds_integer()) {
    return evaluate_by_kernel({.name = node.op, .kernel = compute::dense_kernel<matmul_kernel>}, graph, node, inputs);
  }
  std::vector<HostTensor> results;
  results.push_back(integer_matmul(graph, node, inputs));
  return results;
}

constexpr OpDef kOperators[] = {
    {.name = "MatMul",
     .op_class = OpClass::kMatrix,
     .infer = infer_matmul,
     .evaluate = evaluate_matmul,
     .region = matmul_region,
     .kernel = compute::dense_kernel<matmul_kernel>,
     .strided = matmul_kernel,
     .strided_with_tail = matmul_with_tail,
     .matrix_shape = product_work},
    {.name = "Gemm",
     .op_class = OpClass::kMatrix,
     .infer = infer_gemm,
     .region = gemm_region,
     .kernel = compute::dense_kernel<gemm_kernel>,
     .strided = gemm_kernel,
     .matrix_shape = product_work},
};

}  // namespace

std::span<const OpDef> matrix_operators() { return kOperators; }

}  // namespace spillway::workloads
