// Internal: what every search over one sequence looks at, made once: the groups that might be, and the ways to make
// storages again.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <tuple>
#include <vector>

#include "partitioner/order.h"
#include "partitioner/remake.h"
#include "partitioner/search.h"

namespace spillway::partitioner {

// What groups may be.
inline constexpr int kLength = 7;  ///< primitives, those that it makes again not counted
inline constexpr std::size_t kMaxStages = 7;
inline constexpr std::size_t kMaxNodes = 48;  ///< a group's price grows with its nodes
inline constexpr int kMaxProducts = 5;

/// A group that might be, prepared.
struct Prepared {
  GroupModel group;
  Search::Structure* structure = nullptr;
  std::vector<StorageId> dropped;
  std::vector<int> sources;  ///< locals from outside that may be resident
  std::vector<int> results;  ///< locals that somebody reads later
  std::int64_t macs = 0;     ///< of operators run again
  bool idle = false;         ///< all it makes is dropped: it need not run
  bool hopeful = false;      ///< cannot be, but may become one with what follows it
  bool ok = false;
};

class Workbench {
 public:
  /// All three must outlive it.
  Workbench(const Model& model, Search& search, const Sequence& sequence)
      : model(model), search(search), sequence(sequence), remakes_(model.layout.storages.size()) {}

  const Model& model;
  Search& search;
  const Sequence& sequence;

  /// The primitives at [i, j) of the sequence as one group, or its part for the first of `slices` of the batch: it
  /// makes `remade` again before it reads them, and keeps nothing of `dropped`. Stays valid as long as the Workbench.
  const Prepared& group(int i, int j, int slices, const std::vector<StorageId>& remade,
                        const std::vector<StorageId>& dropped);

  /// The cheapest way to make a storage again; nullptr if there is none.
  const Remake* remake_of(StorageId storage);

 private:
  Prepared prepare(int i, int j, int slices, const std::vector<StorageId>& remade,
                   const std::vector<StorageId>& dropped);

  std::map<std::tuple<int, int, int, std::vector<StorageId>, std::vector<StorageId>>, std::unique_ptr<Prepared>>
      prepared_;
  std::vector<std::optional<std::optional<Remake>>> remakes_;  // by storage, once looked for
};

}  // namespace spillway::partitioner
