// Internal: a group of operators prepared for tiling. Regions travel in storage coordinates, from the root's tile
// backwards through the region maps; whatever the previous tile left in a buffer is not loaded or computed again.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "configs/configs.h"
#include "partitioner/plan.h"
#include "partitioner/program.h"

namespace spillway::partitioner {

/// What planning and lowering look up over and over.
struct Model {
  const Graph& graph;
  const configs::NpuConfig& npu;
  const Layout& layout;
  std::vector<NodeId> executed;              ///< in order, views left out
  std::vector<std::vector<NodeId>> readers;  ///< by storage: executed nodes that read it, in order
  std::vector<NodeId> producer;              ///< by storage: executed node, or kNone

  Model(const Graph& graph, const configs::NpuConfig& npu, const Layout& layout);

  [[nodiscard]] const workloads::OpDef& op(NodeId node) const { return *ops_[node]; }
  /// Of a matrix operator's operands as they are stored.
  [[nodiscard]] configs::ProductFormats operand_formats(NodeId node) const {
    const auto& inputs = graph.nodes[node].inputs;
    return {layout.storages[storage_of(inputs[0])].format, layout.storages[storage_of(inputs[1])].format};
  }
  [[nodiscard]] std::int64_t macs(NodeId node) const;  ///< of all its output; 0 unless it is a matrix operator
  [[nodiscard]] StorageId storage_of(TensorId tensor) const { return layout.views[tensor].storage; }
  [[nodiscard]] StorageId output_of(NodeId node) const { return storage_of(graph.nodes[node].outputs[0]); }
  /// Concat by DMA: each piece lands beside the others. Needs pieces that factor as the whole does.
  [[nodiscard]] bool concat_by_dma(NodeId node) const;
  /// Such a Concat is addressing: every group that reads it brings the pieces together itself.
  [[nodiscard]] bool is_virtual(NodeId node) const;

 private:
  std::vector<const workloads::OpDef*> ops_;
};

enum class StageKind : std::uint8_t {
  kMatrix,  ///< a matrix operator and the vector chain that drains it
  kVector,
  kConcat,  ///< pieces brought side by side by DMA
  kGather,  ///< rows of a table in DRAM fetched by index
};

/// A local storage of a group.
struct Local {
  StorageId storage = kNone;
  int producer = kNone;      ///< stage; kNone if it comes from outside
  bool stored = false;       ///< needed after the group: written to DRAM or its residence
  bool accumulates = false;  ///< statistics
  bool direct_only = false;  ///< outside storage that only Concat or Gather read, straight from DRAM
  int first_reader = kNone, last_reader = kNone;  ///< stages of this group that read it through a buffer
};

struct StageNode {
  NodeId node = kNone;
  FactorMap to_output{};     ///< domain factor -> factor of this node's output storage
  int output = kNone;        ///< local index if the output needs memory (buffer, residence), else a register
  bool statistics = false;   ///< accumulates the region instead of producing it
  std::vector<int> inputs;   ///< by node input: local index; kNone if omitted or a register of this stage
  std::vector<int> chained;  ///< by node input: index of the stage node whose register it is, else kNone
};

struct StageModel {
  StageKind kind = StageKind::kVector;
  TensorId domain_tensor = kNone;  ///< regions of the stage are boxes of its storage: the first node's output, or
  StorageId domain = kNone;        ///< the input of statistics that stand alone
  std::vector<StageNode> nodes;
  std::vector<bool> whole;  ///< by domain factor: an axis that must not be cut (Softmax, LayerNormalization)
};

struct GroupModel {
  const Model* model = nullptr;
  std::vector<NodeId> nodes;
  std::vector<StageModel> stages;
  std::vector<Local> locals;
  int root_stage = kNone;  ///< the stage whose domain the tile loop cuts: the last
  Box region;              ///< of that domain: all of it, or one of its batch (slice())
  std::string why_not;     ///< not empty: the nodes cannot form a group

  [[nodiscard]] bool ok() const { return why_not.empty(); }
  [[nodiscard]] int local_of(StorageId storage) const;
  [[nodiscard]] const Storage& storage(int local) const { return model->layout.storages[locals[local].storage]; }
  [[nodiscard]] StorageId root() const { return stages[root_stage].domain; }
  [[nodiscard]] const Storage& root_storage() const { return model->layout.storages[root()]; }
  /// How many groups like this one, each for its own part of the batch, do the whole work.
  [[nodiscard]] int slices() const;
  /// The part of a local that belongs to the region: all of it, or that of its batch.
  [[nodiscard]] Box part_of(int local) const;
};

/// `nodes` in execution order, virtual Concats included where read. A storage is `stored` if it is a graph output or
/// some executed, non-virtual reader lies outside (virtual readers count through theirs), unless it is `dropped`: then
/// whoever reads it makes it again.
[[nodiscard]] GroupModel make_group(const Model& model, const std::vector<NodeId>& nodes,
                                    const std::vector<StorageId>& dropped = {});

/// Restricts a group to slice `index` of `count` along the batch: the outermost factor of its root and of whatever is
/// computed. False, and no change, if an operator looks beyond its own slice.
[[nodiscard]] bool slice(GroupModel& group, int index, int count);

/// A stage of pure DMA whose sources are there before the group starts: its next window is fetched a tile ahead.
[[nodiscard]] bool prefetched(const GroupModel& group, const StageModel& stage, Pipelining pipelining);

/// The box of a stage node's output (its own storage's coordinates) that a domain box corresponds to.
[[nodiscard]] Box map_box(const Box& domain, const FactorMap& map, int rank);
[[nodiscard]] Box unmap_box(const Box& output, const FactorMap& map, const Storage& domain);

/// The logical box of output 0 (statistics: of input 0) that stage node `i` covers for a domain box; the hull if the
/// box is several logical pieces (`exact` then becomes false).
[[nodiscard]] Box logical_box(const GroupModel& group, const StageModel& stage, const StageNode& node,
                              const Box& domain, bool* exact = nullptr);

/// The region of the local input `i` of a stage node, in its storage's coordinates, for a domain box.
[[nodiscard]] Box input_box(const GroupModel& group, const StageModel& stage, const StageNode& node, int i,
                            const Box& domain);
/// The same for the logical box of the node.
[[nodiscard]] Box input_box_of(const Model& model, const StageNode& node, int i, const Box& logical);

/// Cuts a stage's region into the boxes of single commands: matrix blocks fit half the accumulators, vector blocks are
/// bounded so that engines can interleave, and every block is one logical box for every node. Order: row-major.
[[nodiscard]] std::vector<Box> blocks_of(const GroupModel& group, const StageModel& stage, const Box& region);

/// Work of one block.
[[nodiscard]] configs::MatrixShape matrix_of(const GroupModel& group, const StageModel& stage, const Box& block);
[[nodiscard]] configs::VectorWork vector_of(const GroupModel& group, const StageModel& stage, const Box& block);

}  // namespace spillway::partitioner
