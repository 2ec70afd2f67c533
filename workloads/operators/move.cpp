// Operators that move elements along boxes: Concat, Split, Slice, Expand, Tile, Pad, Trilu.
#include <limits>

#include "workloads/operators/families.h"
#include "workloads/operators/moves.h"

namespace spillway::workloads {

namespace {

constexpr int kAnyNumber = std::numeric_limits<int>::max();

// --- Concat ---

int concat_axis(const Graph& graph, const Node& node) {
  return normalise_axis(node, node.integer("axis", 1), static_cast<int>(graph.input(node, 0).shape.size()));
}

void infer_concat(InferContext& context) {
  check_arity(context, 1, kAnyNumber);
  const Node& node = context.node;
  const Tensor& first = context.graph.input(node, 0);
  const int axis = concat_axis(context.graph, node);
  Shape shape = first.shape;
  for (int i = 1; i < static_cast<int>(node.inputs.size()); ++i) {
    if (!context.graph.has_input(node, i)) bad_node(node, "has an empty input");
    const Tensor& tensor = context.graph.input(node, i);
    Shape expected = tensor.shape;
    if (expected.size() == shape.size()) expected[axis] = shape[axis];
    if (expected != shape || tensor.type != first.type) {
      bad_node(node, "cannot join " + to_string(tensor.shape) + " (" + std::string(name_of(tensor.type)) + ") to " +
                         to_string(first.shape) + " (" + std::string(name_of(first.type)) + ") along axis " +
                         std::to_string(axis));
    }
    if (__builtin_add_overflow(shape[axis], tensor.shape[axis], &shape[axis])) {
      bad_node(node, "the joined extent overflows");
    }
  }
  set_output(context, 0, first.type, std::move(shape));
}

Box concat_region(const Graph& graph, const Node& node, int i, const Box& out) {
  const int axis = concat_axis(graph, node);
  std::int64_t offset = 0;
  for (int k = 0; k < i; ++k) offset += graph.input(node, k).shape[axis];
  Box box = out;
  box.begin[axis] -= static_cast<std::int32_t>(offset);
  return intersect(box, whole_input(graph, node, i));
}

struct Concat {
  template <typename T>
  static void move(const Graph& graph, const Node& node, std::span<const Part<T>> inputs, const Box& out, T* result) {
    const int axis = concat_axis(graph, node);
    std::int32_t offset = 0;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const Shape& shape = graph.input(node, static_cast<int>(i)).shape;
      Box target = out;
      target.set(axis, offset, static_cast<std::int32_t>(shape[axis]));
      target = intersect(target, out);
      offset += static_cast<std::int32_t>(shape[axis]);
      if (target.empty()) continue;
      Box source = target;
      source.begin[axis] -= offset - static_cast<std::int32_t>(shape[axis]);
      walk_copy(target, result, dense_walk(out, target), inputs[i].data, dense_walk(inputs[i].box, source));
    }
  }
};

// --- Split: canonicalise() makes it Slices, so it is only inferred and evaluated ---

std::vector<std::int64_t> split_sizes(const Node& node, std::int64_t extent,
                                      const std::optional<std::vector<std::int64_t>>& given) {
  const auto parts = static_cast<std::int64_t>(node.outputs.size());
  if (!given) {
    const std::int64_t size = (extent + parts - 1) / parts;
    if (extent % parts != 0 && !node.attributes.contains("num_outputs")) {
      bad_node(node, "extent " + std::to_string(extent) + " does not split into " + std::to_string(parts) + " parts");
    }
    std::vector<std::int64_t> sizes(node.outputs.size(), size);
    sizes.back() = extent - size * (parts - 1);
    if (sizes.back() < 0) bad_node(node, "has more outputs than elements to split");
    return sizes;
  }
  std::int64_t sum = 0;
  for (const std::int64_t size : *given) {
    if (size < 0 || size > extent - sum) {
      bad_node(node, "parts do not add up to the extent " + std::to_string(extent) + " of the axis");
    }
    sum += size;
  }
  if (given->size() != node.outputs.size() || sum != extent) {
    bad_node(node, std::to_string(given->size()) + " parts of " + std::to_string(sum) + " elements for " +
                       std::to_string(node.outputs.size()) + " outputs of " + std::to_string(extent));
  }
  return *given;
}

void infer_split(InferContext& context) {
  check_arity(context, 1, 2, kAnyNumber);
  const Tensor x = context.graph.input(context.node, 0);  // a copy: outputs are written below
  const int axis = normalise_axis(context.node, context.node.integer("axis", 0), static_cast<int>(x.shape.size()));
  const auto sizes = split_sizes(context.node, x.shape[axis], integers_argument(context, "split", 1));
  for (std::size_t k = 0; k < sizes.size(); ++k) {
    Shape shape = x.shape;
    shape[axis] = sizes[k];
    set_output(context, static_cast<int>(k), x.type, std::move(shape));
  }
}

std::vector<HostTensor> split_evaluate(const Graph& graph, const Node& node,
                                       std::span<const HostTensor* const> inputs) {
  const HostTensor& x = *inputs[0];
  const int axis = normalise_axis(node, node.integer("axis", 0), static_cast<int>(x.shape.size()));
  const auto sizes = split_sizes(node, x.shape[axis], integers_argument(graph, node, "split", 1));
  const Box box = whole(x.shape);
  Box part = box;
  std::vector<HostTensor> results;
  for (const std::int64_t size : sizes) {
    Shape shape = x.shape;
    shape[axis] = size;
    part.extent[axis] = static_cast<std::int32_t>(size);
    HostTensor& y = results.emplace_back(make_tensor(x.type, std::move(shape)));
    const auto copy = [&]<typename T>(const std::vector<T>& values) {
      walk_copy(part, std::get<std::vector<T>>(y.data).data(), dense_walk(part, part), values.data(),
                dense_walk(box, part));
    };
    std::visit(copy, x.data);
    part.begin[axis] += part.extent[axis];
  }
  return results;
}

// --- Slice ---

struct SliceSpec {
  Shape start, step, count;  // per dimension
};

/// ONNX Slice-13: negative bounds count from the end; bounds are clamped, a negative step walks backwards.
SliceSpec slice_spec(const Node& node, const Shape& shape, const std::vector<std::int64_t>& starts,
                     const std::vector<std::int64_t>& ends, const std::optional<std::vector<std::int64_t>>& axes,
                     const std::optional<std::vector<std::int64_t>>& steps) {
  const auto rank = static_cast<int>(shape.size());
  SliceSpec spec{Shape(shape.size(), 0), Shape(shape.size(), 1), shape};
  if (ends.size() != starts.size() || (axes && axes->size() != starts.size()) ||
      (steps && steps->size() != starts.size())) {
    bad_node(node, "starts, ends, axes and steps differ in length");
  }
  std::vector<bool> seen(shape.size(), false);
  for (std::size_t i = 0; i < starts.size(); ++i) {
    const int d = normalise_axis(node, axes ? (*axes)[i] : static_cast<std::int64_t>(i), rank);
    if (seen[d]) bad_node(node, "axis " + std::to_string(d) + " is given twice");
    seen[d] = true;
    constexpr std::int64_t kFar = std::int64_t{1} << 62;
    const std::int64_t step = steps ? std::clamp((*steps)[i], -kFar, kFar) : 1;
    if (step == 0) bad_node(node, "a step is 0");
    const std::int64_t extent = shape[d];
    std::int64_t start = starts[i] < 0 ? starts[i] + extent : starts[i];
    std::int64_t end = ends[i] < 0 ? ends[i] + extent : ends[i];
    if (step > 0) {
      start = std::clamp<std::int64_t>(start, 0, extent);
      end = std::clamp<std::int64_t>(end, 0, extent);
      spec.count[d] = end > start ? (end - start - 1) / step + 1 : 0;
    } else {
      start = std::clamp<std::int64_t>(start, -1, extent - 1);
      end = std::clamp<std::int64_t>(end, -1, extent - 1);
      spec.count[d] = start > end ? (start - end - 1) / -step + 1 : 0;
    }
    spec.start[d] = start;
    spec.step[d] = step;
  }
  return spec;
}

/// Resolved from the graph's constants, for regions and kernels.
SliceSpec slice_spec(const Graph& graph, const Node& node) {
  return slice_spec(node, graph.input(node, 0).shape, integers_argument(graph, node, "starts", 1).value(),
                    integers_argument(graph, node, "ends", 2).value(), integers_argument(graph, node, "axes", 3),
                    integers_argument(graph, node, "steps", 4));
}

void infer_slice(InferContext& context) {
  check_arity(context, 1, 5);
  const auto starts = integers_argument(context, "starts", 1);
  const auto ends = integers_argument(context, "ends", 2);
  if (!starts || !ends) bad_node(context.node, "starts or ends are missing");
  const Tensor& x = context.graph.input(context.node, 0);
  set_output(context, 0, x.type,
             slice_spec(context.node, x.shape, *starts, *ends, integers_argument(context, "axes", 3),
                        integers_argument(context, "steps", 4))
                 .count);
}

Box slice_region(const Graph& graph, const Node& node, int i, const Box& out) {
  if (i > 0) return no_region(graph, node, i);
  const SliceSpec spec = slice_spec(graph, node);
  Box box = out;
  for (int d = 0; d < out.rank; ++d) {
    if (out.extent[d] == 0) continue;
    const std::int64_t a = spec.start[d] + spec.step[d] * out.begin[d];
    const std::int64_t b = spec.start[d] + spec.step[d] * (out.end(d) - 1);
    box.set(d, static_cast<std::int32_t>(std::min(a, b)), static_cast<std::int32_t>(std::abs(b - a) + 1));
  }
  return box;
}

struct Slice {
  template <typename T>
  static void move(const Graph& graph, const Node& node, std::span<const Part<T>> inputs, const Box& out, T* result) {
    const SliceSpec spec = slice_spec(graph, node);
    const Part<T>& x = inputs[0];
    Walk from;
    std::int64_t stride = 1;
    for (int d = out.rank - 1; d >= 0; --d) {
      from.offset += stride * (spec.start[d] + spec.step[d] * out.begin[d] - x.box.begin[d]);
      from.stride[d] = stride * spec.step[d];
      stride *= x.box.extent[d];
    }
    walk_copy(out, result, dense_walk(out, out), x.data, from);
  }
};

// --- Expand ---

void infer_expand(InferContext& context) {
  check_arity(context, 1, 2);
  const auto shape = integers_argument(context, "shape", 1);
  if (!shape) bad_node(context.node, "its shape is missing");
  for (const std::int64_t extent : *shape) {
    if (extent < 0) bad_node(context.node, "extent " + std::to_string(extent) + " is negative");
  }
  const Tensor& x = context.graph.input(context.node, 0);
  set_output(context, 0, x.type, broadcast(context.node, x.shape, *shape));
}

Box expand_region(const Graph& graph, const Node& node, int i, const Box& out) {
  return i == 0 ? broadcast_region(graph, node, i, out) : no_region(graph, node, i);
}

struct Expand {
  template <typename T>
  static void move(const Graph& graph, const Node& node, std::span<const Part<T>> inputs, const Box& out, T* result) {
    walk_copy(out, result, dense_walk(out, out), inputs[0].data,
              broadcast_walk(graph.input(node, 0).shape, inputs[0].box, out));
  }
};

// --- Tile ---

void infer_tile(InferContext& context) {
  check_arity(context, 1, 2);
  const Tensor& x = context.graph.input(context.node, 0);
  const auto repeats = integers_argument(context, "repeats", 1);
  if (!repeats || repeats->size() != x.shape.size()) {
    bad_node(context.node, "repeats should have " + std::to_string(x.shape.size()) + " elements");
  }
  Shape shape = x.shape;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if ((*repeats)[d] < 0 || __builtin_mul_overflow(shape[d], (*repeats)[d], &shape[d])) {
      bad_node(context.node, "repeat count " + std::to_string((*repeats)[d]) + " is out of range");
    }
  }
  set_output(context, 0, x.type, std::move(shape));
}

Box tile_region(const Graph& graph, const Node& node, int i, const Box& out) {
  if (i > 0) return no_region(graph, node, i);
  Box box = whole_input(graph, node, 0);
  for (int d = 0; d < box.rank; ++d) {
    if (out.extent[d] == 0) {
      box.extent[d] = 0;
    } else if (out.begin[d] / box.extent[d] == (out.end(d) - 1) / box.extent[d]) {  // inside one copy
      box.set(d, out.begin[d] % box.extent[d], out.extent[d]);
    }
  }
  return box;
}

struct Tile {
  template <typename T>
  static void move(const Graph& graph, const Node& node, std::span<const Part<T>> inputs, const Box& out, T* result) {
    const Shape& shape = graph.input(node, 0).shape;
    const auto tables = offset_tables(out, inputs[0].box, [&](int d, std::int64_t c) { return c % shape[d]; });
    table_copy(out, result, tables, inputs[0].data, T{});
  }
};

// --- Trilu: keeps the upper or lower triangle of the last two axes ---

void infer_trilu(InferContext& context) {
  check_arity(context, 1, 2);
  const Tensor& x = context.graph.input(context.node, 0);
  if (x.shape.size() < 2) bad_node(context.node, "input of shape " + to_string(x.shape) + " is not a matrix");
  if (context.graph.has_input(context.node, 1)) static_cast<void>(known_value(context, 1, "its diagonal is"));
  set_output(context, 0, x.type, x.shape);
}

Box trilu_region(const Graph& graph, const Node& node, int i, const Box& out) {
  return i == 0 ? out : no_region(graph, node, i);
}

std::int64_t trilu_diagonal(const Graph& graph, const Node& node) {
  if (node.attributes.contains("k")) return node.integer("k", 0);
  const auto k = integers_argument(graph, node, "k", 1);
  return k && !k->empty() ? (*k)[0] : 0;
}

struct Trilu {
  template <typename T>
  static void move(const Graph& graph, const Node& node, std::span<const Part<T>> inputs, const Box& out, T* result) {
    const bool upper = node.integer("upper", 1) != 0;
    constexpr std::int64_t kFar = std::int64_t{1} << 40;
    const std::int64_t k = std::clamp(trilu_diagonal(graph, node), -kFar, kFar);
    walk_copy(out, result, dense_walk(out, out), inputs[0].data, dense_walk(inputs[0].box, out));
    const int rows = out.rank - 2;
    const int columns = out.rank - 1;
    const std::int64_t count = out.elements();
    for (std::int64_t at = 0; at < count; at += out.extent[columns]) {
      const std::int64_t row = out.begin[rows] + at / out.extent[columns] % out.extent[rows];
      // The first kept (upper) or first dropped (lower) column of the row.
      const std::int64_t edge = row + k + (upper ? 0 : 1) - out.begin[columns];
      const std::int64_t split = std::clamp<std::int64_t>(edge, 0, out.extent[columns]);
      T* const begin = result + at;
      if (upper) {
        std::fill(begin, begin + split, T{});
      } else {
        std::fill(begin + split, begin + out.extent[columns], T{});
      }
    }
  }
};

}  // namespace

std::span<const OpDef> move_operators() {
  static const std::vector<OpDef> table = {
      move_operator<Concat>("Concat", infer_concat, concat_region),
      {.name = "Split", .op_class = OpClass::kMove, .infer = infer_split, .evaluate = split_evaluate, .float64 = true},
      move_operator<Slice>("Slice", infer_slice, slice_region),
      move_operator<Expand>("Expand", infer_expand, expand_region),
      move_operator<Tile>("Tile", infer_tile, tile_region),
      move_operator<Trilu>("Trilu", infer_trilu, trilu_region),
  };
  return table;
}

}  // namespace spillway::workloads
