// Refuses Programs that the modelled hardware could not run at all, before it runs.
#pragma once

#include "simulator/simulator.h"

namespace spillway::simulator {

/// Byte range of an operand in its memory: [first, last + 1).
struct ByteRange {
  std::int64_t begin = 0, end = 0;
};
/// Throws Error(kInternal) on overflow.
[[nodiscard]] ByteRange byte_range(const partitioner::Operand& operand);

/// Queues that the NPU has not, more memory than it has (kDoesNotFit), operands outside their memory, commands in the
/// wrong queue or with the wrong operands (kInternal: the partitioner's or the file's fault), each naming the command.
void check_bounds(const partitioner::Program& program, const configs::NpuConfig& npu);

}  // namespace spillway::simulator
