// reports: from results to what people read: terminal screen, report.json, CSV tables.
//
// In:  the graph as exported and as executed, the Plan, the Result, the config; nothing is computed here that is not
//      a sum, a ratio or a share of those.
// Out: a Report value (tables and series with units), and writers for it.
//
// Invariants: parts add up to their whole; every number has a unit; the same input gives the same bytes.
#pragma once

#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "simulator/simulator.h"

namespace spillway::reports {

/// One row of the sensitivity table: the config with one knob turned, re-planned and re-simulated.
struct SensitivityRow {
  std::string knob;     ///< "scratchpad.size"
  std::string setting;  ///< "4 MiB (x0.5)"
  bool fits = true;
  std::string why_not;  ///< if it does not fit
  configs::Cycles cycles = 0;
  configs::Bytes weight_moves = 0, activation_moves = 0, total_moves = 0;
  double energy_pj = 0;
};

/// Everything about one graph's profile.
struct GraphProfile {
  std::string model;                    ///< "sd15/unet" or the file
  workloads::Graph exported, executed;
  workloads::Statistics statistics;
  partitioner::Plan plan;
  simulator::Result result;
  std::vector<SensitivityRow> sensitivity;  ///< empty with --no-sensitivity
  std::vector<std::string> notes;           ///< published figures beside ours, assumptions, warnings
};

/// Text encoder + N x U-Net + VAE decoder.
struct PipelineTotal {
  struct Line { std::string what; int times = 1; configs::Cycles cycles = 0; partitioner::Moves moves; double energy_pj = 0; };
  std::vector<Line> lines;
  int steps = 0;
  bool guidance = true;
  std::vector<std::string> assumptions;
};

struct Report {
  std::string command;                  ///< as typed, for the context block
  configs::NpuConfig npu;
  std::vector<GraphProfile> graphs;
  std::optional<PipelineTotal> pipeline;
};

struct TextOptions {
  bool detail = false;  ///< full tables
  bool colour = false;
};
void write_text(const Report& report, const TextOptions& options, std::ostream& out);
[[nodiscard]] std::string to_json(const Report& report);

/// Writes report.json, GRAPH.groups.csv, GRAPH.operators.csv, GRAPH.tensors.csv and resolved_config.yaml into `dir`
/// (created). Each file appears complete or not at all. Throws Error(kBadInput) on an unwritable folder or full disk.
void write_files(const Report& report, const std::string& dir);

}  // namespace spillway::reports
