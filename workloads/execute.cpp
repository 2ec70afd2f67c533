// The reference executor: node after node on whole tensors in float32, for exported and canonical graphs alike.
#include <algorithm>
#include <optional>
#include <set>

#include "configs/error.h"
#include "workloads/operators/support.h"
#include "workloads/runtime_shapes.h"
#include "workloads/workloads.h"

namespace spillway::workloads {

namespace {

std::string describe(DataType type, const Shape& shape) { return std::string(name_of(type)) + " " + to_string(shape); }

void check_inputs(const Graph& graph, const TensorMap& inputs) {
  std::vector<std::string> names;
  for (const TensorId id : graph.inputs) names.push_back(graph.tensors[id].name);
  for (const auto& [name, tensor] : inputs) {
    if (std::find(names.begin(), names.end(), name) != names.end()) continue;
    const std::string nearest = nearest_name(name, names);
    throw Error(ErrorKind::kBadInput, Place{.file = graph.source, .tensor = name}, "is not an input of the graph",
                nearest.empty() ? "" : "did you mean '" + nearest + "'?");
  }
  for (const TensorId id : graph.inputs) {
    const Tensor& declared = graph.tensors[id];
    const Place place{.file = graph.source, .tensor = declared.name};
    const auto given = inputs.find(declared.name);
    if (given == inputs.end()) throw Error(ErrorKind::kBadInput, place, "no value is given for this input");
    const HostTensor& value = given->second;
    // Floats of any width are held alike; integers must be what the graph declares.
    const bool same_type = value.type == declared.type || (is_float(value.type) && is_float(declared.type));
    if (!same_type || value.shape != declared.shape) {
      throw Error(
          ErrorKind::kBadInput, place,
          "is " + describe(value.type, value.shape) + " when it should be " + describe(declared.type, declared.shape));
    }
    if (!is_held_as(value, value.type) || static_cast<std::int64_t>(value.held()) != declared.elements()) {
      throw Error(ErrorKind::kBadInput, place,
                  "holds " + std::to_string(value.held()) + " elements for " + describe(value.type, value.shape));
    }
  }
}

class Executor {
 public:
  Executor(const Graph& graph, const std::vector<std::string>& keep)
      : shapes_(graph), graph_(shapes_.graph()), values_(graph.tensors.size()), uses_left_(graph.tensors.size(), 0) {
    for (const Node& node : graph.nodes) {
      if (node.folded) continue;
      for (const TensorId id : node.inputs) {
        if (id != kNone) ++uses_left_[id];
      }
    }
    kept_.insert(graph.outputs.begin(), graph.outputs.end());
    for (const std::string& name : keep) {
      const TensorId id = graph.find_tensor(name);
      if (id == kNone) {
        throw Error(ErrorKind::kBadInput, Place{.file = graph.source, .tensor = name}, "is not a tensor of the graph");
      }
      kept_.insert(id);
    }
    for (const TensorId id : kept_) ++uses_left_[id];
  }

  TensorMap run(const TensorMap& inputs) {
    for (const TensorId id : graph_.inputs) {
      const Tensor& declared = graph_.tensors[id];
      if (uses_left_[id] == 0) continue;
      values_[id] = inputs.at(declared.name);
      if (is_float(declared.type)) values_[id] = held_as(std::move(*values_[id]), declared.type);
    }
    for (const Node& node : graph_.nodes) {
      if (node.folded) continue;
      try {
        run_node(node);
      } catch (const Error& error) {
        throw error.within(Place{.file = graph_.source, .node = node.name});
      }
    }
    TensorMap results;
    for (const TensorId id : kept_) results[graph_.tensors[id].name] = std::move(value_of(id));
    return results;
  }

 private:
  void run_node(const Node& node) {
    const OpDef& def = operator_of(node);
    std::vector<const HostTensor*> inputs;
    for (const TensorId id : node.inputs) inputs.push_back(id == kNone ? nullptr : &value_of(id));
    const RuntimeShapes::Inferred inferred(shapes_, node, inputs);
    std::vector<HostTensor> results = evaluate_node(def, graph_, node, inputs);
    for (const TensorId id : node.inputs) {
      if (id != kNone && --uses_left_[id] == 0) values_[id].reset();
    }
    for (std::size_t i = 0; i < node.outputs.size(); ++i) {
      const TensorId id = node.outputs[i];
      if (id == kNone || uses_left_[id] == 0) continue;
      const Tensor& declared = graph_.tensors[id];
      if (i >= results.size() || results[i].shape != declared.shape || !is_held_as(results[i], declared.type)) {
        internal_error("node '" + node.name + "' (" + node.op + ") computed something else than was inferred for '" +
                       declared.name + "'");
      }
      values_[id] = std::move(results[i]);
    }
  }

  /// Computed, given, or a constant that is read on first use.
  HostTensor& value_of(TensorId id) {
    std::optional<HostTensor>& value = values_[id];
    if (!value) {
      if (!graph_.tensors[id].is_constant()) {
        internal_error("tensor '" + graph_.tensors[id].name + "' is read before anything computes it");
      }
      value = materialise(graph_.tensors[id]);
    }
    return *value;
  }

  RuntimeShapes shapes_;
  const Graph& graph_;
  std::vector<std::optional<HostTensor>> values_;  ///< by TensorId; empty before it exists and after its last use
  std::vector<std::int64_t> uses_left_;            ///< reads by nodes to come, and one if kept
  std::set<TensorId> kept_;
};

}  // namespace

TensorMap execute(const Graph& graph, const TensorMap& inputs, const std::vector<std::string>& keep) {
  check_inputs(graph, inputs);
  return Executor(graph, keep).run(inputs);
}

}  // namespace spillway::workloads
