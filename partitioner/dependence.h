// Internal: which tensors wait for which as wholes. What the bounds need to know of a graph: docs/bounds.md.
#pragma once

#include <optional>
#include <vector>

#include "partitioner/plan.h"

namespace spillway::partitioner {

/// A read of storage `from` by the operator that makes storage `to`. All of it per element of the batch.
struct Dependence {
  StorageId from = kNone, to = kNone;
  bool all_used = false;  ///< every element of `from` is needed by some element of `to`
  bool all_wait = false;  ///< every element of `to` needs some element of `from`
  bool even = false;      ///< elements of `from` can be shared out over those of `to` that need them, evenly on both
                          ///< sides: as many bytes can flow through the pair as the smaller has
  int pieces = 1;         ///< of a Concat: how many it has; an element of it needs one of them
};

/// A moment: an operator starts, each of whose elements needs whole tensors.
struct Barrier {
  StorageId makes = kNone;
  std::vector<StorageId> whole;  ///< needed in full by each element of it, per element of the batch
};

struct Dependences {
  int batch = 1;                ///< elements of the batch, that are independent of each other
  std::vector<bool> counted;    ///< by storage: computed, not an output, split by batch
  std::vector<Dependence> all;  ///< in execution order of what is made
  std::vector<Barrier> barriers;
};

[[nodiscard]] Dependences dependences_of(const Graph& graph, const Layout& layout);

}  // namespace spillway::partitioner
