// The third witness: proves a Program right without data and without time, independent of planner and engines.
//
// It walks the commands once, tracking by (storage, region, version) what every scratchpad, accumulator and DRAM byte
// holds, and orders commands by happens-before (queue order and waits, as vector clocks), never by simulated time:
//   1. every read is covered by data of the right storage, region and placement, written before (happens-before);
//   2. every read-after-write, write-after-read and write-after-write pair on the same bytes is ordered;
//   3. every element of every storage that is produced is produced exactly once (statistics: every input element is
//      accumulated exactly once, and read only when complete); graph outputs are in DRAM at the end;
//   4. each kernel step's inputs contain what its region map asks for; nothing leaves the memories' bounds.
#pragma once

#include <string>
#include <vector>

#include "partitioner/program.h"

namespace spillway::partitioner {

struct Violation {
  std::int32_t command = kNone;
  std::string what;  ///< names command, address, storage and region
};

/// Stops after `limit` violations. Empty: the Program is proven.
[[nodiscard]] std::vector<Violation> check(const Program& program, std::size_t limit = 10);

}  // namespace spillway::partitioner
