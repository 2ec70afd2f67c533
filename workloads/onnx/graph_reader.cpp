#include "workloads/onnx/graph_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <unordered_set>
#include <utility>

#include "configs/error.h"
#include "workloads/onnx/text.h"
#include "workloads/operators/operators.h"

namespace spillway::workloads {
namespace {

constexpr std::int64_t kOldestOpset = 7;
constexpr std::int64_t kNewestOpset = 23;

/// Operators whose definition in operator set 7 is older than that: the set that it dates from.
struct Unchanged {
  std::string_view op;
  std::int64_t since;
};
constexpr Unchanged kUnchanged[] = {
    {"Abs", 6},
    {"ArgMax", 1},
    {"ArgMin", 1},
    {"Cast", 6},
    {"Ceil", 6},
    {"Clip", 6},
    {"Concat", 4},
    {"Constant", 1},
    {"Conv", 1},
    {"ConvTranspose", 1},
    {"DepthToSpace", 1},
    {"Elu", 6},
    {"Exp", 6},
    {"Flatten", 1},
    {"Floor", 6},
    {"Gather", 1},
    {"GlobalAveragePool", 1},
    {"GlobalLpPool", 2},
    {"GlobalMaxPool", 1},
    {"HardSigmoid", 6},
    {"Hardmax", 1},
    {"Identity", 1},
    {"InstanceNormalization", 6},
    {"LRN", 1},
    {"LeakyRelu", 6},
    {"Log", 6},
    {"LogSoftmax", 1},
    {"LpNormalization", 1},
    {"LpPool", 2},
    {"MatMul", 1},
    {"Max", 6},
    {"MaxPool", 1},
    {"MaxRoiPool", 1},
    {"Mean", 6},
    {"Min", 6},
    {"Neg", 6},
    {"Not", 1},
    {"Pad", 2},
    {"Reciprocal", 6},
    {"ReduceL1", 1},
    {"ReduceL2", 1},
    {"ReduceLogSum", 1},
    {"ReduceLogSumExp", 1},
    {"ReduceMax", 1},
    {"ReduceMean", 1},
    {"ReduceMin", 1},
    {"ReduceProd", 1},
    {"ReduceSum", 1},
    {"ReduceSumSquare", 1},
    {"Relu", 6},
    {"Reshape", 5},
    {"Selu", 6},
    {"Shape", 1},
    {"Sigmoid", 6},
    {"Size", 1},
    {"Slice", 1},
    {"Softmax", 1},
    {"Softplus", 1},
    {"Softsign", 1},
    {"SpaceToDepth", 1},
    {"Split", 2},
    {"Sqrt", 6},
    {"Squeeze", 1},
    {"Sum", 6},
    {"Tanh", 6},
    {"Tile", 6},
    {"TopK", 1},
    {"Transpose", 1},
    {"Unsqueeze", 1},
};

bool is_default_domain(const std::string& domain) { return domain.empty() || domain == "ai.onnx"; }

/// Whether each operator of a graph from before operator set 7 means there what it means in operator set 7.
bool all_unchanged(const onnx::GraphProto& graph, std::int64_t opset) {
  return std::all_of(graph.node().begin(), graph.node().end(), [&](const onnx::NodeProto& node) {
    const auto known = std::find_if(std::begin(kUnchanged), std::end(kUnchanged),
                                    [&](const Unchanged& entry) { return entry.op == node.op_type(); });
    return is_default_domain(node.domain()) && known != std::end(kUnchanged) && opset >= known->since;
  });
}

std::int64_t read_opset(const onnx::ModelProto& model) {
  std::int64_t opset = 0;
  for (const auto& import : model.opset_import()) {
    if (is_default_domain(import.domain())) opset = std::max<std::int64_t>(opset, import.version());
  }
  if (opset == 0) {
    throw Error(ErrorKind::kBadInput, Place{}, "names no version of the ONNX operator set",
                "export the model with a current exporter");
  }
  const bool old = opset >= 1 && opset < kOldestOpset && all_unchanged(model.graph(), opset);
  if ((opset < kOldestOpset && !old) || opset > kNewestOpset) {
    throw Error(ErrorKind::kBadInput, Place{},
                fmt::format("uses ONNX operator set {} when {} to {} are supported", opset, kOldestOpset, kNewestOpset),
                "convert it with onnx.version_converter, or export it with opset_version=17");
  }
  return opset;
}

std::string qualified_op(const onnx::NodeProto& node) {
  return is_default_domain(node.domain()) ? node.op_type() : node.domain() + "." + node.op_type();
}

bool is_control_flow(const onnx::NodeProto& node) {
  return std::any_of(node.attribute().begin(), node.attribute().end(), [](const auto& a) {
    return a.type() == onnx::AttributeProto::GRAPH || a.type() == onnx::AttributeProto::GRAPHS;
  });
}

/// Lists everything that cannot be loaded at once: a user should not learn of it one run at a time.
void check_operators(const onnx::GraphProto& graph, bool conditionals) {
  std::map<std::string, int> unsupported;
  std::map<std::string, int> control_flow;
  for (const auto& node : graph.node()) {
    const auto op = qualified_op(node);
    check_text(op, "an operator type");
    if (op == "If" || op == "Loop" || op == "Scan" || is_control_flow(node)) {
      ++control_flow[op];
    } else if (op != "Constant" && find_operator(op) == nullptr) {
      ++unsupported[op];
    }
  }
  const bool only_ifs = control_flow.empty() || (control_flow.size() == 1 && control_flow.contains("If"));
  if (unsupported.empty() && (control_flow.empty() || (conditionals && only_ifs))) return;
  std::string list;
  for (const auto& [op, count] : unsupported) list += fmt::format("{}{} ({})", list.empty() ? "" : ", ", op, count);
  for (const auto& [op, count] : control_flow) {
    list += fmt::format("{}{} ({}, control flow)", list.empty() ? "" : ", ", op, count);
  }
  throw Error(ErrorKind::kBadInput, Place{}, fmt::format("operators that are not supported: {}", list),
              control_flow.empty() ? "re-export without them, or add them to workloads/operators"
                                   : "a static graph is needed: trace the model instead of scripting it");
}

Declared read_declared(const onnx::TypeProto& type) {
  if (!type.has_tensor_type()) {
    throw Error(ErrorKind::kBadInput, Place{}, "is not a dense tensor (a sequence, map, optional or sparse type)");
  }
  Declared result;
  const auto& tensor = type.tensor_type();
  if (tensor.elem_type() != onnx::TensorProto::UNDEFINED) result.type = data_type_of(tensor.elem_type());
  if (!tensor.has_shape()) return result;
  std::vector<DeclaredExtent> extents;
  for (const auto& dim : tensor.shape().dim()) {
    DeclaredExtent extent;
    if (dim.has_dim_value()) extent.value = dim.dim_value();
    if (dim.has_dim_param()) {
      check_text(dim.dim_param(), "a dimension name");
      extent.name = dim.dim_param();
    }
    // Some exporters write 0 or -1 for an extent that they do not know.
    if (extent.value && *extent.value <= 0) extent.value.reset();
    extents.push_back(std::move(extent));
  }
  result.extents = std::move(extents);
  return result;
}

class GraphReader {
 public:
  GraphReader(ExternalFiles& files, bool conditionals) : files_(files), conditionals_(conditionals) {}

  ReadGraph read(onnx::ModelProto& model) {
    graph_.opset = read_opset(model);
    auto& proto = *model.mutable_graph();
    check_text(proto.name(), "the graph's name");
    graph_.name = proto.name();
    check_operators(proto, conditionals_);
    if (proto.node().empty()) throw Error(ErrorKind::kBadInput, Place{}, "the graph has no operators");
    if (proto.sparse_initializer_size() != 0) {
      throw Error(ErrorKind::kBadInput, Place{.tensor = proto.sparse_initializer(0).values().name()},
                  "is a sparse initializer, which is not supported", "store it densely");
    }
    read_initializers(proto);
    read_inputs(proto);
    declare_node_outputs(proto);
    for (auto& node : *proto.mutable_node()) read_node(node);
    read_outputs(proto);
    for (const auto& info : proto.value_info()) {
      const auto found = ids_.find(info.name());
      if (found != ids_.end()) declare(found->second, info);
    }
    sort_topologically(graph_);
    return {.graph = std::move(graph_), .declared = std::move(declared_), .selected = {}};
  }

 private:
  TensorId add_tensor(const std::string& name, const std::string& what) {
    check_text(name, "a tensor name");
    const auto id = static_cast<TensorId>(graph_.tensors.size());
    const auto [place, added] = ids_.emplace(name, id);
    if (!added) {
      throw Error(ErrorKind::kBadInput, Place{.tensor = name}, fmt::format("{} has the name of another tensor", what));
    }
    graph_.tensors.push_back(Tensor{.name = name});
    return id;
  }

  TensorId add_unnamed(const onnx::NodeProto& node, NodeId producer) {
    std::string name = node.name() + ":0";
    while (ids_.contains(name)) name += "_";
    const TensorId id = add_tensor(name, "an output");
    graph_.tensors[id].producer = producer;
    return id;
  }

  void declare(TensorId id, const onnx::ValueInfoProto& info) {
    if (!info.has_type()) return;
    try {
      declared_[id] = read_declared(info.type());
    } catch (const Error& error) {
      throw error.within(Place{.tensor = info.name()});
    }
  }

  void set_constant(TensorId id, onnx::TensorProto& proto) {
    auto& tensor = graph_.tensors[id];
    try {
      auto read = read_tensor(proto, files_);
      tensor.type = read.type;
      tensor.shape = std::move(read.shape);
      tensor.constant = std::move(read.constant);
    } catch (const Error& error) {
      throw error.within(Place{.tensor = tensor.name});
    }
  }

  void read_initializers(onnx::GraphProto& proto) {
    for (auto& initializer : *proto.mutable_initializer()) {
      const auto id = add_tensor(initializer.name(), "an initializer");
      set_constant(id, initializer);
    }
  }

  void read_inputs(const onnx::GraphProto& proto) {
    std::unordered_set<std::string> seen;
    for (const auto& input : proto.input()) {
      check_text(input.name(), "a tensor name");
      if (!seen.insert(input.name()).second) {
        throw Error(ErrorKind::kBadInput, Place{.tensor = input.name()}, "is a graph input twice");
      }
      // Before IR version 4 every initializer was listed as an input as well.
      const auto initializer = ids_.find(input.name());
      const auto id = initializer != ids_.end() ? initializer->second : add_tensor(input.name(), "a graph input");
      declare(id, input);
      if (initializer == ids_.end()) graph_.inputs.push_back(id);
    }
  }

  void declare_node_outputs(onnx::GraphProto& proto) {
    std::set<std::string> names;
    for (const auto& node : proto.node()) names.insert(node.name());
    graph_.nodes.reserve(proto.node_size());
    for (int index = 0; index < proto.node_size(); ++index) {
      auto& node = *proto.mutable_node(index);
      check_text(node.name(), "a node name");
      if (node.name().empty()) {
        auto name = fmt::format("{}_{}", node.op_type(), index);
        while (!names.insert(name).second) name += "_";
        node.set_name(name);
      }
      graph_.nodes.push_back(Node{.name = node.name(), .op = qualified_op(node)});
      auto& outputs = graph_.nodes.back().outputs;
      for (const auto& output : node.output()) {
        if (output.empty()) {
          outputs.push_back(kNone);
          continue;
        }
        check_text(output, "a tensor name");
        const auto taken = ids_.find(output);
        if (taken != ids_.end()) throw_produced_twice(node.name(), taken->second);
        outputs.push_back(add_tensor(output, "an output"));
        graph_.tensors[outputs.back()].producer = static_cast<NodeId>(index);
      }
      // An operator may be wanted for its other outputs (the last state of a GRU); its first one exists all the same.
      const bool wanted = std::any_of(outputs.begin(), outputs.end(), [](TensorId id) { return id != kNone; });
      if (!wanted) outputs.clear();
      if (wanted && outputs.front() == kNone) outputs.front() = add_unnamed(node, static_cast<NodeId>(index));
    }
  }

  [[noreturn]] void throw_produced_twice(const std::string& node, TensorId id) {
    const auto& tensor = graph_.tensors[id];
    const auto other = tensor.producer != kNone ? fmt::format("node '{}'", graph_.nodes[tensor.producer].name)
                       : tensor.constant        ? std::string("an initializer")
                                                : std::string("a graph input");
    throw Error(ErrorKind::kBadInput, Place{.node = node, .tensor = tensor.name},
                fmt::format("is produced twice, the first time by {}", other));
  }

  void read_node(onnx::NodeProto& proto) {
    auto& node = graph_.nodes[next_node_++];
    for (const auto& input : proto.input()) {
      if (input.empty()) {
        node.inputs.push_back(kNone);
        continue;
      }
      const auto found = ids_.find(input);
      if (found == ids_.end()) {
        check_text(input, "a tensor name");
        throw Error(ErrorKind::kBadInput, Place{.node = node.name, .tensor = input},
                    "is read but no node, initializer or graph input provides it");
      }
      node.inputs.push_back(found->second);
    }
    if (node.outputs.empty()) {
      throw Error(ErrorKind::kBadInput, Place{.node = node.name}, "has no first output");
    }
    try {
      if (node.op == "If") {
        // Let through for its condition alone.
      } else if (node.op == "Constant") {
        read_constant_node(proto, node);
      } else {
        for (auto& attribute : *proto.mutable_attribute()) read_attribute(attribute, node);
      }
    } catch (const Error& error) {
      throw error.within(Place{.node = node.name});
    }
  }

  /// The graph-free attribute kinds. Throws for the others and for what is not there.
  void read_attribute(onnx::AttributeProto& proto, Node& node) {
    check_text(proto.name(), "an attribute name");
    const auto bad = [&](std::string_view problem) {
      return Error(ErrorKind::kBadInput, Place{}, fmt::format("attribute '{}' {}", proto.name(), problem));
    };
    if (!proto.ref_attr_name().empty()) throw bad("refers to a function's attribute outside of any function");
    Attribute value;
    switch (proto.type()) {
      case onnx::AttributeProto::INT:
        value = std::int64_t{proto.i()};
        break;
      case onnx::AttributeProto::FLOAT:
        value = proto.f();
        break;
      case onnx::AttributeProto::STRING:
        value = proto.s();
        break;
      case onnx::AttributeProto::INTS:
        value = std::vector<std::int64_t>(proto.ints().begin(), proto.ints().end());
        break;
      case onnx::AttributeProto::FLOATS:
        value = std::vector<float>(proto.floats().begin(), proto.floats().end());
        break;
      case onnx::AttributeProto::STRINGS:
        value = std::vector<std::string>(proto.strings().begin(), proto.strings().end());
        break;
      case onnx::AttributeProto::TENSOR: {
        auto read = read_tensor(*proto.mutable_t(), files_);
        const Tensor tensor{
            .name = proto.name(), .type = read.type, .shape = read.shape, .constant = std::move(read.constant)};
        value = std::make_shared<const HostTensor>(materialise(tensor));
        break;
      }
      default:
        throw bad("is of a kind that is not supported (graph, sparse tensor or type)");
    }
    if (!node.attributes.emplace(proto.name(), std::move(value)).second) throw bad("is given twice");
  }

  void read_constant_node(onnx::NodeProto& proto, Node& node) {
    const auto bad = [](std::string problem) { return Error(ErrorKind::kBadInput, Place{}, std::move(problem)); };
    if (node.outputs.size() != 1 || node.outputs.front() == kNone || !node.inputs.empty()) {
      throw bad(fmt::format("a Constant has {} inputs and {} outputs when it should have 0 and 1", node.inputs.size(),
                            node.outputs.size()));
    }
    if (proto.attribute_size() != 1) {
      throw bad(fmt::format("a Constant has {} attributes when it should have 1", proto.attribute_size()));
    }
    auto& attribute = *proto.mutable_attribute(0);
    node.folded = true;
    const auto id = node.outputs.front();
    if (attribute.name() == "value" && attribute.type() == onnx::AttributeProto::TENSOR) {
      set_constant(id, *attribute.mutable_t());
      return;
    }
    HostTensor host;
    if (attribute.name() == "value_int" && attribute.type() == onnx::AttributeProto::INT) {
      host = {DataType::kInt64, {}, std::vector<std::int64_t>{attribute.i()}};
    } else if (attribute.name() == "value_ints" && attribute.type() == onnx::AttributeProto::INTS) {
      host = {DataType::kInt64,
              {attribute.ints_size()},
              std::vector<std::int64_t>(attribute.ints().begin(), attribute.ints().end())};
    } else if (attribute.name() == "value_float" && attribute.type() == onnx::AttributeProto::FLOAT) {
      host = {DataType::kFloat32, {}, std::vector<float>{attribute.f()}};
    } else if (attribute.name() == "value_floats" && attribute.type() == onnx::AttributeProto::FLOATS) {
      host = {DataType::kFloat32,
              {attribute.floats_size()},
              std::vector<float>(attribute.floats().begin(), attribute.floats().end())};
    } else {
      check_text(attribute.name(), "an attribute name");
      throw bad(fmt::format("a Constant given by the attribute '{}' is not supported", attribute.name()));
    }
    auto& tensor = graph_.tensors[id];
    tensor.type = host.type;
    tensor.shape = host.shape;
    tensor.constant = Constant{std::make_shared<const HostTensor>(std::move(host))};
  }

  void read_outputs(const onnx::GraphProto& proto) {
    if (proto.output().empty()) throw Error(ErrorKind::kBadInput, Place{}, "the graph has no outputs");
    for (const auto& output : proto.output()) {
      const auto found = ids_.find(output.name());
      if (found == ids_.end()) {
        check_text(output.name(), "a tensor name");
        throw Error(ErrorKind::kBadInput, Place{.tensor = output.name()},
                    "is a graph output but no node, initializer or graph input provides it");
      }
      if (graph_.is_output(found->second)) {
        throw Error(ErrorKind::kBadInput, Place{.tensor = output.name()}, "is a graph output twice");
      }
      graph_.outputs.push_back(found->second);
      declare(found->second, output);
    }
  }

  ExternalFiles& files_;
  bool conditionals_;
  Graph graph_;
  std::unordered_map<std::string, TensorId> ids_;
  std::unordered_map<TensorId, Declared> declared_;
  std::size_t next_node_ = 0;
};

}  // namespace

std::string to_string(const std::vector<DeclaredExtent>& extents) {
  if (extents.empty()) return "scalar";
  std::string result;
  for (const auto& extent : extents) {
    if (!result.empty()) result += "x";
    result += extent.value ? std::to_string(*extent.value) : extent.name.empty() ? "?" : extent.name;
  }
  return result;
}

ReadGraph read_graph(onnx::ModelProto& model, ExternalFiles& files, bool conditionals) {
  return GraphReader(files, conditionals).read(model);
}

}  // namespace spillway::workloads
