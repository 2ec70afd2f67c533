// Internal: whether every id and range inside a Program refers to something that is there.
#pragma once

#include "partitioner/program.h"

namespace spillway::partitioner {

/// After this, indexing by any id or range of the Program is safe; whether the Program is *right* is check()'s
/// question. The graph's own links and shapes are taken as sound. Throws Error(kBadInput) naming the record.
void validate_references(const Program& program);

}  // namespace spillway::partitioner
