// The operator table: everything that is known of an operator, in one place each.
//
// An operator is one file of this folder (families of one shape, such as element-wise, share a file) and one line in
// table.cpp. It states: shape inference, the reference semantics, what class of engine runs it, its region map (which
// part of each input a part of the output needs), its work, and its kernel on a region. The region map drives tiling,
// fusion, halo and functional execution alike.
#pragma once

#include <array>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "configs/error.h"
#include "configs/timing.h"
#include "workloads/compute/product.h"
#include "workloads/graph.h"

namespace spillway::workloads::compute {
class PackedPanels;  // compute/product.h
}

namespace spillway::workloads {

/// Which part of the machine runs an operator, and how a plan may treat it.
enum class OpClass : std::uint8_t {
  kMatrix,       ///< Conv, ConvTranspose, MatMul (Gemm is canonicalised to MatMul)
  kElementwise,  ///< output element depends on the broadcast-same element of each input
  kRow,          ///< vector engine; needs whole axes of its input: Softmax, LayerNormalization, Reduce*, ArgMax
  kWindow,       ///< vector engine with a spatial region map: pooling, Resize
  kStatistics,   ///< NormStatistics: accumulates over tiles, complete after the last
  kMove,         ///< moves elements only: Concat, Pad, Gather, Slice or Reshape that cannot be a view
  kView,         ///< Reshape, Transpose, Squeeze, Unsqueeze, Flatten, Identity, Cast between floats: addressing only
  kShape,        ///< only ever constant-folded (Shape, Range, ConstantOfShape, ...)
};

/// A dense float region of a tensor: what kernels compute on. Row-major over `box`; integers and bools are held as
/// floats (exact below 2^24, which covers token ids and masks).
struct RegionView {
  Box box;
  float* data = nullptr;
};
struct ConstRegionView {
  Box box;
  const float* data = nullptr;
};

/// The same in any layout: the element at box.begin lies at data[0], one step along dimension d is stride[d] floats.
struct StridedView {
  Box box;
  float* data = nullptr;
  std::array<std::int64_t, kMaxRank> stride{};
};
struct ConstStridedView {
  Box box;
  const float* data = nullptr;
  std::array<std::int64_t, kMaxRank> stride{};
  compute::PackedPanels* packed = nullptr;  ///< of elements that stay as they are: products may keep their forms here
};

/// Shape inference: reads inputs' shapes (and constants' values), fills outputs' type and shape.
struct InferContext {
  Graph& graph;
  Node& node;
  /// The value of input i if it is a constant small enough to look at (at most 2^20 elements), else nullptr. When a
  /// graph of dynamic shapes runs, the value that has arrived.
  std::function<const HostTensor*(int)> value;
};

/// What follows a product element by element: sums with other tensors in their order, and then Relu. Views of the
/// product's own region, with steps of zero where they broadcast; those without data do not exist.
struct Tail {
  std::array<ConstStridedView, 2> plus{};
  bool rectify = false;
};

/// Thrown by inference where only running the graph tells the outputs' shapes.
struct UnknownUntilRun : Error {
  using Error::Error;
};

struct OpDef {
  std::string_view name;
  OpClass op_class = OpClass::kElementwise;

  /// Throws Error(kBadInput) with node and tensor on a mismatch.
  void (*infer)(InferContext& context) = nullptr;

  /// Whole-tensor reference semantics (float32 and integer), used by the reference executor and constant folding.
  /// inputs[i] is nullptr where omitted. If null, the kernel is run on the whole region.
  std::vector<HostTensor> (*evaluate)(const Graph& graph, const Node& node,
                                      std::span<const HostTensor* const> inputs) = nullptr;

  /// `evaluate` takes and gives float64 tensors, held as double; see evaluate_node().
  bool float64 = false;

  /// The box of input `i` (its own logical shape, clipped) that the box `out` of output 0 needs. Rank always that of
  /// the input. For kStatistics: the identity's domain is the *input*: see canonical.h. Null for kView and kShape.
  Box (*region)(const Graph& graph, const Node& node, int i, const Box& out) = nullptr;

  /// Computes `out` (a region of output 0) from the regions of the inputs; each inputs[i].box contains region(i, out).
  void (*kernel)(const Graph& graph, const Node& node, std::span<const ConstRegionView> inputs,
                 const RegionView& out) = nullptr;

  /// The kernel on regions that lie in memory in any layout, and multithreaded; null if the operator has none.
  void (*strided)(const Graph& graph, const Node& node, std::span<const ConstStridedView> inputs,
                  const StridedView& out, compute::Sums sums) = nullptr;

  /// The same followed by a tail, to the bit as its operators would compute it; null if the operator takes none.
  void (*strided_with_tail)(const Graph& graph, const Node& node, std::span<const ConstStridedView> inputs,
                            const Tail& tail, const StridedView& out, compute::Sums sums) = nullptr;

  /// kMatrix only: the product that computing `out` is (batch = groups or batch dimensions).
  configs::MatrixShape (*matrix_shape)(const Graph& graph, const Node& node, const Box& out) = nullptr;

  /// Vector operations that computing `out` costs, by class; {} only for kMatrix, kView and kShape. Never zero else.
  configs::VectorWork (*vector_work)(const Graph& graph, const Node& node, const Box& out) = nullptr;

  /// How many times the input is read from the scratchpad (Softmax three, LayerNormalization two, others one).
  int input_passes = 1;

  /// Its last operation multiplies by factors known before it (a normalisation's scale, the reciprocal of a row's sum):
  /// a constant factor of the result, like the scale of a quantised format, is multiplied into those and costs nothing.
  bool carries_scale = false;
};

/// nullptr if the operator is unknown.
[[nodiscard]] const OpDef* find_operator(std::string_view name);
/// Throws Error(kBadInput) naming the node if unknown.
[[nodiscard]] const OpDef& operator_of(const Node& node);
/// All entries, sorted by name (documentation, tests).
[[nodiscard]] std::span<const OpDef> operator_table();

}  // namespace spillway::workloads
