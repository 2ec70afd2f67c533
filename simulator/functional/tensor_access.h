// A logical tensor's elements inside an operand, as the strided regions that kernels compute on.
#pragma once

#include <span>
#include <vector>

#include "partitioner/program.h"
#include "simulator/functional/memory.h"

namespace spillway::simulator {

using workloads::Box;

/// offsets[d][i]: bytes that logical coordinate box.begin[d] + i adds; address = base + the sum over dimensions.
struct AddressMap {
  std::int64_t base = 0;
  int rank = 0;
  std::array<std::vector<std::int64_t>, workloads::kMaxRank> offsets;

  /// The same elements with the dimensions in another order.
  [[nodiscard]] AddressMap ordered(std::span<const int> order) const;
  /// Whether every dimension has one step; `stride` receives the steps, `first` the address of the first element.
  [[nodiscard]] bool even(std::array<std::int64_t, workloads::kMaxRank>& stride, std::int64_t& first) const;
};

/// Addresses of the elements of `box` (logical) of a tensor with `view`, whose storage lies at `at`. Every logical
/// dimension is a mixed-radix number over its factor ranges, outermost first.
[[nodiscard]] AddressMap map_addresses(const partitioner::TensorView& view, const partitioner::Placement& at,
                                       const Box& box);

/// Calls visit(address, i, count, step): runs of elements i, i + 1, ... of the box (row-major), `step` bytes apart.
/// Empty boxes have none.
template <typename Visit>
void for_each_run(const AddressMap& map, Visit visit) {
  const auto extent = [&](int d) { return static_cast<std::int64_t>(map.offsets[static_cast<std::size_t>(d)].size()); };
  for (int d = 0; d < map.rank; ++d) {
    if (extent(d) == 0) return;
  }
  if (map.rank == 0) return visit(map.base, std::int64_t{0}, std::int64_t{1}, std::int64_t{0});
  const int inner = map.rank - 1;
  const auto& row = map.offsets[static_cast<std::size_t>(inner)];
  std::array<std::int64_t, workloads::kMaxRank> index{};
  std::int64_t i = 0;
  while (true) {
    std::int64_t address = map.base;
    for (int d = 0; d < inner; ++d) {
      address += map.offsets[static_cast<std::size_t>(d)][static_cast<std::size_t>(index[static_cast<std::size_t>(d)])];
    }
    for (std::size_t k = 0; k < row.size();) {
      std::size_t end = k + 1;
      const std::int64_t step = end < row.size() ? row[end] - row[k] : 0;
      while (end < row.size() && row[end] - row[end - 1] == step) ++end;
      visit(address + row[k], i, static_cast<std::int64_t>(end - k), step);
      i += static_cast<std::int64_t>(end - k);
      k = end;
    }
    int d = inner - 1;
    for (; d >= 0; --d) {
      if (++index[static_cast<std::size_t>(d)] < extent(d)) break;
      index[static_cast<std::size_t>(d)] = 0;
    }
    if (d < 0) return;
  }
}

/// Calls visit(address, i) for the i-th element of the box, row-major.
template <typename Visit>
void for_each_element(const AddressMap& map, Visit visit) {
  for_each_run(map, [&](std::int64_t address, std::int64_t i, std::int64_t count, std::int64_t step) {
    for (std::int64_t k = 0; k < count; ++k) visit(address + k * step, i + k);
  });
}

/// The placement of a dense row-major array over `box` whose first element lies at byte 0.
[[nodiscard]] partitioner::Placement dense_placement(const Box& box, std::int64_t element_bytes);

/// Elements as floats out of a memory, row-major over the map's box, and back. Reading throws WrongRead.
void read_floats(const Memory& memory, const AddressMap& map, configs::Format format, partitioner::StorageId storage,
                 float* to);
void write_floats(Memory& memory, const AddressMap& map, configs::Format format, partitioner::StorageId storage,
                  const float* from);
/// Of kInt8.
void read_bytes(const Memory& memory, const AddressMap& map, partitioner::StorageId storage, std::int8_t* to);
/// Integers, exact beyond what a float holds; they saturate.
void read_integers(const Memory& memory, const AddressMap& map, configs::Format format, partitioner::StorageId storage,
                   std::int64_t* to);
void write_integers(Memory& memory, const AddressMap& map, configs::Format format, partitioner::StorageId storage,
                    const std::int64_t* from);

}  // namespace spillway::simulator
