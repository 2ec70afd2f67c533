// Which commands of a run may be executed at the same time without anybody being able to tell.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "partitioner/program.h"

namespace spillway::simulator {

/// The commands, which are in the order of their completion, in waves: a command comes in a later wave than every
/// earlier command that writes where it reads or writes, or reads where it writes, by the bytes between their operands'
/// first and last elements. Tokens do not count: what a plan gets wrong without them happens here too.
[[nodiscard]] std::vector<std::vector<std::int32_t>> waves_of(const partitioner::Program& program,
                                                              std::span<const std::int32_t> order);

/// Whether the command writes its operand of that index.
[[nodiscard]] bool writes_operand(const partitioner::Program& program, const partitioner::Command& command,
                                  std::size_t operand);

/// The bytes between the operand's first and last element.
struct AddressRange {
  std::int64_t begin = 0, end = 0;
};
[[nodiscard]] AddressRange range_of(const partitioner::Operand& operand);

}  // namespace spillway::simulator
