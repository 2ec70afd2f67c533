// ScatterElements (Scatter before opset 11) and ScatterND: a copy of the data with elements or slices replaced or
// combined, in the order in which the updates lie.
#include <algorithm>

#include "workloads/operators/families.h"
#include "workloads/operators/host.h"

namespace spillway::workloads {

namespace {

enum class Combine : std::uint8_t { kReplace, kAdd, kMultiply, kLargest, kSmallest };

Combine combine_of(const Node& node) {
  const std::string reduction = node.text("reduction", "none");
  if (reduction == "none") return Combine::kReplace;
  if (reduction == "add") return Combine::kAdd;
  if (reduction == "mul") return Combine::kMultiply;
  if (reduction == "max") return Combine::kLargest;
  if (reduction == "min") return Combine::kSmallest;
  bad_node(node, "reduction '" + reduction + "' is not one of none, add, mul, max, min");
}

template <typename T>
void combine(Combine how, DataType type, T& old, T update) {
  // Unsigned arithmetic wraps around without being undefined.
  const auto arithmetic = [&](auto operation) {
    if constexpr (std::is_same_v<T, std::int64_t>) {
      const auto wide = operation(static_cast<std::uint64_t>(old), static_cast<std::uint64_t>(update));
      return narrowed(type, static_cast<std::int64_t>(wide));
    } else {
      return operation(old, update);
    }
  };
  switch (how) {
    case Combine::kReplace:
      old = update;
      return;
    case Combine::kAdd:
      old = arithmetic([](auto a, auto b) { return a + b; });
      return;
    case Combine::kMultiply:
      old = arithmetic([](auto a, auto b) { return a * b; });
      return;
    case Combine::kLargest:
      old = std::max(old, update);
      return;
    case Combine::kSmallest:
      old = std::min(old, update);
      return;
  }
}

std::int64_t position(const Node& node, std::int64_t index, std::int64_t extent) {
  if (index < -extent || index >= extent) {
    bad_node(node, "index " + std::to_string(index) + " is outside an axis of " + std::to_string(extent));
  }
  return index < 0 ? index + extent : index;
}

void infer_scatter(InferContext& context) {
  check_arity(context, 3, 3);
  check_integer_input(context, 1);
  const Graph& graph = context.graph;
  const Node& node = context.node;
  static_cast<void>(combine_of(node));
  const Tensor& data = graph.input(node, 0);
  const Tensor& updates = graph.input(node, 2);
  if (updates.type != data.type) {
    bad_node(node,
             "updates are " + std::string(name_of(updates.type)) + " for data of " + std::string(name_of(data.type)));
  }
  const Shape& indices = graph.input(node, 1).shape;
  bool fits = false;
  if (node.op == "ScatterND") {
    const auto depth = indices.empty() ? -1 : indices.back();
    fits = depth >= 0 && depth <= static_cast<std::int64_t>(data.shape.size());
    if (fits) {
      Shape wanted(indices.begin(), indices.end() - 1);
      wanted.insert(wanted.end(), data.shape.begin() + depth, data.shape.end());
      fits = updates.shape == wanted;
    }
  } else {
    static_cast<void>(normalise_axis(node, node.integer("axis", 0), static_cast<int>(data.shape.size())));
    fits = indices == updates.shape && indices.size() == data.shape.size();
    const int axis = fits ? normalise_axis(node, node.integer("axis", 0), static_cast<int>(data.shape.size())) : 0;
    for (std::size_t d = 0; fits && d < indices.size(); ++d) {
      fits = static_cast<int>(d) == axis || indices[d] <= data.shape[d];
    }
  }
  if (!fits) {
    bad_node(node, "indices " + to_string(indices) + " and updates " + to_string(updates.shape) +
                       " do not go with data " + to_string(data.shape));
  }
  set_output(context, 0, data.type, data.shape);
}

std::vector<HostTensor> evaluate_elements(const Graph&, const Node& node, std::span<const HostTensor* const> inputs) {
  HostTensor y = *inputs[0];
  const Combine how = combine_of(node);
  const Shape& indices = inputs[1]->shape;
  const int axis = normalise_axis(node, node.integer("axis", 0), static_cast<int>(y.shape.size()));
  const Box box = whole(indices);
  Walk to = dense_walk(whole(y.shape), whole(y.shape));
  const std::int64_t step = to.stride[axis];
  to.stride[axis] = 0;
  const auto write = [&]<typename T>(std::vector<T>& out) {
    const auto& updates = std::get<std::vector<T>>(inputs[2]->data);
    const Nest<2> nest(box, {dense_walk(box, box), to});
    nest.for_each_row([&](const std::array<std::int64_t, 2>& at) {
      for (std::int64_t i = 0; i < nest.row_length(); ++i) {
        const auto from = static_cast<std::size_t>(at[0] + i * nest.row_stride(0));
        const std::int64_t index = position(node, inputs[1]->ints()[from], y.shape[static_cast<std::size_t>(axis)]);
        combine(how, y.type, out[static_cast<std::size_t>(at[1] + i * nest.row_stride(1) + index * step)],
                updates[from]);
      }
    });
  };
  std::visit(write, y.data);
  return one_result(std::move(y));
}

std::vector<HostTensor> evaluate_nd(const Graph&, const Node& node, std::span<const HostTensor* const> inputs) {
  HostTensor y = *inputs[0];
  const Combine how = combine_of(node);
  const Shape& indices = inputs[1]->shape;
  const auto depth = static_cast<std::size_t>(indices.back());
  const std::int64_t slice = elements_of(y.shape, depth, y.shape.size());
  const std::int64_t count = elements_of(indices, 0, indices.size() - 1);
  const auto write = [&]<typename T>(std::vector<T>& out) {
    const auto& updates = std::get<std::vector<T>>(inputs[2]->data);
    for (std::int64_t k = 0; k < count; ++k) {
      std::int64_t at = 0;
      for (std::size_t d = 0; d < depth; ++d) {
        const std::int64_t given = inputs[1]->ints()[static_cast<std::size_t>(k) * depth + d];
        at = at * y.shape[d] + position(node, given, y.shape[d]);
      }
      for (std::int64_t i = 0; i < slice; ++i) {
        combine(how, y.type, out[static_cast<std::size_t>(at * slice + i)],
                updates[static_cast<std::size_t>(k * slice + i)]);
      }
    }
  };
  std::visit(write, y.data);
  return one_result(std::move(y));
}

constexpr OpDef kOperators[] = {
    host_operator("Scatter", infer_scatter, evaluate_elements, true),
    host_operator("ScatterElements", infer_scatter, evaluate_elements, true),
    host_operator("ScatterND", infer_scatter, evaluate_nd, true),
};

}  // namespace

std::span<const OpDef> scatter_operators() { return kOperators; }

}  // namespace spillway::workloads
