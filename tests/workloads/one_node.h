// A graph of one node, built by hand: what operator tests need.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "configs/error.h"
#include "workloads/operators/support.h"
#include "workloads/workloads.h"

namespace spillway::workloads::test {

inline HostTensor floats(Shape shape, std::vector<float> values) {
  HostTensor t;
  t.shape = std::move(shape);
  t.data = std::move(values);
  return t;
}
inline HostTensor ints(Shape shape, std::vector<std::int64_t> values, DataType type = DataType::kInt64) {
  HostTensor t;
  t.type = type;
  t.shape = std::move(shape);
  t.data = std::move(values);
  return t;
}
inline HostTensor bools(Shape shape, std::vector<std::int64_t> values) {
  return ints(std::move(shape), std::move(values), DataType::kBool);
}
/// A list of integers as an ONNX parameter input.
inline HostTensor list(std::vector<std::int64_t> values) {
  const auto count = static_cast<std::int64_t>(values.size());
  return ints({count}, std::move(values));
}

/// An input: data that arrives at run time, or a constant of the graph, or omitted.
struct In {
  std::optional<HostTensor> value;
  bool constant = false;
  In() = default;
  In(HostTensor v) : value(std::move(v)) {}  // NOLINT: reads well in tests
  In(HostTensor v, bool c) : value(std::move(v)), constant(c) {}
};
inline In fixed(HostTensor value) { return {std::move(value), true}; }
inline In omitted() { return {}; }

using Attributes = std::map<std::string, Attribute>;
using IntList = std::vector<std::int64_t>;

/// The node, inferred on construction. Throws what inference throws.
class OneNode {
 public:
  OneNode(const std::string& op, std::vector<In> inputs, Attributes attributes = {}, int outputs = 1,
          std::int64_t opset = 17)
      : inputs_(std::move(inputs)) {
    graph_.opset = opset;
    Node node;
    node.name = "the_node";
    node.op = op;
    node.attributes = std::move(attributes);
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      if (!inputs_[i].value) {
        node.inputs.push_back(kNone);
        continue;
      }
      const HostTensor& value = *inputs_[i].value;
      Tensor tensor;
      tensor.name = "in" + std::to_string(i);
      tensor.type = value.type;
      tensor.shape = value.shape;
      const auto id = static_cast<TensorId>(graph_.tensors.size());
      if (inputs_[i].constant) {
        tensor.constant = Constant{std::make_shared<const HostTensor>(value)};
      } else {
        graph_.inputs.push_back(id);
      }
      node.inputs.push_back(id);
      graph_.tensors.push_back(std::move(tensor));
    }
    for (int k = 0; k < outputs; ++k) {
      const auto id = static_cast<TensorId>(graph_.tensors.size());
      Tensor tensor;
      tensor.name = "out" + std::to_string(k);
      graph_.tensors.push_back(std::move(tensor));
      node.outputs.push_back(id);
      graph_.outputs.push_back(id);
    }
    graph_.nodes.push_back(std::move(node));
    connect(graph_);
    InferContext context{
        graph_, graph_.nodes[0], [this](int i) -> const HostTensor* {
          return inputs_[static_cast<std::size_t>(i)].constant ? &*inputs_[static_cast<std::size_t>(i)].value : nullptr;
        }};
    operator_of(graph_.nodes[0]).infer(context);
  }

  [[nodiscard]] const Graph& graph() const { return graph_; }
  [[nodiscard]] const Node& node() const { return graph_.nodes[0]; }
  [[nodiscard]] const OpDef& def() const { return operator_of(node()); }
  [[nodiscard]] const Tensor& output(int i = 0) const { return graph_.output(node(), i); }
  [[nodiscard]] const std::vector<In>& inputs() const { return inputs_; }

  [[nodiscard]] std::vector<HostTensor> evaluate() const {
    std::vector<const HostTensor*> pointers;
    for (const In& in : inputs_) pointers.push_back(in.value ? &*in.value : nullptr);
    return def().evaluate != nullptr ? def().evaluate(graph_, node(), pointers)
                                     : evaluate_by_kernel(def(), graph_, node(), pointers);
  }
  [[nodiscard]] configs::VectorWork work() const { return def().vector_work(graph_, node(), whole(output().shape)); }

 private:
  std::vector<In> inputs_;
  Graph graph_;
};

/// The floats that a node computes.
inline std::vector<float> computed(const std::string& op, std::vector<In> inputs, Attributes attributes = {}) {
  return OneNode(op, std::move(inputs), std::move(attributes)).evaluate().at(0).floats();
}
inline std::vector<std::int64_t> compute_ints(const std::string& op, std::vector<In> inputs,
                                              Attributes attributes = {}) {
  return OneNode(op, std::move(inputs), std::move(attributes)).evaluate().at(0).ints();
}
/// The message of the Error that building or computing the node throws; empty if it throws none.
inline std::string refusal(const std::string& op, std::vector<In> inputs, Attributes attributes = {}, int outputs = 1) {
  try {
    static_cast<void>(OneNode(op, std::move(inputs), std::move(attributes), outputs).evaluate());
  } catch (const Error& error) {
    return error.kind() == ErrorKind::kBadInput ? error.what() : std::string("internal: ") + error.what();
  }
  return {};
}

}  // namespace spillway::workloads::test
