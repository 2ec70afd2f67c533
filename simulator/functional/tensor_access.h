// A logical tensor's elements inside an operand: byte offsets of its logical coordinates, and copies to and from the
// dense float regions that kernels compute on.
#pragma once

#include <vector>

#include "partitioner/program.h"

namespace spillway::simulator {

using workloads::Box;

/// offsets[d][i]: bytes that logical coordinate box.begin[d] + i adds; address = base + the sum over dimensions.
struct AddressMap {
  std::int64_t base = 0;
  int rank = 0;
  std::array<std::vector<std::int64_t>, workloads::kMaxRank> offsets;
};

/// Addresses of the elements of `box` (logical) of a tensor with `view`, whose storage lies at `at`. Every logical
/// dimension is a mixed-radix number over its factor ranges, outermost first.
[[nodiscard]] AddressMap map_addresses(const partitioner::TensorView& view, const partitioner::Placement& at,
                                       const Box& box);

/// Calls visit(address, i) for the i-th element of the box, row-major.
template <typename Visit>
void for_each_element(const AddressMap& map, Visit visit) {
  const auto extent = [&](int d) { return static_cast<std::int64_t>(map.offsets[static_cast<std::size_t>(d)].size()); };
  for (int d = 0; d < map.rank; ++d) {
    if (extent(d) == 0) return;
  }
  if (map.rank == 0) return visit(map.base, std::int64_t{0});
  const int inner = map.rank - 1;
  const auto& row = map.offsets[static_cast<std::size_t>(inner)];
  std::array<std::int64_t, workloads::kMaxRank> index{};
  std::int64_t i = 0;
  while (true) {
    std::int64_t address = map.base;
    for (int d = 0; d < inner; ++d) {
      address += map.offsets[static_cast<std::size_t>(d)][static_cast<std::size_t>(index[static_cast<std::size_t>(d)])];
    }
    for (const std::int64_t offset : row) visit(address + offset, i++);
    int d = inner - 1;
    for (; d >= 0; --d) {
      if (++index[static_cast<std::size_t>(d)] < extent(d)) break;
      index[static_cast<std::size_t>(d)] = 0;
    }
    if (d < 0) return;
  }
}

/// The placement of a dense row-major array over `box` whose first element lies at byte 0.
[[nodiscard]] partitioner::Placement dense_placement(const Box& box, std::int64_t element_bytes);

}  // namespace spillway::simulator
