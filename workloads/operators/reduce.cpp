// Reduce*: fold whole axes into one element. Sums run in double.
#include <cmath>
#include <limits>

#include "workloads/operators/families.h"
#include "workloads/operators/reduction.h"

namespace spillway::workloads {

namespace {

using configs::VectorOp;
using configs::VectorWork;

/// Which axes are reduced, from the attribute or the input `axes`.
std::vector<bool> flags(const Node& node, const std::optional<std::vector<std::int64_t>>& axes, int rank) {
  if (axes && !axes->empty()) {
    std::vector<bool> whole(static_cast<std::size_t>(rank), false);
    for (const int d : normalise_axes(node, *axes, rank)) whole[d] = true;
    return whole;
  }
  const bool none = node.integer("noop_with_empty_axes", 0) != 0;
  std::vector<bool> whole(static_cast<std::size_t>(rank), !none);
  return whole;
}

std::vector<bool> reduced_axes(const Graph& graph, const Node& node) {
  const auto rank = static_cast<int>(graph.input(node, 0).shape.size());
  return flags(node, integers_argument(graph, node, "axes", 1), rank);
}

void infer(InferContext& context) {
  check_arity(context, 1, 2);
  const Tensor& x = context.graph.input(context.node, 0);
  const auto whole = flags(context.node, integers_argument(context, "axes", 1), static_cast<int>(x.shape.size()));
  const bool keep = context.node.integer("keepdims", 1) != 0;
  Shape out;
  for (std::size_t d = 0; d < x.shape.size(); ++d) {
    if (!whole[d]) {
      out.push_back(x.shape[d]);
    } else if (keep) {
      out.push_back(1);
    }
  }
  set_output(context, 0, x.type, std::move(out));
}

/// The output's axis that answers each axis of the input; -1 where reduced.
std::vector<int> output_axes(const Node& node, const std::vector<bool>& whole) {
  const bool keep = node.integer("keepdims", 1) != 0;
  std::vector<int> axes;
  int next = 0;
  for (const bool reduced : whole) {
    axes.push_back(reduced ? -1 : next);
    next += !reduced || keep ? 1 : 0;
  }
  return axes;
}

Box region(const Graph& graph, const Node& node, int i, const Box& out) {
  Box box = whole_input(graph, node, i);
  if (i > 0) return box;
  const auto axes = output_axes(node, reduced_axes(graph, node));
  for (int d = 0; d < box.rank; ++d) {
    if (axes[d] >= 0) box.set(d, out.begin[axes[d]], out.extent[axes[d]]);
  }
  return box;
}

// A fold: how it starts, takes an element in, and ends after `count` elements. In double for floats, in int64 for
// integers (shape arithmetic must be exact).
// Integers wrap around as hardware does; arithmetic on constants from a file may overflow.
template <typename T>
T sum_of(T a, T b) {
  if constexpr (std::is_same_v<T, std::int64_t>) {
    return static_cast<T>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
  } else {
    return a + b;
  }
}
template <typename T>
T product_of(T a, T b) {
  if constexpr (std::is_same_v<T, std::int64_t>) {
    return static_cast<T>(static_cast<std::uint64_t>(a) * static_cast<std::uint64_t>(b));
  } else {
    return a * b;
  }
}
/// A fold's result that was worked out in double.
template <typename T>
T from_double(double value) {
  if constexpr (std::is_same_v<T, std::int64_t>) {
    constexpr double kLimit = 9223372036854775808.0;  // 2^63
    if (std::isnan(value)) return 0;
    if (value >= kLimit) return std::numeric_limits<T>::max();
    return value < -kLimit ? std::numeric_limits<T>::min() : static_cast<T>(value);
  } else {
    return static_cast<T>(value);
  }
}

struct Sum {
  template <typename T>
  static T start() {
    return 0;
  }
  template <typename T>
  static T take(T a, T x) {
    return sum_of(a, x);
  }
  template <typename T>
  static T end(T a, std::int64_t) {
    return a;
  }
};
struct Mean : Sum {
  template <typename T>
  static T end(T a, std::int64_t count) {
    return count == 0 ? T{0} : a / static_cast<T>(count);
  }
};
struct Prod : Sum {
  template <typename T>
  static T start() {
    return 1;
  }
  template <typename T>
  static T take(T a, T x) {
    return product_of(a, x);
  }
};
struct SumSquare : Sum {
  template <typename T>
  static T take(T a, T x) {
    return sum_of(a, product_of(x, x));
  }
};
struct L1 : Sum {
  template <typename T>
  static T take(T a, T x) {
    return sum_of(a, x < 0 ? product_of(x, T{-1}) : x);
  }
};
struct L2 : SumSquare {
  template <typename T>
  static T end(T a, std::int64_t) {
    return from_double<T>(std::sqrt(static_cast<double>(a)));
  }
};
struct LogSum : Sum {
  template <typename T>
  static T end(T a, std::int64_t) {
    return from_double<T>(std::log(static_cast<double>(a)));
  }
};
struct Max : Sum {
  template <typename T>
  static T start() {
    if constexpr (std::numeric_limits<T>::has_infinity) return -std::numeric_limits<T>::infinity();
    return std::numeric_limits<T>::min();
  }
  template <typename T>
  static T take(T a, T x) {
    return x > a || x != x ? x : a;
  }
};
struct Min : Sum {
  template <typename T>
  static T start() {
    if constexpr (std::numeric_limits<T>::has_infinity) return std::numeric_limits<T>::infinity();
    return std::numeric_limits<T>::max();
  }
  template <typename T>
  static T take(T a, T x) {
    return x < a || x != x ? x : a;
  }
};
struct LogSumExp {};

template <typename Fold, typename Work, typename T>
T fold(const Reduction& loops, const T* x) {
  std::int64_t count = 0;
  if constexpr (std::is_same_v<Fold, LogSumExp>) {
    const Work largest = static_cast<Work>(fold<Max, Work>(loops, x));
    if (std::isinf(static_cast<double>(largest))) return static_cast<T>(largest);  // not the NaN of a difference
    double sum = 0.0;
    loops.for_each_run([&](std::int64_t at, std::int64_t n, std::int64_t step) {
      for (std::int64_t i = 0; i < n; ++i)
        sum += std::exp(static_cast<double>(x[at + i * step]) - static_cast<double>(largest));
    });
    return from_double<T>(static_cast<double>(largest) + std::log(sum));
  } else {
    Work a = Fold::template start<Work>();
    loops.for_each_run([&](std::int64_t at, std::int64_t n, std::int64_t step) {
      for (std::int64_t i = 0; i < n; ++i) a = Fold::template take<Work>(a, static_cast<Work>(x[at + i * step]));
      count += n;
    });
    return static_cast<T>(Fold::template end<Work>(a, count));
  }
}

template <typename Fold, typename Work, typename T>
void reduce(const Graph& graph, const Node& node, const Box& in, const T* x, const Box& out, T* y) {
  if (out.empty()) return;
  const auto whole = reduced_axes(graph, node);
  const auto axes = output_axes(node, whole);
  const Reduction loops(in, region(graph, node, 0, out), whole);
  const Walk to = dense_walk(out, out);
  Walk kept;
  for (std::size_t d = 0; d < axes.size(); ++d) kept.stride[d] = axes[d] < 0 ? 0 : to.stride[axes[d]];
  loops.for_each_kept(kept, [&](std::int64_t x_at, std::int64_t y_at) { y[y_at] = fold<Fold, Work>(loops, x + x_at); });
}

template <typename Fold>
void kernel(const Graph& graph, const Node& node, std::span<const ConstRegionView> inputs, const RegionView& out) {
  reduce<Fold, double>(graph, node, inputs[0].box, inputs[0].data, out.box, out.data);
}

template <typename Fold>
std::vector<HostTensor> evaluate(const Graph& graph, const Node& node, std::span<const HostTensor* const> inputs) {
  const Tensor& declared = graph.output(node);
  std::vector<HostTensor> results;
  results.push_back(make_tensor(declared.type, declared.shape));
  const Box in = whole(inputs[0]->shape);
  const Box out = whole(declared.shape);
  if (inputs[0]->holds_float()) {
    reduce<Fold, double>(graph, node, in, inputs[0]->floats().data(), out, results[0].floats().data());
  } else if (inputs[0]->holds_double()) {
    reduce<Fold, double>(graph, node, in, inputs[0]->doubles().data(), out, results[0].doubles().data());
  } else {
    reduce<Fold, std::int64_t>(graph, node, in, inputs[0]->ints().data(), out, results[0].ints().data());
    for (std::int64_t& v : results[0].ints()) v = narrowed(declared.type, v);
  }
  return results;
}

/// Operations per element read, and per element written.
struct Cost {
  VectorOp each;
  int times = 1;
  VectorOp last = VectorOp::kAddMul;
  int last_times = 0;
};

template <typename Fold>
constexpr Cost cost() {
  if constexpr (std::is_same_v<Fold, Max> || std::is_same_v<Fold, Min>) return {VectorOp::kCompare};
  if constexpr (std::is_same_v<Fold, Mean>) return {VectorOp::kAddMul, 1, VectorOp::kAddMul, 1};
  if constexpr (std::is_same_v<Fold, SumSquare>) return {VectorOp::kAddMul, 2};
  if constexpr (std::is_same_v<Fold, L1>) return {VectorOp::kAddMul, 2};
  if constexpr (std::is_same_v<Fold, L2>) return {VectorOp::kAddMul, 2, VectorOp::kSqrt, 1};
  if constexpr (std::is_same_v<Fold, LogSum>) return {VectorOp::kAddMul, 1, VectorOp::kExp, 1};
  return {VectorOp::kAddMul};
}

template <typename Fold>
VectorWork work(const Graph& graph, const Node& node, const Box& out) {
  const std::int64_t read = region(graph, node, 0, out).elements();
  VectorWork work{};
  if constexpr (std::is_same_v<Fold, LogSumExp>) {
    work[static_cast<int>(VectorOp::kCompare)] = read;
    work[static_cast<int>(VectorOp::kAddMul)] = 2 * read + out.elements();
    work[static_cast<int>(VectorOp::kExp)] = read + out.elements();
  } else {
    constexpr Cost kCost = cost<Fold>();
    work[static_cast<int>(kCost.each)] += kCost.times * read;
    work[static_cast<int>(kCost.last)] += kCost.last_times * out.elements();
  }
  return work;
}

template <typename Fold>
constexpr OpDef reducer(std::string_view name, int passes = 1) {
  return {.name = name,
          .op_class = OpClass::kRow,
          .infer = infer,
          .evaluate = evaluate<Fold>,
          .float64 = true,
          .region = region,
          .kernel = kernel<Fold>,
          .vector_work = work<Fold>,
          .input_passes = passes};
}

constexpr OpDef kOperators[] = {
    reducer<L1>("ReduceL1"),         reducer<L2>("ReduceL2"),
    reducer<LogSum>("ReduceLogSum"), reducer<LogSumExp>("ReduceLogSumExp", 2),
    reducer<Max>("ReduceMax"),       reducer<Mean>("ReduceMean"),
    reducer<Min>("ReduceMin"),       reducer<Prod>("ReduceProd"),
    reducer<Sum>("ReduceSum"),       reducer<SumSquare>("ReduceSumSquare"),
};

}  // namespace

std::span<const OpDef> reduce_operators() { return kOperators; }

}  // namespace spillway::workloads
