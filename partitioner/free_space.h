// Internal: free intervals of the scratchpad, and blocks packed into them.
#pragma once

#include <optional>
#include <vector>

#include "configs/configs.h"

namespace spillway::partitioner {

using configs::Bytes;

/// [begin, end)
struct Interval {
  Bytes begin = 0, end = 0;
  [[nodiscard]] Bytes size() const { return end - begin; }
  bool operator==(const Interval&) const = default;
};
using Intervals = std::vector<Interval>;  ///< sorted by begin, disjoint

void sort_by_begin(Intervals& intervals);

/// The free intervals of [0, limit) between the occupied ones, which are sorted by begin and may overlap.
[[nodiscard]] Intervals gaps_of(const Intervals& occupied, Bytes limit);

/// `gaps` without what `taken` covers.
[[nodiscard]] Intervals without(const Intervals& gaps, const Intervals& taken);

/// Bytes that both cover.
[[nodiscard]] Bytes overlap_of(const Intervals& a, const Intervals& b);

/// Which end of a gap fills up first.
enum class From : std::uint8_t { kBottom, kTop };

/// Addresses for blocks of `sizes` (largest first) within the gaps, each in the tightest that takes it (best fit
/// decreasing). If that finds no place for one, every distribution of the blocks over the gaps is tried, up to a bound
/// on the work. nullopt: none found.
[[nodiscard]] std::optional<std::vector<Bytes>> pack(const std::vector<Bytes>& sizes, const Intervals& gaps, From from);

/// How far up blocks of `sizes` (largest first) reach if everything above `gaps`' last end, `top`, is free as well:
/// best fit decreasing into the gaps, the rest on top. If that is over `limit`, tries to do with less, as pack() does.
[[nodiscard]] Bytes reach_of(const std::vector<Bytes>& sizes, const Intervals& gaps, Bytes top, Bytes limit);

}  // namespace spillway::partitioner
