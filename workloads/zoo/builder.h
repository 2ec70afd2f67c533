// A typed helper over ONNX protobuf: values that know their shape, nodes named as torch.onnx names them, and weights
// that live in one external file, each with the generator that fills it. The layers of layers.h are written on it.
//
// Names: a module path such as /down_blocks.0/resnets.0/conv1 names its nodes (/down_blocks.0/resnets.0/conv1/Conv) and
// its parameters (down_blocks.0.resnets.0.conv1.weight).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "workloads/graph.h"

namespace onnx {
class GraphProto;
class ModelProto;
class NodeProto;
}  // namespace onnx

namespace spillway::workloads::zoo {

/// A tensor of the graph under construction. An empty name stands for an omitted optional input.
struct Value {
  std::string name;
  Shape shape;
  DataType type = DataType::kFloat32;
};

/// A parameter of the external file: where it lies there, and what it holds.
struct Weight {
  std::string name;
  DataType type = DataType::kFloat32;
  Shape shape;
  Generator generator;
  std::int64_t offset = 0;
  std::int64_t bytes = 0;
};

/// A finished model: the serialised ModelProto and the contents of its external file.
struct Model {
  std::string bytes;
  std::vector<Weight> weights;  ///< in file order, without gaps
  [[nodiscard]] std::int64_t weight_bytes() const {
    return weights.empty() ? 0 : weights.back().offset + weights.back().bytes;
  }
};

/// The external file's name beside model.onnx, and the least tensor that goes there: smaller ones are in model.onnx
/// itself, as the onnx package's external data helpers have it by default (size_threshold = 1024).
inline constexpr const char* kWeightsFile = "weights.bin";
inline constexpr std::int64_t kLeastExternalBytes = 1024;

/// Uniform values of standard deviation `deviation` (their range is deviation * sqrt 3).
[[nodiscard]] Generator uniform(float deviation);

class Builder {
 public:
  struct Attribute {
    std::string name;
    std::variant<std::int64_t, float, std::string, std::vector<std::int64_t>> value;
  };
  using Attributes = std::vector<Attribute>;

  /// `float_type` is that of every activation and weight: kFloat32 or kFloat16. `seed` and a weight's name determine
  /// the weight.
  Builder(const std::string& graph_name, DataType float_type, std::uint64_t seed);
  ~Builder();
  Builder(const Builder&) = delete;
  Builder& operator=(const Builder&) = delete;

  [[nodiscard]] DataType float_type() const { return float_type_; }

  /// Enters a module for the lifetime of the returned object.
  class Scope {
   public:
    Scope(Builder& builder, const std::string& module);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Builder& builder_;
    std::size_t outer_length_;
  };

  Value input(const std::string& name, const Shape& shape, DataType type);
  /// Declares `value` a graph output under `name`; use the returned value from here on.
  Value output(const Value& value, const std::string& name);

  Value node(const std::string& op, const std::vector<Value>& inputs, const Shape& shape, DataType type,
             const Attributes& attributes = {});
  /// A node whose output has the type of its first input.
  Value node(const std::string& op, const std::vector<Value>& inputs, const Shape& shape,
             const Attributes& attributes = {});
  Value cast(const Value& x, DataType to);
  Value reshape(const Value& x, const std::vector<std::int64_t>& target);
  /// Reshape to a shape that is itself a tensor (the leftover Shape of GroupNorm).
  Value reshape(const Value& x, const Value& target, const Shape& shape);
  Value transpose(const Value& x, const std::vector<std::int64_t>& permutation);
  /// ConstantOfShape to a 1-D tensor of `length` elements `value`.
  Value constant_of_shape(std::int64_t length, std::int64_t value);

  /// Constant nodes. Without a shape: rank 1 for vectors, rank 0 for single values.
  Value ints(const std::vector<std::int64_t>& values);
  Value integer(std::int64_t value);
  Value floats(const Shape& shape, const std::vector<float>& values, DataType type);
  Value number(float value);  ///< of the float type

  /// A parameter of the current module: in the external file, or in the model if it is small.
  Value weight(const std::string& name, const Shape& shape, Generator generator);
  /// A small integer initializer inside the model.
  Value index_initializer(const std::string& name, const Shape& shape, const std::vector<std::int64_t>& values);

  [[nodiscard]] Model finish();

 private:
  onnx::NodeProto& add_node(const std::string& op, const std::vector<Value>& inputs, const Value& output);
  Value fresh(const std::string& op, const Shape& shape, DataType type);

  std::unique_ptr<onnx::ModelProto> model_;
  onnx::GraphProto* graph_;
  DataType float_type_;
  std::uint64_t seed_;
  std::string path_;
  std::map<std::string, int> names_;  ///< how often each node name has been asked for
  std::vector<Value> intermediates_;  ///< what value_info will list
  std::vector<Weight> weights_;
};

}  // namespace spillway::workloads::zoo
