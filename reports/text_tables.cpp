#include "reports/text_tables.h"

#include <fmt/format.h>

#include <ostream>

#include "reports/derived.h"
#include "reports/format.h"

namespace spillway::reports {

using configs::NpuConfig;
using Align = Table::Align;

std::string_view modelled() {
  return "commands and tokens, DMA descriptors and bursts, DRAM rows, turnaround and refresh, array fill and drain, "
         "vector lanes, ports";
}

std::string_view not_modelled() {
  return "scratchpad bank conflicts, tRRD and tFAW, host CPU, clock and voltage scaling, weight compression, sparsity";
}

void print_moves(const partitioner::Moves& moves, std::ostream& out, int indent) {
  Table table({{"", Align::kLeft}, {"bytes"}, {"elements"}, {"read B"}, {"written B"}});
  configs::Bytes read = 0, written = 0;
  std::int64_t elements = 0;
  for (int c = 0; c < partitioner::kStorageClassCount; ++c) {
    const auto storage_class = static_cast<partitioner::StorageClass>(c);
    table.add({std::string(partitioner::name_of(storage_class)), grouped(moves.of(storage_class)),
               grouped(moves.elements_of(storage_class)), grouped(moves.read[c]), grouped(moves.written[c])});
    read += moves.read[c], written += moves.written[c];
    elements += moves.elements_of(storage_class);
  }
  table.add({"total", grouped(read + written), grouped(elements), grouped(read), grouped(written)});
  table.print(out, indent);
}

namespace {

std::vector<std::string> executed_cells(const std::string& op, const ExecutedRow& row) {
  return {op,
          grouped(row.count),
          grouped(row.commands),
          grouped(2 * row.macs),
          grouped(row.vector_ops),
          grouped(row.moved),
          grouped(row.matrix_cycles),
          grouped(row.vector_cycles),
          grouped(row.dma_cycles)};
}

void add_to(ExecutedRow& sum, const ExecutedRow& row) {
  sum.count += row.count, sum.commands += row.commands;
  sum.macs += row.macs, sum.vector_ops += row.vector_ops, sum.moved += row.moved;
  sum.matrix_cycles += row.matrix_cycles, sum.vector_cycles += row.vector_cycles, sum.dma_cycles += row.dma_cycles;
}

}  // namespace

void print_executed(const GraphProfile& profile, std::size_t limit, std::ostream& out, int indent) {
  Table table({{"", Align::kLeft},
               {"count"},
               {"commands"},
               {"MAC ops"},
               {"vector ops"},
               {"moved B"},
               {"matrix cyc"},
               {"vector cyc"},
               {"DMA cyc"}});
  const auto rows = executed_mix(profile);
  ExecutedRow total, rest;
  std::size_t others = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    add_to(total, rows[i]);
    if (limit == 0 || i < limit) {
      table.add(executed_cells(rows[i].op, rows[i]));
    } else {
      add_to(rest, rows[i]);
      ++others;
    }
  }
  if (others > 0) table.add(executed_cells(fmt::format("{} others", others), rest));
  table.add(executed_cells("total", total));
  table.print(out, indent);
}

void print_groups(const GraphProfile& profile, const NpuConfig& npu, std::size_t limit, std::ostream& out, int indent) {
  const auto& result = profile.result;
  Table table({{"#"},
               {"name", Align::kLeft},
               {"cycles"},
               {"share"},
               {"bound by", Align::kLeft},
               {"MACs"},
               {"of peak"},
               {"moved B"},
               {"scratchpad"},
               {"steps"}});
  std::vector<int> order = slowest_groups(result);
  if (limit > 0 && order.size() > limit) order.resize(limit);
  if (limit == 0) {
    for (std::size_t g = 0; g < order.size(); ++g) order[g] = static_cast<int>(g);
  }
  for (const int g : order) {
    const auto& use = result.groups[g];
    const auto& group = profile.plan.groups[g];
    const auto cause = bound_of(use);
    const double share = result.cycles > 0 ? static_cast<double>(use.critical) / static_cast<double>(result.cycles) : 0;
    table.add({std::to_string(g), shortened(group.name, limit == 0 ? 60 : 46), grouped(use.critical), percent(share),
               cause ? std::string(simulator::name_of(*cause)) : "hidden", si(static_cast<double>(use.macs), ""),
               use.macs > 0 ? percent(utilisation(use, npu)) : "-", grouped(use.moves.total()),
               binary_bytes(group.scratchpad_bytes), grouped(group.steps)});
  }
  table.print(out, indent);
}

namespace {

std::string change(double now, double base) {
  return base > 0 ? fmt::format("{:+.1f} %", (now - base) / base * 100) : "-";
}

}  // namespace

void print_sensitivity(const GraphProfile& profile, const NpuConfig& npu, std::ostream& out, int indent) {
  Table table({{"", Align::kLeft},
               {"setting", Align::kLeft},
               {"latency"},
               {"change"},
               {"weights B"},
               {"activations B"},
               {"all moves B"},
               {"change"},
               {"energy"},
               {"change"}});
  const auto& base = profile.result;
  const auto row = [&](const std::string& knob, const std::string& setting, configs::Cycles cycles,
                       configs::Bytes weights, configs::Bytes activations, configs::Bytes total, double energy_pj,
                       bool compare) {
    table.add({knob, setting, milliseconds(seconds_of(cycles, npu)),
               compare ? change(static_cast<double>(cycles), static_cast<double>(base.cycles)) : "", grouped(weights),
               grouped(activations), grouped(total),
               compare ? change(static_cast<double>(total), static_cast<double>(base.moves.total())) : "",
               si(energy_pj * 1e-12, "J"), compare ? change(energy_pj, base.energy.total_pj()) : ""});
  };
  row("as profiled", "", base.cycles, base.moves.of(partitioner::StorageClass::kWeight),
      base.moves.of(partitioner::StorageClass::kActivation), base.moves.total(), base.energy.total_pj(), false);
  std::vector<std::string> refused;
  for (const SensitivityRow& r : profile.sensitivity) {
    const std::string knob = fmt::format("{} x{:g}", name_of(r.knob), r.factor);
    if (r.fits) {
      row(knob, r.setting, r.cycles, r.weight_moves, r.activation_moves, r.total_moves, r.energy_pj, true);
    } else {
      table.add({knob, r.setting, "not run", "", "", "", "", "", "", ""});
      refused.push_back(fmt::format("{}: {}", knob, r.why_not));
    }
  }
  table.print(out, indent);
  for (const std::string& why : refused) out << std::string(static_cast<std::size_t>(indent), ' ') << why << '\n';
}

void print_pipeline(const PipelineTotal& pipeline, const NpuConfig& npu, std::ostream& out) {
  configs::Cycles all_cycles = 0;
  configs::Bytes all_moved = 0;
  double all_energy = 0;
  std::vector<double> shares;
  for (const auto& line : pipeline.lines) {
    all_cycles += line.cycles * line.times;
    all_moved += line.moves.total() * line.times;
    all_energy += line.energy_pj * line.times;
    shares.push_back(static_cast<double>(line.cycles) * line.times);
  }
  out << fmt::format("pipeline, prompt to image: {} steps, guidance {}: {}\n", pipeline.steps,
                     pipeline.guidance ? "on" : "off", milliseconds(seconds_of(all_cycles, npu)));
  Table table({{"", Align::kLeft}, {"times"}, {"each"}, {"in all"}, {"cycles"}, {"share"}, {"moved B"}, {"energy"}});
  const std::vector<int> rounded = permille(shares);
  for (std::size_t i = 0; i < pipeline.lines.size(); ++i) {
    const auto& line = pipeline.lines[i];
    table.add({line.what, grouped(line.times), milliseconds(seconds_of(line.cycles, npu)),
               milliseconds(seconds_of(line.cycles * line.times, npu)), grouped(line.cycles * line.times),
               percent_of_permille(rounded[i]), grouped(line.moves.total() * line.times),
               si(line.energy_pj * line.times * 1e-12, "J")});
  }
  table.add({"total", "", "", milliseconds(seconds_of(all_cycles, npu)), grouped(all_cycles),
             all_cycles > 0 ? "100.0 %" : "-", grouped(all_moved), si(all_energy * 1e-12, "J")});
  table.print(out, 2);
  for (const std::string& assumption : pipeline.assumptions) out << "  assumes  " << assumption << '\n';
}

namespace {

void print_exported(const GraphProfile& profile, std::ostream& out) {
  out << "  exported operators\n";
  Table table({{"", Align::kLeft}, {"count"}, {"of nodes"}, {"MAC ops"}, {"of MAC ops"}, {"output elements"}});
  const auto rows = exported_mix(profile.statistics);
  std::vector<double> counts, macs;
  for (const auto& row : rows) {
    counts.push_back(static_cast<double>(row.count));
    macs.push_back(static_cast<double>(row.macs));
  }
  const auto count_shares = permille(counts), mac_shares = permille(macs);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    table.add({rows[i].op, grouped(rows[i].count), percent_of_permille(count_shares[i]), grouped(2 * rows[i].macs),
               percent_of_permille(mac_shares[i]), grouped(rows[i].output_elements)});
  }
  table.print(out, 4);
}

void print_engines(const simulator::Result& result, std::ostream& out) {
  out << "  engines: busy and waiting cycles, each row adds up to the latency\n";
  std::vector<Table::Column> columns{{"", Align::kLeft}, {"commands"}, {"busy"}};
  for (int c = 0; c < simulator::kCauseCount; ++c) {
    columns.push_back({fmt::format("wait {}", simulator::name_of(static_cast<simulator::Cause>(c)))});
  }
  Table table(columns);
  for (const auto& engine : result.engines) {
    std::vector<std::string> cells{engine.name, grouped(engine.commands), grouped(engine.busy)};
    for (const auto cycles : engine.waiting) cells.push_back(grouped(cycles));
    table.add(cells);
  }
  table.print(out, 4);
  const auto& dram = result.dram;
  out << fmt::format(
      "  DRAM: {} row hits, {} misses, {} refreshes, {} turnarounds, {} B in whole bursts, "
      "data bus busy {} cycles\n",
      grouped(dram.row_hits), grouped(dram.row_misses), grouped(dram.refreshes), grouped(dram.turnarounds),
      grouped(dram.burst_bytes), grouped(dram.busy));
  out << fmt::format("  matrix commands: ideal {} + padding {} + fill and drain {} = {} cycles\n",
                     grouped(result.matrix_cycles.ideal), grouped(result.matrix_cycles.padding),
                     grouped(result.matrix_cycles.fill), grouped(result.matrix_cycles.total()));
}

}  // namespace

void print_detail(const GraphProfile& profile, const NpuConfig& npu, std::ostream& out) {
  print_exported(profile, out);
  print_engines(profile.result, out);
  out << "  groups in execution order; their cycles are shares of the critical path and add up to the latency\n";
  print_groups(profile, npu, 0, out, 4);
}

}  // namespace spillway::reports
