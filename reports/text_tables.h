// The tables of the terminal screen.
#pragma once

#include <iosfwd>
#include <string_view>

#include "reports/reports.h"

namespace spillway::reports {

/// One line each on what the timing contains and what it leaves out.
[[nodiscard]] std::string_view modelled();
[[nodiscard]] std::string_view not_modelled();

/// By class: bytes, elements, read, written; the rows add up to the total row, read and written to the bytes. Without
/// `detail` the classes beside weights and activations are one row.
void print_moves(const partitioner::Moves& moves, bool detail, std::ostream& out, int indent);
/// `limit` rows (0: all), the rest summed into one row, and a total.
void print_executed(const GraphProfile& profile, std::size_t limit, std::ostream& out, int indent);
/// The slowest `limit` groups (0: all groups in execution order).
void print_groups(const GraphProfile& profile, const configs::NpuConfig& npu, std::size_t limit, std::ostream& out,
                  int indent);
/// A row a knob, halved beside doubled, with the changes; with `detail` a row a run, with its figures. Then why rows
/// are empty.
void print_sensitivity(const GraphProfile& profile, const configs::NpuConfig& npu, bool detail, std::ostream& out,
                       int indent);
void print_pipeline(const PipelineTotal& pipeline, const configs::NpuConfig& npu, std::ostream& out);
/// Everything that --detail adds: exported operators, engines, DRAM, all groups.
void print_detail(const GraphProfile& profile, const configs::NpuConfig& npu, std::ostream& out);

}  // namespace spillway::reports
