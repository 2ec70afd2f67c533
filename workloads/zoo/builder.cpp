#include "workloads/zoo/builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <utility>

#ifndef ONNX_NAMESPACE
#define ONNX_NAMESPACE onnx
#endif
#ifndef ONNX_ML
#define ONNX_ML 1
#endif
#include <onnx/onnx_pb.h>

#include "configs/error.h"
#include "workloads/decode.h"
#include "workloads/number_formats.h"

namespace spillway::workloads::zoo {
namespace {

onnx::TensorProto::DataType onnx_type(DataType type) {
  switch (type) {
    case DataType::kFloat32:
      return onnx::TensorProto::FLOAT;
    case DataType::kFloat16:
      return onnx::TensorProto::FLOAT16;
    case DataType::kInt32:
      return onnx::TensorProto::INT32;
    case DataType::kInt64:
      return onnx::TensorProto::INT64;
    case DataType::kBool:
      return onnx::TensorProto::BOOL;
    default:
      internal_error("the zoo builds no tensor of this element type");
  }
}

void set_type(onnx::ValueInfoProto& info, const Value& value) {
  info.set_name(value.name);
  auto& tensor = *info.mutable_type()->mutable_tensor_type();
  tensor.set_elem_type(onnx_type(value.type));
  auto& shape = *tensor.mutable_shape();
  for (const auto extent : value.shape) shape.add_dim()->set_dim_value(extent);
}

void set_header(onnx::TensorProto& tensor, DataType type, const Shape& shape) {
  tensor.set_data_type(onnx_type(type));
  for (const auto extent : shape) tensor.add_dims(extent);
}

template <typename T>
void set_raw(onnx::TensorProto& tensor, const std::vector<T>& values) {
  std::string raw(values.size() * sizeof(T), '\0');
  if (!values.empty()) std::memcpy(raw.data(), values.data(), raw.size());
  tensor.set_raw_data(std::move(raw));
}

void set_attribute(onnx::AttributeProto& proto, const Builder::Attribute& attribute) {
  proto.set_name(attribute.name);
  if (const auto* i = std::get_if<std::int64_t>(&attribute.value)) {
    proto.set_type(onnx::AttributeProto::INT);
    proto.set_i(*i);
  } else if (const auto* f = std::get_if<float>(&attribute.value)) {
    proto.set_type(onnx::AttributeProto::FLOAT);
    proto.set_f(*f);
  } else if (const auto* s = std::get_if<std::string>(&attribute.value)) {
    proto.set_type(onnx::AttributeProto::STRING);
    proto.set_s(*s);
  } else {
    proto.set_type(onnx::AttributeProto::INTS);
    for (const auto value : std::get<std::vector<std::int64_t>>(attribute.value)) proto.add_ints(value);
  }
}

onnx::TensorProto& value_attribute(onnx::NodeProto& node) {
  auto& attribute = *node.add_attribute();
  attribute.set_name("value");
  attribute.set_type(onnx::AttributeProto::TENSOR);
  return *attribute.mutable_t();
}

/// FNV-1a: a fixed function of the name, so that a weight keeps its values whatever else the model holds.
std::uint64_t hash_of(const std::string& text) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const char c : text) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001b3U;
  }
  return hash;
}

}  // namespace

Generator uniform(float deviation) {
  return {.kind = Generator::Kind::kUniform, .seed = 0, .scale = deviation * std::sqrt(3.0F)};
}

Builder::Builder(const std::string& graph_name, DataType float_type, std::uint64_t seed)
    : model_(std::make_unique<onnx::ModelProto>()),
      graph_(model_->mutable_graph()),
      float_type_(float_type),
      seed_(seed) {
  // What PyTorch 1.13 writes for opset 14.
  model_->set_ir_version(7);
  model_->set_producer_name("spillway");
  auto& opset = *model_->add_opset_import();
  opset.set_domain("");
  opset.set_version(14);
  graph_->set_name(graph_name);
  graph_->set_doc_string(fmt::format("spillway zoo, seed {}", seed));
}

Builder::~Builder() = default;

Builder::Scope::Scope(Builder& builder, const std::string& module)
    : builder_(builder), outer_length_(builder.path_.size()) {
  builder.path_ += "/" + module;
}

Builder::Scope::~Scope() { builder_.path_.resize(outer_length_); }

Value Builder::input(const std::string& name, const Shape& shape, DataType type) {
  Value value{name, shape, type};
  set_type(*graph_->add_input(), value);
  return value;
}

Value Builder::output(const Value& value, const std::string& name) {
  for (auto& node : *graph_->mutable_node()) {
    for (auto& input : *node.mutable_input()) {
      if (input == value.name) input = name;
    }
    for (auto& output : *node.mutable_output()) {
      if (output == value.name) output = name;
    }
  }
  std::erase_if(intermediates_, [&](const Value& other) { return other.name == value.name; });
  Value renamed{name, value.shape, value.type};
  set_type(*graph_->add_output(), renamed);
  return renamed;
}

Value Builder::fresh(const std::string& op, const Shape& shape, DataType type) {
  const std::string name = path_ + "/" + op;
  const int count = names_[name]++;
  return {(count == 0 ? name : fmt::format("{}_{}", name, count)) + "_output_0", shape, type};
}

onnx::NodeProto& Builder::add_node(const std::string& op, const std::vector<Value>& inputs, const Value& output) {
  auto& node = *graph_->add_node();
  node.set_op_type(op);
  node.set_name(output.name.substr(0, output.name.size() - std::strlen("_output_0")));
  for (const auto& input : inputs) node.add_input(input.name);
  node.add_output(output.name);
  return node;
}

Value Builder::node(const std::string& op, const std::vector<Value>& inputs, const Shape& shape, DataType type,
                    const Attributes& attributes) {
  static_cast<void>(elements_of(shape));  // throws on overflow: options may ask for absurd sizes
  Value value = fresh(op, shape, type);
  auto& proto = add_node(op, inputs, value);
  for (const auto& attribute : attributes) set_attribute(*proto.add_attribute(), attribute);
  intermediates_.push_back(value);
  return value;
}

Value Builder::node(const std::string& op, const std::vector<Value>& inputs, const Shape& shape,
                    const Attributes& attributes) {
  return node(op, inputs, shape, inputs.at(0).type, attributes);
}

Value Builder::cast(const Value& x, DataType to) {
  return node("Cast", {x}, x.shape, to, {{"to", std::int64_t{onnx_type(to)}}});
}

Value Builder::reshape(const Value& x, const std::vector<std::int64_t>& target) {
  Shape shape = target;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] == 0) shape[d] = x.shape.at(d);
  }
  const auto wildcard = std::find(shape.begin(), shape.end(), -1);
  if (wildcard != shape.end()) {
    *wildcard = 1;
    *wildcard = elements_of(x.shape) / elements_of(shape);
  }
  return reshape(x, ints(target), shape);
}

Value Builder::reshape(const Value& x, const Value& target, const Shape& shape) {
  if (elements_of(shape) != elements_of(x.shape)) {
    internal_error(fmt::format("zoo: reshape of {} from {} to {}", x.name, to_string(x.shape), to_string(shape)));
  }
  return node("Reshape", {x, target}, shape, {{"allowzero", std::int64_t{0}}});
}

Value Builder::transpose(const Value& x, const std::vector<std::int64_t>& permutation) {
  Shape shape;
  for (const auto axis : permutation) shape.push_back(x.shape.at(static_cast<std::size_t>(axis)));
  return node("Transpose", {x}, shape, {{"perm", permutation}});
}

Value Builder::constant_of_shape(std::int64_t length, std::int64_t value) {
  const Value shape = ints({length});
  Value result = fresh("ConstantOfShape", {length}, DataType::kInt64);
  auto& tensor = value_attribute(add_node("ConstantOfShape", {shape}, result));
  set_header(tensor, DataType::kInt64, {1});
  set_raw(tensor, std::vector<std::int64_t>{value});
  intermediates_.push_back(result);
  return result;
}

Value Builder::ints(const std::vector<std::int64_t>& values) {
  Value value = fresh("Constant", {static_cast<std::int64_t>(values.size())}, DataType::kInt64);
  auto& tensor = value_attribute(add_node("Constant", {}, value));
  set_header(tensor, value.type, value.shape);
  set_raw(tensor, values);
  return value;
}

Value Builder::integer(std::int64_t number) {
  Value value = fresh("Constant", {}, DataType::kInt64);
  auto& tensor = value_attribute(add_node("Constant", {}, value));
  set_header(tensor, value.type, {});
  set_raw(tensor, std::vector<std::int64_t>{number});
  return value;
}

Value Builder::floats(const Shape& shape, const std::vector<float>& values, DataType type) {
  Value value = fresh("Constant", shape, type);
  auto& tensor = value_attribute(add_node("Constant", {}, value));
  set_header(tensor, type, shape);
  if (type == DataType::kFloat16) {
    std::vector<std::uint16_t> halves(values.size());
    std::transform(values.begin(), values.end(), halves.begin(), half_from_float);
    set_raw(tensor, halves);
  } else {
    set_raw(tensor, values);
  }
  return value;
}

Value Builder::number(float value) { return floats({}, {value}, float_type_); }

Value Builder::weight(const std::string& name, const Shape& shape, Generator generator) {
  std::string full = path_.substr(path_.empty() ? 0 : 1) + "." + name;
  std::replace(full.begin(), full.end(), '/', '.');
  generator.seed = seed_ * 0x9e3779b97f4a7c15U + hash_of(full);

  auto& tensor = *graph_->add_initializer();
  tensor.set_name(full);
  set_header(tensor, float_type_, shape);
  const std::int64_t bytes = elements_of(shape) * bytes_of(float_type_);
  if (bytes < kLeastExternalBytes) {
    const Tensor small{.name = full, .type = float_type_, .shape = shape, .constant = Constant{generator}};
    tensor.set_raw_data(encode_elements(materialise(small)));
    return {full, shape, float_type_};
  }
  const std::int64_t offset = weights_.empty() ? 0 : weights_.back().offset + weights_.back().bytes;
  weights_.push_back({full, float_type_, shape, generator, offset, bytes});
  tensor.set_data_location(onnx::TensorProto::EXTERNAL);
  const auto entry = [&](const char* key, const std::string& text) {
    auto& data = *tensor.add_external_data();
    data.set_key(key);
    data.set_value(text);
  };
  entry("location", kWeightsFile);
  entry("offset", std::to_string(offset));
  entry("length", std::to_string(bytes));
  return {full, shape, float_type_};
}

Value Builder::index_initializer(const std::string& name, const Shape& shape, const std::vector<std::int64_t>& values) {
  auto& tensor = *graph_->add_initializer();
  tensor.set_name(name);
  set_header(tensor, DataType::kInt64, shape);
  set_raw(tensor, values);
  return {name, shape, DataType::kInt64};
}

Model Builder::finish() {
  for (const auto& value : intermediates_) set_type(*graph_->add_value_info(), value);
  Model result;
  if (!model_->SerializeToString(&result.bytes)) internal_error("zoo: protobuf refused to serialise a model");
  result.weights = std::move(weights_);
  return result;
}

}  // namespace spillway::workloads::zoo
