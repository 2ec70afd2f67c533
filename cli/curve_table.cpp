#include "cli/curve_table.h"

#include <fmt/format.h>

#include <ostream>

#include "reports/format.h"

namespace spillway::cli {

using partitioner::CurvePoint;
using partitioner::StorageClass;
using reports::grouped;
using reports::Table;

void print_curve(std::ostream& out, const std::vector<CurvePoint>& curve) {
  out << "  moves against extra operations (--recompute-max), planned anew for each; energy predicted\n";
  Table table({{"may add"},
               {"adds MACs"},
               {"tensors again"},
               {"moves B"},
               {"activations"},
               {"weights"},
               {"cycles"},
               {"energy"}});
  for (const CurvePoint& p : curve) {
    const auto first = static_cast<double>(curve.front().macs);
    table.add({fmt::format("{:g} %", 100 * p.limit),
               fmt::format("{:+.2f} %", first > 0 ? 100 * (static_cast<double>(p.macs) / first - 1) : 0),
               std::to_string(p.recomputed), grouped(p.moves.total()), grouped(p.moves.of(StorageClass::kActivation)),
               grouped(p.moves.of(StorageClass::kWeight)), grouped(p.cycles),
               fmt::format("{:.3f} mJ", p.energy_pj * 1e-9)});
  }
  table.print(out, 4);
}

nlohmann::ordered_json curve_json(const std::vector<CurvePoint>& curve) {
  auto points = nlohmann::ordered_json::array();
  for (const CurvePoint& p : curve) {
    points.push_back({{"recompute_limit", p.limit},
                      {"recomputed_tensors", p.recomputed},
                      {"macs", p.macs},
                      {"moved_bytes", p.moves.total()},
                      {"activation_bytes", p.moves.of(StorageClass::kActivation)},
                      {"weight_bytes", p.moves.of(StorageClass::kWeight)},
                      {"predicted_cycles", p.cycles},
                      {"predicted_energy_pj", p.energy_pj}});
  }
  return points;
}

}  // namespace spillway::cli
