// Figures that the writers share, each a sum, a ratio or a share of what a GraphProfile holds.
// Definitions: docs/report-schema.md.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "reports/reports.h"

namespace spillway::reports {

/// "int8", or "int8 weights, fp16 activations" where they differ.
[[nodiscard]] std::string precision_name(const configs::Precision& precision);
/// First extent of the first graph input; 1 if it has none.
[[nodiscard]] std::int64_t batch_of(const workloads::Graph& graph);

[[nodiscard]] double seconds_of(configs::Cycles cycles, const configs::NpuConfig& npu);
/// MACs per cycle that the arrays can do in the formats of the profile.
[[nodiscard]] double peak_macs_per_cycle(const configs::NpuConfig& npu);
/// The MACs that the graph asks for: those executed less what the plan computes a second time, at the borders of tiles.
[[nodiscard]] std::int64_t useful_macs(const GraphProfile& profile);
/// Useful MACs over MACs that fit into the cycles.
[[nodiscard]] double utilisation(const GraphProfile& profile, const configs::NpuConfig& npu);
[[nodiscard]] double utilisation(std::int64_t macs, configs::Cycles cycles, const configs::NpuConfig& npu);
/// Of a group: against its critical cycles, or its matrix engines' busy cycles where part of them is hidden behind its
/// neighbours; so never over 1.
[[nodiscard]] double utilisation(const simulator::GroupUse& group, const configs::NpuConfig& npu);
[[nodiscard]] std::int64_t total_vector_ops(const configs::VectorWork& ops);

/// The largest of three bounds that no plan can beat.
struct LowerBound {
  enum class Kind : std::uint8_t { kMacs, kMoves, kVector } kind = Kind::kMacs;
  double macs = 0, moves = 0, vector = 0;  ///< cycles
  double cycles = 0;
};
[[nodiscard]] LowerBound lower_bound(const GraphProfile& profile, const configs::NpuConfig& npu);
[[nodiscard]] std::string_view name_of(LowerBound::Kind kind);

/// Latency minus lower bound, shared out in proportion to the critical-path cycles that were not ideal work of the
/// bounding resource. The parts add up to the loss.
struct Loss {
  double padding = 0, fill = 0, matrix = 0, vector = 0, dram = 0, port = 0, descriptor = 0, dependency = 0;
  double total = 0;
};
[[nodiscard]] Loss loss(const GraphProfile& profile, const configs::NpuConfig& npu);

/// Exported operators by type, most frequent first.
struct ExportedRow {
  std::string op;
  std::int64_t count = 0;
  std::int64_t macs = 0;
  std::int64_t output_elements = 0;
};
[[nodiscard]] std::vector<ExportedRow> exported_mix(const workloads::Statistics& statistics);
/// MACs with a constant operand (a Linear is a 1x1 convolution to an NPU), and of two activations.
struct MacSplit {
  std::int64_t constant = 0, activations = 0;
};
[[nodiscard]] MacSplit mac_split(const workloads::Statistics& statistics);
/// Share of convolutions and products in all operations: 2 per MAC, 1 per output element of any other operator.
[[nodiscard]] double matrix_share_of_operations(const workloads::Statistics& statistics);
/// Nodes that are convolutions or products, of nodes without Constant.
[[nodiscard]] std::int64_t matrix_nodes(const workloads::Statistics& statistics);

/// Executed operators by type, most engine cycles first; pure views have a row of their own type with no commands.
struct ExecutedRow {
  std::string op;
  std::int64_t count = 0;
  std::int64_t commands = 0;
  std::int64_t macs = 0, vector_ops = 0;
  configs::Bytes moved = 0;
  configs::Cycles matrix_cycles = 0, vector_cycles = 0, dma_cycles = 0;
  [[nodiscard]] configs::Cycles cycles() const { return matrix_cycles + vector_cycles + dma_cycles; }
};
[[nodiscard]] std::vector<ExecutedRow> executed_mix(const GraphProfile& profile);

/// The cause with most of a group's critical cycles; nothing if it is not on the critical path.
[[nodiscard]] std::optional<simulator::Cause> bound_of(const simulator::GroupUse& group);
/// Groups by critical cycles, most first; ties in execution order.
[[nodiscard]] std::vector<int> slowest_groups(const simulator::Result& result);

/// Where a storage is produced and last read, and where it lives in between.
struct StorageUse {
  int produced = -1;   ///< group; -1: there before the program starts
  int last_read = -1;  ///< group; -1: never
  /// kGroup: never in DRAM, and in the scratchpad only while its group runs.
  /// kBoth: in the scratchpad for its next readers, in DRAM for later ones.
  enum class Home : std::uint8_t { kDram, kResident, kBoth, kGroup } home = Home::kDram;
};
[[nodiscard]] std::string_view name_of(StorageUse::Home home);
[[nodiscard]] std::vector<StorageUse> storage_uses(const GraphProfile& profile);

/// Bytes of constants in DRAM: weights and parameters, once.
[[nodiscard]] configs::Bytes constant_bytes(const GraphProfile& profile);

/// What the sensitivity table says. Gains are relative: 0.2 = 20 % less latency.
struct Verdict {
  int best = -1;  ///< row, among the doublings; -1: none gains 0.5 %
  double best_gain = 0;
  std::vector<int> spent;  ///< rows: knobs whose doubling gains less than 0.5 %, or loses
};
[[nodiscard]] Verdict verdict(const GraphProfile& profile);
inline constexpr double kSpentBelow = 0.005;

}  // namespace spillway::reports
