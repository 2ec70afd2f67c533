// Operators along one axis or over whole planes that no engine computes: Hardmax, LpNormalization,
// MeanVarianceNormalization, GlobalLpPool, ReverseSequence, Det.
#include <Eigen/Dense>
#include <algorithm>
#include <cmath>

#include "workloads/operators/families.h"
#include "workloads/operators/host.h"

namespace spillway::workloads {

namespace {

void infer_like_input(InferContext& context) {
  check_arity(context, 1, 1);
  check_float_input(context, 0);
  const Tensor& x = context.graph.input(context.node, 0);
  set_output(context, 0, x.type, x.shape);
}

// --- Hardmax: one where the largest value first stands, zero elsewhere; along one axis since opset 13, before over all
// axes from `axis` on ---

Around hardmax_axis(const Graph& graph, const Node& node, const Shape& shape) {
  const auto rank = static_cast<int>(shape.size());
  if (graph.opset >= 13) return {shape, normalise_axis(node, node.integer("axis", -1), rank)};
  const std::int64_t axis = node.integer("axis", 1);
  const auto split = static_cast<std::size_t>(axis == rank ? rank : normalise_axis(node, axis, rank));
  return {Shape{elements_of(shape, 0, split), elements_of(shape, split, shape.size())}, 1};
}

void infer_hardmax(InferContext& context) {
  infer_like_input(context);
  const Shape& x = context.graph.input(context.node, 0).shape;
  if (x.empty()) bad_node(context.node, "its input is a scalar");
  static_cast<void>(hardmax_axis(context.graph, context.node, x));
}

std::vector<HostTensor> evaluate_hardmax(const Graph& graph, const Node& node,
                                         std::span<const HostTensor* const> inputs) {
  HostTensor y = make_tensor(inputs[0]->type, inputs[0]->shape);
  const Around around = hardmax_axis(graph, node, y.shape);
  const auto mark = [&]<typename T>(std::vector<T>& out) {
    const auto& x = std::get<std::vector<T>>(inputs[0]->data);
    for (std::int64_t o = 0; o < around.outer && around.extent > 0; ++o) {
      for (std::int64_t i = 0; i < around.inner; ++i) {
        const auto at = [&](std::int64_t k) {
          return static_cast<std::size_t>((o * around.extent + k) * around.inner + i);
        };
        std::int64_t best = 0;
        for (std::int64_t k = 1; k < around.extent; ++k) {
          if (x[at(k)] > x[at(best)]) best = k;
        }
        out[at(best)] = T{1};
      }
    }
  };
  std::visit(mark, y.data);
  return one_result(std::move(y));
}

// --- LpNormalization: divided by the norm along an axis ---

std::int64_t norm_of(const Node& node, std::int64_t most) {
  const std::int64_t p = node.integer("p", 2);
  if (p < 1 || p > most)
    bad_node(node, "p is " + std::to_string(p) + " when it should be from 1 to " + std::to_string(most));
  return p;
}

void infer_lp_normalization(InferContext& context) {
  infer_like_input(context);
  static_cast<void>(norm_of(context.node, 2));
  static_cast<void>(normalise_axis(context.node, context.node.integer("axis", -1),
                                   static_cast<int>(context.graph.input(context.node, 0).shape.size())));
}

std::vector<HostTensor> evaluate_lp_normalization(const Graph&, const Node& node,
                                                  std::span<const HostTensor* const> inputs) {
  HostTensor y = *inputs[0];
  const Around around(y.shape, normalise_axis(node, node.integer("axis", -1), static_cast<int>(y.shape.size())));
  const bool euclidean = norm_of(node, 2) == 2;
  for (std::int64_t o = 0; o < around.outer; ++o) {
    for (std::int64_t i = 0; i < around.inner; ++i) {
      const auto at = [&](std::int64_t k) -> float& {
        return y.floats()[static_cast<std::size_t>((o * around.extent + k) * around.inner + i)];
      };
      double sum = 0.0;
      for (std::int64_t k = 0; k < around.extent; ++k) {
        const double v = at(k);
        sum += euclidean ? v * v : std::abs(v);
      }
      const double norm = euclidean ? std::sqrt(sum) : sum;
      for (std::int64_t k = 0; k < around.extent; ++k) at(k) = norm == 0.0 ? 0.0F : static_cast<float>(at(k) / norm);
    }
  }
  return one_result(std::move(y));
}

// --- MeanVarianceNormalization: (x - mean) / (deviation + 1e-9) over the axes, by the function body of its schema ---

std::vector<int> mvn_axes(const Node& node, std::size_t rank) {
  return normalise_axes(node, node.integers("axes", {0, 2, 3}), static_cast<int>(rank));
}

void infer_mvn(InferContext& context) {
  infer_like_input(context);
  static_cast<void>(mvn_axes(context.node, context.graph.input(context.node, 0).shape.size()));
}

std::vector<HostTensor> evaluate_mvn(const Graph&, const Node& node, std::span<const HostTensor* const> inputs) {
  HostTensor y = *inputs[0];
  const Box box = whole(y.shape);
  Walk kept = dense_walk(box, box);  // the place of an element's statistics; sparse, but dense enough
  for (const int axis : mvn_axes(node, y.shape.size())) kept.stride[axis] = 0;
  std::vector<double> sum(y.held(), 0.0);
  std::vector<double> squares(y.held(), 0.0);
  std::vector<double> count(y.held(), 0.0);
  const Nest<2> nest(box, {dense_walk(box, box), kept});
  const auto each = [&](auto f) {
    nest.for_each_row([&](const std::array<std::int64_t, 2>& at) {
      for (std::int64_t i = 0; i < nest.row_length(); ++i) {
        f(y.floats()[static_cast<std::size_t>(at[0] + i * nest.row_stride(0))],
          static_cast<std::size_t>(at[1] + i * nest.row_stride(1)));
      }
    });
  };
  each([&](float v, std::size_t k) { sum[k] += v, count[k] += 1.0; });
  each([&](float v, std::size_t k) {
    const double delta = v - sum[k] / count[k];
    squares[k] += delta * delta;
  });
  each([&](float& v, std::size_t k) {
    v = static_cast<float>((v - sum[k] / count[k]) / (std::sqrt(squares[k] / count[k]) + 1e-9));
  });
  return one_result(std::move(y));
}

// --- GlobalLpPool ---

void infer_global_lp(InferContext& context) {
  infer_like_input(context);
  const Tensor x = context.graph.input(context.node, 0);
  if (x.shape.size() < 3)
    bad_node(context.node, "input is " + to_string(x.shape) + " when it should have rank 3 or more");
  static_cast<void>(norm_of(context.node, 1024));
  Shape shape(x.shape.size(), 1);
  shape[0] = x.shape[0];
  shape[1] = x.shape[1];
  set_output(context, 0, x.type, std::move(shape));
}

std::vector<HostTensor> evaluate_global_lp(const Graph& graph, const Node& node,
                                           std::span<const HostTensor* const> inputs) {
  const HostTensor& x = *inputs[0];
  HostTensor y = make_tensor(x.type, graph.output(node).shape);
  const auto p = static_cast<double>(norm_of(node, 1024));
  const auto plane = static_cast<std::size_t>(elements_of(x.shape, 2, x.shape.size()));
  for (std::size_t k = 0; k < y.held(); ++k) {
    double sum = 0.0;
    for (std::size_t i = 0; i < plane; ++i) sum += std::pow(std::abs(double{x.floats()[k * plane + i]}), p);
    y.floats()[k] = static_cast<float>(std::pow(sum, 1.0 / p));
  }
  return one_result(std::move(y));
}

// --- ReverseSequence: the first sequence_lens[b] elements of each sequence backwards ---

void infer_reverse(InferContext& context) {
  check_arity(context, 2, 2);
  check_integer_input(context, 1);
  const Node& node = context.node;
  const Tensor& x = context.graph.input(node, 0);
  const std::int64_t batch = node.integer("batch_axis", 1);
  const std::int64_t time = node.integer("time_axis", 0);
  if (x.shape.size() < 2 || batch + time != 1 || batch * time != 0) {
    bad_node(node, "batch_axis and time_axis should be 0 and 1 of an input of rank 2 or more");
  }
  if (context.graph.input(node, 1).shape != Shape{x.shape[static_cast<std::size_t>(batch)]}) {
    bad_node(node, "sequence_lens should have one element a sequence");
  }
  set_output(context, 0, x.type, x.shape);
}

std::vector<HostTensor> evaluate_reverse(const Graph&, const Node& node, std::span<const HostTensor* const> inputs) {
  HostTensor y = *inputs[0];
  const bool batch_first = node.integer("batch_axis", 1) == 0;
  const std::int64_t batch = y.shape[batch_first ? 0 : 1];
  const std::int64_t steps = y.shape[batch_first ? 1 : 0];
  const std::int64_t inner = elements_of(y.shape, 2, y.shape.size());
  const auto turn = [&]<typename T>(std::vector<T>& out) {
    const auto& x = std::get<std::vector<T>>(inputs[0]->data);
    for (std::int64_t b = 0; b < batch; ++b) {
      const std::int64_t length = inputs[1]->ints()[static_cast<std::size_t>(b)];
      if (length < 0 || length > steps) {
        bad_node(node,
                 "a sequence of " + std::to_string(length) + " when there are " + std::to_string(steps) + " steps");
      }
      const auto at = [&](std::int64_t t) { return (batch_first ? b * steps + t : t * batch + b) * inner; };
      for (std::int64_t t = 0; t < length; ++t) std::copy_n(x.begin() + at(length - 1 - t), inner, out.begin() + at(t));
    }
  };
  std::visit(turn, y.data);
  return one_result(std::move(y));
}

// --- Det ---

void infer_det(InferContext& context) {
  check_arity(context, 1, 1);
  check_float_input(context, 0);
  const Tensor& x = context.graph.input(context.node, 0);
  if (x.shape.size() < 2 || x.shape.back() != x.shape[x.shape.size() - 2]) {
    bad_node(context.node, "input of shape " + to_string(x.shape) + " is no stack of square matrices");
  }
  set_output(context, 0, x.type, Shape(x.shape.begin(), x.shape.end() - 2));
}

std::vector<HostTensor> evaluate_det(const Graph& graph, const Node& node, std::span<const HostTensor* const> inputs) {
  using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  HostTensor y = make_tensor(inputs[0]->type, graph.output(node).shape);
  const std::int64_t n = inputs[0]->shape.back();
  for (std::size_t k = 0; k < y.held(); ++k) {
    const Eigen::Map<const Matrix> matrix(inputs[0]->floats().data() + static_cast<std::int64_t>(k) * n * n, n, n);
    y.floats()[k] = n == 0 ? 1.0F : static_cast<float>(matrix.cast<double>().determinant());
  }
  return one_result(std::move(y));
}

constexpr OpDef kOperators[] = {
    host_operator("Hardmax", infer_hardmax, evaluate_hardmax, true),
    host_operator("LpNormalization", infer_lp_normalization, evaluate_lp_normalization),
    host_operator("MeanVarianceNormalization", infer_mvn, evaluate_mvn),
    host_operator("GlobalLpPool", infer_global_lp, evaluate_global_lp),
    host_operator("ReverseSequence", infer_reverse, evaluate_reverse, true),
    host_operator("Det", infer_det, evaluate_det),
};

}  // namespace

std::span<const OpDef> along_axis_operators() { return kOperators; }

}  // namespace spillway::workloads
