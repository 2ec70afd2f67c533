// ONNX file -> Graph: parse, read, bind the inputs' shapes, infer all others.
#include <filesystem>
#include <memory>

#include "configs/error.h"
#include "workloads/onnx/conditional.h"
#include "workloads/onnx/graph_reader.h"
#include "workloads/onnx/inference.h"
#include "workloads/onnx/mapped_file.h"
#include "workloads/onnx/onnx_proto.h"
#include "workloads/onnx/shape_binding.h"
#include "workloads/workloads.h"

namespace spillway::workloads {
namespace {

/// Decides the conditions that shapes, constants and given values decide; false if that is none.
bool resolve(onnx::ModelProto& model, const std::string& folder, const ShapeBindings& bindings) {
  onnx::ModelProto copy = model;  // reading empties it
  ExternalFiles files(folder);
  auto read = read_graph(copy, files, true);
  bind_inputs(read, bindings);
  for (const auto id : read.graph.inputs) {
    auto& tensor = read.graph.tensors[id];
    const auto given = bindings.values.find(tensor.name);
    if (given == bindings.values.end() || given->second.type != tensor.type || given->second.shape != tensor.shape) {
      continue;
    }
    tensor.constant = Constant{std::make_shared<const HostTensor>(given->second)};
  }
  infer_shapes(read, true);
  return resolve_conditionals(*model.mutable_graph(), read.graph) > 0;
}

Graph import_span(std::span<const std::byte> bytes, const std::string& source, const std::string& folder,
                  const ShapeBindings& bindings) {
  try {
    ExternalFiles files(folder);
    auto model = parse_model(bytes, source);
    while (has_conditionals(*model->mutable_graph()) && resolve(*model, folder, bindings)) {
    }
    auto read = read_graph(*model, files);
    model.reset();
    bind_inputs(read, bindings);
    infer_shapes(read, bindings.dynamic);
    auto& graph = read.graph;
    graph.source = source;
    const auto absent = files.warnings();
    graph.warnings.insert(graph.warnings.end(), absent.begin(), absent.end());
    return std::move(graph);
  } catch (const Error& error) {
    throw error.within(Place{.file = source});
  }
}

}  // namespace

Graph import_onnx(const std::string& path, const ShapeBindings& bindings) {
  const auto file = MappedFile::open(path);
  const auto folder = std::filesystem::path(path).parent_path();
  return import_span(file->bytes(), path, folder.empty() ? "." : folder.string(), bindings);
}

Graph import_onnx_bytes(std::string_view bytes, const std::string& source, const std::string& folder,
                        const ShapeBindings& bindings) {
  return import_span(std::as_bytes(std::span(bytes)), source, folder, bindings);
}

}  // namespace spillway::workloads
