// Counts of a graph as exported. "MatMul_weight" has an operand that follows from constants alone; products of two
// activations are what attention adds.
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "configs/error.h"
#include "workloads/operators/einsum.h"
#include "workloads/workloads.h"

namespace spillway::workloads {
namespace {

/// For each tensor whether its elements follow from constants alone: weights, folded tensors, and what exporters
/// compute of weights at run time (a Transpose that was not folded, for example).
std::vector<bool> constant_derived(const Graph& graph) {
  std::vector<bool> derived(graph.tensors.size());
  for (std::size_t i = 0; i < graph.tensors.size(); ++i) derived[i] = graph.tensors[i].is_constant();
  for (const auto& node : graph.nodes) {
    const bool known =
        !node.inputs.empty() &&
        std::all_of(node.inputs.begin(), node.inputs.end(), [&](TensorId id) { return id == kNone || derived[id]; }) &&
        find_operator(node.op) != nullptr && !node.op.starts_with("Random");
    for (const auto id : node.outputs) {
      if (id != kNone && known) derived[id] = true;
    }
  }
  return derived;
}

/// A weight has at least two extents over 1; [C], [C, 1, 1] and the like are biases, scales and shifts.
bool is_weight(const Shape& shape) {
  return std::count_if(shape.begin(), shape.end(), [](auto extent) { return extent > 1; }) >= 2;
}

/// Stored as integers that stand for real numbers.
bool is_quantised(const Graph& graph, const Tensor& tensor) {
  return std::any_of(tensor.consumers.begin(), tensor.consumers.end(), [&](NodeId id) {
    return graph.nodes[id].op == "DequantizeLinear" && &graph.input(graph.nodes[id], 0) == &tensor;
  });
}

std::string kernel_name(const std::string& op, const Shape& weight) {
  const Shape kernel(weight.begin() + 2, weight.end());
  return op + "_" + to_string(kernel);
}

std::int64_t product(std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  if (__builtin_mul_overflow(a, b, &result)) {
    throw Error(ErrorKind::kBadInput, Place{}, fmt::format("{} times {} operations overflow 64 bits", a, b));
  }
  return result;
}

void add(std::int64_t& total, std::int64_t amount) {
  if (__builtin_add_overflow(total, amount, &total)) {
    throw Error(ErrorKind::kBadInput, Place{},
                fmt::format("{} and {} elements or operations overflow 64 bits", total, amount));
  }
}

/// Operators whose output is another shape of the same elements in the same order: no activation of its own.
bool is_alias(const std::string& op) {
  return op == "Reshape" || op == "Flatten" || op == "Squeeze" || op == "Unsqueeze" || op == "Identity";
}

struct Product {
  std::string kind;
  std::int64_t macs = 0;
};

/// The multiply-accumulates of a node; none for anything but convolutions and matrix products.
Product product_of(const Graph& graph, const Node& node, const std::vector<bool>& derived) {
  if (node.op == "Conv") {
    const auto& weight = graph.input(node, 1).shape;  // [out, in / group, kernel...]
    return {kernel_name(node.op, weight),
            product(graph.output(node).elements(), elements_of(Shape(weight.begin() + 1, weight.end())))};
  }
  if (node.op == "ConvTranspose") {
    const auto& weight = graph.input(node, 1).shape;  // [in, out / group, kernel...]
    return {kernel_name(node.op, weight),
            product(graph.input(node, 0).elements(), elements_of(Shape(weight.begin() + 1, weight.end())))};
  }
  if (node.op == "Gemm") {
    const auto& a = graph.input(node, 0).shape;
    const auto inner = node.integer("transA", 0) != 0 ? a.front() : a.back();
    return {"Gemm", product(graph.output(node).elements(), inner)};
  }
  if (node.op == "MatMul") {
    const bool weight = derived[node.inputs[0]] || derived[node.inputs[1]];
    return {weight ? "MatMul_weight" : "MatMul_act_x_act",
            product(graph.output(node).elements(), graph.input(node, 0).shape.back())};
  }
  if (node.op == "Einsum" && node.inputs.size() == 2) {
    const bool weight = derived[node.inputs[0]] || derived[node.inputs[1]];
    return {weight ? "Einsum_weight" : "Einsum_act_x_act", read_einsum(graph, node).products()};
  }
  return {};
}

}  // namespace

Statistics statistics_of(const Graph& exported) {
  Statistics result;
  result.nodes = static_cast<std::int64_t>(exported.nodes.size());
  const auto derived = constant_derived(exported);
  for (const auto& tensor : exported.tensors) {
    if (!tensor.is_constant() || tensor.producer != kNone) continue;
    if (!is_float(tensor.type) && !is_quantised(exported, tensor)) continue;
    add(result.parameters, tensor.elements());
    if (is_weight(tensor.shape)) add(result.parameters_weights_only, tensor.elements());
  }
  for (const auto& node : exported.nodes) {
    ++result.ops[node.op];
    if (node.op == "Constant") continue;
    ++result.nodes_without_constant;
    for (const auto id : node.outputs) {
      if (id == kNone) continue;
      const auto& tensor = exported.tensors[id];
      const auto elements = tensor.elements();
      add(result.output_elements[node.op], elements);
      if (!is_alias(node.op)) result.largest.push_back({tensor.name, node.op, tensor.shape, elements});
    }
    const auto work = product_of(exported, node, derived);
    if (work.kind.empty()) continue;
    add(result.macs[work.kind], work.macs);
    add(result.macs_total, work.macs);
  }
  constexpr std::size_t kShown = 5;
  std::stable_sort(result.largest.begin(), result.largest.end(),
                   [](const auto& a, const auto& b) { return a.elements > b.elements; });
  if (result.largest.size() > kShown) result.largest.resize(kShown);
  return result;
}

}  // namespace spillway::workloads
