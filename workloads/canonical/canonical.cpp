#include "workloads/canonical.h"

#include <algorithm>
#include <map>
#include <memory>

#include "configs/error.h"
#include "workloads/canonical/patterns.h"
#include "workloads/operators/operators.h"

namespace spillway::workloads {

namespace {

bool reads_further_outputs(const Graph& graph, const Node& node) {
  for (std::size_t i = 1; i < node.outputs.size(); ++i) {
    const TensorId id = node.outputs[i];
    if (id != kNone && (!graph.tensors[id].consumers.empty() || graph.is_output(id))) return true;
  }
  return false;
}

void check_executable(const Graph& graph) {
  std::map<std::string, int> refused;
  bool only_shapes = true;
  for (const Node& node : graph.nodes) {
    const OpDef* def = find_operator(node.op);
    const bool executes = def != nullptr && (def->op_class == OpClass::kView || def->region != nullptr);
    // No kernel gives a second output (the places of a MaxPool, the statistics of a LayerNormalization).
    const bool more = executes && def->op_class != OpClass::kStatistics && reads_further_outputs(graph, node);
    if (executes && !more) continue;
    const bool recurrent = node.op == "LSTM" || node.op == "GRU" || node.op == "RNN";  // others were unrolled
    ++refused[node.op + (more        ? " for its second output"
                         : recurrent ? " with sequence lengths of its own or over 1024 steps"
                                     : "")];
    only_shapes &= def != nullptr && def->op_class == OpClass::kShape;
  }
  if (refused.empty()) return;
  std::string list;
  for (const auto& [op, count] : refused) {
    list += (list.empty() ? "" : ", ") + op + " (" + std::to_string(count) + ")";
  }
  throw Error(ErrorKind::kBadInput, Place{.file = graph.source}, "operators without an executable form: " + list,
              only_shapes
                  ? "shape arithmetic must fold: bind every dynamic dimension"
                  : "no engine of the NPU computes them: cut the graph before them, what follows runs on the host; the "
                    "reference executor runs it whole: spillway run --reference");
}

/// A Program is laid out before it runs: refuses, by name, the operators whose outputs' shapes depend on data.
void check_static(const Graph& graph) {
  std::map<std::string, int> refused;
  for (const Node& node : graph.nodes) {
    const auto dynamic = [&](TensorId id) { return id != kNone && graph.tensors[id].dynamic; };
    const bool first = std::none_of(node.inputs.begin(), node.inputs.end(), dynamic);  // not what merely follows
    if (first && std::any_of(node.outputs.begin(), node.outputs.end(), dynamic)) ++refused[node.op];
  }
  if (refused.empty()) return;
  std::string list;
  for (const auto& [op, count] : refused) {
    list += (list.empty() ? "" : ", ") + op + " (" + std::to_string(count) + ")";
  }
  throw Error(ErrorKind::kBadInput, Place{.file = graph.source},
              "operators whose output shapes depend on data: " + list,
              "the NPU runs static shapes only; the reference executor takes them: spillway run --reference");
}

/// No engine of the NPU computes in float64: what is executed is float32.
Graph without_float64(const Graph& exported) {
  Graph graph = exported;
  for (Tensor& tensor : graph.tensors) {
    if (tensor.type != DataType::kFloat64) continue;
    if (tensor.is_constant() && !tensor.constant->missing()) {
      tensor.constant = Constant{std::make_shared<const HostTensor>(narrowed_to_float(materialise(tensor)))};
    }
    tensor.type = DataType::kFloat32;
  }
  return graph;
}

bool has_float64(const Graph& graph) {
  return std::any_of(graph.tensors.begin(), graph.tensors.end(),
                     [](const Tensor& tensor) { return tensor.type == DataType::kFloat64; });
}

}  // namespace

bool is_per_channel(const Shape& constant, const Shape& full) {
  if (full.size() < 2 || constant.size() > full.size()) return false;
  const std::size_t missing = full.size() - constant.size();
  for (std::size_t d = 0; d < full.size(); ++d) {
    const std::int64_t found = d < missing ? 1 : constant[d - missing];
    if (found != (d == 1 ? full[1] : 1)) return false;
  }
  return true;
}

Graph canonicalise(const Graph& exported) {
  check_static(exported);
  Rewriter rewriter(has_float64(exported) ? without_float64(exported) : exported);
  for (const Pattern& pattern : kPatterns) pattern.run(rewriter);
  Graph graph = rewriter.finish();
  check_executable(graph);
  return graph;
}

}  // namespace spillway::workloads
