#include "workloads/onnx/inference.h"

#include <fmt/format.h>

#include <algorithm>

#include "configs/error.h"
#include "workloads/onnx/folding.h"
#include "workloads/operators/operators.h"

namespace spillway::workloads {
namespace {

void check_declared(const Tensor& tensor, const Declared& declared) {
  if (declared.type && *declared.type != tensor.type) {
    throw Error(
        ErrorKind::kBadInput, Place{.tensor = tensor.name},
        fmt::format("is declared {} when its operator gives {}", name_of(*declared.type), name_of(tensor.type)));
  }
  if (!declared.extents) return;
  bool same = declared.extents->size() == tensor.shape.size();
  for (std::size_t d = 0; same && d < tensor.shape.size(); ++d) {
    const auto& extent = (*declared.extents)[d];
    same = !extent.value || *extent.value == tensor.shape[d];
  }
  if (!same) {
    throw Error(ErrorKind::kBadInput, Place{.tensor = tensor.name},
                fmt::format("is declared {} when its operator gives {}", to_string(*declared.extents),
                            to_string(tensor.shape)));
  }
}

void infer_node(Graph& graph, Node& node, Folder& folder) {
  const Shape unset{-1};
  for (const auto id : node.outputs) {
    if (id != kNone) graph.tensors[id].shape = unset;
  }
  InferContext context{graph, node, [&](int i) -> const HostTensor* {
                         return graph.has_input(node, i) ? folder.value(node.inputs[i]) : nullptr;
                       }};
  operator_of(node).infer(context);
  for (std::size_t i = 0; i < node.outputs.size(); ++i) {
    if (node.outputs[i] == kNone) continue;
    auto& tensor = graph.tensors[node.outputs[i]];
    if (tensor.shape == unset) {
      throw Error(ErrorKind::kBadInput, Place{.tensor = tensor.name},
                  fmt::format("is output {} of {}, which has no such output", i, node.op));
    }
    check_shape(tensor.shape);
  }
}

/// What only running the graph tells: the outputs of `node`.
void leave_open(Graph& graph, const Node& node) {
  for (const auto id : node.outputs) {
    if (id == kNone) continue;
    graph.tensors[id].dynamic = true;
    graph.tensors[id].shape.clear();
  }
}

bool reads_open_tensor(const Graph& graph, const Node& node) {
  return std::any_of(node.inputs.begin(), node.inputs.end(),
                     [&](TensorId id) { return id != kNone && graph.tensors[id].dynamic; });
}

}  // namespace

void infer_shapes(ReadGraph& read, bool dynamic) {
  auto& graph = read.graph;
  const auto check = [&](TensorId id) {
    const auto declared = read.declared.find(id);
    if (declared != read.declared.end()) check_declared(graph.tensors[id], declared->second);
  };
  for (TensorId id = 0; id < static_cast<TensorId>(graph.tensors.size()); ++id) {
    if (graph.tensors[id].is_constant()) check(id);
  }
  Folder folder(graph);
  for (auto& node : graph.nodes) {
    if (node.folded) continue;  // a Constant
    try {
      if (reads_open_tensor(graph, node) || node.op == "If") {
        leave_open(graph, node);
        continue;
      }
      try {
        infer_node(graph, node, folder);
      } catch (const UnknownUntilRun&) {
        if (!dynamic) throw;
        leave_open(graph, node);
        continue;
      }
      for (const auto id : node.outputs) {
        if (id != kNone) check(id);
      }
      folder.fold(node);
    } catch (const Error& error) {
      const auto output = node.outputs.front();
      throw error.within(Place{.node = node.name, .tensor = graph.tensors[output].name});
    }
  }
}

}  // namespace spillway::workloads
