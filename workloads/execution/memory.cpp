// How much memory a run of the reference executor takes, worked out before it starts.
#include <algorithm>

#include "workloads/operators/operators.h"
#include "workloads/workloads.h"

namespace spillway::workloads {

namespace {

/// As HostTensor holds it.
std::int64_t held_bytes(const Tensor& tensor) {
  const bool single = is_float(tensor.type) && tensor.type != DataType::kFloat64;
  return elements_of(tensor.shape) * (single ? 4 : 8);
}

/// float32 in a mapped file is read in place.
bool is_mapped(const Tensor& tensor) {
  return tensor.is_constant() && tensor.type == DataType::kFloat32 &&
         std::holds_alternative<Constant::External>(tensor.constant->source);
}

}  // namespace

std::int64_t peak_bytes(const Graph& graph) {
  std::vector<std::size_t> last_use(graph.tensors.size(), 0);
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    if (graph.nodes[n].folded) continue;
    for (const TensorId id : graph.nodes[n].inputs) {
      if (id != kNone) last_use[id] = n;
    }
  }
  for (const TensorId id : graph.outputs) last_use[id] = graph.nodes.size();
  std::vector<bool> alive(graph.tensors.size(), false);
  std::int64_t now = 0;
  std::int64_t most = 0;
  const auto begin = [&](TensorId id) {
    if (id == kNone || alive[id] || is_mapped(graph.tensors[id])) return;
    alive[id] = true;
    now += held_bytes(graph.tensors[id]);
  };
  for (const TensorId id : graph.inputs) begin(id);
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    if (node.folded) continue;
    for (const TensorId id : node.inputs) begin(id);
    const OpDef* def = find_operator(node.op);
    const bool renames = def != nullptr && def->op_class == OpClass::kView;
    if (!renames) {
      for (const TensorId id : node.outputs) begin(id);
    }
    most = std::max(most, now);
    for (const TensorId id : node.inputs) {
      if (id == kNone || last_use[id] != n || !alive[id]) continue;
      alive[id] = false;
      now -= held_bytes(graph.tensors[id]);
    }
    if (renames) {  // the same elements under another name, unless the input lives on
      for (const TensorId id : node.outputs) begin(id);
    }
  }
  return most;
}

}  // namespace spillway::workloads
