// The machinery of element-wise operators. An operator is a small functor:
//
//   struct Add {
//     Add(const Graph&, const Node&);                                what it needs of the node's attributes
//     float operator()(float a, float b) const;                      reference semantics, float32
//     std::int64_t operator()(std::int64_t a, std::int64_t b) const; and integers, where ONNX defines them
//     static VectorWork cost(const Graph&, const Node&);             operations per element, by class
//   };
//
// and unary<Add>, binary<Add>, ternary<Add> make its line of the operator table: kernel on a region, evaluation of
// whole tensors, work. Inner loops run over contiguous rows with the functor inlined, so that they vectorise.
#pragma once

#include <cmath>
#include <concepts>
#include <cstring>

#include "workloads/compute/simd.h"
#include "workloads/compute/strided.h"
#include "workloads/operators/support.h"

namespace spillway::workloads::elementwise {

using configs::VectorOp;
using configs::VectorWork;

/// Shape inference of the three kinds of signature.
void infer_same(InferContext& context);     ///< one input, output like it
void infer_float(InferContext& context);    ///< one floating-point input, output like it
void infer_test(InferContext& context);     ///< one input, output bool
void infer_binary(InferContext& context);   ///< two inputs of one type, broadcast
void infer_compare(InferContext& context);  ///< two inputs of one type, broadcast, output bool
void infer_logical(InferContext& context);  ///< two bools

/// Operations per element: sums of classes, e.g. ops(VectorOp::kExp, 1, VectorOp::kDiv, 1).
template <typename... Rest>
constexpr VectorWork ops(VectorOp op, std::int64_t count, Rest... rest) {
  VectorWork work{};
  if constexpr (sizeof...(rest) > 0) work = ops(rest...);
  work[static_cast<std::size_t>(op)] += count;
  return work;
}

template <typename Op>
VectorWork work(const Graph& graph, const Node& node, const Box& out) {
  VectorWork work = Op::cost(graph, node);
  for (std::int64_t& count : work) count *= out.elements();
  return work;
}

/// Computes one row; strides 0 and 1, the usual ones, get loops that the compiler can vectorise.
template <typename T, typename F>
void run_row(const F& f, std::int64_t n, T* out, const T* a, std::int64_t stride) {
  if (stride == 1) {
    for (std::int64_t i = 0; i < n; ++i) out[i] = f(a[i]);
  } else {
    for (std::int64_t i = 0; i < n; ++i) out[i] = f(a[i * stride]);
  }
}
template <typename T, typename F>
void run_row(const F& f, std::int64_t n, T* out, const T* a, std::int64_t sa, const T* b, std::int64_t sb) {
  if (sa == 1 && sb == 1) {
    for (std::int64_t i = 0; i < n; ++i) out[i] = f(a[i], b[i]);
  } else if (sa == 1 && sb == 0) {
    const T scalar = *b;
    for (std::int64_t i = 0; i < n; ++i) out[i] = f(a[i], scalar);
  } else if (sa == 0 && sb == 1) {
    const T scalar = *a;
    for (std::int64_t i = 0; i < n; ++i) out[i] = f(scalar, b[i]);
  } else {
    for (std::int64_t i = 0; i < n; ++i) out[i] = f(a[i * sa], b[i * sb]);
  }
}
template <typename T, typename F>
void run_row(const F& f, std::int64_t n, T* out, const T* a, std::int64_t sa, const T* b, std::int64_t sb, const T* c,
             std::int64_t sc) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = f(a[i * sa], b[i * sb], c[i * sc]);
}

/// A functor may have `row`, the whole row at once by the vector loops of compute/simd.h: element steps are 0 or 1.
template <typename F, int N>
concept HasRow = (N == 1 && requires(const F& f, std::int64_t n, float* out, const float* x) { f.row(n, out, x); }) ||
                 (N == 2 && requires(const F& f, std::int64_t n, float* out, const float* x, int step) {
                   f.row(n, out, x, step, x, step);
                 });

/// The vector loops on elements that do not lie side by side: the result is to be the same as if they did.
template <int N, typename F>
void run_gathered(const F& f, std::int64_t n, float* y, const std::array<std::int64_t, N + 1>& step,
                  const std::array<const float*, N>& data, const std::array<std::int64_t, N + 1>& at) {
  constexpr std::int64_t kPiece = 128;
  float values[N][kPiece], result[kPiece];
  for (std::int64_t first = 0; first < n; first += kPiece) {
    const std::int64_t count = std::min(kPiece, n - first);
    for (int k = 0; k < N; ++k) {
      const float* from = data[k] + at[k + 1] + first * step[k + 1];
      for (std::int64_t i = 0; i < count; ++i) values[k][i] = from[i * step[k + 1]];
    }
    if constexpr (N == 1) {
      f.row(count, result, values[0]);
    } else {
      f.row(count, result, values[0], 1, values[1], 1);
    }
    for (std::int64_t i = 0; i < count; ++i) y[(first + i) * step[0]] = result[i];
  }
}

/// On regions of any layout, multithreaded. shapes[k]: of the tensor that input k is a region of.
template <int N, typename F>
void run_strided(const F& f, const std::array<const Shape*, N>& shapes, std::span<const ConstStridedView> inputs,
                 const StridedView& out) {
  std::array<std::array<std::int64_t, kMaxRank>, N + 1> strides{};
  std::array<const float*, N> data{};
  strides[0] = out.stride;
  for (int k = 0; k < N; ++k) {
    const ConstStridedView& x = inputs[static_cast<std::size_t>(k)];
    const int shift = out.box.rank - x.box.rank;
    data[k] = x.data;
    for (int d = 0; d < x.box.rank; ++d) {
      if ((*shapes[k])[static_cast<std::size_t>(d)] == 1) continue;
      strides[k + 1][d + shift] = x.stride[d];
      data[k] += x.stride[d] * (out.box.begin[d + shift] - x.box.begin[d]);
    }
  }
  const compute::Loops<N + 1> loops(out.box, strides);
  std::array<std::int64_t, N + 1> step{};
  bool by_row = loops.step(0) == 1;
  for (int k = 0; k <= N; ++k) {
    step[k] = loops.step(k);
    by_row = by_row && (step[k] == 0 || step[k] == 1);
  }
  if constexpr (N == 1) by_row = by_row && step[1] == 1;
  loops.for_each_row([&](const std::array<std::int64_t, N + 1>& at, std::int64_t n) {
    float* y = out.data + at[0];
    if constexpr (HasRow<F, N>) {
      if (by_row) {
        if constexpr (N == 1) {
          return f.row(n, y, data[0] + at[1]);
        } else {
          return f.row(n, y, data[0] + at[1], static_cast<int>(step[1]), data[1] + at[2], static_cast<int>(step[2]));
        }
      }
    }
    if constexpr (HasRow<F, N>) return run_gathered<N>(f, n, y, step, data, at);
    if (step[0] == 1) {
      if constexpr (N == 1) {
        run_row(f, n, y, data[0] + at[1], step[1]);
      } else if constexpr (N == 2) {
        run_row(f, n, y, data[0] + at[1], step[1], data[1] + at[2], step[2]);
      } else {
        run_row(f, n, y, data[0] + at[1], step[1], data[1] + at[2], step[2], data[2] + at[3], step[3]);
      }
      return;
    }
    for (std::int64_t i = 0; i < n; ++i) {
      if constexpr (N == 1) {
        y[i * step[0]] = f(data[0][at[1] + i * step[1]]);
      } else if constexpr (N == 2) {
        y[i * step[0]] = f(data[0][at[1] + i * step[1]], data[1][at[2] + i * step[2]]);
      } else {
        y[i * step[0]] = f(data[0][at[1] + i * step[1]], data[1][at[2] + i * step[2]], data[2][at[3] + i * step[3]]);
      }
    }
  });
}

/// A dense array over a box of the tensor whose shape is given.
template <typename T>
struct Source {
  const Shape* shape = nullptr;
  Box box;
  const T* data = nullptr;
};

template <int N, typename T, typename F>
void run(const F& f, const std::array<Source<T>, N>& sources, const Box& out, T* result) {
  std::array<Walk, N + 1> walks;
  walks[0] = dense_walk(out, out);
  for (int k = 0; k < N; ++k) walks[k + 1] = broadcast_walk(*sources[k].shape, sources[k].box, out);
  const Nest<N + 1> nest(out, walks);
  const std::int64_t n = nest.row_length();
  nest.for_each_row([&](const std::array<std::int64_t, N + 1>& at) {
    if constexpr (N == 1) {
      run_row(f, n, result + at[0], sources[0].data + at[1], nest.row_stride(1));
    } else if constexpr (N == 2) {
      run_row(f, n, result + at[0], sources[0].data + at[1], nest.row_stride(1), sources[1].data + at[2],
              nest.row_stride(2));
    } else {
      run_row(f, n, result + at[0], sources[0].data + at[1], nest.row_stride(1), sources[1].data + at[2],
              nest.row_stride(2), sources[2].data + at[3], nest.row_stride(3));
    }
  });
}

template <typename Op, int N>
concept OnFloats = (N == 1 &&
                    requires(const Op& op, float x) {
                      { op(x) } -> std::same_as<float>;
                    }) ||
                   (N == 2 &&
                    requires(const Op& op, float x) {
                      { op(x, x) } -> std::same_as<float>;
                    }) ||
                   (N == 3 && requires(const Op& op, float x) {
                     { op(x, x, x) } -> std::same_as<float>;
                   });
template <typename Op, int N>
concept OnIntegers = (N == 1 &&
                      requires(const Op& op, std::int64_t x) {
                        { op(x) } -> std::same_as<std::int64_t>;
                      }) ||
                     (N == 2 &&
                      requires(const Op& op, std::int64_t x) {
                        { op(x, x) } -> std::same_as<std::int64_t>;
                      }) ||
                     (N == 3 && requires(const Op& op, std::int64_t x) {
                       { op(x, x, x) } -> std::same_as<std::int64_t>;
                     });

template <typename Op, int N>
concept OnDoubles = (N == 1 &&
                     requires(const Op& op, double x) {
                       { op(x) } -> std::same_as<double>;
                     }) ||
                    (N == 2 &&
                     requires(const Op& op, double x) {
                       { op(x, x) } -> std::same_as<double>;
                     }) ||
                    (N == 3 && requires(const Op& op, double x) {
                      { op(x, x, x) } -> std::same_as<double>;
                    });
/// Where unsigned 64-bit integers behave otherwise than signed ones: comparison, quotient, remainder.
template <typename Op, int N>
concept OnUnsigned = N == 2 && requires(const Op& op, std::uint64_t x) {
  { op(x, x) } -> std::same_as<std::uint64_t>;
};

/// The integer semantics on integers that are held as floats.
template <typename Op>
struct IntegersAsFloats {
  Op op;
  template <std::same_as<float>... X>
  float operator()(X... x) const {
    return static_cast<float>(op(static_cast<std::int64_t>(x)...));
  }
};

/// All inputs are integers or bools: the operator's integer form applies.
template <int N>
bool is_integral(const Graph& graph, const Node& node) {
  for (int i = 0; i < N; ++i) {
    if (is_float(graph.input(node, i).type)) return false;
  }
  return true;
}

template <typename Op, int N>
void kernel(const Graph& graph, const Node& node, std::span<const ConstStridedView> inputs, const StridedView& out,
            compute::Sums /*sums*/) {
  std::array<const Shape*, N> shapes{};
  for (int k = 0; k < N; ++k) shapes[k] = &graph.input(node, k).shape;
  const Op op(graph, node);
  if constexpr (OnIntegers<Op, N>) {
    if (is_integral<N>(graph, node)) {
      run_strided<N>(IntegersAsFloats<Op>{op}, shapes, inputs, out);
      return;
    }
  }
  if constexpr (OnFloats<Op, N>) {
    run_strided<N>(op, shapes, inputs, out);
  } else {
    bad_node(node, "is not defined for floating-point inputs");
  }
}

/// All inputs as doubles, the result as `type` holds it.
template <typename Op, int N>
HostTensor evaluate_in_double(const Graph& graph, const Node& node, std::span<const HostTensor* const> inputs) {
  const Tensor& declared = graph.output(node);
  std::array<std::vector<double>, N> converted;
  std::array<Source<double>, N> sources;
  for (int k = 0; k < N; ++k) {
    sources[k] = {&inputs[k]->shape, whole(inputs[k]->shape), nullptr};
    if (inputs[k]->holds_double()) {
      sources[k].data = inputs[k]->doubles().data();
      continue;
    }
    std::visit([&](const auto& values) { converted[k].assign(values.begin(), values.end()); }, inputs[k]->data);
    sources[k].data = converted[k].data();
  }
  HostTensor result = make_tensor(DataType::kFloat64, declared.shape);
  run<N>(Op(graph, node), sources, whole(declared.shape), result.doubles().data());
  if (is_float(declared.type)) return held_as(std::move(result), declared.type);
  HostTensor integers = make_tensor(declared.type, declared.shape);
  for (std::size_t i = 0; i < integers.ints().size(); ++i) {
    integers.ints()[i] = to_integer(declared.type, result.doubles()[i]);
  }
  return integers;
}

template <int N>
bool any_double(std::span<const HostTensor* const> inputs) {
  for (int k = 0; k < N; ++k) {
    if (inputs[k]->holds_double()) return true;
  }
  return false;
}

/// Whole tensors: 64-bit integer arithmetic where all inputs are integers, in double where one is float64, else as the
/// kernel does it.
template <typename Op, int N>
std::vector<HostTensor> evaluate(const Graph& graph, const Node& node, std::span<const HostTensor* const> inputs) {
  if constexpr (OnIntegers<Op, N>) {
    if (is_integral<N>(graph, node)) {
      const Tensor& declared = graph.output(node);
      std::vector<HostTensor> results;
      results.push_back(make_tensor(declared.type, declared.shape));
      std::array<Source<std::int64_t>, N> sources;
      for (int k = 0; k < N; ++k) {
        sources[k] = {&inputs[k]->shape, whole(inputs[k]->shape), inputs[k]->ints().data()};
      }
      auto& values = results[0].ints();
      if constexpr (OnUnsigned<Op, N>) {
        if (graph.input(node, 0).type == DataType::kUint64) {  // held by their bits
          std::array<Source<std::uint64_t>, N> bits;
          for (int k = 0; k < N; ++k) {
            bits[k] = {sources[k].shape, sources[k].box, reinterpret_cast<const std::uint64_t*>(sources[k].data)};
          }
          run<N>(Op(graph, node), bits, whole(declared.shape), reinterpret_cast<std::uint64_t*>(values.data()));
          return results;
        }
      }
      run<N>(Op(graph, node), sources, whole(declared.shape), values.data());
      for (std::int64_t& value : values) value = narrowed(declared.type, value);
      return results;
    }
  }
  if constexpr (OnDoubles<Op, N>) {
    if (any_double<N>(inputs)) {
      std::vector<HostTensor> results;
      results.push_back(evaluate_in_double<Op, N>(graph, node, inputs));
      return results;
    }
  }
  return evaluate_by_kernel(OpDef{.name = node.op, .kernel = compute::dense_kernel<kernel<Op, N>>}, graph, node,
                            inputs);
}

template <typename Op, int N>
OpDef define(std::string_view name, void (*infer)(InferContext&)) {
  return {.name = name,
          .op_class = OpClass::kElementwise,
          .infer = infer,
          .evaluate = evaluate<Op, N>,
          .float64 = OnDoubles<Op, N>,
          .region = broadcast_region,
          .kernel = compute::dense_kernel<kernel<Op, N>>,
          .strided = kernel<Op, N>,
          .vector_work = work<Op>};
}
template <typename Op>
OpDef unary(std::string_view name, void (*infer)(InferContext&) = infer_same) {
  return define<Op, 1>(name, infer);
}
template <typename Op>
OpDef binary(std::string_view name, void (*infer)(InferContext&) = infer_binary) {
  return define<Op, 2>(name, infer);
}
template <typename Op>
OpDef ternary(std::string_view name, void (*infer)(InferContext&)) {
  return define<Op, 3>(name, infer);
}

/// Base of functors that need nothing of the node.
struct Plain {
  Plain() = default;
  Plain(const Graph&, const Node&) {}
};

}  // namespace spillway::workloads::elementwise
