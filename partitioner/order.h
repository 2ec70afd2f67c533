// Internal: the order in which primitives run. Fused groups are runs of it, so what could share a tile loop stands
// together, and what must be complete before somebody can start (statistics, keys and values) ends such a stretch.
#pragma once

#include <vector>

#include "partitioner/primitives.h"

namespace spillway::partitioner {

struct Sequence {
  std::vector<Nodes> primitives;          ///< in order of execution
  std::vector<int> level;                 ///< by position: barriers between it and the last operator, along any path
  std::vector<int> maker;                 ///< by storage: position, or kNone
  std::vector<std::vector<int>> readers;  ///< by storage: positions, ascending, through virtual Concats
  std::vector<bool> skip;                 ///< by storage: read again after operators that depend on it have run (a
                                          ///< residual, a U-Net's long skip); statistics do not count as such operators

  [[nodiscard]] int size() const { return static_cast<int>(primitives.size()); }
};

/// Whole storages of up to so many bytes always stay: they cost less room than a transfer costs time.
inline constexpr Bytes kTiny = 16 << 10;

/// `joined`: what runs in the registers of a primitive joins it. A joined primitive may need more scratchpad than its
/// parts.
[[nodiscard]] Sequence sequence(const Model& model, bool joined);

}  // namespace spillway::partitioner
