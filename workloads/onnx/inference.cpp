#include "workloads/onnx/inference.h"

#include <fmt/format.h>

#include <algorithm>

#include "configs/error.h"
#include "workloads/onnx/conditional.h"
#include "workloads/onnx/folding.h"
#include "workloads/operators/operators.h"

namespace spillway::workloads {
namespace {

bool fits(const Tensor& tensor, const Declared& declared) {
  if (!declared.extents) return true;
  bool same = declared.extents->size() == tensor.shape.size();
  for (std::size_t d = 0; same && d < tensor.shape.size(); ++d) {
    const auto& extent = (*declared.extents)[d];
    same = !extent.value || *extent.value == tensor.shape[d];
  }
  return same;
}

std::string contradiction(const Tensor& tensor, const Declared& declared) {
  return fmt::format("is declared {} when its {} {}", to_string(*declared.extents),
                     tensor.is_constant() ? "value is" : "operator gives", to_string(tensor.shape));
}

/// Declared types must be right, and shapes of what a file holds itself. Other shapes are remarks for readers:
/// exporters are known to leave wrong ones on outputs, and ONNX Runtime goes by the operators there too.
class DeclarationCheck {
 public:
  explicit DeclarationCheck(ReadGraph& read) : read_(read) {}

  void operator()(TensorId id) {
    const auto found = read_.declared.find(id);
    if (found == read_.declared.end()) return;
    const Tensor& tensor = read_.graph.tensors[id];
    const Declared& declared = found->second;
    if (declared.type && *declared.type != tensor.type) {
      throw Error(
          ErrorKind::kBadInput, Place{.tensor = tensor.name},
          fmt::format("is declared {} when its operator gives {}", name_of(*declared.type), name_of(tensor.type)));
    }
    if (fits(tensor, declared)) return;
    const std::string what = contradiction(tensor, declared);
    if (tensor.is_constant()) throw Error(ErrorKind::kBadInput, Place{.tensor = tensor.name}, what);
    if (wrong_++ == 0) first_ = fmt::format("tensor '{}' {}, which counts", tensor.name, what);
  }

  /// One warning, however many there are.
  void report() {
    if (wrong_ == 0) return;
    read_.graph.warnings.push_back(wrong_ == 1 ? first_ : fmt::format("{} (and {} more like it)", first_, wrong_ - 1));
  }

 private:
  ReadGraph& read_;
  int wrong_ = 0;
  std::string first_;
};

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

/// Of a Where that selects between the branches of an If: it must not broadcast one branch's result to the other's
/// shape.
void check_branches(const Graph& graph, const Node& node) {
  const Tensor& yes = graph.input(node, 1);
  const Tensor& no = graph.input(node, 2);
  const auto shape_of = [](const Tensor& t) { return t.dynamic ? "a shape that depends on data" : to_string(t.shape); };
  if (!yes.dynamic && !no.dynamic && yes.shape == no.shape && yes.type == no.type) return;
  throw Error(ErrorKind::kBadInput, Place{.node = node.name},
              fmt::format("data decide this If, and its branches give {} {} and {} {}: a static graph needs one shape",
                          name_of(yes.type), shape_of(yes), name_of(no.type), shape_of(no)),
              std::string(kDecideIf));
}

bool reads_open_tensor(const Graph& graph, const Node& node) {
  return std::any_of(node.inputs.begin(), node.inputs.end(),
                     [&](TensorId id) { return id != kNone && graph.tensors[id].dynamic; });
}

}  // namespace

void infer_shapes(ReadGraph& read, bool dynamic) {
  auto& graph = read.graph;
  DeclarationCheck check(read);
  for (TensorId id = 0; id < static_cast<TensorId>(graph.tensors.size()); ++id) {
    if (graph.tensors[id].is_constant()) check(id);
  }
  Folder folder(graph);
  for (auto& node : graph.nodes) {
    if (node.folded) continue;  // a Constant
    try {
      if (read.selected.contains(node.outputs.front())) check_branches(graph, node);
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
  check.report();
}

}  // namespace spillway::workloads
