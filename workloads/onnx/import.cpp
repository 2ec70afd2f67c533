// ONNX file -> Graph: parse, read, bind the inputs' shapes, infer all others.
#include <fmt/format.h>

#include <filesystem>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "configs/error.h"
#include "workloads/onnx/conditional.h"
#include "workloads/onnx/graph_reader.h"
#include "workloads/onnx/inference.h"
#include "workloads/onnx/mapped_file.h"
#include "workloads/onnx/onnx_proto.h"
#include "workloads/onnx/quantised_functions.h"
#include "workloads/onnx/shape_binding.h"
#include "workloads/workloads.h"

namespace spillway::workloads {
namespace {

/// Infers all shapes. Where both branches of an If are computed, one that is never taken may not fit the shapes given:
/// then the If is named, too.
void infer(ReadGraph& read, bool dynamic, bool selected) {
  try {
    infer_shapes(read, dynamic);
  } catch (const Error& error) {
    if (!selected || !error.help().empty()) throw;
    throw Error(error.kind(), error.place(), error.problem(), std::string(kDecideIf));
  }
}

/// A given value of one element as that input's, whatever integer type and rank it came in; nullptr if it is none.
std::shared_ptr<const HostTensor> given_value(const Tensor& input, const ShapeBindings& bindings) {
  const auto given = bindings.values.find(input.name);
  if (given == bindings.values.end() || is_float(input.type) || !given->second.holds_integer()) return nullptr;
  HostTensor value = given->second;
  if (value.held() == 1 && input.elements() == 1) value.shape = input.shape;
  if (value.shape != input.shape) return nullptr;
  value.type = input.type;
  return std::make_shared<const HostTensor>(std::move(value));
}

/// Decides the conditions that shapes, constants and given values decide; false if that is none.
bool resolve(onnx::ModelProto& model, const std::string& folder, const ShapeBindings& bindings, bool selected) {
  onnx::ModelProto copy = model;  // reading empties it
  ExternalFiles files(folder);
  auto read = read_graph(copy, files, true);
  bind_inputs(read, bindings);
  for (const auto id : read.graph.inputs) {
    auto& tensor = read.graph.tensors[id];
    if (auto value = given_value(tensor, bindings)) tensor.constant = Constant{std::move(value)};
  }
  infer(read, true, selected);
  return resolve_conditionals(*model.mutable_graph(), read.graph) > 0;
}

void note_selections(ReadGraph& read, const std::vector<Selection>& selections) {
  for (const Selection& selection : selections) {
    for (const auto& output : selection.outputs) read.selected.insert(read.graph.find_tensor(output));
    read.graph.warnings.push_back(
        fmt::format("node '{}': data decide this If: both of its branches are computed, and one result is selected",
                    selection.node));
  }
}

Graph import_span(std::span<const std::byte> bytes, const std::string& source, const std::string& folder,
                  const ShapeBindings& bindings) {
  try {
    ExternalFiles files(folder);
    auto model = parse_model(bytes, source);
    std::vector<Selection> selections;
    expand_quantised_functions(*model->mutable_graph());
    while (has_conditionals(model->graph())) {
      if (!resolve(*model, folder, bindings, !selections.empty())) {
        auto more = select_branches(*model->mutable_graph());
        std::move(more.begin(), more.end(), std::back_inserter(selections));
      }
      expand_quantised_functions(*model->mutable_graph());
    }
    auto read = read_graph(*model, files);
    model.reset();
    note_selections(read, selections);
    bind_inputs(read, bindings);
    infer(read, bindings.dynamic, !selections.empty());
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
