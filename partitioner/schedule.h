// Internal: group boundaries and the fate of every tensor, chosen together by a beam search over the sequence of
// primitives. docs/partitioner.md describes it.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "partitioner/workbench.h"

namespace spillway::partitioner {

// What the search looks at.
inline constexpr int kFewPrimitives = 50;     ///< of a graph with so few, more is looked at
inline constexpr int kWalkedPrimitives = 16;  ///< and with so few, every loop is walked, in all the room there is

/// What may become of a storage that later groups read.
struct Fates {
  bool hold = true, spill = true, recompute = true;
};

struct Schedule;

/// Whether groups run once for each of the batch.
enum class Slices : std::uint8_t {
  kNo,
  kMay,   ///< where that pays
  kMust,  ///< wherever they may: the search by itself gives slices up before they have paid
};

struct Wishes {
  std::vector<Fates> fates;     ///< by storage; what is not wished for happens only where nothing else is possible
  double extra_macs = 0;        ///< that recomputing may cost in all
  Slices slices = Slices::kNo;  ///< groups that run once for each of the batch
  double weights_again = 0;     ///< bytes of weights that slices may load again in all
  const Schedule* to_beat =
      nullptr;  ///< a search that falls behind it by more than `slack` of the objective is given up
  double slack = 0;
  int states = 1500;  ///< kept by rent and mode: so many over all positions, at least one each
  Search::Care care = Search::Care::kEstimate;  ///< kExact: no loop is judged by samples, which takes longer
};

/// A group as it will run.
struct Scheduled {
  GroupModel group;
  std::vector<StorageId> dropped;  ///< made and not kept
  Residents residents;             ///< by local
  Bytes available = 0;             ///< beside all residents
};

/// A storage, or the part of it that belongs to a slice of the batch, kept from one group to another.
struct Stay {
  StorageId storage = kNone;
  Home home = Home::kScratchpad;
  Box part;
  int first = 0, last = 0;  ///< groups
  Bytes bytes = 0;
};

struct Schedule {
  std::vector<Scheduled> groups;
  std::vector<Stay> stays;
  std::vector<StorageId> against;  ///< storages whose fate is not the one wished for
  double objective = 0;            ///< as the search judged it
  std::map<int, double> pace;      ///< of that, what was spent before the primitive at this position
};

/// nullopt if not even single primitives fit.
[[nodiscard]] std::optional<Schedule> schedule(Workbench& bench, Bytes budget, const Wishes& wishes);

}  // namespace spillway::partitioner
