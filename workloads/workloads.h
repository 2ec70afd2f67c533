// workloads: what the NPU is asked to run.
//
// In:  an ONNX file, or a name of the built-in zoo (which emits ONNX and comes back through the same importer).
// Out: a Graph (graph.h) of the operators as exported; canonical.h turns it into what is executed; the reference
//      executor runs either in float32.
//
//   Graph exported = load_model("zoo:sd15/unet", {.batch = 2});     // or load_model("unet/model.onnx")
//   Statistics s = statistics_of(exported);                         // parameters, MACs, largest tensors
//   Graph graph = canonicalise(exported);
//   auto outputs = execute(graph, {{"sample", tensor}, ...});       // reference, float32
//
// Invariants: shapes are static and checked; nodes are in topological order; no size from a file is trusted.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "workloads/canonical.h"
#include "workloads/graph.h"
#include "workloads/operators/operators.h"

namespace spillway::workloads {

/// Binds dynamic dimensions: by the dimension's name ("batch"), or a whole input shape ("sample:2x4x64x64").
struct ShapeBindings {
  std::map<std::string, std::int64_t> dims{};
  std::map<std::string, Shape> inputs{};
  /// Shapes of tensors that will be given: they bind what is dynamic in an input that nothing else binds.
  std::map<std::string, Shape> offered{};
  /// Values of inputs that conditions may depend on: an If whose condition they decide is replaced by its branch. The
  /// inputs stay inputs.
  std::map<std::string, HostTensor> values{};
  /// Shapes that depend on data (NonZero, a Reshape to a computed shape) are left to the run instead of refused.
  bool dynamic = false;
};

/// ONNX file -> Graph. External data is memory-mapped. A missing external file is a warning and Constant::Missing.
/// Throws Error(kBadInput): missing file, not ONNX, truncated, cycle, dangling tensor, unsupported operators (all at
/// once, with counts), shape mismatch, unbound dynamic dimension, external data out of bounds or outside the folder.
[[nodiscard]] Graph import_onnx(const std::string& path, const ShapeBindings& bindings = {});
/// The same from bytes in memory (the zoo, the fuzzer); `folder` is where external data is looked for.
[[nodiscard]] Graph import_onnx_bytes(std::string_view bytes, const std::string& source, const std::string& folder,
                                      const ShapeBindings& bindings = {});

/// What is asked of the zoo; zero means the model's default.
struct ZooOptions {
  std::int64_t batch = 0;  ///< U-Net default 2 (guidance), others 1
  std::int64_t image = 0;  ///< pixels per side; sd15 512, sd21 512 (768 by option), sdxl 1024, sd-tiny 64, resnet50 224
  std::int64_t sequence = 0;  ///< tokens, 77; only of models that read text
  std::uint64_t seed = 1;
  std::string precision = "fp32";  ///< element type of the exported weights: fp32 or fp16
};

/// "sd15", "sd21", "sdxl", "sd-tiny", "resnet50".
[[nodiscard]] std::vector<std::string> zoo_models();
/// Graph names of a model in pipeline order: "text_encoder", ("text_encoder_2",) "unet", "vae_encoder", "vae_decoder";
/// or "classifier".
[[nodiscard]] std::vector<std::string> zoo_graphs(const std::string& model);
/// The graph through protobuf and importer. Weights are Generator constants.
[[nodiscard]] Graph zoo_graph(const std::string& model, const std::string& graph, const ZooOptions& options = {});
/// Writes DIR/GRAPH/model.onnx for every graph, and weights.bin beside it if `with_weights`. Atomic per file.
void zoo_export(const std::string& model, const std::string& dir, const ZooOptions& options, bool with_weights);

/// Counts of a graph as exported, with the definitions of shared statistics files.
struct Statistics {
  std::int64_t nodes = 0;  ///< Constant nodes included
  std::int64_t nodes_without_constant = 0;
  std::map<std::string, std::int64_t> ops;   ///< by type, Constant included
  std::int64_t parameters = 0;               ///< float initializer elements
  std::int64_t parameters_weights_only = 0;  ///< two extents over 1 (embedding, matrix, convolution; not [C, 1, 1])
  std::map<std::string, std::int64_t> macs;  ///< "Conv_3x3", "Conv_1x1", "MatMul_weight", "MatMul_act_x_act", "Gemm"
  std::int64_t macs_total = 0;
  std::map<std::string, std::int64_t> output_elements;  ///< by operator type, Constant excluded
  struct Largest {
    std::string name, op;
    Shape shape;
    std::int64_t elements = 0;
  };
  std::vector<Largest> largest;  ///< five largest activations; Reshape and the like are none
};
[[nodiscard]] Statistics statistics_of(const Graph& exported);

using TensorMap = std::map<std::string, HostTensor>;

/// How far the executor is.
struct ExecuteProgress {
  std::int64_t nodes_done = 0, nodes = 0;
  std::int64_t operations_done = 0,
               operations = 0;  ///< two a multiply-accumulate of a product, one an element of the rest
};

/// NaN or infinity in a result of an operator none of whose inputs has it, or in a graph input.
struct NonFinite {
  std::string node, op;  ///< empty: the tensor is a graph input
  std::string tensor;
  bool nan = false;  ///< or infinity
};

class BufferPool;  // execution/value.h

struct ExecuteOptions {
  /// Memory to use, and to keep for the next run; its own if null. One run at a time.
  std::shared_ptr<BufferPool> buffers = nullptr;
  bool double_sums = false;                                   ///< products of matrices are summed in double
  std::function<void(const ExecuteProgress&)> progress = {};  ///< after every node
  std::function<void(const NonFinite&)> non_finite = {};      ///< where it appears, in order; it may throw
  /// Called with every tensor of floats as it becomes known: inputs, then results in order of execution. Its elements
  /// are row-major and last as long as the call.
  std::function<void(TensorId, const Shape&, std::span<const float>)> observe = {};
};

/// Reference executor, float32: runs every node in order, frees tensors at last use, returns the graph outputs and
/// every tensor named in `keep`. Throws Error(kBadInput) on a wrong input name, shape or type, or missing weights.
[[nodiscard]] TensorMap execute(const Graph& graph, const TensorMap& inputs, const std::vector<std::string>& keep = {},
                                const ExecuteOptions& options = {});

/// Bytes that the executor holds at once at most, by the graph's lifetimes: weights that are read in place do not
/// count, nor tensors whose shapes depend on data.
[[nodiscard]] std::int64_t peak_bytes(const Graph& graph);

/// One ONNX TensorProto: what ONNX's own tests and tools keep a tensor in (.pb).
struct NamedTensor {
  std::string name{};
  HostTensor tensor;
};
[[nodiscard]] NamedTensor load_pb(const std::string& path);
void save_pb(const std::string& path, const NamedTensor& tensor);

/// NumPy .npy files: little-endian f4, f8, f2, i4, i8, u1, b1, C order. Throws Error(kBadInput) naming the file.
[[nodiscard]] HostTensor load_npy(const std::string& path);
void save_npy(const std::string& path, const HostTensor& tensor);

/// NumPy .npz archives, stored or deflated; written stored, the same tensors as the same bytes. Names are the arrays'.
[[nodiscard]] TensorMap load_npz(const std::string& path);
void save_npz(const std::string& path, const TensorMap& tensors);

/// Seeded standard-normal values (floats) or small non-negative integers below `int_bound`, for runs without inputs.
[[nodiscard]] HostTensor random_tensor(DataType type, const Shape& shape, std::uint64_t seed,
                                       std::int64_t int_bound = 1000);

}  // namespace spillway::workloads
