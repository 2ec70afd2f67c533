// Occupancy of the scratchpad over a plan.
#pragma once

#include <vector>

#include "partitioner/plan.h"

namespace spillway::partitioner {

/// Bytes of the scratchpad that have a place while a group runs.
struct Occupancy {
  Bytes residents = 0;  ///< tensors kept from group to group
  Bytes buffers = 0;    ///< all slots of the group's own
  [[nodiscard]] Bytes total() const { return residents + buffers; }
};

[[nodiscard]] std::vector<Occupancy> occupancy_of(const Plan& plan);  ///< by group

}  // namespace spillway::partitioner
