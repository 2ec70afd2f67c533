// Where a group's predicted cycles go. Values of their own, so that reports need not know how loops are priced.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "configs/configs.h"

namespace spillway::partitioner {

/// What a cycle of a group is spent on: of everything that goes on in it, what would have to be faster.
enum class SpentOn : std::uint8_t {
  kMatrix,
  kVector,
  kDram,      ///< transfers that compute does not hide, at the DRAM's bandwidth
  kRequests,  ///< what these transfers take longer than that: descriptors, short runs, copies within the scratchpad
  kTurns,     ///< an engine waits because stages of a tile run one after another
  kSingle,    ///< transfers before and after each tile, since its buffers are single
  kFill,      ///< first load, last store, and until all stages are busy
};
inline constexpr int kSpentOnCount = 7;
[[nodiscard]] std::string_view name_of(SpentOn what);

/// They add up to the group's cycles.
struct CycleShares {
  std::array<configs::Cycles, kSpentOnCount> cycles{};
  configs::Cycles& operator[](SpentOn what) { return cycles[static_cast<std::size_t>(what)]; }
  configs::Cycles operator[](SpentOn what) const { return cycles[static_cast<std::size_t>(what)]; }
  [[nodiscard]] configs::Cycles total() const;
  [[nodiscard]] SpentOn most() const;  ///< of equal ones the first
  CycleShares& operator+=(const CycleShares& other);
  CycleShares& operator-=(const CycleShares& other);
};

}  // namespace spillway::partitioner
