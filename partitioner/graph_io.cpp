#include "partitioner/graph_io.h"

#include <fmt/format.h>

#include "configs/error.h"
#include "workloads/operators/operators.h"

namespace spillway::partitioner {

using workloads::Attribute;
using workloads::Constant;
using workloads::DataType;
using workloads::Graph;
using workloads::HostTensor;
using workloads::kNone;
using workloads::Node;
using workloads::NodeId;
using workloads::Tensor;
using workloads::TensorId;

namespace {

constexpr std::int64_t kMaxInt32 = std::numeric_limits<std::int32_t>::max();
constexpr std::int64_t kMaxInt64 = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kMinInt64 = std::numeric_limits<std::int64_t>::min();

// A constant that an operator's shape or region map depends on is a short list of integers; a short list of floats
// may be the scales of a Resize. Anything longer is weights.
constexpr std::int64_t kInlineIntegers = 4096;
constexpr std::int64_t kInlineFloats = 64;

template <typename A>
void data_type(A& a, auto& type) {
  a.number(type, 0, static_cast<std::int64_t>(DataType::kBool));
}

template <typename A>
void integers(A& a, auto& values) {
  a.list(values, 1, [&](auto& value) { a.number(value, kMinInt64, kMaxInt64); });
}

template <typename A>
void floats(A& a, auto& values) {
  a.list(values, 1, [&](auto& value) { a.real(value); });
}

template <typename A>
void shape_fields(A& a, auto& shape) {
  a.list(shape, 1, [&](auto& extent) { a.number(extent, 0, kMaxInt64); });
}

void write_host_tensor(ByteWriter& out, const HostTensor& tensor) {
  data_type(out, tensor.type);
  shape_fields(out, tensor.shape);
  out.flag(tensor.holds_float());
  if (tensor.holds_float()) {
    floats(out, tensor.floats());
  } else {
    integers(out, tensor.ints());
  }
}

std::shared_ptr<const HostTensor> read_host_tensor(ByteReader& in) {
  auto tensor = std::make_shared<HostTensor>();
  data_type(in, tensor->type);
  shape_fields(in, tensor->shape);
  bool holds_float = false;
  in.flag(holds_float);
  if (holds_float != workloads::is_float(tensor->type)) in.bad("a constant's elements are not of its type");
  std::size_t elements = 0;
  if (holds_float) {
    floats(in, tensor->data.emplace<0>());
    elements = tensor->floats().size();
  } else {
    integers(in, tensor->data.emplace<1>());
    elements = tensor->ints().size();
  }
  if (static_cast<std::int64_t>(elements) != workloads::elements_of(tensor->shape)) {
    in.bad(fmt::format("a constant has {} elements when its shape has {}", elements,
                       workloads::elements_of(tensor->shape)));
  }
  return tensor;
}

enum ConstantTag : std::int8_t { kNotConstant, kMissing, kGenerator, kInline, kConstantTags };

void write_constant(ByteWriter& out, const Tensor& tensor) {
  if (!tensor.constant) return out.integer(kNotConstant);
  const Constant& constant = *tensor.constant;
  if (const auto* missing = std::get_if<Constant::Missing>(&constant.source)) {
    out.integer(kMissing);
    return out.text(missing->file);
  }
  if (const auto* generator = std::get_if<workloads::Generator>(&constant.source)) {
    out.integer(kGenerator);
    out.number(generator->kind, 0, 1);
    out.bits(generator->seed);
    return out.real(generator->scale);
  }
  if (tensor.elements() <= (workloads::is_float(tensor.type) ? kInlineFloats : kInlineIntegers)) {
    out.integer(kInline);
    return write_host_tensor(out, workloads::materialise(tensor));
  }
  out.integer(kMissing);
  out.text("(constants are not part of a Program file)");
}

void read_constant(ByteReader& in, Tensor& tensor) {
  int tag = kNotConstant;
  in.number(tag, 0, kConstantTags - 1);
  if (tag == kMissing) {
    Constant::Missing missing;
    in.text(missing.file);
    tensor.constant = Constant{missing};
  } else if (tag == kGenerator) {
    workloads::Generator generator;
    in.number(generator.kind, 0, 1);
    in.bits(generator.seed);
    in.real(generator.scale);
    tensor.constant = Constant{generator};
  } else if (tag == kInline) {
    auto value = read_host_tensor(in);
    if (value->type != tensor.type || value->shape != tensor.shape) in.bad("a constant differs from its tensor");
    tensor.constant = Constant{std::move(value)};
  }
}

void write_attribute(ByteWriter& out, const Attribute& attribute) {
  out.integer(static_cast<std::int64_t>(attribute.index()));
  switch (attribute.index()) {
    case 0:
      return out.integer(std::get<0>(attribute));
    case 1:
      return out.real(std::get<1>(attribute));
    case 2:
      return out.text(std::get<2>(attribute));
    case 3:
      return integers(out, std::get<3>(attribute));
    case 4:
      return floats(out, std::get<4>(attribute));
    case 5:
      return out.list(std::get<5>(attribute), 1, [&](const std::string& s) { out.text(s); });
    default:
      return write_host_tensor(out, *std::get<6>(attribute));
  }
}

Attribute read_attribute(ByteReader& in) {
  static_assert(std::variant_size_v<Attribute> == 7);
  int index = 0;
  in.number(index, 0, 6);
  Attribute attribute;
  switch (index) {
    case 0:
      attribute = in.integer();
      break;
    case 1:
      in.real(attribute.emplace<1>());
      break;
    case 2:
      in.text(attribute.emplace<2>());
      break;
    case 3:
      integers(in, attribute.emplace<3>());
      break;
    case 4:
      floats(in, attribute.emplace<4>());
      break;
    case 5:
      in.list(attribute.emplace<5>(), 1, [&](std::string& s) { in.text(s); });
      break;
    default:
      attribute = read_host_tensor(in);
      break;
  }
  return attribute;
}

template <typename A>
void ids(A& a, auto& values, std::int64_t low, std::int64_t count) {
  a.list(values, 1, [&](auto& value) { a.number(value, low, count - 1); });
}

/// Shape inference again, on a copy, must reproduce every shape.
void check_shapes(const Graph& graph) {
  Graph again = graph;
  for (std::size_t n = 0; n < again.nodes.size(); ++n) {
    Node& node = again.nodes[n];
    if (node.folded) continue;
    std::vector<HostTensor> values(node.inputs.size());
    std::vector<char> known(node.inputs.size(), 0);
    const auto value = [&](int i) -> const HostTensor* {
      if (i < 0 || i >= static_cast<int>(node.inputs.size()) || node.inputs[i] == kNone) return nullptr;
      const Tensor& tensor = graph.tensors[node.inputs[i]];
      if (!tensor.constant || tensor.constant->missing() || tensor.elements() > kInlineIntegers) return nullptr;
      if (!known[i]) values[i] = workloads::materialise(tensor), known[i] = 1;
      return &values[i];
    };
    workloads::InferContext context{again, node, value};
    workloads::operator_of(node).infer(context);
    for (const TensorId id : node.outputs) {
      if (id == kNone) continue;
      if (again.tensors[id].shape != graph.tensors[id].shape) {
        throw Error(ErrorKind::kBadInput, Place{.node = node.name, .tensor = graph.tensors[id].name},
                    fmt::format("shape is {} when the operator makes {}", workloads::to_string(graph.tensors[id].shape),
                                workloads::to_string(again.tensors[id].shape)));
      }
    }
  }
}

/// Producers come before consumers; every tensor has one producer.
void check_order(const Graph& graph) {
  std::vector<NodeId> producer(graph.tensors.size(), kNone);
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    for (const TensorId id : graph.nodes[n].outputs) {
      if (id == kNone) continue;
      if (producer[id] != kNone) {
        throw Error(ErrorKind::kBadInput, Place{.tensor = graph.tensors[id].name}, "the tensor has two producers");
      }
      producer[id] = static_cast<NodeId>(n);
    }
  }
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    for (const TensorId id : graph.nodes[n].inputs) {
      if (id != kNone && producer[id] >= static_cast<NodeId>(n)) {
        throw Error(ErrorKind::kBadInput, Place{.node = graph.nodes[n].name, .tensor = graph.tensors[id].name},
                    "the tensor is read before it is made");
      }
    }
  }
}

}  // namespace

void write_graph(ByteWriter& out, const Graph& graph) {
  out.text(graph.name);
  out.text(graph.source);
  out.integer(graph.opset);
  out.list(graph.tensors, 4, [&](const Tensor& tensor) {
    out.text(tensor.name);
    data_type(out, tensor.type);
    shape_fields(out, tensor.shape);
    write_constant(out, tensor);
  });
  const auto tensors = static_cast<std::int64_t>(graph.tensors.size());
  out.list(graph.nodes, 7, [&](const Node& node) {
    out.text(node.name);
    out.text(node.op);
    ids(out, node.inputs, kNone, tensors);
    ids(out, node.outputs, kNone, tensors);
    out.integer(static_cast<std::int64_t>(node.attributes.size()));
    for (const auto& [name, attribute] : node.attributes) {
      out.text(name);
      write_attribute(out, attribute);
    }
    out.flag(node.folded);
    ids(out, node.origins, 0, kMaxInt32);
  });
  ids(out, graph.inputs, 0, tensors);
  ids(out, graph.outputs, 0, tensors);
  out.list(graph.warnings, 1, [&](const std::string& s) { out.text(s); });
}

Graph read_graph(ByteReader& in) {
  Graph graph;
  in.text(graph.name);
  in.text(graph.source);
  graph.opset = in.integer();
  try {
    in.list(graph.tensors, 4, [&](Tensor& tensor) {
      in.text(tensor.name);
      data_type(in, tensor.type);
      shape_fields(in, tensor.shape);
      static_cast<void>(workloads::elements_of(tensor.shape));  // refuses an overflow
      read_constant(in, tensor);
    });
    const auto tensors = static_cast<std::int64_t>(graph.tensors.size());
    in.list(graph.nodes, 7, [&](Node& node) {
      in.text(node.name);
      in.text(node.op);
      ids(in, node.inputs, kNone, tensors);
      ids(in, node.outputs, kNone, tensors);
      std::int64_t attributes = 0;
      in.number(attributes, 0, static_cast<std::int64_t>(in.remaining()));
      for (std::int64_t i = 0; i < attributes; ++i) {
        std::string name;
        in.text(name);
        node.attributes[name] = read_attribute(in);
      }
      in.flag(node.folded);
      ids(in, node.origins, 0, kMaxInt32);
    });
    ids(in, graph.inputs, 0, tensors);
    ids(in, graph.outputs, 0, tensors);
    in.list(graph.warnings, 1, [&](std::string& s) { in.text(s); });
    check_order(graph);
    workloads::connect(graph);
    check_shapes(graph);
  } catch (const Error& error) {
    throw error.within(Place{.file = in.file()});
  }
  return graph;
}

}  // namespace spillway::partitioner
