// MatMul with NumPy's rules for 1-D operands and batch broadcasting, and Gemm. Canonical MatMuls also carry transA,
// transB (of the last two axes of an operand of rank 2 or more), alpha, and a bias per output column.
#include <Eigen/Core>

#include "workloads/operators/families.h"
#include "workloads/operators/support.h"

namespace spillway::workloads {

namespace {

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using ConstMap = Eigen::Map<const Matrix, 0, Eigen::OuterStride<>>;

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

/// One matrix of an operand's dense region: element (0, 0) of the part that is needed, rows as they lie in memory.
struct Operand {
  const float* data = nullptr;
  std::int64_t rows = 1, cols = 1, pitch = 1;
  bool transposed = false;

  [[nodiscard]] ConstMap map() const { return {data, rows, cols, Eigen::OuterStride<>(pitch)}; }
};

Operand operand_of(const ConstRegionView& view, const Box& region, bool transposed, bool is_a,
                   std::int64_t batch_offset) {
  const Walk walk = dense_walk(view.box, region);
  const int rank = region.rank;
  Operand m;
  m.data = view.data + walk.offset + batch_offset;
  if (rank == 1) {  // a row of a, a column of b
    (is_a ? m.cols : m.rows) = region.extent[0];
    m.pitch = is_a ? region.extent[0] : 1;
    return m;
  }
  m.rows = region.extent[rank - 2];
  m.cols = region.extent[rank - 1];
  m.pitch = walk.stride[rank - 2];
  m.transposed = transposed;
  return m;
}

/// y (rows x cols) = alpha * a * b
template <typename Result>
void multiply(Result& y, const Operand& a, const Operand& b, float alpha) {
  if (a.transposed && b.transposed) {
    y.noalias() = alpha * a.map().transpose() * b.map().transpose();
  } else if (a.transposed) {
    y.noalias() = alpha * a.map().transpose() * b.map();
  } else if (b.transposed) {
    y.noalias() = alpha * a.map() * b.map().transpose();
  } else {
    y.noalias() = alpha * a.map() * b.map();
  }
}

/// Every matrix of the batch of `out`; the inputs' first two regions only.
void multiply_regions(const Graph& graph, const Node& node, std::span<const ConstRegionView> inputs,
                      const RegionView& out) {
  const Product p = product_of(graph, node);
  const float alpha = node.real("alpha", 1.0F);
  const Box region_a = operand_region(graph, node, 0, out.box, p);
  const Box region_b = operand_region(graph, node, 1, out.box, p);
  const std::int64_t rows = p.m_axis < 0 ? 1 : out.box.extent[p.m_axis];
  const std::int64_t cols = p.n_axis < 0 ? 1 : out.box.extent[p.n_axis];
  Box batch;  // the output's batch axes
  batch.rank = p.batch_rank;
  for (int d = 0; d < batch.rank; ++d) batch.set(d, out.box.begin[d], out.box.extent[d]);

  const auto batch_walk = [&](const ConstRegionView& view, const Box& region) {
    const Walk dense = dense_walk(view.box, region);
    Walk walk;
    const int own = region.rank - std::min(2, region.rank);
    const int shift = batch.rank - own;
    for (int d = 0; d < own; ++d) walk.stride[d + shift] = region.extent[d] == 1 ? 0 : dense.stride[d];
    return walk;
  };
  Walk walk_y;
  std::int64_t stride = rows * cols;
  for (int d = batch.rank - 1; d >= 0; --d) walk_y.stride[d] = stride, stride *= batch.extent[d];

  const Nest<3> nest(batch, {batch_walk(inputs[0], region_a), batch_walk(inputs[1], region_b), walk_y});
  nest.for_each_row([&](const std::array<std::int64_t, 3>& at) {
    for (std::int64_t i = 0; i < nest.row_length(); ++i) {
      const Operand a = operand_of(inputs[0], region_a, p.trans_a, true, at[0] + i * nest.row_stride(0));
      const Operand b = operand_of(inputs[1], region_b, p.trans_b, false, at[1] + i * nest.row_stride(1));
      Eigen::Map<Matrix> y(out.data + at[2] + i * nest.row_stride(2), rows, cols);
      multiply(y, a, b, alpha);
    }
  });
}

void matmul_kernel(const Graph& graph, const Node& node, std::span<const ConstRegionView> inputs,
                   const RegionView& out) {
  if (out.box.empty()) return;
  multiply_regions(graph, node, inputs, out);
  if (inputs.size() < 3 || inputs[2].data == nullptr) return;
  const std::int64_t cols = out.box.extent[out.box.rank - 1];
  const float* bias = inputs[2].data + (out.box.begin[out.box.rank - 1] - inputs[2].box.begin[0]);
  Eigen::Map<Matrix> y(out.data, out.box.elements() / cols, cols);
  y.rowwise() += Eigen::Map<const Eigen::RowVectorXf>(bias, cols);
}

void gemm_kernel(const Graph& graph, const Node& node, std::span<const ConstRegionView> inputs, const RegionView& out) {
  if (out.box.empty()) return;
  multiply_regions(graph, node, inputs, out);
  if (inputs.size() < 3 || inputs[2].data == nullptr) return;
  const float beta = node.real("beta", 1.0F);
  const Nest<2> nest(
      out.box, {dense_walk(out.box, out.box), broadcast_walk(graph.input(node, 2).shape, inputs[2].box, out.box)});
  nest.for_each_row([&](const std::array<std::int64_t, 2>& at) {
    for (std::int64_t i = 0; i < nest.row_length(); ++i) {
      out.data[at[0] + i * nest.row_stride(0)] += beta * inputs[2].data[at[1] + i * nest.row_stride(1)];
    }
  });
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

constexpr OpDef kOperators[] = {
    {.name = "MatMul",
     .op_class = OpClass::kMatrix,
     .infer = infer_matmul,
     .region = matmul_region,
     .kernel = matmul_kernel,
     .matrix_shape = product_work},
    {.name = "Gemm",
     .op_class = OpClass::kMatrix,
     .infer = infer_gemm,
     .region = gemm_region,
     .kernel = gemm_kernel,
     .matrix_shape = product_work},
};

}  // namespace

std::span<const OpDef> matrix_operators() { return kOperators; }

}  // namespace spillway::workloads
