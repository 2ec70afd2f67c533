#include "partitioner/describe.h"

#include <fmt/format.h>

#include <iterator>

#include "configs/error.h"

namespace spillway::partitioner {

namespace {

std::string_view short_name(StorageClass c) {
  switch (c) {
    case StorageClass::kWeight:
      return "wgt";
    case StorageClass::kActivation:
      return "act";
    case StorageClass::kParameter:
      return "par";
    case StorageClass::kStatistics:
      return "sta";
  }
  internal_error("unknown storage class");
}

std::string space_name(const Operand& operand) {
  switch (operand.space) {
    case Space::kDram:
      return "dram";
    case Space::kScratchpad:
      return "sp";
    case Space::kAccumulator:
      return fmt::format("acc{}", operand.engine);
  }
  internal_error("unknown space");
}

/// Modulo 2^64: the checker describes operands before it has proven their addresses sane.
std::int64_t first_address(const Operand& operand) {
  auto address = static_cast<std::uint64_t>(operand.at.origin);
  for (int f = 0; f < operand.box.rank; ++f) {
    address += static_cast<std::uint64_t>(operand.at.stride[f]) * static_cast<std::uint64_t>(operand.box.begin[f]);
  }
  return static_cast<std::int64_t>(address);
}

}  // namespace

std::string describe(const Box& box) {
  fmt::memory_buffer out;
  out.push_back('[');
  for (int d = 0; d < box.rank; ++d) {
    fmt::format_to(std::back_inserter(out), "{}{}:{}", d > 0 ? "," : "", box.begin[d],
                   std::int64_t{box.begin[d]} + box.extent[d]);
  }
  out.push_back(']');
  return fmt::to_string(out);
}

std::string describe(const Program& program, const Operand& operand) {
  const Storage& storage = program.layout.storages[operand.storage];
  return fmt::format("{} {} {} {} {:#x} {}", short_name(storage.storage_class), storage.name, describe(operand.box),
                     space_name(operand), first_address(operand), configs::name_of(operand.format));
}

std::string describe_queue(const Queues& queues, int queue) {
  if (queue < queues.first_matrix()) return fmt::format("d{}", queue);
  if (queue < queues.first_vector()) return fmt::format("m{}", queue - queues.first_matrix());
  return fmt::format("v{}", queue - queues.first_vector());
}

}  // namespace spillway::partitioner
