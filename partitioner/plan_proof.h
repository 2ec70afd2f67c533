// Internal: whether a Plan that somebody wrote can be lowered, and what its groups do.
#pragma once

#include <vector>

#include "partitioner/group_model.h"

namespace spillway::partitioner {

/// What a group's loop does, found by walking it as lower() does.
struct GroupWork {
  struct Traffic {
    StorageId storage = kNone;
    Bytes read = 0, written = 0;  ///< over the DRAM interface
  };
  std::vector<Traffic> traffic;  ///< of every storage that has some, in the order of the group's locals
  Moves moves;                   ///< their sum
  std::int64_t commands = 0;     ///< of the engines and the DMA
};

/// The group as lower() sees it. Throws Error(kBadInput) if these operators cannot form it.
[[nodiscard]] GroupModel group_of(const Plan& plan, const Model& model, int index);

/// Walks the loop of plan.groups[index]. Throws Error(kBadInput) if it does not make every result once, or takes more
/// than `most` commands.
[[nodiscard]] GroupWork work_of(const Plan& plan, const GroupModel& group, int index, std::int64_t most);

/// Returns what the groups do if lower() can rely on the Plan as on partition()'s; it derives what a Plan says of
/// itself and compares. Throws Error(kBadInput), with the key ("groups[3].tile"), on groups that do not stand or do not
/// follow each other, operators left out, loops that make something twice, buffers that are not those of the loop or
/// overlap, residencies that do not hold what is read from them, and figures that are not so.
[[nodiscard]] std::vector<GroupWork> prove(const Plan& plan, const Model& model);

}  // namespace spillway::partitioner
