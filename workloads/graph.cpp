#include "workloads/graph.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "configs/error.h"

namespace spillway::workloads {
namespace {

struct TypeFacts {
  std::string_view name;
  std::int64_t bytes;
  bool is_float;
};

const TypeFacts& facts_of(DataType type) {
  static constexpr std::array<TypeFacts, 13> kFacts{{{"float32", 4, true},
                                                     {"float16", 2, true},
                                                     {"bfloat16", 2, true},
                                                     {"float64", 8, true},
                                                     {"int8", 1, false},
                                                     {"uint8", 1, false},
                                                     {"int16", 2, false},
                                                     {"uint16", 2, false},
                                                     {"int32", 4, false},
                                                     {"uint32", 4, false},
                                                     {"int64", 8, false},
                                                     {"uint64", 8, false},
                                                     {"bool", 1, false}}};
  return kFacts.at(static_cast<std::size_t>(type));
}

template <typename T>
constexpr std::string_view kAttributeTypeName{};
template <>
constexpr std::string_view kAttributeTypeName<std::int64_t> = "an integer";
template <>
constexpr std::string_view kAttributeTypeName<float> = "a float";
template <>
constexpr std::string_view kAttributeTypeName<std::string> = "a string";
template <>
constexpr std::string_view kAttributeTypeName<std::vector<std::int64_t>> = "a list of integers";
template <>
constexpr std::string_view kAttributeTypeName<std::vector<float>> = "a list of floats";
template <>
constexpr std::string_view kAttributeTypeName<std::vector<std::string>> = "a list of strings";
template <>
constexpr std::string_view kAttributeTypeName<std::shared_ptr<const HostTensor>> = "a tensor";

template <typename T>
T attribute_or(const Node& node, const std::string& name, T fallback) {
  const auto found = node.attributes.find(name);
  if (found == node.attributes.end()) return fallback;
  if (const T* value = std::get_if<T>(&found->second)) return *value;
  const auto held =
      std::visit([](const auto& v) { return kAttributeTypeName<std::decay_t<decltype(v)>>; }, found->second);
  throw Error(ErrorKind::kBadInput, Place{.node = node.name},
              fmt::format("attribute '{}' is {} when it should be {}", name, held, kAttributeTypeName<T>));
}

}  // namespace

std::string_view name_of(DataType type) { return facts_of(type).name; }
std::int64_t bytes_of(DataType type) { return facts_of(type).bytes; }
bool is_float(DataType type) { return facts_of(type).is_float; }

std::int64_t narrowed(DataType type, std::int64_t value) {
  switch (type) {
    case DataType::kInt8:
      return static_cast<std::int8_t>(value);
    case DataType::kUint8:
      return static_cast<std::uint8_t>(value);
    case DataType::kInt16:
      return static_cast<std::int16_t>(value);
    case DataType::kUint16:
      return static_cast<std::uint16_t>(value);
    case DataType::kInt32:
      return static_cast<std::int32_t>(value);
    case DataType::kUint32:
      return static_cast<std::uint32_t>(value);
    case DataType::kBool:
      return value != 0 ? 1 : 0;
    default:
      return value;
  }
}

bool is_held_as(const HostTensor& tensor, DataType type) {
  if (!is_float(type)) return tensor.holds_integer();
  return type == DataType::kFloat64 ? tensor.holds_double() : tensor.holds_float();
}

HostTensor narrowed_to_float(HostTensor tensor) {
  return tensor.type == DataType::kFloat64 ? held_as(std::move(tensor), DataType::kFloat32) : tensor;
}

HostTensor held_as(HostTensor tensor, DataType type) {
  if (is_float(tensor.type) != is_float(type)) internal_error("a tensor is held as another kind of number");
  tensor.type = type;
  if (is_held_as(tensor, type)) return tensor;
  if (tensor.holds_double()) {
    const auto values = std::move(tensor.doubles());
    tensor.data = std::vector<float>(values.begin(), values.end());
  } else {
    const auto values = std::move(tensor.floats());
    tensor.data = std::vector<double>(values.begin(), values.end());
  }
  return tensor;
}

std::int64_t elements_of(const Shape& shape) {
  constexpr std::int64_t kLimit = std::int64_t{1} << 62;
  for (const auto extent : shape) {
    if (extent < 0) {
      throw Error(ErrorKind::kBadInput, Place{},
                  fmt::format("shape {} has the negative extent {}", to_string(shape), extent));
    }
  }
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return 0;
  std::int64_t n = 1;
  for (const auto extent : shape) {
    if (n > kLimit / extent) {
      throw Error(ErrorKind::kBadInput, Place{}, fmt::format("shape {} has more than 2^62 elements", to_string(shape)));
    }
    n *= extent;
  }
  return n;
}

std::string to_string(const Shape& shape) {
  if (shape.empty()) return "scalar";
  return fmt::format("{}", fmt::join(shape, "x"));
}

Box whole(const Shape& shape) {
  if (shape.size() > static_cast<std::size_t>(kMaxRank)) {
    throw Error(
        ErrorKind::kBadInput, Place{},
        fmt::format("shape {} has rank {} when at most {} is handled", to_string(shape), shape.size(), kMaxRank));
  }
  Box box;
  box.rank = static_cast<int>(shape.size());
  for (int d = 0; d < box.rank; ++d) {
    const auto extent = shape[d];
    if (extent < 0 || extent > std::numeric_limits<std::int32_t>::max()) {
      throw Error(
          ErrorKind::kBadInput, Place{},
          fmt::format("shape {} has the extent {} when it should be from 0 to 2^31 - 1", to_string(shape), extent));
    }
    box.set(d, 0, static_cast<std::int32_t>(extent));
  }
  return box;
}

std::int64_t Node::integer(const std::string& key, std::int64_t fallback) const {
  return attribute_or<std::int64_t>(*this, key, fallback);
}
float Node::real(const std::string& key, float fallback) const { return attribute_or<float>(*this, key, fallback); }
std::string Node::text(const std::string& key, const std::string& fallback) const {
  return attribute_or<std::string>(*this, key, fallback);
}
std::vector<std::int64_t> Node::integers(const std::string& key, const std::vector<std::int64_t>& fallback) const {
  return attribute_or<std::vector<std::int64_t>>(*this, key, fallback);
}
std::vector<float> Node::reals(const std::string& key) const {
  return attribute_or<std::vector<float>>(*this, key, {});
}

bool Graph::is_output(TensorId id) const { return std::find(outputs.begin(), outputs.end(), id) != outputs.end(); }

bool Graph::has_dynamic_shapes() const {
  return std::any_of(tensors.begin(), tensors.end(), [](const Tensor& t) { return t.dynamic; });
}

TensorId Graph::find_tensor(std::string_view wanted) const {
  const auto found = std::find_if(tensors.begin(), tensors.end(), [&](const Tensor& t) { return t.name == wanted; });
  return found == tensors.end() ? kNone : static_cast<TensorId>(found - tensors.begin());
}

void connect(Graph& graph) {
  for (auto& tensor : graph.tensors) {
    tensor.producer = kNone;
    tensor.consumers.clear();
  }
  const auto tensor_at = [&](const Node& node, TensorId id) -> Tensor& {
    if (id < 0 || id >= static_cast<TensorId>(graph.tensors.size())) {
      internal_error(fmt::format("node '{}' refers to tensor {} of {}", node.name, id, graph.tensors.size()));
    }
    return graph.tensors[id];
  };
  for (NodeId id = 0; id < static_cast<NodeId>(graph.nodes.size()); ++id) {
    const auto& node = graph.nodes[id];
    for (const auto input : node.inputs) {
      if (input == kNone) continue;
      auto& consumers = tensor_at(node, input).consumers;
      if (consumers.empty() || consumers.back() != id) consumers.push_back(id);
    }
    for (const auto output : node.outputs) {
      if (output == kNone) continue;
      auto& tensor = tensor_at(node, output);
      if (tensor.producer != kNone) {
        throw Error(ErrorKind::kBadInput, Place{.node = node.name, .tensor = tensor.name},
                    fmt::format("node '{}' produces it too", graph.nodes[tensor.producer].name));
      }
      tensor.producer = id;
    }
  }
}

}  // namespace spillway::workloads
