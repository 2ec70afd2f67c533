// The scratchpad over a plan, drawn: a row a group, addresses from left to right.
#pragma once

#include <iosfwd>

#include "partitioner/plan.h"

namespace spillway::reports {

/// At most kScreenWidth characters a line. In long plans, groups with the same picture of residents are one row.
void print_allocation_map(const partitioner::Plan& plan, std::ostream& out);

}  // namespace spillway::reports
