// Moves whose source position is data: Gather, GatherElements, GatherND.
#include "workloads/operators/families.h"
#include "workloads/operators/moves.h"

namespace spillway::workloads {

namespace {

/// The index tensor, or a region of it, as integers.
struct Indices {
  Box box;
  std::vector<std::int64_t> values;
};

/// `index` counted from the front; refuses what lies outside [-extent, extent).
std::int64_t position(const Node& node, std::int64_t index, std::int64_t extent) {
  if (index < -extent || index >= extent) {
    bad_node(node, "index " + std::to_string(index) + " is outside an axis of " + std::to_string(extent));
  }
  return index < 0 ? index + extent : index;
}

/// Kernel and evaluation from one function
/// template <typename T> void gather(graph, node, const Part<T>& data, const Indices&, const Box& out, T* result).
template <typename Op>
void gather_kernel(const Graph& graph, const Node& node, std::span<const ConstRegionView> inputs,
                   const RegionView& out) {
  Indices indices{inputs[1].box, {}};
  const float* values = inputs[1].data;
  indices.values.assign(values, values + indices.box.elements());
  Op::template gather<float>(graph, node, Part<float>{inputs[0].box, inputs[0].data}, indices, out.box, out.data);
}

template <typename Op>
std::vector<HostTensor> gather_evaluate(const Graph& graph, const Node& node,
                                        std::span<const HostTensor* const> inputs) {
  const Tensor& declared = graph.output(node);
  const Indices indices{whole(inputs[1]->shape), inputs[1]->ints()};
  std::vector<HostTensor> results;
  results.push_back(make_tensor(declared.type, declared.shape));
  const auto run = [&]<typename T>(std::vector<T>& values) {
    const Part<T> data{whole(inputs[0]->shape), elements<T>(*inputs[0])};
    Op::template gather<T>(graph, node, data, indices, whole(declared.shape), values.data());
  };
  std::visit(run, results[0].data);
  return results;
}

template <typename Op>
OpDef gather_operator(std::string_view name, void (*infer)(InferContext&),
                      Box (*region)(const Graph&, const Node&, int, const Box&)) {
  return {.name = name,
          .op_class = OpClass::kMove,
          .infer = infer,
          .evaluate = gather_evaluate<Op>,
          .region = region,
          .kernel = gather_kernel<Op>,
          .vector_work = move_work};
}

// --- Gather: whole slices along one axis ---

int gather_axis(const Graph& graph, const Node& node) {
  return normalise_axis(node, node.integer("axis", 0), static_cast<int>(graph.input(node, 0).shape.size()));
}

void infer_gather(InferContext& context) {
  check_arity(context, 2, 2);
  check_integer_input(context, 1);
  const Tensor& data = context.graph.input(context.node, 0);
  const Shape& indices = context.graph.input(context.node, 1).shape;
  const int axis = gather_axis(context.graph, context.node);
  Shape shape(data.shape.begin(), data.shape.begin() + axis);
  shape.insert(shape.end(), indices.begin(), indices.end());
  shape.insert(shape.end(), data.shape.begin() + axis + 1, data.shape.end());
  set_output(context, 0, data.type, std::move(shape));
}

/// Of the data, everything along the axis (which part is known only when it runs) unless one constant index says it.
Box gather_region(const Graph& graph, const Node& node, int i, const Box& out) {
  const int axis = gather_axis(graph, node);
  const Tensor& indices = graph.input(node, 1);
  const auto rank = static_cast<int>(indices.shape.size());
  Box box = whole_input(graph, node, i);
  if (i == 1) {
    for (int d = 0; d < rank; ++d) box.set(d, out.begin[axis + d], out.extent[axis + d]);
    return box;
  }
  for (int d = 0; d < axis; ++d) box.set(d, out.begin[d], out.extent[d]);
  for (int d = axis + 1; d < box.rank; ++d) box.set(d, out.begin[d + rank - 1], out.extent[d + rank - 1]);
  if (indices.is_constant() && !indices.constant->missing() && indices.elements() == 1) {
    const std::int64_t at = position(node, materialise(indices).ints().at(0), box.extent[axis]);
    box.set(axis, static_cast<std::int32_t>(at), 1);
  }
  return box;
}

struct Gather {
  template <typename T>
  static void gather(const Graph& graph, const Node& node, const Part<T>& data, const Indices& indices, const Box& out,
                     T* result) {
    if (out.empty()) return;
    const int axis = gather_axis(graph, node);
    const std::int64_t extent = graph.input(node, 0).shape[axis];
    const int rank = indices.box.rank;
    const Walk source = dense_walk(data.box, data.box);
    const Walk to = dense_walk(out, out);
    // One index at a time: the slice of the output that it fills, and the walk of the data over that slice.
    Box slice = out;
    Walk from;
    std::int64_t origin = 0;
    std::int64_t count = 1;
    for (int d = 0; d < rank; ++d) {
      slice.extent[axis + d] = 1;
      count *= out.extent[axis + d];
    }
    for (int d = 0; d < data.box.rank; ++d) {
      if (d == axis) continue;
      const int o = d < axis ? d : d + rank - 1;
      from.stride[o] = source.stride[d];
      origin += source.stride[d] * (out.begin[o] - data.box.begin[d]);
    }
    const Walk index_walk = dense_walk(indices.box, indices.box);
    for (std::int64_t k = 0; k < count; ++k) {
      std::int64_t rest = k;
      std::int64_t at = 0;
      std::int64_t target = 0;
      for (int d = rank - 1; d >= 0; --d) {
        const std::int64_t c = rest % out.extent[axis + d];
        rest /= out.extent[axis + d];
        at += index_walk.stride[d] * (out.begin[axis + d] + c - indices.box.begin[d]);
        target += to.stride[axis + d] * c;
      }
      const std::int64_t index = position(node, indices.values[static_cast<std::size_t>(at)], extent);
      from.offset = origin + source.stride[axis] * (index - data.box.begin[axis]);
      walk_copy(slice, result + target, to, data.data, from);
    }
  }
};

// --- GatherElements: one element per index ---

void infer_gather_elements(InferContext& context) {
  check_arity(context, 2, 2);
  check_integer_input(context, 1);
  const Tensor& data = context.graph.input(context.node, 0);
  const Shape& indices = context.graph.input(context.node, 1).shape;
  const int axis = gather_axis(context.graph, context.node);
  bool fits = indices.size() == data.shape.size();
  for (std::size_t d = 0; fits && d < indices.size(); ++d) {
    fits = static_cast<int>(d) == axis || indices[d] <= data.shape[d];
  }
  if (!fits) {
    bad_node(context.node, "indices of shape " + to_string(indices) + " do not fit data of " + to_string(data.shape));
  }
  set_output(context, 0, data.type, indices);
}

Box gather_elements_region(const Graph& graph, const Node& node, int i, const Box& out) {
  if (i == 1) return out;
  const int axis = gather_axis(graph, node);
  Box box = out;
  box.set(axis, 0, static_cast<std::int32_t>(graph.input(node, 0).shape[axis]));
  return box;
}

struct GatherElements {
  template <typename T>
  static void gather(const Graph& graph, const Node& node, const Part<T>& data, const Indices& indices, const Box& out,
                     T* result) {
    const int axis = gather_axis(graph, node);
    const std::int64_t extent = graph.input(node, 0).shape[axis];
    Walk source = dense_walk(data.box, data.box);
    const std::int64_t step = source.stride[axis];
    source.offset = 0;
    for (int d = 0; d < out.rank; ++d) {
      if (d != axis) source.offset += source.stride[d] * (out.begin[d] - data.box.begin[d]);
    }
    source.stride[axis] = 0;
    const Nest<3> nest(out, {dense_walk(out, out), source, dense_walk(indices.box, out)});
    nest.for_each_row([&](const std::array<std::int64_t, 3>& at) {
      for (std::int64_t k = 0; k < nest.row_length(); ++k) {
        const std::int64_t given = indices.values[static_cast<std::size_t>(at[2] + k * nest.row_stride(2))];
        const std::int64_t index = position(node, given, extent) - data.box.begin[axis];
        result[at[0] + k * nest.row_stride(0)] = data.data[at[1] + k * nest.row_stride(1) + index * step];
      }
    });
  }
};

// --- GatherND: the last axis of the indices holds coordinates into the data ---

struct NdShape {
  int batch = 0;  ///< leading dimensions that data and indices share
  int depth = 0;  ///< coordinates per index
  int data_rank = 0, index_rank = 0;
};

NdShape nd_shape(const Graph& graph, const Node& node) {
  const Shape& data = graph.input(node, 0).shape;
  const Shape& indices = graph.input(node, 1).shape;
  const std::int64_t batch = node.integer("batch_dims", 0);
  const auto data_rank = static_cast<std::int64_t>(data.size());
  const auto index_rank = static_cast<std::int64_t>(indices.size());
  const std::int64_t depth = indices.empty() ? 0 : indices.back();
  if (index_rank < 1 || batch < 0 || batch >= index_rank || batch > data_rank || depth < 1 ||
      depth > data_rank - batch || !std::equal(data.begin(), data.begin() + batch, indices.begin())) {
    bad_node(node, "indices of shape " + to_string(indices) + " do not address data of " + to_string(data));
  }
  return {static_cast<int>(batch), static_cast<int>(depth), static_cast<int>(data_rank), static_cast<int>(index_rank)};
}

void infer_gather_nd(InferContext& context) {
  check_arity(context, 2, 2);
  check_integer_input(context, 1);
  const Tensor& data = context.graph.input(context.node, 0);
  const Shape& indices = context.graph.input(context.node, 1).shape;
  const NdShape nd = nd_shape(context.graph, context.node);
  Shape shape(indices.begin(), indices.end() - 1);
  shape.insert(shape.end(), data.shape.begin() + nd.batch + nd.depth, data.shape.end());
  set_output(context, 0, data.type, std::move(shape));
}

Box gather_nd_region(const Graph& graph, const Node& node, int i, const Box& out) {
  const NdShape nd = nd_shape(graph, node);
  Box box = whole_input(graph, node, i);
  if (i == 1) {
    for (int d = 0; d + 1 < nd.index_rank; ++d) box.set(d, out.begin[d], out.extent[d]);
    return box;
  }
  for (int d = 0; d < nd.batch; ++d) box.set(d, out.begin[d], out.extent[d]);
  const int shift = nd.index_rank - 1 - nd.batch - nd.depth;
  for (int d = nd.batch + nd.depth; d < nd.data_rank; ++d) box.set(d, out.begin[d + shift], out.extent[d + shift]);
  return box;
}

struct GatherNd {
  template <typename T>
  static void gather(const Graph& graph, const Node& node, const Part<T>& data, const Indices& indices, const Box& out,
                     T* result) {
    if (out.empty()) return;
    const NdShape nd = nd_shape(graph, node);
    const Shape& shape = graph.input(node, 0).shape;
    const Walk source = dense_walk(data.box, data.box);
    const Walk to = dense_walk(out, out);
    const Walk index_walk = dense_walk(indices.box, indices.box);
    const int prefix = nd.index_rank - 1;  // output dimensions that come from the indices
    const int shift = prefix - nd.batch - nd.depth;
    Box slice = out;
    Walk from;
    std::int64_t origin = 0;
    std::int64_t count = 1;
    for (int d = 0; d < prefix; ++d) {
      slice.extent[d] = 1;
      count *= out.extent[d];
    }
    for (int d = nd.batch + nd.depth; d < nd.data_rank; ++d) {
      from.stride[d + shift] = source.stride[d];
      origin += source.stride[d] * (out.begin[d + shift] - data.box.begin[d]);
    }
    for (std::int64_t k = 0; k < count; ++k) {
      std::int64_t rest = k;
      std::int64_t at = 0;
      std::int64_t target = 0;
      from.offset = origin;
      for (int d = prefix - 1; d >= 0; --d) {
        const std::int64_t c = rest % out.extent[d];
        rest /= out.extent[d];
        at += index_walk.stride[d] * (out.begin[d] + c - indices.box.begin[d]);
        target += to.stride[d] * c;
        if (d < nd.batch) from.offset += source.stride[d] * (out.begin[d] + c - data.box.begin[d]);
      }
      for (int d = nd.batch; d < nd.batch + nd.depth; ++d) {
        const std::int64_t given = indices.values[static_cast<std::size_t>(at + d - nd.batch)];
        from.offset += source.stride[d] * (position(node, given, shape[d]) - data.box.begin[d]);
      }
      walk_copy(slice, result + target, to, data.data, from);
    }
  }
};

}  // namespace

std::span<const OpDef> gather_operators() {
  static const std::vector<OpDef> table = {
      gather_operator<Gather>("Gather", infer_gather, gather_region),
      gather_operator<GatherElements>("GatherElements", infer_gather_elements, gather_elements_region),
      gather_operator<GatherNd>("GatherND", infer_gather_nd, gather_nd_region),
  };
  return table;
}

}  // namespace spillway::workloads
