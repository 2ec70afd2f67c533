// Internal: inputs and constants of the graph that several groups read (the weights of an unrolled LSTM). The first of
// them may load all of such an input to where it stays for the others, before its own loop begins.
#pragma once

#include "partitioner/energy.h"
#include "partitioner/group_model.h"
#include "partitioner/plan.h"

namespace spillway::partitioner {

/// Whether it is in DRAM from the start, and large enough to be kept: a smaller constant is brought in again as fast.
[[nodiscard]] bool can_be_kept(const Model& model, StorageId storage);

/// Whether a residency begins with its load.
[[nodiscard]] bool is_loaded(const Model& model, const Residency& residency);

struct WholeLoad {
  Moves moves;
  Cycles cycles = 0;  ///< nothing of the group overlaps it
  Energy energy;      ///< without static power
};
[[nodiscard]] WholeLoad whole_load(const GroupModel& group, int local);

}  // namespace spillway::partitioner
