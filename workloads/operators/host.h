// Operators that only the reference executor runs: no engine of the NPU computes them, so they have no region map, no
// kernel and no work, only inference and whole-tensor semantics.
#pragma once

#include "workloads/operators/support.h"

namespace spillway::workloads {

[[nodiscard]] constexpr OpDef host_operator(std::string_view name, void (*infer)(InferContext&),
                                            decltype(OpDef::evaluate) evaluate, bool float64 = false) {
  return {.name = name, .op_class = OpClass::kRow, .infer = infer, .evaluate = evaluate, .float64 = float64};
}

/// The only result of a node.
[[nodiscard]] inline std::vector<HostTensor> one_result(HostTensor tensor) {
  std::vector<HostTensor> results;
  results.push_back(std::move(tensor));
  return results;
}

/// Input i if it is there.
[[nodiscard]] inline const HostTensor* optional_input(std::span<const HostTensor* const> inputs, std::size_t i) {
  return i < inputs.size() ? inputs[i] : nullptr;
}

/// The only element of a tensor, as a number. Throws Error(kBadInput) placed at the node if there is not exactly one.
[[nodiscard]] inline double scalar_of(const Node& node, const HostTensor& tensor, const std::string& what) {
  if (tensor.held() != 1) bad_node(node, what + " has " + std::to_string(tensor.held()) + " elements when 1 is right");
  return std::visit([](const auto& values) { return static_cast<double>(values[0]); }, tensor.data);
}
[[nodiscard]] inline std::int64_t integer_of(const Node& node, const HostTensor& tensor, const std::string& what) {
  if (tensor.held() != 1) bad_node(node, what + " has " + std::to_string(tensor.held()) + " elements when 1 is right");
  if (!tensor.holds_integer()) bad_node(node, what + " should be an integer");
  return tensor.ints()[0];
}

/// Refuses input i unless its rank is the one given.
inline void check_rank(const InferContext& context, int i, std::size_t rank) {
  const Shape& shape = context.graph.input(context.node, i).shape;
  if (shape.size() == rank) return;
  bad_node(context.node, "input " + std::to_string(i) + " is " + to_string(shape) + " when it should have rank " +
                             std::to_string(rank));
}

/// A dense tensor around one of its axes: [outer, extent, inner].
struct Around {
  std::int64_t outer = 1, extent = 1, inner = 1;
  Around(const Shape& shape, int axis)
      : outer(elements_of(shape, 0, static_cast<std::size_t>(axis))),
        extent(shape[static_cast<std::size_t>(axis)]),
        inner(elements_of(shape, static_cast<std::size_t>(axis) + 1, shape.size())) {}
};

}  // namespace spillway::workloads
