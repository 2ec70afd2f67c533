#include "partitioner/recompute_curve.h"

#include <array>
#include <set>

#include "partitioner/energy.h"
#include "partitioner/objective.h"

namespace spillway::partitioner {

namespace {

CurvePoint point_of(const Graph& graph, const configs::NpuConfig& npu, const Plan& plan) {
  CurvePoint point;
  std::set<StorageId> dropped;
  for (const Group& group : plan.groups) dropped.insert(group.dropped.begin(), group.dropped.end());
  point.recomputed = static_cast<int>(dropped.size());
  for (const Command& command : lower(graph, npu, plan).commands) {
    if (command.kind == CommandKind::kMatrix) point.macs += command.matrix.macs();
  }
  point.moves = plan.moves;
  point.cycles = plan.cycles;
  point.energy_pj = energy_of(graph, npu, plan).total_pj();
  return point;
}

double value_of(const CurvePoint& point, Objective objective) {
  return objective_value(objective, point.cycles, point.moves.total(), [&] { return point.energy_pj; });
}

}  // namespace

std::vector<CurvePoint> recompute_curve(const Graph& graph, const configs::NpuConfig& npu, const Options& options) {
  constexpr std::array<double, 9> kLimits = {0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1};
  std::vector<CurvePoint> curve;
  for (const double limit : kLimits) {
    Options limited = options;
    limited.recompute_limit = limit;
    const auto planned = partition(graph, npu, limited);
    const auto* plan = std::get_if<Plan>(&planned);
    if (plan == nullptr) return {};
    CurvePoint point = point_of(graph, npu, *plan);
    if (!curve.empty() && value_of(curve.back(), options.objective) <= value_of(point, options.objective)) {
      point = curve.back();
    }
    point.limit = limit;
    curve.push_back(point);
  }
  return curve;
}

}  // namespace spillway::partitioner
