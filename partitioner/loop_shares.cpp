#include "partitioner/loop_shares.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "configs/error.h"

namespace spillway::partitioner {

using configs::Cycles;

std::string_view name_of(SpentOn what) {
  switch (what) {
    case SpentOn::kMatrix:
      return "matrix";
    case SpentOn::kVector:
      return "vector";
    case SpentOn::kDram:
      return "DRAM";
    case SpentOn::kRequests:
      return "DMA requests";
    case SpentOn::kTurns:
      return "stages in turn";
    case SpentOn::kSingle:
      return "single buffers";
    case SpentOn::kFill:
      return "fill and drain";
  }
  internal_error("unknown share of cycles");
}

Cycles CycleShares::total() const { return std::accumulate(cycles.begin(), cycles.end(), Cycles{0}); }

SpentOn CycleShares::most() const {
  return static_cast<SpentOn>(std::max_element(cycles.begin(), cycles.end()) - cycles.begin());
}

CycleShares& CycleShares::operator+=(const CycleShares& other) {
  for (std::size_t i = 0; i < cycles.size(); ++i) cycles[i] += other.cycles[i];
  return *this;
}

CycleShares& CycleShares::operator-=(const CycleShares& other) {
  for (std::size_t i = 0; i < cycles.size(); ++i) cycles[i] -= other.cycles[i];
  return *this;
}

namespace {

StepCost only_compute(StepCost step) {
  step.load = {};
  step.locals.clear();
  return step;
}

StepCost only_transfers(StepCost step) {
  step.matrix = step.vector = step.compute = 0;
  return step;
}

/// As if every transfer ran at the DRAM's bandwidth.
StepCost at_bandwidth(StepCost step) {
  const auto ideal = [](StepCost::Transfer& t) { t.channel = t.bus; };
  ideal(step.load);
  for (auto& local : step.locals) ideal(local.outside), ideal(local.resident), ideal(local.store);
  return step;
}

}  // namespace

CycleShares shares_of(const LoopCost& loop, const GroupModel& group, const Residents& residents,
                      Pipelining pipelining) {
  const Whereabouts where(group, residents);
  const auto cost = [&](const StepCost& step) {
    return static_cast<double>(step.cycles(group.model->npu, where)[static_cast<std::size_t>(pipelining)]);
  };
  std::array<double, kSpentOnCount> spent{};
  const auto spend = [&](SpentOn what, double cycles) { spent[static_cast<std::size_t>(what)] += cycles; };
  for (std::size_t k = 0; k < loop.kinds.size(); ++k) {
    const StepCost& step = loop.kinds[k];
    const double times = loop.times[k];
    const double all = cost(step);
    const double compute = cost(only_compute(step));
    const double transfers = cost(only_transfers(step));
    const bool serial = all > std::max(compute, transfers);
    if (serial) spend(SpentOn::kSingle, times * (all - compute));
    if (!serial && transfers > compute) {
      const double dram = std::min(transfers, cost(at_bandwidth(only_transfers(step))));
      spend(SpentOn::kDram, times * dram);
      spend(SpentOn::kRequests, times * (transfers - dram));
      continue;
    }
    const auto engine = static_cast<double>(std::max(step.matrix, step.vector));
    spend(step.matrix >= step.vector ? SpentOn::kMatrix : SpentOn::kVector, times * std::min(engine, compute));
    spend(SpentOn::kTurns, times * std::max(0.0, compute - engine));
  }
  CycleShares shares;
  for (std::size_t i = 0; i < spent.size(); ++i) shares.cycles[i] = std::llround(spent[i]);
  const Cycles rest = loop.total(group, where).cycles[static_cast<std::size_t>(pipelining)] - shares.total();
  // A cycle lost to rounding belongs to what there is most of.
  shares[rest >= 0 ? SpentOn::kFill : shares.most()] += rest;
  return shares;
}

}  // namespace spillway::partitioner
