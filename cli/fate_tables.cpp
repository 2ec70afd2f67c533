#include "cli/fate_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <ostream>

#include "cli/explain_text.h"
#include "reports/format.h"

namespace spillway::cli {

using Json = nlohmann::ordered_json;
using partitioner::Alternative;
using partitioner::TensorFate;
using reports::grouped;
using reports::Table;
using Align = Table::Align;

std::vector<FateRow> fate_rows(const workloads::Graph& graph, const configs::NpuConfig& npu,
                               const partitioner::Options& options, const partitioner::Plan& plan, std::size_t tried) {
  std::vector<FateRow> rows;
  for (TensorFate& fate : partitioner::fates_of(graph, npu, plan)) {
    FateRow row{.fate = std::move(fate), .alternatives = {}};
    if (rows.size() < tried) row.alternatives = partitioner::alternatives_of(graph, npu, options, plan, row.fate);
    rows.push_back(std::move(row));
  }
  return rows;
}

void print_fates(std::ostream& out, const std::vector<FateRow>& rows, bool all) {
  constexpr std::size_t kShown = 16;
  const std::size_t shown = all ? rows.size() : std::min(rows.size(), kShown);
  out << fmt::format("  tensors whose life spans groups: {}{}; skip: read again after operators that depend on it\n",
                     rows.size(), shown < rows.size() ? fmt::format(", the {} largest (--detail: all)", shown) : "");
  Table table({{"tensor", Align::kLeft},
               {"bytes"},
               {"groups"},
               {"cycles alive"},
               {"skip", Align::kLeft},
               {"fate", Align::kLeft},
               {"written B"},
               {"read B"}});
  for (std::size_t i = 0; i < shown; ++i) {
    const TensorFate& f = rows[i].fate;
    table.add({reports::shortened(f.name, 34), grouped(f.bytes), fmt::format("{}..{}", f.first_group, f.last_group),
               grouped(f.lifetime), f.skip ? "yes" : "", std::string(partitioner::name_of(f.fate)), grouped(f.written),
               grouped(f.read)});
  }
  table.print(out, 4);
  const bool any = std::any_of(rows.begin(), rows.end(), [](const FateRow& row) { return !row.alternatives.empty(); });
  if (!any) return;
  out << "  what else: the tensor's fate as given, all else planned anew; differences to this plan, energy "
         "predicted\n";
  Table others(
      {{"tensor", Align::kLeft}, {"fate", Align::kLeft}, {"moves B"}, {"weights B"}, {"MACs"}, {"cycles"}, {"energy"}});
  for (const FateRow& row : rows) {
    for (const Alternative& a : row.alternatives) {
      std::vector<std::string> cells{reports::shortened(row.fate.name, 34), std::string(partitioner::name_of(a.wish))};
      if (a.possible) {
        for (auto& cell : {signed_number(a.moved), signed_number(a.weight_moves), signed_number(a.macs),
                           signed_number(a.cycles), fmt::format("{:+.3f} mJ", a.energy_pj * 1e-9)}) {
          cells.push_back(cell);
        }
      } else {
        cells.insert(cells.end(), {"not possible", "", "", "", ""});
      }
      others.add(cells);
    }
  }
  others.print(out, 4);
  for (const FateRow& row : rows) {
    for (const Alternative& a : row.alternatives) {
      if (a.possible) continue;
      out << fmt::format("    {}: cannot {}: {}\n", reports::shortened(row.fate.name, 34), partitioner::name_of(a.wish),
                         a.why_not);
    }
  }
}

Json fates_json(const std::vector<FateRow>& rows) {
  Json all = Json::array();
  for (const FateRow& row : rows) {
    const TensorFate& f = row.fate;
    Json others = Json::array();
    for (const Alternative& a : row.alternatives) {
      Json other = {{"fate", partitioner::name_of(a.wish)}, {"possible", a.possible}};
      if (a.possible) {
        other["moved_bytes"] = a.moved;
        other["weight_moved_bytes"] = a.weight_moves;
        other["macs"] = a.macs;
        other["cycles"] = a.cycles;
        other["energy_pj_provisional"] = a.energy_pj;
      } else {
        other["why_not"] = a.why_not;
      }
      others.push_back(std::move(other));
    }
    all.push_back({{"tensor", f.name},
                   {"bytes", f.bytes},
                   {"first_group", f.first_group},
                   {"last_group", f.last_group},
                   {"lifetime_cycles", f.lifetime},
                   {"skip", f.skip},
                   {"fate", partitioner::name_of(f.fate)},
                   {"written_bytes", f.written},
                   {"read_bytes", f.read}});
    if (!others.empty()) all.back()["alternatives"] = others;
  }
  return all;
}

}  // namespace spillway::cli
