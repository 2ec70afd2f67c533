// Products of quantised operands as they are: MatMulInteger, ConvInteger, QLinearMatMul, QLinearConv, and
// DynamicQuantizeLinear. Products of 8-bit integers are summed in 32 bits where that is exact (byte_sums.h), and in
// double elsewhere: exact up to 2^53.
#include "workloads/operators/integer_products.h"

#include <Eigen/Core>
#include <algorithm>
#include <cmath>

#include "workloads/operators/byte_sums.h"
#include "workloads/operators/families.h"
#include "workloads/operators/host.h"
#include "workloads/operators/spatial.h"

namespace spillway::workloads {

namespace {

template <typename T>
using MatrixOf = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Matrix = MatrixOf<double>;
using ConstMatrix = Eigen::Map<const Matrix>;

void check_eight_bits(const InferContext& context, int i) {
  const DataType type = context.graph.input(context.node, i).type;
  if (type == DataType::kInt8 || type == DataType::kUint8) return;
  bad_node(context.node,
           "input " + std::to_string(i) + " is " + std::string(name_of(type)) + " when it should be int8 or uint8");
}

/// The values less their zero point, which is one, or one for each index of `axis`.
std::vector<double> centred(const Node& node, const HostTensor& x, const HostTensor* zero, int axis) {
  std::vector<double> values(x.ints().begin(), x.ints().end());
  if (zero == nullptr) return values;
  if (zero->held() == 1) {
    for (double& v : values) v -= static_cast<double>(zero->ints()[0]);
    return values;
  }
  const Around around(x.shape, axis);
  // Per row of a stack of matrices, the zero points come as [.., rows, 1]: one for each row of the whole stack.
  const bool whole_stack = static_cast<std::int64_t>(zero->held()) == around.outer * around.extent;
  if (!whole_stack && static_cast<std::int64_t>(zero->held()) != around.extent) {
    bad_node(node, std::to_string(zero->held()) + " zero points for " + std::to_string(around.extent) + " indices");
  }
  for (std::int64_t r = 0; r < around.outer * around.extent; ++r) {
    const auto z = static_cast<double>(zero->ints()[static_cast<std::size_t>(whole_stack ? r : r % around.extent)]);
    for (std::int64_t i = 0; i < around.inner; ++i) values[static_cast<std::size_t>(r * around.inner + i)] -= z;
  }
  return values;
}

// --- products of matrices ---

Shape product_shape(const Node& node, const Shape& a, const Shape& b) {
  if (a.size() < 2 || b.size() < 2 || a.back() != b[b.size() - 2]) {
    bad_node(node, "cannot multiply " + to_string(a) + " with " + to_string(b));
  }
  Shape shape = broadcast(node, Shape(a.begin(), a.end() - 2), Shape(b.begin(), b.end() - 2));
  shape.push_back(a[a.size() - 2]);
  shape.push_back(b.back());
  return shape;
}

/// Sums of products, in the layout of the result.
template <typename T>
std::vector<T> multiply(const Shape& a_shape, const std::vector<T>& a, const Shape& b_shape, const std::vector<T>& b,
                        const Shape& out) {
  using ConstMap = Eigen::Map<const MatrixOf<T>>;
  const std::int64_t m = out[out.size() - 2];
  const std::int64_t n = out.back();
  const std::int64_t k = a_shape.back();
  std::vector<T> sums(static_cast<std::size_t>(elements_of(out)));
  if (sums.empty()) return sums;
  const Shape batch(out.begin(), out.end() - 2);
  const Box box = whole(batch);
  const auto walk = [&](const Shape& shape) {
    const Shape lead(shape.begin(), shape.end() - 2);
    return broadcast_walk(lead, whole(lead), box);
  };
  const Nest<3> nest(box, {dense_walk(box, box), walk(a_shape), walk(b_shape)});
  nest.for_each_row([&](const std::array<std::int64_t, 3>& at) {
    for (std::int64_t i = 0; i < nest.row_length(); ++i) {
      const auto place = [&](int array) { return at[array] + i * nest.row_stride(array); };
      Eigen::Map<MatrixOf<T>>(sums.data() + place(0) * m * n, m, n).noalias() =
          ConstMap(a.data() + place(1) * m * k, m, k) * ConstMap(b.data() + place(2) * k * n, k, n);
    }
  });
  return sums;
}

/// Zero points of A are for its rows, of B for its columns.
std::vector<double> multiply(const Node& node, const HostTensor& a, const HostTensor* a_zero, const HostTensor& b,
                             const HostTensor* b_zero) {
  const Shape out = product_shape(node, a.shape, b.shape);
  if (auto sums = byte_products(a, a_zero, b, b_zero, out)) return std::move(*sums);
  const auto a_values = centred(node, a, a_zero, static_cast<int>(a.shape.size()) - 2);
  const auto b_values = centred(node, b, b_zero, static_cast<int>(b.shape.size()) - 1);
  return multiply(a.shape, a_values, b.shape, b_values, out);
}

HostTensor as_int32(const std::vector<double>& sums, const Shape& shape) {
  HostTensor y = make_tensor(DataType::kInt32, shape);
  std::transform(sums.begin(), sums.end(), y.ints().begin(),
                 [](double v) { return narrowed(DataType::kInt32, static_cast<std::int64_t>(v)); });
  return y;
}

/// Rounded half to even and saturated to the 8-bit type.
std::int64_t saturated(DataType type, double value) {
  const auto [low, high] = type == DataType::kInt8 ? std::pair{-128.0, 127.0} : std::pair{0.0, 255.0};
  return static_cast<std::int64_t>(std::clamp(std::isnan(value) ? low : value, low, high));
}

void infer_matmul_integer(InferContext& context) {
  check_arity(context, 2, 4);
  for (int i = 0; i < 2; ++i) check_eight_bits(context, i);
  set_output(context, 0, DataType::kInt32,
             product_shape(context.node, context.graph.input(context.node, 0).shape,
                           context.graph.input(context.node, 1).shape));
}

std::vector<HostTensor> evaluate_matmul_integer(const Graph& graph, const Node& node,
                                                std::span<const HostTensor* const> inputs) {
  return one_result(
      as_int32(multiply(node, *inputs[0], optional_input(inputs, 2), *inputs[1], optional_input(inputs, 3)),
               graph.output(node).shape));
}

void infer_qlinear_matmul(InferContext& context) {
  check_arity(context, 8, 8);
  for (const int i : {0, 2, 3, 5, 7}) check_eight_bits(context, i);
  for (const int i : {1, 4, 6}) check_float_input(context, i);
  set_output(context, 0, context.graph.input(context.node, 7).type,
             product_shape(context.node, context.graph.input(context.node, 0).shape,
                           context.graph.input(context.node, 3).shape));
}

/// A scale that is one, or one for each row or column.
double scale_at(const HostTensor& scale, std::int64_t index) {
  return scale.held() == 1 ? scale.floats()[0]
                           : scale.floats()[static_cast<std::size_t>(index % static_cast<std::int64_t>(scale.held()))];
}

std::vector<HostTensor> evaluate_qlinear_matmul(const Graph& graph, const Node& node,
                                                std::span<const HostTensor* const> inputs) {
  const Shape& shape = graph.output(node).shape;
  const DataType type = graph.output(node).type;
  const auto sums = multiply(node, *inputs[0], inputs[2], *inputs[3], inputs[5]);
  const auto zero = static_cast<double>(integer_of(node, *inputs[7], "y_zero_point"));
  const double y_scale = scalar_of(node, *inputs[6], "y_scale");
  HostTensor y = make_tensor(type, shape);
  const std::int64_t n = shape.back();
  for (std::size_t i = 0; i < sums.size(); ++i) {
    const auto at = static_cast<std::int64_t>(i);
    const double factor = scale_at(*inputs[1], at / n) * scale_at(*inputs[4], at % n) / y_scale;
    y.ints()[i] = saturated(type, std::nearbyint(sums[i] * factor) + zero);
  }
  return one_result(std::move(y));
}

// --- convolutions ---

struct Convolution {
  Window window;
  std::int64_t groups = 1;
  Shape out;
};

Convolution convolution_of(const Graph& graph, const Node& node, int x_input, int w_input) {
  const Shape& x = graph.input(node, x_input).shape;
  const Shape& w = graph.input(node, w_input).shape;
  if (x.size() < 3 || w.size() != x.size()) {
    bad_node(node, "input " + to_string(x) + " and weight " + to_string(w) + " should have one rank of at least 3");
  }
  Convolution c;
  c.window = window_of(node, x, {w.begin() + 2, w.end()});
  c.groups = node.integer("group", 1);
  if (c.groups < 1 || w[0] % c.groups != 0 || x[1] % c.groups != 0 || x[1] / c.groups != w[1]) {
    bad_node(node, "input " + to_string(x) + " and weight " + to_string(w) + " do not divide into " +
                       std::to_string(c.groups) + " groups");
  }
  c.out = {x[0], w[0]};
  for (int d = 0; d < c.window.dims(); ++d) c.out.push_back(window_count(node, c.window, d, x[d + 2]));
  return c;
}

/// One output position's patch of one group's channels.
void gather(const Convolution& c, const Shape& x, const double* from, std::int64_t channels, std::int64_t position,
            double* to, std::int64_t pitch) {
  const int dims = c.window.dims();
  std::array<std::int64_t, kMaxRank> start{};
  for (int d = dims - 1; d >= 0; --d) {
    start[d] = position % c.out[d + 2] * c.window.stride[d] - c.window.pad_begin[d];
    position /= c.out[d + 2];
  }
  const std::int64_t plane = elements_of(x, 2, x.size());
  const std::int64_t taps = elements_of(c.window.kernel);
  std::array<std::int64_t, kMaxRank> tap{};
  for (std::int64_t t = 0; t < taps; ++t) {
    std::int64_t at = 0;
    bool inside = true;
    for (int d = 0; d < dims; ++d) {
      const std::int64_t p = start[d] + tap[d] * c.window.dilation[d];
      inside = inside && p >= 0 && p < x[d + 2];
      at = at * x[d + 2] + p;
    }
    for (std::int64_t k = 0; k < channels; ++k) to[(k * taps + t) * pitch] = inside ? from[k * plane + at] : 0.0;
    for (int d = dims - 1; d >= 0 && ++tap[d] == c.window.kernel[d]; --d) tap[d] = 0;
  }
}

std::vector<double> convolve(const Convolution& c, const Shape& x_shape, const std::vector<double>& x,
                             const Shape& w_shape, const std::vector<double>& w) {
  const std::int64_t positions = elements_of(c.out, 2, c.out.size());
  const std::int64_t channels = w_shape[1];
  const std::int64_t rows = channels * elements_of(c.window.kernel);
  const std::int64_t outputs = w_shape[0] / c.groups;
  const std::int64_t plane = elements_of(x_shape, 2, x_shape.size());
  std::vector<double> sums(static_cast<std::size_t>(elements_of(c.out)));
  constexpr std::int64_t kBlockElements = std::int64_t{1} << 17;  // patches that stay in the processor's cache
  const std::int64_t block = std::max<std::int64_t>(16, kBlockElements / std::max<std::int64_t>(1, rows));
  Matrix columns(rows, std::min(block, positions));
  for (std::int64_t n = 0; n < c.out[0]; ++n) {
    for (std::int64_t g = 0; g < c.groups; ++g) {
      const double* from = x.data() + (n * x_shape[1] + g * channels) * plane;
      const ConstMatrix weights(w.data() + g * outputs * rows, outputs, rows);
      Eigen::Map<Matrix> out(sums.data() + (n * c.out[1] + g * outputs) * positions, outputs, positions);
      for (std::int64_t p = 0; p < positions; p += block) {
        const std::int64_t count = std::min(block, positions - p);
        for (std::int64_t i = 0; i < count; ++i)
          gather(c, x_shape, from, channels, p + i, columns.data() + i, columns.cols());
        out.middleCols(p, count).noalias() = weights * columns.leftCols(count);
      }
    }
  }
  return sums;
}

std::vector<double> convolve(const Node& node, const Convolution& c, const HostTensor& x, const HostTensor* x_zero,
                             const HostTensor& w, const HostTensor* w_zero) {
  if (c.groups == 1) {
    if (auto sums = byte_convolution(x, x_zero, w, w_zero, c.window, c.out)) return std::move(*sums);
  }
  return convolve(c, x.shape, centred(node, x, x_zero, 0), w.shape, centred(node, w, w_zero, 0));
}

void infer_conv_integer(InferContext& context) {
  check_arity(context, 2, 4);
  for (int i = 0; i < 2; ++i) check_eight_bits(context, i);
  set_output(context, 0, DataType::kInt32, convolution_of(context.graph, context.node, 0, 1).out);
}

std::vector<HostTensor> evaluate_conv_integer(const Graph& graph, const Node& node,
                                              std::span<const HostTensor* const> inputs) {
  const Convolution c = convolution_of(graph, node, 0, 1);
  return one_result(
      as_int32(convolve(node, c, *inputs[0], optional_input(inputs, 2), *inputs[1], optional_input(inputs, 3)), c.out));
}

void infer_qlinear_conv(InferContext& context) {
  check_arity(context, 8, 9);
  for (const int i : {0, 2, 3, 5, 7}) check_eight_bits(context, i);
  for (const int i : {1, 4, 6}) check_float_input(context, i);
  const Convolution c = convolution_of(context.graph, context.node, 0, 3);
  const auto per_channel = [&](int i) {
    const std::int64_t count = context.graph.input(context.node, i).elements();
    if (count != 1 && count != c.out[1]) {
      bad_node(context.node, "input " + std::to_string(i) + " has " + std::to_string(count) + " elements for " +
                                 std::to_string(c.out[1]) + " channels");
    }
  };
  per_channel(4);
  per_channel(5);
  if (context.graph.has_input(context.node, 8) && context.graph.input(context.node, 8).shape != Shape{c.out[1]}) {
    bad_node(context.node, "bias should have one element a channel");
  }
  set_output(context, 0, context.graph.input(context.node, 7).type, c.out);
}

std::vector<HostTensor> evaluate_qlinear_conv(const Graph& graph, const Node& node,
                                              std::span<const HostTensor* const> inputs) {
  const Convolution c = convolution_of(graph, node, 0, 3);
  const auto sums = convolve(node, c, *inputs[0], inputs[2], *inputs[3], inputs[5]);
  const DataType type = graph.output(node).type;
  const double x_scale = scalar_of(node, *inputs[1], "x_scale");
  const double y_scale = scalar_of(node, *inputs[6], "y_scale");
  const auto zero = static_cast<double>(integer_of(node, *inputs[7], "y_zero_point"));
  const HostTensor* bias = optional_input(inputs, 8);
  const std::int64_t positions = elements_of(c.out, 2, c.out.size());
  HostTensor y = make_tensor(type, c.out);
  for (std::size_t i = 0; i < sums.size(); ++i) {
    const std::int64_t channel = static_cast<std::int64_t>(i) / positions % c.out[1];
    const double sum =
        sums[i] + (bias == nullptr ? 0.0 : static_cast<double>(bias->ints()[static_cast<std::size_t>(channel)]));
    // In float, as runtimes requantise.
    const float factor =
        static_cast<float>(x_scale) * static_cast<float>(scale_at(*inputs[4], channel)) / static_cast<float>(y_scale);
    y.ints()[i] = saturated(type, static_cast<double>(std::nearbyint(static_cast<float>(sum) * factor)) + zero);
  }
  return one_result(std::move(y));
}

// --- DynamicQuantizeLinear: uint8, scale and zero point from the values' range, which always holds zero ---

void infer_dynamic_quantize(InferContext& context) {
  check_arity(context, 1, 1, 3);
  check_float_input(context, 0);
  set_output(context, 1, DataType::kFloat32, {});
  set_output(context, 2, DataType::kUint8, {});
  set_output(context, 0, DataType::kUint8, context.graph.input(context.node, 0).shape);
}

std::vector<HostTensor> evaluate_dynamic_quantize(const Graph&, const Node&,
                                                  std::span<const HostTensor* const> inputs) {
  const auto& x = inputs[0]->floats();
  float low = 0.0F;
  float high = 0.0F;
  for (const float v : x) {
    low = std::min(low, v);
    high = std::max(high, v);
  }
  const float scale = (high - low) / 255.0F;
  const float zero = scale == 0.0F ? 0.0F : std::clamp(std::nearbyint(-low / scale), 0.0F, 255.0F);
  std::vector<HostTensor> results;
  results.push_back(make_tensor(DataType::kUint8, inputs[0]->shape));
  std::transform(x.begin(), x.end(), results[0].ints().begin(), [&](float v) {
    return saturated(DataType::kUint8, scale == 0.0F ? 0.0 : double{std::nearbyint(v / scale) + zero});
  });
  results.push_back(make_tensor(DataType::kFloat32, {}));
  results[1].floats()[0] = scale;
  results.push_back(make_tensor(DataType::kUint8, {}));
  results[2].ints()[0] = static_cast<std::int64_t>(zero);
  return results;
}

constexpr OpDef kOperators[] = {
    host_operator("MatMulInteger", infer_matmul_integer, evaluate_matmul_integer),
    host_operator("QLinearMatMul", infer_qlinear_matmul, evaluate_qlinear_matmul),
    host_operator("ConvInteger", infer_conv_integer, evaluate_conv_integer),
    host_operator("QLinearConv", infer_qlinear_conv, evaluate_qlinear_conv),
    host_operator("DynamicQuantizeLinear", infer_dynamic_quantize, evaluate_dynamic_quantize),
};

}  // namespace

HostTensor integer_matmul(const Graph& graph, const Node& node, std::span<const HostTensor* const> inputs) {
  // Unsigned arithmetic wraps around without being undefined; the low bits are those of signed arithmetic.
  const std::vector<std::uint64_t> a(inputs[0]->ints().begin(), inputs[0]->ints().end());
  const std::vector<std::uint64_t> b(inputs[1]->ints().begin(), inputs[1]->ints().end());
  Shape a_shape = inputs[0]->shape;
  Shape b_shape = inputs[1]->shape;
  if (a_shape.size() == 1) a_shape.insert(a_shape.begin(), 1);  // a row, and a column
  if (b_shape.size() == 1) b_shape.push_back(1);
  const auto sums = multiply(a_shape, a, b_shape, b, product_shape(node, a_shape, b_shape));
  HostTensor y = make_tensor(graph.output(node).type, graph.output(node).shape);
  std::transform(sums.begin(), sums.end(), y.ints().begin(),
                 [&](std::uint64_t v) { return narrowed(y.type, static_cast<std::int64_t>(v)); });
  return y;
}

std::span<const OpDef> integer_product_operators() { return kOperators; }

}  // namespace spillway::workloads
