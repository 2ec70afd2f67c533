// A graph under rewriting: nodes in a linked list so that replacements keep topological order without sorting, and
// consumer lists that stay right after every change.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

#include "workloads/graph.h"

namespace spillway::workloads {

class Rewriter {
 public:
  enum class Origins : std::uint8_t { kOwn, kKept };
  /// Copies the graph without its folded nodes. kOwn: it is an exported one, every node's origins are its own id;
  /// kKept: it is canonical, they stay what they are.
  explicit Rewriter(const Graph& graph, Origins origins = Origins::kOwn);

  /// The rewritten graph: nodes whose outputs nobody needs and tensors that nothing touches are gone.
  [[nodiscard]] Graph finish();

  [[nodiscard]] const Graph& graph() const { return graph_; }
  [[nodiscard]] std::vector<NodeId> nodes() const;  ///< the living ones, in order
  [[nodiscard]] bool alive(NodeId id) const { return alive_[id]; }
  [[nodiscard]] const Node& node(NodeId id) const { return graph_.nodes[id]; }
  [[nodiscard]] const Tensor& tensor(TensorId id) const { return graph_.tensors[id]; }
  [[nodiscard]] NodeId producer(TensorId id) const { return id == kNone ? kNone : tensor(id).producer; }
  /// The producer if it is of type `op` and `id` its first output, else kNone.
  [[nodiscard]] NodeId producer(TensorId id, std::string_view op) const;
  [[nodiscard]] bool is_output(TensorId id) const { return is_output_[id]; }
  /// The one node that reads the tensor; kNone if there are several or the tensor is a graph output.
  [[nodiscard]] NodeId sole_consumer(TensorId id) const;
  [[nodiscard]] NodeId sole_consumer(TensorId id, std::string_view op) const;
  /// Of the two inputs of a node, the one that is not `id`; kNone if the node has not two, or reads `id` twice.
  [[nodiscard]] TensorId other_input(NodeId node, TensorId id) const;
  /// The value of a one-element constant.
  [[nodiscard]] std::optional<double> scalar(TensorId id) const;
  /// The value that every element of a constant has; nullopt if they differ or are not known.
  [[nodiscard]] std::optional<double> uniform(TensorId id) const;
  /// No output of `matched`, but for `result`, is a graph output or read outside `matched`.
  [[nodiscard]] bool exclusive(std::span<const NodeId> matched, TensorId result) const;

  /// Puts `replacements` (in dependency order) where the last one named of `matched` stands. Origins of `matched` that
  /// no replacement claims go to the last replacement. The replacements' outputs may be tensors of the matched nodes.
  void replace(std::span<const NodeId> matched, std::vector<Node> replacements);
  /// Removes a node that hands its input 0 through unchanged; graph outputs keep their name. Where the output is a
  /// graph output and the input cannot take its name, an Identity remains.
  void bypass(NodeId id);
  void set_input(NodeId id, int i, TensorId tensor);
  void erase(NodeId id);
  /// Constant inputs that are parameters (parameters.h) become attributes.
  void inline_parameters(NodeId id);
  /// Attributes and name may be changed; edges may not.
  [[nodiscard]] Node& edit(NodeId id) { return graph_.nodes[id]; }

  TensorId add_tensor(const std::string& name, DataType type, Shape shape);
  TensorId add_constant(const std::string& name, HostTensor value);
  TensorId add_missing(const std::string& name, DataType type, Shape shape, const std::string& file);
  /// The same elements under another shape: itself if the shape is the same already.
  TensorId reshaped(TensorId constant, const Shape& shape);
  /// Elements [from, from + as many as `shape` has) of a constant, as a constant of that shape.
  TensorId part(TensorId constant, std::int64_t from, const Shape& shape);

  /// A constant's elements; nullopt if it is not one, is missing, or has over 2^20 elements.
  [[nodiscard]] std::optional<HostTensor> value(TensorId id) const;

 private:
  NodeId append(Node node, NodeId before);
  void attach(NodeId id);
  void detach(NodeId id);
  void unlink(NodeId id);
  void remove_dead();

  Graph graph_;
  std::vector<NodeId> next_, previous_;
  NodeId first_ = kNone, last_ = kNone;
  std::vector<bool> alive_;
  std::vector<bool> is_output_;
  std::unordered_set<std::string> names_;
};

}  // namespace spillway::workloads
