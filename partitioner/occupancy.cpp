#include "partitioner/occupancy.h"

namespace spillway::partitioner {

std::vector<Occupancy> occupancy_of(const Plan& plan) {
  std::vector<Occupancy> series(plan.groups.size());
  for (const Residency& r : plan.residencies) {
    for (int g = r.first_group; g <= r.last_group; ++g) series[g].residents += r.bytes;
  }
  for (std::size_t g = 0; g < plan.groups.size(); ++g) {
    for (const Buffer& buffer : plan.groups[g].buffers) series[g].buffers += buffer.slots * buffer.slot_bytes;
  }
  return series;
}

}  // namespace spillway::partitioner
