// Internal: holds what pays in a schedule whose groups are decided. The beam search sees a group before it knows what
// later ones need; here every stay is weighed against all groups that it passes.
#pragma once

#include "partitioner/schedule.h"

namespace spillway::partitioner {

/// Lengthens, shortens, starts and ends stays, one or two at a time, as long as that lowers the sum of the groups'
/// scores, every group still has a tile loop that fits and no wish is broken that was kept.
void settle(const Model& model, Search& search, Bytes budget, const Wishes& wishes, Schedule& schedule);

}  // namespace spillway::partitioner
