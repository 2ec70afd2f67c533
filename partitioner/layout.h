// Where tensors lie: storages, and logical tensors as views of them.
//
// Reshape, Transpose and most Slices move nothing: they are other names for the same elements. So tensors that are
// linked by view operators share one storage. A storage is a dense row-major array over a list of factors (for a
// transformer's tokens: batch, token, head, channel-in-head); every logical dimension of every tensor of the storage
// is a product of sub-ranges of those factors. The order of the factors is the layout: channels innermost for images
// (NHWC), tokens before channels for transformers, output channels outermost for weights so that a block of them is
// one contiguous run. A Reshape that no common factorisation explains stays an operator that moves data.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "configs/precision.h"
#include "workloads/workloads.h"

namespace spillway::partitioner {

using workloads::Box;
using workloads::Graph;
using workloads::kMaxRank;
using workloads::kNone;
using workloads::Node;
using workloads::NodeId;
using workloads::TensorId;

using StorageId = std::int32_t;

/// How moved bytes are classified (DESIGN: metric definitions).
enum class StorageClass : std::uint8_t {
  kWeight,      ///< constants read by matrix operators, embedding tables
  kActivation,  ///< everything computed, graph inputs and outputs
  kParameter,   ///< biases, scales and other constants of vector operators
  kStatistics,  ///< normalisation statistics
};
inline constexpr int kStorageClassCount = 4;
[[nodiscard]] std::string_view name_of(StorageClass c);

struct Storage {
  std::string name;  ///< of the tensor that first filled it
  StorageClass storage_class = StorageClass::kActivation;
  configs::Format format = configs::Format::kInt8;
  int rank = 0;
  std::array<std::int32_t, kMaxRank> extent{};  ///< factors, outermost first
  TensorId root = kNone;                        ///< the tensor whose producer fills it (or graph input, or constant)
  bool is_input = false;                        ///< in DRAM before the program starts: graph input or constant
  bool is_output = false;                       ///< must be in DRAM when it ends
  std::int64_t dram_address = 0;                ///< assigned by lower()

  [[nodiscard]] Box whole() const;
  [[nodiscard]] std::int64_t elements() const { return whole().elements(); }
  [[nodiscard]] std::int64_t element_bytes() const { return configs::bytes_of(format); }
  [[nodiscard]] std::int64_t bytes() const { return elements() * element_bytes(); }
};

/// A sub-range of a factor.
struct FactorRef {
  int factor = 0;
  std::int32_t offset = 0;
  std::int32_t extent = 1;
  bool operator==(const FactorRef&) const = default;
};

/// A logical tensor as a view: dims[d] lists, outermost first, the factor ranges whose product is dimension d.
struct TensorView {
  StorageId storage = kNone;
  std::vector<std::vector<FactorRef>> dims;
};

/// map[f] is the factor of the other storage that factor f corresponds to; kNone if factor f has no part in the view.
using FactorMap = std::array<int, kMaxRank>;

struct Layout {
  std::vector<Storage> storages;
  std::vector<TensorView> views;   ///< by TensorId; storage kNone for tensors that nothing executed touches
  std::vector<bool> is_view_node;  ///< by NodeId: pure addressing, never executed

  /// The smallest storage box that holds the logical box.
  [[nodiscard]] Box to_storage(TensorId tensor, const Box& logical) const;
  /// The logical boxes whose union is exactly the part of `tensor` inside the storage box (one, in the usual case).
  [[nodiscard]] std::vector<Box> to_logical(TensorId tensor, const Box& storage) const;
  /// The hull of to_logical() without listing the pieces; `exact` tells whether it is one piece. Empty if there is
  /// none.
  [[nodiscard]] Box logical_hull(TensorId tensor, const Box& storage, bool* exact = nullptr) const;
  /// Factor by factor correspondence of two tensors of equal shape whose dimensions factor alike (`except_dim`: the
  /// outermost factor of that dimension may differ in extent, as a Concat's axis does); nullopt if they do not.
  [[nodiscard]] std::optional<FactorMap> factor_map(TensorId from, TensorId to, int except_dim = kNone) const;
};

/// Whether a tensor is a constant, or a view of one.
[[nodiscard]] inline bool is_constant(const Graph& graph, const Layout& layout, TensorId tensor) {
  return layout.views[tensor].storage != kNone &&
         graph.tensors[layout.storages[layout.views[tensor].storage].root].is_constant();
}

/// Deterministic. `graph` is canonical. Throws Error(kBadInput) if a tensor needs more than kMaxRank factors.
[[nodiscard]] Layout make_layout(const Graph& graph, const configs::Precision& precision);

}  // namespace spillway::partitioner
