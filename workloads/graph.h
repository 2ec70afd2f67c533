// The operator graph: plain records that can be printed, saved, compared and built by hand in a test.
// Weights are never held here: a constant says where its bytes are or how to generate them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "workloads/box.h"

namespace spillway::workloads {

/// Element types as ONNX names them (the subset that tensors of inference graphs have).
enum class DataType : std::uint8_t {
  kFloat32,
  kFloat16,
  kBFloat16,
  kFloat64,
  kInt8,
  kUint8,
  kInt16,
  kUint16,
  kInt32,
  kUint32,
  kInt64,
  kUint64,
  kBool
};
[[nodiscard]] std::string_view name_of(DataType type);
[[nodiscard]] std::int64_t bytes_of(DataType type);
[[nodiscard]] bool is_float(DataType type);
/// Values of an integer type as that type holds them (wraps around as hardware does; bool is 0 or 1).
[[nodiscard]] std::int64_t narrowed(DataType type, std::int64_t value);

using Shape = std::vector<std::int64_t>;
/// Product of the extents; throws Error(kBadInput) on overflow of 2^62 or a negative extent.
[[nodiscard]] std::int64_t elements_of(const Shape& shape);
[[nodiscard]] std::string to_string(const Shape& shape);  ///< "1x3x224x224"; "scalar" for rank 0
/// The box of a whole tensor. Throws Error(kBadInput) if the rank is over kMaxRank or an extent over 2^31 - 1.
[[nodiscard]] Box whole(const Shape& shape);

/// A dense tensor in host memory, row-major. Floats of up to 32 bits are held as float, float64 as double, integers and
/// bool as int64 (a uint64 by its bits: over 2^63 - 1 it is negative here).
struct HostTensor {
  DataType type = DataType::kFloat32;
  Shape shape;
  std::variant<std::vector<float>, std::vector<std::int64_t>, std::vector<double>> data;

  [[nodiscard]] std::vector<float>& floats() { return std::get<0>(data); }
  [[nodiscard]] const std::vector<float>& floats() const { return std::get<0>(data); }
  [[nodiscard]] std::vector<std::int64_t>& ints() { return std::get<1>(data); }
  [[nodiscard]] const std::vector<std::int64_t>& ints() const { return std::get<1>(data); }
  [[nodiscard]] std::vector<double>& doubles() { return std::get<2>(data); }
  [[nodiscard]] const std::vector<double>& doubles() const { return std::get<2>(data); }
  [[nodiscard]] bool holds_float() const { return data.index() == 0; }
  [[nodiscard]] bool holds_integer() const { return data.index() == 1; }
  [[nodiscard]] bool holds_double() const { return data.index() == 2; }
  /// Elements that are there, whatever the shape says.
  [[nodiscard]] std::size_t held() const {
    return std::visit([](const auto& values) { return values.size(); }, data);
  }
};
/// Whether the elements are in the representation that tensors of `type` have.
[[nodiscard]] bool is_held_as(const HostTensor& tensor, DataType type);
/// A float64 tensor rounded to float32; any other unchanged.
[[nodiscard]] HostTensor narrowed_to_float(HostTensor tensor);
/// The same values held as `type` holds them, between floating-point types: what a file of another width gives.
[[nodiscard]] HostTensor held_as(HostTensor tensor, DataType type);

class MappedFile;  // a read-only memory-mapped file, shared by the constants that lie in it (workloads/onnx)

/// How the zoo fills a constant: a counter-based generator, so that any element is available without its neighbours.
struct Generator {
  enum class Kind : std::uint8_t { kUniform, kConstant } kind = Kind::kUniform;
  std::uint64_t seed = 0;  ///< with the element's index it determines the value
  float scale = 1.0F;      ///< uniform in [-scale, scale), or the constant
};

/// Where a constant's elements are.
struct Constant {
  /// The external file is absent: shape only.
  struct Missing {
    std::string file;
  };
  struct External {
    std::shared_ptr<const MappedFile> file;
    std::size_t offset = 0;
    std::size_t bytes = 0;
  };
  std::variant<Missing, External, Generator, std::shared_ptr<const HostTensor>> source;

  [[nodiscard]] bool missing() const { return std::holds_alternative<Missing>(source); }
};

using TensorId = std::int32_t;
using NodeId = std::int32_t;
inline constexpr std::int32_t kNone = -1;

struct Tensor {
  std::string name;
  DataType type = DataType::kFloat32;
  Shape shape{};                       ///< static once a Graph has been imported, unless dynamic
  NodeId producer = kNone;             ///< kNone for graph inputs and constants
  std::vector<NodeId> consumers{};     ///< in node order; a node that reads it twice is listed once
  std::optional<Constant> constant{};  ///< initializers, Constant nodes' outputs, and whatever was folded
  bool dynamic = false;                ///< type and shape are known only when the graph runs (ShapeBindings::dynamic)

  [[nodiscard]] bool is_constant() const { return constant.has_value(); }
  [[nodiscard]] std::int64_t elements() const { return elements_of(shape); }
};

using Attribute = std::variant<std::int64_t, float, std::string, std::vector<std::int64_t>, std::vector<float>,
                               std::vector<std::string>, std::shared_ptr<const HostTensor>>;

struct Node {
  std::string name;                 ///< never empty: unnamed ONNX nodes are called "<op_type>_<index>"
  std::string op;                   ///< ONNX operator type, or a semantic type of canonical.h
  std::vector<TensorId> inputs{};   ///< kNone for omitted optional inputs
  std::vector<TensorId> outputs{};  ///< kNone for omitted optional outputs
  std::map<std::string, Attribute> attributes{};
  bool folded = false;            ///< all outputs are known constants: the node does not execute
  std::vector<NodeId> origins{};  ///< canonical graphs: the exported nodes that this one stands for

  [[nodiscard]] std::int64_t integer(const std::string& name, std::int64_t fallback) const;
  [[nodiscard]] float real(const std::string& name, float fallback) const;
  [[nodiscard]] std::string text(const std::string& name, const std::string& fallback) const;
  [[nodiscard]] std::vector<std::int64_t> integers(const std::string& name,
                                                   const std::vector<std::int64_t>& fallback = {}) const;
  [[nodiscard]] std::vector<float> reals(const std::string& name) const;
};

/// How many blocks the keys of an attention are cut into, by its Softmax's name (key_blocks.h).
using KeyBlocks = std::map<std::string, std::int64_t>;

/// Nodes are in topological order. Graph inputs that are initializers are constants, not inputs.
struct Graph {
  std::string name;
  std::string source;  ///< file it came from, or "zoo:sd15/unet"
  std::int64_t opset = 0;
  std::vector<Node> nodes;
  std::vector<Tensor> tensors;
  std::vector<TensorId> inputs;
  std::vector<TensorId> outputs;
  std::vector<std::string> warnings;
  KeyBlocks key_blocks;  ///< what in_key_blocks() has done to it

  [[nodiscard]] const Tensor& input(const Node& node, int i) const { return tensors[node.inputs[i]]; }
  [[nodiscard]] const Tensor& output(const Node& node, int i = 0) const { return tensors[node.outputs[i]]; }
  [[nodiscard]] bool has_input(const Node& node, int i) const {
    return i < static_cast<int>(node.inputs.size()) && node.inputs[i] != kNone;
  }
  [[nodiscard]] bool is_output(TensorId id) const;
  [[nodiscard]] TensorId find_tensor(std::string_view name) const;  ///< kNone if absent
  [[nodiscard]] bool has_dynamic_shapes() const;                    ///< only the reference executor takes it
};

/// Recomputes producer and consumer lists from the nodes.
void connect(Graph& graph);

/// Sorts nodes topologically, stable in the given order. Throws Error(kBadInput) naming a node of the cycle.
void sort_topologically(Graph& graph);

/// The elements of a constant, converted to HostTensor's representation. Throws Error(kBadInput) if missing.
[[nodiscard]] HostTensor materialise(const Tensor& tensor);

/// Only the elements inside `box`, row-major: what a tile's DMA needs of a large weight.
[[nodiscard]] HostTensor materialise(const Tensor& tensor, const Box& box);

}  // namespace spillway::workloads
