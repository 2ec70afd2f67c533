// What operator files share: checks of untrusted nodes, axes, broadcasting, and loop nests over dense regions.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "workloads/operators/operators.h"

namespace spillway::workloads {

/// Throws Error(kBadInput) placed at the node.
[[noreturn]] void bad_node(const Node& node, const std::string& problem, const std::string& help = {});

/// The value of input i, which the outputs' shapes depend on. Throws UnknownUntilRun, naming `what`, if nobody knows
/// it.
[[nodiscard]] const HostTensor& known_value(const InferContext& context, int i, const std::string& what);

/// Refuses a node whose input or output count is outside the operator's signature, or that omits one of the first
/// `min_inputs` inputs. A node from a file may have any.
void check_arity(const InferContext& context, int min_inputs, int max_inputs, int max_outputs = 1);

/// Fills type and shape of output i; an omitted output is left alone.
void set_output(InferContext& context, int i, DataType type, Shape shape);

/// "is float32 when it should be int64" unless input i is of one of the types.
void check_integer_input(const InferContext& context, int i);
void check_float_input(const InferContext& context, int i);

/// `axis` counted from the front; negative axes count from the back. Throws if outside [-rank, rank).
[[nodiscard]] int normalise_axis(const Node& node, std::int64_t axis, int rank);
/// The same for a list; refuses a repeated axis. Sorted ascending.
[[nodiscard]] std::vector<int> normalise_axes(const Node& node, const std::vector<std::int64_t>& axes, int rank);

/// The common shape by NumPy's rule (ONNX Broadcasting). Throws with both shapes if there is none.
[[nodiscard]] Shape broadcast(const Node& node, const Shape& a, const Shape& b);

/// The element count of a run of dimensions; throws like elements_of.
[[nodiscard]] std::int64_t elements_of(const Shape& shape, std::size_t from, std::size_t to);

/// An input that is a parameter of the node rather than data: given as the attribute, or by input i.
/// During inference the input must be a known constant; returns nullopt if both are absent.
[[nodiscard]] std::optional<std::vector<std::int64_t>> integers_argument(const InferContext& context,
                                                                         const std::string& attribute, int i);
/// The same after inference, from the graph's constants (regions, kernels).
[[nodiscard]] std::optional<std::vector<std::int64_t>> integers_argument(const Graph& graph, const Node& node,
                                                                         const std::string& attribute, int i);
[[nodiscard]] std::optional<float> real_argument(const Graph& graph, const Node& node, const std::string& attribute,
                                                 int i);

/// An empty box of the rank of input i: "needs nothing of it".
[[nodiscard]] Box no_region(const Graph& graph, const Node& node, int i);
/// The box of the whole of input i.
[[nodiscard]] Box whole_input(const Graph& graph, const Node& node, int i);

/// Region map of broadcasting operators: `out` aligned at the last dimension, extent 1 where the input broadcasts.
[[nodiscard]] Box broadcast_region(const Graph& graph, const Node& node, int i, const Box& out);

/// Work of `count` operations of one class.
[[nodiscard]] configs::VectorWork work_of(configs::VectorOp op, std::int64_t count);

/// Truncated toward zero, saturated to int64 (to uint64 if that is the type), NaN is 0; then narrowed.
[[nodiscard]] std::int64_t to_integer(DataType type, double value);

/// The DataType of an ONNX TensorProto.DataType number (attributes `to`, `dtype`); throws if we do not hold such
/// tensors.
[[nodiscard]] DataType data_type_of(const Node& node, std::int64_t onnx_type);

/// A zero-filled tensor in the representation that `type` has.
[[nodiscard]] HostTensor make_tensor(DataType type, Shape shape);

/// Runs `def.kernel` on the whole of output 0: inputs of integer type are converted to float and the result back.
[[nodiscard]] std::vector<HostTensor> evaluate_by_kernel(const OpDef& def, const Graph& graph, const Node& node,
                                                         std::span<const HostTensor* const> inputs);

/// How an array is walked over a region: element offset of the region's first element and step per dimension.
struct Walk {
  std::int64_t offset = 0;
  std::array<std::int64_t, kMaxRank> stride{};
};

/// Evaluates a node: what the reference executor and the folder call. An operator without a form in double gets float64
/// tensors rounded to float32, and its results are widened.
[[nodiscard]] std::vector<HostTensor> evaluate_node(const OpDef& def, const Graph& graph, const Node& node,
                                                    std::span<const HostTensor* const> inputs);

/// The walk of a dense array over `box` when the region `out` of a tensor it broadcasts to is visited.
[[nodiscard]] Walk broadcast_walk(const Shape& shape, const Box& box, const Box& out);
/// The walk of a dense array over its own region `part` of `box`.
[[nodiscard]] Walk dense_walk(const Box& box, const Box& part);

/// A loop nest over N arrays with adjacent loops merged where all arrays allow, so that the inner one is long.
template <int N>
class Nest {
 public:
  Nest(const Box& region, const std::array<Walk, N>& walks);

  [[nodiscard]] std::int64_t row_length() const { return extent_[rank_ - 1]; }
  [[nodiscard]] std::int64_t row_stride(int array) const { return stride_[array][rank_ - 1]; }

  /// body(offsets): one call a row, offsets of the row's first element in each array.
  template <typename Body>
  void for_each_row(Body body) const {
    if (empty_) return;
    std::array<std::int64_t, N> offsets = offset_;
    std::array<std::int64_t, kMaxRank> index{};
    while (true) {
      body(offsets);
      int d = rank_ - 2;
      for (; d >= 0; --d) {
        for (int k = 0; k < N; ++k) offsets[k] += stride_[k][d];
        if (++index[d] < extent_[d]) break;
        for (int k = 0; k < N; ++k) offsets[k] -= stride_[k][d] * extent_[d];
        index[d] = 0;
      }
      if (d < 0) return;
    }
  }

 private:
  int rank_ = 1;
  bool empty_ = false;
  std::array<std::int64_t, kMaxRank> extent_{};
  std::array<std::array<std::int64_t, kMaxRank>, N> stride_{};
  std::array<std::int64_t, N> offset_{};
};

template <int N>
Nest<N>::Nest(const Box& region, const std::array<Walk, N>& walks) : empty_(region.empty()) {
  extent_[0] = 1;
  for (int k = 0; k < N; ++k) offset_[k] = walks[k].offset;
  int used = 0;
  for (int d = 0; d < region.rank; ++d) {
    if (region.extent[d] == 1) continue;
    bool merges = used > 0;
    for (int k = 0; k < N && merges; ++k) {
      merges = stride_[k][used - 1] == walks[k].stride[d] * region.extent[d];
    }
    if (merges) {
      extent_[used - 1] *= region.extent[d];
    } else {
      extent_[used++] = region.extent[d];
    }
    for (int k = 0; k < N; ++k) stride_[k][used - 1] = walks[k].stride[d];
  }
  rank_ = used > 0 ? used : 1;
}

}  // namespace spillway::workloads
