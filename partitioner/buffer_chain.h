// Internal: addresses for the buffers of one group after the other, given what the residents leave free. The buffers of
// a group should not lie where the group before has its own, or its loads wait until that group is done: a shortest
// path over the groups, whose states are placements of one group's buffers, in a beam.
#pragma once

#include <vector>

#include "partitioner/free_space.h"

namespace spillway::partitioner {

/// What a group needs and where it may lie.
struct GroupSpace {
  std::vector<Bytes> sizes;  ///< of its buffers, largest first
  Intervals gaps;            ///< between the residents alive
  Intervals dying;           ///< residents that it is the last to read: free for the next group, but only at its end
};

struct BufferChain {
  std::vector<std::vector<Bytes>> addresses;  ///< by group, by buffer
  int colliding_pairs = 0;
  Bytes waiting = 0;  ///< bytes of buffers that lie where the group before had a buffer or a dying resident
  int stuck = -1;     ///< the first group whose buffers find no gap: then there is no chain
};

/// The best found: fewest colliding pairs, then fewest waiting bytes.
[[nodiscard]] BufferChain place_chain(const std::vector<GroupSpace>& groups);

}  // namespace spillway::partitioner
