// Internal: inputs of the graph that several groups read. The first of them may load all of such an input to where it
// stays for the others, before its own loop begins.
#pragma once

#include "partitioner/energy.h"
#include "partitioner/group_model.h"
#include "partitioner/plan.h"

namespace spillway::partitioner {

/// Whether it is an input of the graph; constants are none.
[[nodiscard]] bool is_graph_input(const Model& model, StorageId storage);

/// Whether a residency begins with its load.
[[nodiscard]] bool is_loaded(const Model& model, const Residency& residency);

struct WholeLoad {
  Moves moves;
  Cycles cycles = 0;  ///< nothing of the group overlaps it
  Energy energy;      ///< without static power
};
[[nodiscard]] WholeLoad whole_load(const GroupModel& group, int local);

}  // namespace spillway::partitioner
