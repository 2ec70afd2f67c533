// Operators whose number of results depends on data: NonZero, Compress, Unique. Their shapes are inferred from the
// values, so they fold where those are constant and run in the reference executor otherwise.
#include <algorithm>
#include <numeric>

#include "workloads/operators/families.h"
#include "workloads/operators/host.h"

namespace spillway::workloads {

namespace {

// --- NonZero: coordinates of what is not zero, one row an axis ---

template <typename T>
std::vector<std::int64_t> places_of(const std::vector<T>& values) {
  std::vector<std::int64_t> places;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] != T{0}) places.push_back(static_cast<std::int64_t>(i));
  }
  return places;
}

std::vector<std::int64_t> non_zero(const HostTensor& x) {
  return std::visit([](const auto& values) { return places_of(values); }, x.data);
}

std::int64_t coordinate_rows(const Shape& shape) {
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(shape.size()));
}

void infer_non_zero(InferContext& context) {
  check_arity(context, 1, 1);
  const HostTensor& x = known_value(context, 0, "how many elements are not zero is");
  set_output(context, 0, DataType::kInt64, {coordinate_rows(x.shape), static_cast<std::int64_t>(non_zero(x).size())});
}

std::vector<HostTensor> evaluate_non_zero(const Graph&, const Node&, std::span<const HostTensor* const> inputs) {
  const HostTensor& x = *inputs[0];
  const auto places = non_zero(x);
  const auto count = static_cast<std::int64_t>(places.size());
  HostTensor y = make_tensor(DataType::kInt64, {coordinate_rows(x.shape), count});
  for (std::int64_t i = 0; i < count; ++i) {
    std::int64_t rest = places[static_cast<std::size_t>(i)];
    for (auto d = static_cast<std::int64_t>(x.shape.size()) - 1; d >= 0; --d) {
      y.ints()[static_cast<std::size_t>(d * count + i)] = rest % x.shape[static_cast<std::size_t>(d)];
      rest /= x.shape[static_cast<std::size_t>(d)];
    }
  }
  return one_result(std::move(y));
}

// --- Compress: the slices of an axis (or of the flattened tensor) whose condition holds ---

Around compressed(const Node& node, const Shape& shape) {
  if (!node.attributes.contains("axis")) return {Shape{elements_of(shape)}, 0};
  return {shape, normalise_axis(node, node.integer("axis", 0), static_cast<int>(shape.size()))};
}

void infer_compress(InferContext& context) {
  check_arity(context, 2, 2);
  check_rank(context, 1, 1);
  const Node& node = context.node;
  const Tensor& x = context.graph.input(node, 0);
  const HostTensor& condition = known_value(context, 1, "its condition is");
  if (condition.type != DataType::kBool) bad_node(node, "condition should be bool");
  const std::int64_t extent = compressed(node, x.shape).extent;
  const auto kept = static_cast<std::int64_t>(non_zero(condition).size());
  if (condition.shape[0] > extent && (kept > 0 && non_zero(condition).back() >= extent)) {
    bad_node(node, "condition of " + std::to_string(condition.shape[0]) + " selects beyond the extent " +
                       std::to_string(extent));
  }
  Shape shape{kept};
  if (node.attributes.contains("axis")) {
    shape = x.shape;
    shape[static_cast<std::size_t>(normalise_axis(node, node.integer("axis", 0), static_cast<int>(shape.size())))] =
        kept;
  }
  set_output(context, 0, x.type, std::move(shape));
}

std::vector<HostTensor> evaluate_compress(const Graph& graph, const Node& node,
                                          std::span<const HostTensor* const> inputs) {
  const HostTensor& x = *inputs[0];
  const auto places = non_zero(*inputs[1]);
  const Around around = compressed(node, x.shape);
  HostTensor y = make_tensor(x.type, graph.output(node).shape);
  const auto copy = [&]<typename T>(std::vector<T>& out) {
    const auto& in = std::get<std::vector<T>>(x.data);
    auto to = out.begin();
    for (std::int64_t o = 0; o < around.outer; ++o) {
      for (const std::int64_t place : places) {
        to = std::copy_n(in.begin() + (o * around.extent + place) * around.inner, around.inner, to);
      }
    }
  };
  std::visit(copy, y.data);
  return one_result(std::move(y));
}

// --- Unique: distinct slices of an axis (or distinct elements), where each first stands, and how often ---

struct Distinct {
  std::vector<std::int64_t> first;    ///< position of the first of each, in output order
  std::vector<std::int64_t> counts;   ///< how many there are of each
  std::vector<std::int64_t> inverse;  ///< output position of each position
};

template <typename T>
Distinct distinct_slices(const std::vector<T>& x, const Around& around, bool sorted) {
  const auto element = [&](std::int64_t slice, std::int64_t o, std::int64_t i) {
    return x[static_cast<std::size_t>((o * around.extent + slice) * around.inner + i)];
  };
  const auto compare = [&](std::int64_t a, std::int64_t b) {  // lexicographic: -1, 0, 1
    for (std::int64_t o = 0; o < around.outer; ++o) {
      for (std::int64_t i = 0; i < around.inner; ++i) {
        const T left = element(a, o, i);
        const T right = element(b, o, i);
        if (left != right) return left < right ? -1 : 1;
      }
    }
    return 0;
  };
  std::vector<std::int64_t> order(static_cast<std::size_t>(around.extent));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return compare(a, b) < 0; });
  Distinct found;
  found.inverse.resize(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (i == 0 || compare(order[i - 1], order[i]) != 0) {
      found.first.push_back(order[i]);
      found.counts.push_back(0);
    }
    ++found.counts.back();
    found.inverse[static_cast<std::size_t>(order[i])] = static_cast<std::int64_t>(found.first.size()) - 1;
  }
  if (sorted) return found;
  std::vector<std::int64_t> by_place(found.first.size());
  std::iota(by_place.begin(), by_place.end(), 0);
  std::sort(by_place.begin(), by_place.end(), [&](auto a, auto b) { return found.first[a] < found.first[b]; });
  Distinct reordered{{}, {}, std::vector<std::int64_t>(order.size())};
  std::vector<std::int64_t> place_of(by_place.size());
  for (std::size_t k = 0; k < by_place.size(); ++k) {
    reordered.first.push_back(found.first[by_place[k]]);
    reordered.counts.push_back(found.counts[by_place[k]]);
    place_of[by_place[k]] = static_cast<std::int64_t>(k);
  }
  for (std::size_t i = 0; i < order.size(); ++i) reordered.inverse[i] = place_of[found.inverse[i]];
  return reordered;
}

Distinct distinct(const Node& node, const HostTensor& x) {
  const bool sorted = node.integer("sorted", 1) != 0;
  const Around around = compressed(node, x.shape);
  return std::visit([&](const auto& values) { return distinct_slices(values, around, sorted); }, x.data);
}

Shape unique_shape(const Node& node, const Shape& x, std::int64_t count) {
  if (!node.attributes.contains("axis")) return {count};
  Shape shape = x;
  shape[static_cast<std::size_t>(normalise_axis(node, node.integer("axis", 0), static_cast<int>(x.size())))] = count;
  return shape;
}

void infer_unique(InferContext& context) {
  check_arity(context, 1, 1, 4);
  const HostTensor& x = known_value(context, 0, "how many distinct elements it has is");
  const Distinct found = distinct(context.node, x);
  const auto count = static_cast<std::int64_t>(found.first.size());
  set_output(context, 0, x.type, unique_shape(context.node, x.shape, count));
  set_output(context, 1, DataType::kInt64, {count});
  set_output(context, 2, DataType::kInt64, {static_cast<std::int64_t>(found.inverse.size())});
  set_output(context, 3, DataType::kInt64, {count});
}

std::vector<HostTensor> evaluate_unique(const Graph&, const Node& node, std::span<const HostTensor* const> inputs) {
  const HostTensor& x = *inputs[0];
  Distinct found = distinct(node, x);
  const Around around = compressed(node, x.shape);
  const auto count = static_cast<std::int64_t>(found.first.size());
  std::vector<HostTensor> results;
  results.push_back(make_tensor(x.type, unique_shape(node, x.shape, count)));
  const auto copy = [&]<typename T>(std::vector<T>& out) {
    const auto& in = std::get<std::vector<T>>(x.data);
    auto to = out.begin();
    for (std::int64_t o = 0; o < around.outer; ++o) {
      for (const std::int64_t place : found.first) {
        to = std::copy_n(in.begin() + (o * around.extent + place) * around.inner, around.inner, to);
      }
    }
  };
  std::visit(copy, results[0].data);
  for (auto* list : {&found.first, &found.inverse, &found.counts}) {
    const auto length = static_cast<std::int64_t>(list->size());
    results.push_back(HostTensor{DataType::kInt64, {length}, std::move(*list)});
  }
  return results;
}

constexpr OpDef kOperators[] = {
    host_operator("NonZero", infer_non_zero, evaluate_non_zero, true),
    host_operator("Compress", infer_compress, evaluate_compress, true),
    host_operator("Unique", infer_unique, evaluate_unique, true),
};

}  // namespace

std::span<const OpDef> selection_operators() { return kOperators; }

}  // namespace spillway::workloads
