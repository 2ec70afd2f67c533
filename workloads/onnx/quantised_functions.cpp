#include "workloads/onnx/quantised_functions.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "configs/error.h"
#include "workloads/onnx/names.h"

namespace spillway::workloads {
namespace {

/// Operands come as tensor, scale, zero point; what follows them is the result's scale and zero point.
struct Function {
  std::string_view op;
  std::string_view of_numbers;
  int operands = 1;
};
constexpr Function kFunctions[] = {
    {"QLinearAdd", "Add", 2},
    {"QLinearMul", "Mul", 2},
    {"QLinearSigmoid", "Sigmoid"},
    {"QLinearLeakyRelu", "LeakyRelu"},
    {"QLinearSoftmax", "Softmax"},
    {"QLinearAveragePool", "AveragePool"},
    {"QLinearGlobalAveragePool", "GlobalAveragePool"},
    {"QLinearReduceMean", "ReduceMean"},
};

std::int64_t integer(const onnx::NodeProto& node, std::string_view name, std::int64_t fallback) {
  for (const auto& attribute : node.attribute()) {
    if (attribute.name() == name) return attribute.i();
  }
  return fallback;
}

class Expansion {
 public:
  Expansion(const onnx::NodeProto& node, std::set<std::string>& names, onnx::GraphProto& result)
      : node_(node), names_(names), result_(result) {}

  void function(const Function& function) {
    need(3 * function.operands + 1);
    auto& made = operation(function.of_numbers);
    for (int i = 0; i < function.operands; ++i) made.add_input(dequantised(3 * i));
    for (const auto& attribute : node_.attribute()) {
      // How the runtime lays its tensors out, and which definition of Softmax it means.
      if (attribute.name() != "channels_last" && attribute.name() != "opset") *made.add_attribute() = attribute;
    }
    finish(made, 3 * function.operands);
  }

  /// Scale and zero point of the result come first.
  void concat() {
    need(5);
    auto& made = operation("Concat");
    for (int i = 2; i + 1 < node_.input_size(); i += 3) made.add_input(dequantised(i));
    for (const auto& attribute : node_.attribute()) *made.add_attribute() = attribute;
    finish(made, 0);
  }

  /// a, b, a bias in steps of both scales, and the result's scale and zero point: without these it is numbers.
  void gemm() {
    need(6);
    auto& made = operation("Gemm");
    made.add_input(dequantised(0));
    made.add_input(dequantised(3, integer(node_, "transB", 0) != 0 ? 0 : 1));
    for (const auto& attribute : node_.attribute()) {
      if (attribute.name() != "beta") *made.add_attribute() = attribute;
    }
    if (has(6)) {
      auto& cast = operation("Cast");
      cast.add_input(node_.input(6));
      attribute(cast, "to", onnx::TensorProto::FLOAT);
      auto& by_a = operation("Mul");
      by_a.add_input(result_of(cast));
      by_a.add_input(node_.input(1));
      auto& by_b = operation("Mul");
      by_b.add_input(result_of(by_a));
      by_b.add_input(node_.input(4));
      made.add_input(result_of(by_b));
    }
    if (has(7)) return finish(made, 7);
    made.add_output(node_.output(0));
    add(made);
  }

 private:
  [[nodiscard]] bool has(int i) const { return i < node_.input_size() && !node_.input(i).empty(); }

  void need(int inputs) const {
    if (node_.input_size() >= inputs && node_.output_size() == 1) return;
    throw Error(ErrorKind::kBadInput, Place{.node = node_.name()},
                fmt::format("{} has {} inputs and {} outputs when at least {} and 1 are needed", node_.op_type(),
                            node_.input_size(), node_.output_size(), inputs));
  }

  /// A node that is not in the graph yet: what it reads comes before it.
  onnx::NodeProto& operation(std::string_view op) {
    auto& made = pending_.emplace_back(std::make_unique<onnx::NodeProto>());
    made->set_op_type(std::string(op));
    made->set_name(node_.name().empty() ? "" : node_.name() + ":" + std::string(op));
    return *made;
  }
  void add(const onnx::NodeProto& made) { *result_.add_node() = made; }
  const std::string& result_of(onnx::NodeProto& made) {
    made.add_output(fresh_name(node_.output(0) + ":" + made.op_type(), names_));
    add(made);
    return made.output(0);
  }
  static void attribute(onnx::NodeProto& made, const char* name, std::int64_t value) {
    auto& attribute = *made.add_attribute();
    attribute.set_name(name);
    attribute.set_type(onnx::AttributeProto::INT);
    attribute.set_i(value);
  }

  /// The numbers of operand `first`, whose scale and zero point follow it; `axis`: of scales that are not one for all.
  std::string dequantised(int first, std::int64_t axis = 1) {
    auto& made = operation("DequantizeLinear");
    for (int i = first; i < first + (has(first + 2) ? 3 : 2); ++i) made.add_input(has(i) ? node_.input(i) : "");
    attribute(made, "axis", axis);
    return result_of(made);
  }

  void finish(onnx::NodeProto& made, int scale) {
    const std::string numbers = result_of(made);
    auto& quantised = operation("QuantizeLinear");
    quantised.add_input(numbers);
    quantised.add_input(has(scale) ? node_.input(scale) : "");
    if (has(scale + 1)) quantised.add_input(node_.input(scale + 1));
    quantised.add_output(node_.output(0));
    add(quantised);
  }

  const onnx::NodeProto& node_;
  std::set<std::string>& names_;
  onnx::GraphProto& result_;
  std::vector<std::unique_ptr<onnx::NodeProto>> pending_;
};

bool expand(const onnx::NodeProto& node, std::set<std::string>& names, onnx::GraphProto& result) {
  if (node.domain() != "com.microsoft" || integer(node, "channels_last", 0) != 0) return false;
  Expansion expansion(node, names, result);
  if (node.op_type() == "QLinearConcat") return expansion.concat(), true;
  if (node.op_type() == "QGemm") return expansion.gemm(), true;
  const auto* known = std::find_if(std::begin(kFunctions), std::end(kFunctions),
                                   [&](const Function& function) { return function.op == node.op_type(); });
  if (known == std::end(kFunctions)) return false;
  expansion.function(*known);
  return true;
}

}  // namespace

void expand_quantised_functions(onnx::GraphProto& graph) {
  const bool none = std::none_of(graph.node().begin(), graph.node().end(),
                                 [](const auto& node) { return node.domain() == "com.microsoft"; });
  if (none) return;
  std::set<std::string> names = names_of(graph);
  google::protobuf::RepeatedPtrField<onnx::NodeProto> nodes;
  nodes.Swap(graph.mutable_node());
  for (auto& node : nodes) {
    if (!expand(node, names, graph)) graph.add_node()->Swap(&node);
  }
}

}  // namespace spillway::workloads
