// Nodes that take the place of one, made one after the other.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "workloads/canonical/rewriter.h"

namespace spillway::workloads {

class NodeList {
 public:
  /// Nodes and tensors are named after `name`; tensors are of `type`.
  NodeList(Rewriter& rewriter, std::string name, DataType type)
      : rewriter_(rewriter), name_(std::move(name)), type_(type) {}

  /// Appends a node on `inputs`; its result is a fresh tensor of the shape given.
  TensorId add(const std::string& op, std::vector<TensorId> inputs, Shape shape,
               std::map<std::string, Attribute> attributes = {}) {
    Node node;
    node.name = name_ + ":" + std::to_string(nodes_.size());
    node.op = op;
    node.inputs = std::move(inputs);
    node.outputs = {rewriter_.add_tensor(node.name, type_, std::move(shape))};
    node.attributes = std::move(attributes);
    nodes_.push_back(std::move(node));
    return nodes_.back().outputs[0];
  }

  [[nodiscard]] std::vector<Node>& nodes() { return nodes_; }

 private:
  Rewriter& rewriter_;
  std::string name_;
  DataType type_;
  std::vector<Node> nodes_;
};

}  // namespace spillway::workloads
