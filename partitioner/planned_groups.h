// Internal: the groups of a finished Plan as the search saw them, so that it can be asked what else there was.
#pragma once

#include <vector>

#include "partitioner/schedule.h"

namespace spillway::partitioner {

/// A group of a Plan, or one that might stand in its place.
struct PlannedGroup {
  GroupModel group;
  Residents residents;
  Bytes available = 0;     ///< beside all residents
  std::vector<int> loads;  ///< locals: inputs that are loaded whole before the group begins (held_input.h)
};

class PlannedGroups {
 public:
  PlannedGroups(const Plan& plan, const Model& model);

  [[nodiscard]] int size() const { return static_cast<int>(groups_.size()); }
  [[nodiscard]] const PlannedGroup& operator[](int g) const { return groups_[g]; }
  /// The tile loop of a group, without its price.
  [[nodiscard]] Candidate loop(int g) const;

  /// Groups [first, last] as one, with what they find in the scratchpad. The group may not stand: see why_not.
  [[nodiscard]] PlannedGroup joined(int first, int last) const;
  /// Group `g` with `more` operators, which it runs again, and with the storages `dropped` not kept.
  [[nodiscard]] PlannedGroup with(int g, const std::vector<NodeId>& more, const std::vector<StorageId>& dropped) const;

  /// Where a storage lives while group `g` runs.
  [[nodiscard]] Home home(int g, StorageId storage) const;
  /// Whether any group leaves it in DRAM, or it was there before.
  [[nodiscard]] bool in_dram(StorageId storage) const { return in_dram_[storage] != 0; }

 private:
  [[nodiscard]] PlannedGroup placed(GroupModel group, int first, int last) const;

  const Plan& plan_;
  const Model& model_;
  std::vector<PlannedGroup> groups_;
  std::vector<char> in_dram_;  // by storage
};

}  // namespace spillway::partitioner
