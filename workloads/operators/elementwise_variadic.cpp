// Element-wise operators whose signature is not a fixed list of broadcast operands: Sum, Mean, Max and Min of any
// number of inputs, Clip with optional bounds, Cast.
#include <algorithm>
#include <limits>
#include <type_traits>

#include "workloads/number_formats.h"
#include "workloads/operators/elementwise.h"
#include "workloads/operators/families.h"

namespace spillway::workloads {

namespace {

using configs::VectorOp;
using configs::VectorWork;
using elementwise::run;
using elementwise::Source;

struct Plus {
  static constexpr VectorOp kOp = VectorOp::kAddMul;
  template <std::floating_point T>
  T operator()(T a, T b) const {
    return a + b;
  }
  template <std::integral T>
  T operator()(T a, T b) const {
    return static_cast<T>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
  }
};
struct Larger {  // NaN wins, as in numpy.maximum
  static constexpr VectorOp kOp = VectorOp::kCompare;
  template <std::floating_point T>
  T operator()(T a, T b) const {
    return a > b || a != a ? a : b;
  }
  template <std::integral T>
  T operator()(T a, T b) const {
    return std::max(a, b);
  }
};
struct Smaller {
  static constexpr VectorOp kOp = VectorOp::kCompare;
  template <std::floating_point T>
  T operator()(T a, T b) const {
    return a < b || a != a ? a : b;
  }
  template <std::integral T>
  T operator()(T a, T b) const {
    return std::min(a, b);
  }
};

void infer_variadic(InferContext& context) {
  check_arity(context, 1, std::numeric_limits<int>::max());
  const Tensor& first = context.graph.input(context.node, 0);
  Shape shape = first.shape;
  for (int i = 1; i < static_cast<int>(context.node.inputs.size()); ++i) {
    if (!context.graph.has_input(context.node, i)) bad_node(context.node, "has an empty input");
    const Tensor& tensor = context.graph.input(context.node, i);
    if (tensor.type != first.type) {
      bad_node(context.node, "inputs are " + std::string(name_of(first.type)) + " and " +
                                 std::string(name_of(tensor.type)) + " when they should be of one type");
    }
    shape = broadcast(context.node, shape, tensor.shape);
  }
  set_output(context, 0, first.type, std::move(shape));
}

void infer_mean(InferContext& context) {
  infer_variadic(context);
  check_float_input(context, 0);
}

/// Folds the sources left to right into `result`.
template <typename Fold, typename T>
void run_fold(std::span<const Source<T>> sources, const Box& out, T* result) {
  if (sources.size() == 1) {
    run<1>([](T x) { return x; }, std::array{sources[0]}, out, result);
    return;
  }
  run<2>(Fold(), std::array{sources[0], sources[1]}, out, result);
  for (std::size_t i = 2; i < sources.size(); ++i) {
    // The running result is a dense array of the region itself, never broadcast.
    std::array<Walk, 3> walks = {dense_walk(out, out), dense_walk(out, out),
                                 broadcast_walk(*sources[i].shape, sources[i].box, out)};
    const Nest<3> nest(out, walks);
    nest.for_each_row([&](const std::array<std::int64_t, 3>& at) {
      elementwise::run_row(Fold(), nest.row_length(), result + at[0], result + at[1], nest.row_stride(1),
                           sources[i].data + at[2], nest.row_stride(2));
    });
  }
}

template <typename Fold, bool kMean>
void variadic_kernel(const Graph& graph, const Node& node, std::span<const ConstRegionView> inputs,
                     const RegionView& out) {
  std::vector<Source<float>> sources;
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    sources.push_back({&graph.input(node, static_cast<int>(i)).shape, inputs[i].box, inputs[i].data});
  }
  run_fold<Fold, float>(sources, out.box, out.data);
  if (kMean) {
    const float scale = 1.0F / static_cast<float>(node.inputs.size());
    for (std::int64_t i = 0, n = out.box.elements(); i < n; ++i) out.data[i] *= scale;
  }
}

template <typename Fold, bool kMean>
std::vector<HostTensor> variadic_evaluate(const Graph& graph, const Node& node,
                                          std::span<const HostTensor* const> inputs) {
  const Tensor& declared = graph.output(node);
  std::vector<HostTensor> results;
  if (declared.type == DataType::kFloat64) {
    results.push_back(make_tensor(declared.type, declared.shape));
    std::vector<Source<double>> sources;
    for (const HostTensor* x : inputs) sources.push_back({&x->shape, whole(x->shape), x->doubles().data()});
    auto& sums = results[0].doubles();
    run_fold<Fold, double>(sources, whole(declared.shape), sums.data());
    for (double& value : sums) value /= kMean ? static_cast<double>(inputs.size()) : 1.0;
    return results;
  }
  if (is_float(declared.type)) {
    return evaluate_by_kernel(OpDef{.name = node.op, .kernel = variadic_kernel<Fold, kMean>}, graph, node, inputs);
  }
  results.push_back(make_tensor(declared.type, declared.shape));
  if (declared.type == DataType::kUint64) {  // held by their bits
    std::vector<Source<std::uint64_t>> bits;
    for (const HostTensor* x : inputs) {
      bits.push_back({&x->shape, whole(x->shape), reinterpret_cast<const std::uint64_t*>(x->ints().data())});
    }
    auto* out = reinterpret_cast<std::uint64_t*>(results[0].ints().data());
    run_fold<Fold, std::uint64_t>(bits, whole(declared.shape), out);
    return results;
  }
  std::vector<Source<std::int64_t>> sources;
  for (const HostTensor* input : inputs) sources.push_back({&input->shape, whole(input->shape), input->ints().data()});
  run_fold<Fold, std::int64_t>(sources, whole(declared.shape), results[0].ints().data());
  for (std::int64_t& value : results[0].ints()) value = narrowed(declared.type, value);
  return results;
}

template <typename Fold, bool kMean>
VectorWork variadic_work(const Graph&, const Node& node, const Box& out) {
  const auto folds = static_cast<std::int64_t>(node.inputs.size()) - 1;
  VectorWork work = work_of(Fold::kOp, folds * out.elements());
  if (kMean) work[static_cast<std::size_t>(VectorOp::kAddMul)] += out.elements();
  if (!kMean && folds == 0) work = work_of(VectorOp::kMove, out.elements());
  return work;
}

template <typename Fold, bool kMean = false>
OpDef variadic(std::string_view name) {
  return {.name = name,
          .op_class = OpClass::kElementwise,
          .infer = kMean ? infer_mean : infer_variadic,
          .evaluate = variadic_evaluate<Fold, kMean>,
          .float64 = true,
          .region = broadcast_region,
          .kernel = variadic_kernel<Fold, kMean>,
          .vector_work = variadic_work<Fold, kMean>};
}

// Clip: bounds are attributes before opset 11 and scalar inputs since.

void infer_clip(InferContext& context) {
  check_arity(context, 1, 3);
  const Tensor& x = context.graph.input(context.node, 0);
  for (int i = 1; i < 3; ++i) {
    if (context.graph.has_input(context.node, i) && context.graph.input(context.node, i).elements() != 1) {
      bad_node(context.node,
               "bound of shape " + to_string(context.graph.input(context.node, i).shape) + " should be a scalar");
    }
  }
  set_output(context, 0, x.type, x.shape);
}

template <typename T>
struct Clamp {
  T low, high;
  T operator()(T x) const {
    const T raised = x < low ? low : x;  // NaN stays
    return high < raised ? high : raised;
  }
};

float clip_bound(const Node& node, const std::string& attribute, const float* input, float fallback) {
  if (input != nullptr) return *input;
  const auto it = node.attributes.find(attribute);
  if (it == node.attributes.end()) return fallback;
  if (const auto* integer = std::get_if<std::int64_t>(&it->second)) return static_cast<float>(*integer);
  return node.real(attribute, fallback);
}

void clip_kernel(const Graph& graph, const Node& node, std::span<const ConstStridedView> inputs, const StridedView& out,
                 compute::Sums /*sums*/) {
  const auto data = [&](std::size_t i) { return i < inputs.size() ? inputs[i].data : nullptr; };
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const Clamp<float> clamp{clip_bound(node, "min", data(1), -kInfinity), clip_bound(node, "max", data(2), kInfinity)};
  elementwise::run_strided<1>(clamp, std::array<const Shape*, 1>{&graph.input(node, 0).shape}, inputs, out);
}

std::vector<HostTensor> clip_evaluate(const Graph& graph, const Node& node, std::span<const HostTensor* const> inputs) {
  if (inputs[0]->holds_float()) {
    return evaluate_by_kernel(OpDef{.name = node.op, .kernel = compute::dense_kernel<clip_kernel>}, graph, node,
                              inputs);
  }
  if (inputs[0]->holds_double()) {
    const auto limit = [&](std::size_t i, const char* attribute, double fallback) {
      if (i < inputs.size() && inputs[i] != nullptr) return inputs[i]->doubles().at(0);
      return node.attributes.contains(attribute) ? double{clip_bound(node, attribute, nullptr, 0.0F)} : fallback;
    };
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    const Clamp<double> clamp{limit(1, "min", -kInfinity), limit(2, "max", kInfinity)};
    std::vector<HostTensor> results{*inputs[0]};
    for (double& value : results[0].doubles()) value = clamp(value);
    return results;
  }
  if (inputs[0]->type == DataType::kUint64) {  // held by their bits
    const auto limit = [&](std::size_t i, std::uint64_t fallback) {
      return i < inputs.size() && inputs[i] != nullptr ? static_cast<std::uint64_t>(inputs[i]->ints().at(0)) : fallback;
    };
    const Clamp<std::uint64_t> clamp{limit(1, 0), limit(2, std::numeric_limits<std::uint64_t>::max())};
    std::vector<HostTensor> results{*inputs[0]};
    for (auto& value : results[0].ints()) value = static_cast<std::int64_t>(clamp(static_cast<std::uint64_t>(value)));
    return results;
  }
  const auto bound = [&](std::size_t i, const char* attribute, std::int64_t fallback) {
    if (i < inputs.size() && inputs[i] != nullptr) return inputs[i]->ints().at(0);
    return node.integer(attribute, fallback);
  };
  const Clamp<std::int64_t> clamp{bound(1, "min", std::numeric_limits<std::int64_t>::min()),
                                  bound(2, "max", std::numeric_limits<std::int64_t>::max())};
  std::vector<HostTensor> results{*inputs[0]};
  for (std::int64_t& value : results[0].ints()) value = clamp(value);
  return results;
}

VectorWork clip_work(const Graph&, const Node&, const Box& out) {
  return work_of(VectorOp::kCompare, 2 * out.elements());
}

// Cast and CastLike. To a wider float it is addressing only and canonicalise() makes it Identity; the real conversions
// are executed: rounding to a 16-bit float, truncation toward zero to integers, zero or not zero to bool.

void infer_cast(InferContext& context) {
  check_arity(context, 1, 1);
  const std::int64_t to = context.node.integer("to", 0);
  set_output(context, 0, data_type_of(context.node, to), context.graph.input(context.node, 0).shape);
}

void infer_cast_like(InferContext& context) {
  check_arity(context, 2, 2);
  set_output(context, 0, context.graph.input(context.node, 1).type, context.graph.input(context.node, 0).shape);
}

/// Of the tensor whose type is taken nothing is read.
Box cast_like_region(const Graph& graph, const Node& node, int i, const Box& out) {
  return i == 0 ? out : no_region(graph, node, i);
}

void cast_kernel(const Graph& graph, const Node& node, std::span<const ConstStridedView> inputs, const StridedView& out,
                 compute::Sums /*sums*/) {
  const DataType to = graph.output(node).type;
  const std::array<const Shape*, 1> shapes{&graph.input(node, 0).shape};
  if (is_float(to)) {
    // In its own place there is nothing to do, unless it rounds.
    const bool rounds = to == DataType::kFloat16 || to == DataType::kBFloat16;
    const bool in_place = inputs[0].data == out.data && inputs[0].stride == out.stride && inputs[0].box == out.box;
    if (rounds) {
      elementwise::run_strided<1>([to](float x) { return as_stored(to, x); }, shapes, inputs, out);
    } else if (!in_place) {
      elementwise::run_strided<1>([](float x) { return x; }, shapes, inputs, out);
    }
  } else {
    elementwise::run_strided<1>([to](float x) { return static_cast<float>(to_integer(to, x)); }, shapes, inputs, out);
  }
}

template <typename T>
double as_number(DataType type, T value) {
  if constexpr (std::is_same_v<T, std::int64_t>) {
    if (type == DataType::kUint64) return static_cast<double>(static_cast<std::uint64_t>(value));  // held by its bits
  }
  return static_cast<double>(value);
}

std::vector<HostTensor> cast_evaluate(const Graph& graph, const Node& node, std::span<const HostTensor* const> inputs) {
  const HostTensor& x = *inputs[0];
  const DataType to = graph.output(node).type;
  HostTensor y = make_tensor(to, x.shape);
  const auto convert = [&]<typename From, typename To>(const std::vector<From>& from, std::vector<To>& out) {
    std::transform(from.begin(), from.end(), out.begin(), [&](From v) -> To {
      if constexpr (std::is_same_v<To, std::int64_t> && std::is_same_v<From, std::int64_t>) {
        return narrowed(to, v);
      } else if constexpr (std::is_same_v<To, std::int64_t>) {
        return to_integer(to, v);
      } else if constexpr (std::is_same_v<To, float>) {
        return as_stored(to, static_cast<float>(as_number(x.type, v)));
      } else {
        return as_number(x.type, v);
      }
    });
  };
  std::visit(convert, x.data, y.data);
  std::vector<HostTensor> results;
  results.push_back(std::move(y));
  return results;
}

VectorWork cast_work(const Graph&, const Node&, const Box& out) {
  return work_of(VectorOp::kAddMul, out.elements());  // a conversion takes the lane's adder once
}

}  // namespace

std::span<const OpDef> variadic_operators() {
  static const std::vector<OpDef> table = {
      variadic<Plus>("Sum"),
      variadic<Plus, true>("Mean"),
      variadic<Larger>("Max"),
      variadic<Smaller>("Min"),
      {.name = "Clip",
       .op_class = OpClass::kElementwise,
       .infer = infer_clip,
       .evaluate = clip_evaluate,
       .float64 = true,
       .region = broadcast_region,
       .kernel = compute::dense_kernel<clip_kernel>,
       .strided = clip_kernel,
       .vector_work = clip_work},
      {.name = "Cast",
       .op_class = OpClass::kElementwise,
       .infer = infer_cast,
       .evaluate = cast_evaluate,
       .float64 = true,
       .region = broadcast_region,
       .kernel = compute::dense_kernel<cast_kernel>,
       .strided = cast_kernel,
       .vector_work = cast_work},
      {.name = "CastLike",
       .op_class = OpClass::kElementwise,
       .infer = infer_cast_like,
       .evaluate = cast_evaluate,
       .float64 = true,
       .region = cast_like_region,
       .kernel = compute::dense_kernel<cast_kernel>,
       .strided = cast_kernel,
       .vector_work = cast_work},
  };
  return table;
}

}  // namespace spillway::workloads
