// Internal: one group of a Plan that somebody wrote: whether it stands, and what its loop does.
#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

#include "configs/error.h"
#include "partitioner/group_model.h"

namespace spillway::partitioner {

/// Throws Error(kBadInput) with this key.
template <typename... Args>
[[noreturn]] void bad_plan(const std::string& key, fmt::format_string<Args...> text, Args&&... args) {
  throw Error(ErrorKind::kBadInput, Place{.key = key}, fmt::format(text, std::forward<Args>(args)...));
}

/// "groups[3].tile"
[[nodiscard]] inline std::string key_of(int group, const char* key) { return fmt::format("groups[{}].{}", group, key); }

/// Regions that the operators' maps have no answer for are our own bug in a plan that we made, and bad input in one
/// that we read.
template <typename Work>
auto guarded(int group, const char* key, Work work) {
  try {
    return work();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kInternal) throw;
    bad_plan(key_of(group, key), "cannot be run so: {}", error.problem());
  }
}

/// The residencies that last over a group, in the Plan's order.
[[nodiscard]] std::vector<const Residency*> live_at(const Plan& plan, int group);
/// That of them which lower() finds a storage in: of several, the last; nullptr if it lives in DRAM.
[[nodiscard]] const Residency* home_of(const std::vector<const Residency*>& live, StorageId storage);

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

/// plan.groups[index] as lower() sees it. Throws Error(kBadInput) if these operators cannot form it, or if region,
/// tile, loop order or steps cannot be.
[[nodiscard]] GroupModel group_of(const Plan& plan, const Model& model, int index);

/// Walks the loop of plan.groups[index]. Throws Error(kBadInput) if it does not make every result once, or takes more
/// than `most` commands.
[[nodiscard]] GroupWork work_of(const Plan& plan, const GroupModel& group, int index, std::int64_t most);

/// Throws Error(kBadInput) if even one step that does everything leaves a part of a result unmade, since nobody in the
/// group asks for it: then no tile will do, for operators are executed whole.
void require_everything(const Plan& plan, const GroupModel& group, int index);

}  // namespace spillway::partitioner
