// Internal: whether a Plan that somebody wrote can be lowered.
#pragma once

#include <vector>

#include "partitioner/plan_group.h"

namespace spillway::partitioner {

/// Returns what the groups do if lower() can rely on the Plan as on partition()'s; it derives what a Plan says of
/// itself and compares. Throws Error(kBadInput), with the key ("groups[3].tile"), on groups that do not stand or do not
/// follow each other, operators left out, loops that make something twice, buffers that are not those of the loop or
/// overlap, residencies that do not hold what is read from them, and figures that are not so.
[[nodiscard]] std::vector<GroupWork> prove(const Plan& plan, const Model& model);

}  // namespace spillway::partitioner
