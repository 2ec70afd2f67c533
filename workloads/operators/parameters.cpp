#include "workloads/operators/parameters.h"

#include <memory>

#include "configs/error.h"

namespace spillway::workloads {

namespace {

struct Parameter {
  std::string_view op;
  int input;
  std::string_view attribute;
  std::int64_t first_opset = 0;
};

constexpr Parameter kParameters[] = {
    {"Clip", 1, "min"},
    {"Clip", 2, "max"},
    {"ConstantOfShape", 0, "shape"},
    {"CumSum", 1, "axis"},
    {"Expand", 1, "shape"},
    {"OneHot", 1, "depth"},
    {"Pad", 1, "pads"},
    {"Pad", 2, "value"},
    {"Pad", 3, "axes"},
    {"ReduceL1", 1, "axes"},
    {"ReduceL2", 1, "axes"},
    {"ReduceLogSum", 1, "axes"},
    {"ReduceLogSumExp", 1, "axes"},
    {"ReduceMax", 1, "axes"},
    {"ReduceMean", 1, "axes"},
    {"ReduceMin", 1, "axes"},
    {"ReduceProd", 1, "axes"},
    {"ReduceSum", 1, "axes"},
    {"ReduceSumSquare", 1, "axes"},
    {"Reshape", 1, "shape"},
    {"Resize", 1, "roi", 11},
    {"Resize", 1, "scales"},
    {"Resize", 2, "scales"},
    {"Resize", 3, "sizes"},
    {"Slice", 1, "starts"},
    {"Slice", 2, "ends"},
    {"Slice", 3, "axes"},
    {"Slice", 4, "steps"},
    {"Split", 1, "split"},
    {"Squeeze", 1, "axes"},
    {"Tile", 1, "repeats"},
    {"Trilu", 1, "k"},
    {"Unsqueeze", 1, "axes"},
    {"Upsample", 1, "scales"},
};

/// Attributes that ONNX defines as a single number stay one.
bool is_scalar(std::string_view attribute) {
  return attribute == "min" || attribute == "max" || attribute == "value" || attribute == "k" || attribute == "depth";
}

Attribute attribute_of(const Node& node, const HostTensor& value, std::string_view attribute) {
  if (!is_scalar(attribute)) {
    if (!value.holds_integer()) return narrowed_to_float(value).floats();
    return value.ints();
  }
  if (elements_of(value.shape) != 1) {
    throw Error(ErrorKind::kBadInput, Place{.node = node.name},
                node.op + ": " + std::string(attribute) + " has " + std::to_string(elements_of(value.shape)) +
                    " elements when it should have 1");
  }
  if (!value.holds_integer()) return narrowed_to_float(value).floats()[0];
  return value.ints()[0];
}

}  // namespace

std::string_view parameter_name(std::string_view op, int i, std::int64_t opset) {
  for (const Parameter& p : kParameters) {
    if (p.op == op && p.input == i && opset >= p.first_opset) return p.attribute;
  }
  return {};
}

void inline_parameters(const Graph& graph, Node& node) {
  for (int i = 0; i < static_cast<int>(node.inputs.size()); ++i) {
    const std::string_view attribute = parameter_name(node.op, i, graph.opset);
    if (attribute.empty() || node.inputs[i] == kNone) continue;
    const Tensor& tensor = graph.tensors[node.inputs[i]];
    if (!tensor.is_constant()) continue;
    if (tensor.elements() > 0 || !(node.op == "Resize" || node.op == "Upsample")) {  // Resize: empty means absent
      node.attributes[std::string(attribute)] = attribute_of(node, materialise(tensor), attribute);
    }
    node.inputs[i] = kNone;
  }
  while (!node.inputs.empty() && node.inputs.back() == kNone) node.inputs.pop_back();
}

}  // namespace spillway::workloads
