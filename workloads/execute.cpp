// The reference executor: node after node on whole tensors in float32, for exported and canonical graphs alike.
#include <algorithm>
#include <optional>
#include <set>

#include "configs/error.h"
#include "workloads/operators/support.h"
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
    const bool same_type =
        value.type == declared.type || (is_float(value.type) && is_float(declared.type) && value.holds_float());
    if (!same_type || value.shape != declared.shape) {
      throw Error(
          ErrorKind::kBadInput, place,
          "is " + describe(value.type, value.shape) + " when it should be " + describe(declared.type, declared.shape));
    }
    const std::size_t held = value.holds_float() ? value.floats().size() : value.ints().size();
    if (value.holds_float() != is_float(value.type) || static_cast<std::int64_t>(held) != declared.elements()) {
      throw Error(ErrorKind::kBadInput, place,
                  "holds " + std::to_string(held) + " elements for " + describe(value.type, value.shape));
    }
  }
}

class Executor {
 public:
  Executor(const Graph& graph, const ExecuteOptions& options)
      : graph_(graph), observe_(options.observe), values_(graph.tensors.size()), uses_left_(graph.tensors.size(), 0) {
    for (const Node& node : graph.nodes) {
      if (node.folded) continue;
      for (const TensorId id : node.inputs) {
        if (id != kNone) ++uses_left_[id];
      }
    }
    kept_.insert(graph.outputs.begin(), graph.outputs.end());
    for (const std::string& name : options.keep) {
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
      values_[id]->type = declared.type;
      if (observe_) observe_(id, *values_[id]);
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
    std::vector<HostTensor> results =
        def.evaluate != nullptr ? def.evaluate(graph_, node, inputs) : evaluate_by_kernel(def, graph_, node, inputs);
    for (const TensorId id : node.inputs) {
      if (id != kNone && --uses_left_[id] == 0) values_[id].reset();
    }
    for (std::size_t i = 0; i < node.outputs.size(); ++i) {
      const TensorId id = node.outputs[i];
      if (id == kNone || uses_left_[id] == 0) continue;
      const Tensor& declared = graph_.tensors[id];
      if (i >= results.size() || results[i].shape != declared.shape ||
          results[i].holds_float() != is_float(declared.type)) {
        internal_error("node '" + node.name + "' (" + node.op + ") computed something else than was inferred for '" +
                       declared.name + "'");
      }
      values_[id] = std::move(results[i]);
      if (observe_) observe_(id, *values_[id]);
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

  const Graph& graph_;
  const std::function<void(TensorId, const HostTensor&)>& observe_;
  std::vector<std::optional<HostTensor>> values_;  ///< by TensorId; empty before it exists and after its last use
  std::vector<std::int64_t> uses_left_;            ///< reads by nodes to come, and one if kept
  std::set<TensorId> kept_;
};

}  // namespace

TensorMap execute(const Graph& graph, const TensorMap& inputs, const std::vector<std::string>& keep) {
  return execute(graph, inputs, ExecuteOptions{.keep = keep});
}

TensorMap execute(const Graph& graph, const TensorMap& inputs, const ExecuteOptions& options) {
  check_inputs(graph, inputs);
  return Executor(graph, options).run(inputs);
}

}  // namespace spillway::workloads
