#include "partitioner/energy.h"

#include "configs/error.h"
#include "partitioner/held_input.h"
#include "partitioner/loop_energy.h"
#include "partitioner/plan_group.h"

namespace spillway::partitioner {

Energy& Energy::operator+=(const Energy& other) {
  mac_pj += other.mac_pj;
  vector_pj += other.vector_pj;
  scratchpad_pj += other.scratchpad_pj;
  accumulator_pj += other.accumulator_pj;
  dram_pj += other.dram_pj;
  static_pj += other.static_pj;
  return *this;
}

Energy Energy::operator*(double times) const {
  return {mac_pj * times,         vector_pj * times, scratchpad_pj * times,
          accumulator_pj * times, dram_pj * times,   static_pj * times};
}

Energy energy_of(const Graph& graph, const configs::NpuConfig& npu, const Plan& plan) {
  const Model model(graph, npu, plan.layout);
  Energy sum;
  for (int g = 0; g < static_cast<int>(plan.groups.size()); ++g) {
    const Group& record = plan.groups[g];
    const GroupModel group = group_of(plan, model, g);
    const auto live = live_at(plan, g);
    Residents residents;
    for (const Local& local : group.locals) {
      const Residency* home = home_of(live, local.storage);
      residents.push_back(home == nullptr ? Home::kDram : home->stored ? Home::kBoth : Home::kScratchpad);
    }
    sum += EnergyPricer(group).price(record.tile, record.loop_order, true).total(group, residents, record.cycles);
    for (const Residency& r : plan.residencies) {
      if (r.first_group == g && is_loaded(model, r)) sum += whole_load(group, group.local_of(r.storage)).energy;
    }
  }
  return sum;
}

}  // namespace spillway::partitioner
