// ModelProto to Graph, before anything is known of the shapes between inputs and outputs.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "workloads/graph.h"
#include "workloads/onnx/onnx_proto.h"
#include "workloads/onnx/tensor_reader.h"

namespace spillway::workloads {

/// One extent as a file declares it: a number, a name, or neither.
struct DeclaredExtent {
  std::optional<std::int64_t> value;
  std::string name;
};

/// What a file declares of a tensor (graph input, output or value_info).
struct Declared {
  std::optional<DataType> type;
  std::optional<std::vector<DeclaredExtent>> extents;
};
[[nodiscard]] std::string to_string(const std::vector<DeclaredExtent>& extents);  ///< "batchx4x?x64"

struct ReadGraph {
  Graph graph;                                      ///< sorted; only constants have shapes
  std::unordered_map<TensorId, Declared> declared;  ///< looked up, never iterated
  std::unordered_set<TensorId> selected;  ///< results of an If that data decide: the inputs must be of one shape
};

/// Empties `model` of its weights. Throws Error(kBadInput) for whatever makes it no graph that can be loaded: opset,
/// control flow and unsupported operators (all at once), duplicate or dangling names, cycles, bad tensors.
/// With `conditionals`, nodes If are let through: their outputs are tensors of which nothing is known.
[[nodiscard]] ReadGraph read_graph(onnx::ModelProto& model, ExternalFiles& files, bool conditionals = false);

}  // namespace spillway::workloads
