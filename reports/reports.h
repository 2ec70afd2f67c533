// reports: from results to what people read: terminal screen, report.json, CSV tables.
//
// In:  the graph as exported and as executed, the Plan, the Program's commands, the Result, the config; nothing is
//      computed here that is not a sum, a ratio or a share of those.
// Out: a Report value (tables and series with units), and writers for it.
//
//   GraphProfile profile{.model = "sd15/unet", .exported = ..., .executed = ..., .plan = ..., .result = ...};
//   profile.operators = operator_uses(program, profile.plan, npu, profile.result);
//   profile.storages = storage_moves(program);
//   Report report{.command = "spillway profile sd15/unet", .npu = npu, .graphs = {profile}};
//   write_text(report, {}, std::cout);
//   write_files(report, "out/unet");
//
// Invariants: parts add up to their whole; every number has a unit; the same input gives the same bytes.
#pragma once

#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "simulator/simulator.h"

namespace spillway::reports {

/// Of report.json and the CSV columns (docs/report-schema.md). Fields are only ever added within a version.
inline constexpr int kSchemaVersion = 1;
[[nodiscard]] std::string_view tool_version();

/// The hardware quantities that the sensitivity table turns.
enum class Knob : std::uint8_t { kScratchpad, kDramBandwidth, kArrays, kVectorLanes };
inline constexpr int kKnobCount = 4;
[[nodiscard]] std::string_view name_of(Knob knob);  ///< "SRAM", "DRAM bandwidth", "arrays", "vector lanes"

/// One row of the sensitivity table: the config with one knob turned, re-planned and re-simulated.
struct SensitivityRow {
  Knob knob = Knob::kScratchpad;
  double factor = 1;        ///< 0.5 or 2
  std::string setting{};    ///< "4 MiB", for people
  std::string override_{};  ///< "scratchpad.size=4194304", as --set takes it
  bool fits = true;
  std::string why_not{};  ///< if it does not fit, or if the knob has no such position
  configs::Cycles cycles = 0;
  configs::Bytes weight_moves = 0, activation_moves = 0, total_moves = 0;
  double energy_pj = 0;
};

/// What one node of the executed graph cost, summed over its commands. Over all entries, each column adds up to the
/// engines' busy cycles and to the simulator's moves, MACs and vector operations exactly.
struct OperatorUse {
  workloads::NodeId node = workloads::kNone;  ///< kNone: commands that belong to no node (none in a sound Program)
  std::vector<int> groups;                    ///< of the Plan, ascending; empty for a pure view
  std::int64_t commands = 0;                  ///< a fused command counts for its first node only
  configs::Cycles matrix_cycles = 0, vector_cycles = 0, dma_cycles = 0;
  std::int64_t macs = 0;
  std::int64_t vector_ops = 0;
  partitioner::Moves moves;  ///< loads for its operands, stores of its result
};

/// A command that runs several nodes is shared out by the lane-cycles of each; a load belongs to the first node of the
/// group that reads the storage, a store to the node that wrote it. One entry per node of the graph, in node order.
[[nodiscard]] std::vector<OperatorUse> operator_uses(const partitioner::Program& program, const partitioner::Plan& plan,
                                                     const configs::NpuConfig& npu, const simulator::Result& result);

/// What one storage moved, over the whole Program.
struct StorageMoves {
  configs::Bytes read = 0, written = 0;  ///< from and to DRAM
};
/// By StorageId. They add up to the simulator's moves.
[[nodiscard]] std::vector<StorageMoves> storage_moves(const partitioner::Program& program);

/// Everything about one graph's profile.
struct GraphProfile {
  std::string model;  ///< "sd15/unet" or the file
  workloads::Graph exported, executed;
  workloads::Statistics statistics;
  partitioner::Plan plan;
  simulator::Result result;
  std::vector<OperatorUse> operators;       ///< operator_uses() of the Program that was simulated
  std::vector<StorageMoves> storages;       ///< storage_moves() of the same
  std::vector<SensitivityRow> sensitivity;  ///< empty with --no-sensitivity
  std::vector<std::string> notes;           ///< published figures beside ours, assumptions, warnings
};

/// Text encoder + N x (U-Net + sampler arithmetic) + VAE decoder.
struct PipelineTotal {
  struct Line {
    std::string what;
    int times = 1;
    configs::Cycles cycles = 0;  ///< of one run
    partitioner::Moves moves;    ///< of one run
    double energy_pj = 0;        ///< of one run
  };
  std::vector<Line> lines;
  int steps = 0;
  bool guidance = true;
  std::vector<std::string> assumptions;
};

struct Report {
  std::string command;  ///< as typed, for the context block
  configs::NpuConfig npu;
  std::vector<GraphProfile> graphs;
  std::optional<PipelineTotal> pipeline;
};

struct TextOptions {
  bool detail = false;  ///< full tables
  bool colour = false;
  std::string directory{};  ///< where write_files() put the reports; empty if nowhere
};
void write_text(const Report& report, const TextOptions& options, std::ostream& out);
[[nodiscard]] std::string to_json(const Report& report);

/// One row per group, per node of the executed graph, per storage. Fields are quoted as RFC 4180 asks.
[[nodiscard]] std::string groups_csv(const GraphProfile& profile, const configs::NpuConfig& npu);
[[nodiscard]] std::string operators_csv(const GraphProfile& profile);
[[nodiscard]] std::string tensors_csv(const GraphProfile& profile);

/// The GRAPH of each graph's file names: the last part of its model's name, made unique and safe for a file system.
[[nodiscard]] std::vector<std::string> file_stems(const Report& report);

/// Writes report.json, GRAPH.groups.csv, GRAPH.operators.csv, GRAPH.tensors.csv and resolved_config.yaml into `dir`
/// (created). Each file appears complete or not at all. Throws Error(kBadInput) on an unwritable folder or full disk.
void write_files(const Report& report, const std::string& dir);

/// A published figure beside ours, where one exists for this very graph (recognised by its parameters and MACs) in
/// this setting: 8 MiB, one byte per element, layer by layer. For people only; no computation reads it.
[[nodiscard]] std::vector<std::string> published_notes(const GraphProfile& profile, const configs::NpuConfig& npu);

}  // namespace spillway::reports
