// Internal: Programs in words, for the disassembly and for the checker's messages.
#pragma once

#include <string>

#include "partitioner/program.h"

namespace spillway::partitioner {

/// "[0:1,0:20,0:128]"
[[nodiscard]] std::string describe(const Box& box);
/// "act conv1.out [0:1,0:20,0:128] sp 0x1000 int8"; the address is that of the box's first element.
[[nodiscard]] std::string describe(const Program& program, const Operand& operand);
/// "d1", "m0", "v0": the class of the queue's engine and its number within the class.
[[nodiscard]] std::string describe_queue(const Queues& queues, int queue);

}  // namespace spillway::partitioner
