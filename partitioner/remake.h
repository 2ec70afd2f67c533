// Internal: how a tensor that was not kept is made again.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "partitioner/order.h"
#include "partitioner/search.h"

namespace spillway::partitioner {

/// The operators to run again and what they start from.
struct Remake {
  std::vector<int> primitives;      ///< positions, ascending
  std::vector<StorageId> frontier;  ///< read: must still be there
  std::int64_t macs = 0;
  Cycles cycles = 0;  ///< of the busier kind of engine
  Bytes weights = 0;  ///< constants read again
};

/// The cheapest way by minimum cut between what is in memory anyway and the tensor (Boost.Graph's max-flow): an
/// operator costs the cycles that it runs, a tensor of the frontier what it takes to load. nullopt if nothing but the
/// tensor itself can be read. `there`, where given, says which storages can be read at all.
[[nodiscard]] std::optional<Remake> remake(const Model& model, const Sequence& sequence, StorageId storage,
                                           const std::function<bool(StorageId)>& there = {});

}  // namespace spillway::partitioner
