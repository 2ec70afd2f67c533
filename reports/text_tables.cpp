#include "reports/text_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <ostream>

#include "reports/derived.h"
#include "reports/format.h"

namespace spillway::reports {

using configs::NpuConfig;
using Align = Table::Align;

std::string_view modelled() {
  return "commands, tokens, DMA descriptors and bursts, DRAM rows and refresh, array fill and drain, lanes, ports";
}

std::string_view not_modelled() {
  return "scratchpad banks, tRRD, tFAW, host CPU, DVFS, compression, sparsity; provisional energies";
}

void print_moves(const partitioner::Moves& moves, bool detail, std::ostream& out, int indent) {
  struct Row {
    configs::Bytes read = 0, written = 0;
    std::int64_t elements = 0;
    void add(const Row& other) { read += other.read, written += other.written, elements += other.elements; }
  };
  Table table({{"", Align::kLeft}, {"bytes"}, {"elements"}, {"read B"}, {"written B"}});
  const auto print = [&](const std::string& name, const Row& row) {
    table.add({name, grouped(row.read + row.written), grouped(row.elements), grouped(row.read), grouped(row.written)});
  };
  Row other, total;
  for (int c = 0; c < partitioner::kStorageClassCount; ++c) {
    const auto storage_class = static_cast<partitioner::StorageClass>(c);
    const Row row{moves.read[c], moves.written[c], moves.elements_of(storage_class)};
    total.add(row);
    if (detail || storage_class == partitioner::StorageClass::kWeight ||
        storage_class == partitioner::StorageClass::kActivation) {
      print(std::string(partitioner::name_of(storage_class)), row);
    } else {
      other.add(row);
    }
  }
  if (!detail) print("parameters and statistics", other);
  print("total", total);
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

/// Halved beside doubled, changes only.
void print_changes(const GraphProfile& profile, std::ostream& out, int indent) {
  Table table({{"", Align::kLeft},
               {"halved", Align::kLeft},
               {"latency"},
               {"moves"},
               {"energy"},
               {"doubled", Align::kLeft},
               {"latency"},
               {"moves"},
               {"energy"}});
  const auto& base = profile.result;
  for (int k = 0; k < kKnobCount; ++k) {
    std::vector<std::string> cells{std::string(name_of(static_cast<Knob>(k)))};
    for (const double factor : {0.5, 2.0}) {
      const auto row = std::find_if(profile.sensitivity.begin(), profile.sensitivity.end(), [&](const auto& r) {
        return r.knob == static_cast<Knob>(k) && r.factor == factor;
      });
      if (row == profile.sensitivity.end()) {
        cells.insert(cells.end(), {"-", "", "", ""});
      } else if (!row->fits) {
        cells.insert(cells.end(), {row->setting, "not run", "", ""});
      } else {
        cells.insert(cells.end(),
                     {row->setting, change(static_cast<double>(row->cycles), static_cast<double>(base.cycles)),
                      change(static_cast<double>(row->total_moves), static_cast<double>(base.moves.total())),
                      change(row->energy_pj, base.energy.total_pj())});
      }
    }
    table.add(cells);
  }
  table.print(out, indent);
}

/// Every run with its figures.
void print_runs(const GraphProfile& profile, const NpuConfig& npu, std::ostream& out, int indent) {
  Table table({{"", Align::kLeft},
               {"setting", Align::kLeft},
               {"latency"},
               {"change"},
               {"weights"},
               {"activations"},
               {"all moves"},
               {"change"},
               {"energy"},
               {"change"}});
  const auto& base = profile.result;
  const auto row = [&](const std::string& knob, const std::string& setting, configs::Cycles cycles,
                       configs::Bytes weights, configs::Bytes activations, configs::Bytes total, double energy_pj,
                       bool compare) {
    table.add({knob, setting, milliseconds(seconds_of(cycles, npu)),
               compare ? change(static_cast<double>(cycles), static_cast<double>(base.cycles)) : "",
               si(static_cast<double>(weights), "B"), si(static_cast<double>(activations), "B"),
               si(static_cast<double>(total), "B"),
               compare ? change(static_cast<double>(total), static_cast<double>(base.moves.total())) : "",
               si(energy_pj * 1e-12, "J"), compare ? change(energy_pj, base.energy.total_pj()) : ""});
  };
  row("as profiled", "", base.cycles, base.moves.of(partitioner::StorageClass::kWeight),
      base.moves.of(partitioner::StorageClass::kActivation), base.moves.total(), base.energy.total_pj(), false);
  for (const SensitivityRow& r : profile.sensitivity) {
    const std::string knob = fmt::format("{} x{:g}", name_of(r.knob), r.factor);
    if (r.fits) {
      row(knob, r.setting, r.cycles, r.weight_moves, r.activation_moves, r.total_moves, r.energy_pj, true);
    } else {
      table.add({knob, r.setting, "not run", "", "", "", "", "", "", ""});
    }
  }
  table.print(out, indent);
}

}  // namespace

void print_sensitivity(const GraphProfile& profile, const NpuConfig& npu, bool detail, std::ostream& out, int indent) {
  if (detail) {
    print_runs(profile, npu, out, indent);
  } else {
    print_changes(profile, out, indent);
  }
  const std::string margin(static_cast<std::size_t>(indent), ' ');
  for (const SensitivityRow& r : profile.sensitivity) {
    if (r.fits) continue;
    const std::string why = fmt::format("{} x{:g}: {}", name_of(r.knob), r.factor, r.why_not);
    for (const std::string& line : wrapped(why, kScreenWidth - margin.size())) out << margin << line << '\n';
  }
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
  for (const std::string& assumption : pipeline.assumptions) print_labelled(out, "assumes", assumption);
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
  out << "  engines: busy cycles, then cycles of waiting by cause (none: left out); each row adds up to the latency\n";
  std::vector<Table::Column> columns{{"", Align::kLeft}, {"commands"}, {"busy"}};
  std::vector<int> causes;
  for (int c = 0; c < simulator::kCauseCount; ++c) {
    const auto waits = [&](const auto& engine) { return engine.waiting[c] != 0; };
    if (std::none_of(result.engines.begin(), result.engines.end(), waits)) continue;
    causes.push_back(c);
    columns.push_back({std::string(simulator::name_of(static_cast<simulator::Cause>(c)))});
  }
  Table table(columns);
  for (const auto& engine : result.engines) {
    std::vector<std::string> cells{engine.name, grouped(engine.commands), grouped(engine.busy)};
    for (const int c : causes) cells.push_back(grouped(engine.waiting[c]));
    table.add(cells);
  }
  table.print(out, 4);
  const auto& dram = result.dram;
  print_labelled(out, "DRAM",
                 fmt::format("{} row hits, {} misses, {} refreshes, {} turnarounds; {} B in whole bursts; data bus "
                             "busy {} cycles",
                             grouped(dram.row_hits), grouped(dram.row_misses), grouped(dram.refreshes),
                             grouped(dram.turnarounds), grouped(dram.burst_bytes), grouped(dram.busy)));
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
