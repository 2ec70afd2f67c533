// Operators that only rename coordinates: Reshape, Transpose, Squeeze, Unsqueeze, Flatten, Identity, Dropout (of an
// inference graph). The partitioner's layouts make them addressing; where no layout can, they are executed as moves,
// so they have region maps, kernels and work like any move.
#include <algorithm>

#include "workloads/operators/families.h"
#include "workloads/operators/moves.h"

namespace spillway::workloads {

namespace {

// --- the same elements in the same order ---

/// Dimensions of both shapes are taken in the smallest groups of equal size ([2, 6, 5] to [3, 4, 5]: {2, 6}-{3, 4},
/// {5}-{5}). Within a group, the box that holds the row-major stretch from the first to the last element of `out`:
/// exact where one dimension answers one, or where `out` is itself such a stretch.
Box reshape_region(const Graph& graph, const Node& node, int input, const Box& out) {
  if (input > 0 || out.empty()) return no_region(graph, node, input);
  const Box to = whole(graph.output(node).shape);
  Box box = whole_input(graph, node, 0);
  const std::array<std::int32_t, kMaxRank> from = box.extent;
  for (int i = 0, j = 0; i < box.rank || j < to.rank;) {
    const int first_i = i;
    const int first_j = j;
    std::int64_t in_size = i < box.rank ? from[i++] : 1;
    std::int64_t out_size = j < to.rank ? to.extent[j++] : 1;
    while (in_size != out_size) {
      if (in_size < out_size) {
        in_size *= from[i++];
      } else {
        out_size *= to.extent[j++];
      }
    }
    std::int64_t first = 0;
    std::int64_t last = 0;
    for (int d = first_j; d < j; ++d) {
      first = first * to.extent[d] + out.begin[d];
      last = last * to.extent[d] + out.end(d) - 1;
    }
    for (int d = first_i; d < i; ++d) {
      in_size /= from[d];
      const std::int64_t low = first / in_size;
      const std::int64_t high = last / in_size;
      box.set(d, static_cast<std::int32_t>(low), static_cast<std::int32_t>(high - low + 1));
      if (low != high) break;  // further in, the stretch wraps around: whole dimensions
      first -= low * in_size;
      last -= low * in_size;
    }
  }
  return box;
}

struct Reorder {
  template <typename T>
  static void move(const Graph& graph, const Node& node, std::span<const Part<T>> inputs, const Box& out, T* result) {
    const Box to = whole(graph.output(node).shape);
    const Box from = whole_input(graph, node, 0);
    const Part<T>& x = inputs[0];
    const std::int64_t count = out.elements();
    if (out == to && x.box == from) {
      std::copy(x.data, x.data + count, result);
      return;
    }
    Box row = out;  // one row of the region at a time: its elements are consecutive in row-major order
    const std::int64_t n = out.rank == 0 ? 1 : out.extent[out.rank - 1];
    if (out.rank > 0) row.extent[out.rank - 1] = 1;
    for (int d = 0; d + 1 < out.rank; ++d) row.extent[d] = 1;
    for (std::int64_t done = 0; done < count; done += n) {
      std::int64_t rest = done / n;
      for (int d = out.rank - 2; d >= 0; --d) {
        row.begin[d] = out.begin[d] + static_cast<std::int32_t>(rest % out.extent[d]);
        rest /= out.extent[d];
      }
      std::int64_t linear = 0;
      for (int d = 0; d < out.rank; ++d) linear = linear * to.extent[d] + row.begin[d];
      for (std::int64_t i = 0; i < n; ++i) {
        std::int64_t index = linear + i;
        std::int64_t at = 0;
        std::int64_t stride = 1;
        for (int d = from.rank - 1; d >= 0; --d) {
          at += stride * (index % from.extent[d] - x.box.begin[d]);
          index /= from.extent[d];
          stride *= x.box.extent[d];
        }
        result[done + i] = x.data[at];
      }
    }
  }
};

void infer_reshape(InferContext& context) {
  check_arity(context, 1, 2);
  const Node& node = context.node;
  const Tensor& x = context.graph.input(node, 0);
  const auto wanted = integers_argument(context, "shape", 1);
  if (!wanted) bad_node(node, "its shape is missing");
  const bool zero_is_zero = node.integer("allowzero", 0) != 0;
  Shape shape = *wanted;
  int open = -1;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] == -1) {
      if (open >= 0) bad_node(node, "shape has more than one -1");
      open = static_cast<int>(d);
      shape[d] = 1;
    } else if (shape[d] == 0 && !zero_is_zero) {
      if (d >= x.shape.size()) bad_node(node, "shape copies extent " + std::to_string(d) + " of " + to_string(x.shape));
      shape[d] = x.shape[d];
    } else if (shape[d] < 0) {
      bad_node(node, "extent " + std::to_string(shape[d]) + " is negative");
    }
  }
  const std::int64_t elements = elements_of(x.shape);
  const std::int64_t known = elements_of(shape);
  if (open >= 0 && known > 0 && elements % known == 0) shape[open] = elements / known;
  if (elements_of(shape) != elements) {
    bad_node(node, "cannot make " + to_string(x.shape) + " (" + std::to_string(elements) + " elements) into " +
                       to_string(*wanted));
  }
  set_output(context, 0, x.type, std::move(shape));
}

void infer_flatten(InferContext& context) {
  check_arity(context, 1, 1);
  const Tensor& x = context.graph.input(context.node, 0);
  const auto rank = static_cast<std::int64_t>(x.shape.size());
  const std::int64_t given = context.node.integer("axis", 1);
  const std::int64_t axis = given == rank ? rank : normalise_axis(context.node, given, static_cast<int>(rank));
  set_output(context, 0, x.type,
             {elements_of(x.shape, 0, static_cast<std::size_t>(axis)),
              elements_of(x.shape, static_cast<std::size_t>(axis), x.shape.size())});
}

void infer_squeeze(InferContext& context) {
  check_arity(context, 1, 2);
  const Node& node = context.node;
  const Tensor& x = context.graph.input(node, 0);
  const auto given = integers_argument(context, "axes", 1);
  std::vector<bool> drop(x.shape.size(), false);
  if (given) {
    for (const int axis : normalise_axes(node, *given, static_cast<int>(x.shape.size()))) {
      if (x.shape[axis] != 1) {
        bad_node(node, "extent of axis " + std::to_string(axis) + " is " + std::to_string(x.shape[axis]) +
                           " when it should be 1");
      }
      drop[axis] = true;
    }
  } else {
    for (std::size_t d = 0; d < drop.size(); ++d) drop[d] = x.shape[d] == 1;
  }
  Shape shape;
  for (std::size_t d = 0; d < drop.size(); ++d) {
    if (!drop[d]) shape.push_back(x.shape[d]);
  }
  set_output(context, 0, x.type, std::move(shape));
}

void infer_unsqueeze(InferContext& context) {
  check_arity(context, 1, 2);
  const Node& node = context.node;
  const Tensor& x = context.graph.input(node, 0);
  const auto given = integers_argument(context, "axes", 1);
  if (!given) bad_node(node, "its axes are missing");
  Shape shape = x.shape;
  for (const int axis : normalise_axes(node, *given, static_cast<int>(x.shape.size() + given->size()))) {
    shape.insert(shape.begin() + axis, 1);
  }
  set_output(context, 0, x.type, std::move(shape));
}

void infer_identity(InferContext& context) {
  check_arity(context, 1, 1);
  const Tensor& x = context.graph.input(context.node, 0);
  set_output(context, 0, x.type, x.shape);
}

// --- Dropout: in an inference graph the data passes through and the optional mask is all true ---

bool only_zero(const HostTensor& ratio) {
  return std::visit([](const auto& values) { return values.size() == 1 && values[0] == 0; }, ratio.data);
}

void infer_dropout(InferContext& context) {
  check_arity(context, 1, 3, 2);
  const Tensor x = context.graph.input(context.node, 0);
  if (context.graph.has_input(context.node, 2)) {
    const HostTensor& training = known_value(context, 2, "whether it trains is");
    const bool off = training.holds_integer() && training.ints() == std::vector<std::int64_t>{0};
    // Training drops nothing at a ratio of zero.
    const bool zero = context.graph.has_input(context.node, 1) && only_zero(known_value(context, 1, "its ratio is"));
    if (!off && !zero) bad_node(context.node, "is in training mode; only inference graphs are run");
  }
  set_output(context, 0, x.type, x.shape);
  set_output(context, 1, DataType::kBool, x.shape);
}

std::vector<HostTensor> dropout_evaluate(const Graph&, const Node& node, std::span<const HostTensor* const> inputs) {
  std::vector<HostTensor> results{*inputs[0]};
  if (node.outputs.size() > 1) {
    results.push_back(make_tensor(DataType::kBool, inputs[0]->shape));
    std::fill(results[1].ints().begin(), results[1].ints().end(), 1);
  }
  return results;
}

// --- Transpose ---

std::vector<int> permutation(const Graph& graph, const Node& node) {
  const auto rank = static_cast<int>(graph.input(node, 0).shape.size());
  std::vector<int> perm(static_cast<std::size_t>(rank));
  if (!node.attributes.contains("perm")) {
    for (int d = 0; d < rank; ++d) perm[d] = rank - 1 - d;
    return perm;
  }
  const auto given = node.integers("perm");
  if (static_cast<int>(given.size()) != rank) {
    bad_node(node,
             "perm has " + std::to_string(given.size()) + " elements for a tensor of rank " + std::to_string(rank));
  }
  static_cast<void>(normalise_axes(node, given, rank));  // refuses repeats
  for (int d = 0; d < rank; ++d) perm[d] = normalise_axis(node, given[d], rank);
  return perm;
}

void infer_transpose(InferContext& context) {
  check_arity(context, 1, 1);
  const Tensor& x = context.graph.input(context.node, 0);
  Shape shape;
  for (const int d : permutation(context.graph, context.node)) shape.push_back(x.shape[d]);
  set_output(context, 0, x.type, std::move(shape));
}

Box transpose_region(const Graph& graph, const Node& node, int, const Box& out) {
  const auto perm = permutation(graph, node);
  Box box = out;
  for (int d = 0; d < out.rank; ++d) box.set(perm[d], out.begin[d], out.extent[d]);
  return box;
}

struct Transpose {
  template <typename T>
  static void move(const Graph& graph, const Node& node, std::span<const Part<T>> inputs, const Box& out, T* result) {
    const Walk source = dense_walk(inputs[0].box, transpose_region(graph, node, 0, out));
    const auto perm = permutation(graph, node);
    Walk from{.offset = source.offset};
    for (int d = 0; d < out.rank; ++d) from.stride[d] = source.stride[perm[d]];
    walk_copy(out, result, dense_walk(out, out), inputs[0].data, from);
  }
};

OpDef reorder(std::string_view name, void (*infer)(InferContext&)) {
  return move_operator<Reorder>(name, infer, reshape_region, OpClass::kView);
}

}  // namespace

std::span<const OpDef> view_operators() {
  static const std::vector<OpDef> table = [] {
    std::vector<OpDef> t = {reorder("Reshape", infer_reshape),   reorder("Flatten", infer_flatten),
                            reorder("Squeeze", infer_squeeze),   reorder("Unsqueeze", infer_unsqueeze),
                            reorder("Identity", infer_identity), reorder("Dropout", infer_dropout)};
    t.back().evaluate = dropout_evaluate;
    t.push_back(move_operator<Transpose>("Transpose", infer_transpose, transpose_region, OpClass::kView));
    return t;
  }();
  return table;
}

}  // namespace spillway::workloads
