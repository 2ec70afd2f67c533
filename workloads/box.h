// A half-open box of tensor coordinates: the currency of region maps, tiles and DMA descriptors.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

namespace spillway::workloads {

/// Largest rank of a tensor, and largest number of factors of its storage, that the NPU path handles.
inline constexpr int kMaxRank = 8;

/// [begin, begin + extent) in each of `rank` dimensions. Rank 0 is a scalar (one element). Unused entries are zero.
struct Box {
  int rank = 0;
  std::array<std::int32_t, kMaxRank> begin{};
  std::array<std::int32_t, kMaxRank> extent{};

  bool operator==(const Box&) const = default;

  [[nodiscard]] std::int64_t elements() const {
    std::int64_t n = 1;
    for (int d = 0; d < rank; ++d) n *= extent[d];
    return n;
  }
  [[nodiscard]] bool empty() const {
    for (int d = 0; d < rank; ++d) {
      if (extent[d] <= 0) return true;
    }
    return false;
  }
  [[nodiscard]] std::int32_t end(int d) const { return begin[d] + extent[d]; }
  [[nodiscard]] bool contains(const Box& inner) const {
    if (inner.empty()) return true;
    for (int d = 0; d < rank; ++d) {
      if (inner.begin[d] < begin[d] || inner.end(d) > end(d)) return false;
    }
    return true;
  }
  void set(int d, std::int32_t from, std::int32_t count) { begin[d] = from, extent[d] = count; }
};

/// The intersection; empty() if there is none. Same rank required.
[[nodiscard]] inline Box intersect(const Box& a, const Box& b) {
  Box r = a;
  for (int d = 0; d < a.rank; ++d) {
    const auto lo = std::max(a.begin[d], b.begin[d]);
    r.set(d, lo, std::max(0, std::min(a.end(d), b.end(d)) - lo));
  }
  return r;
}

/// The smallest box that holds both; an empty operand does not count. Same rank required.
[[nodiscard]] inline Box bounding(const Box& a, const Box& b) {
  if (a.empty()) return b;
  if (b.empty()) return a;
  Box r = a;
  for (int d = 0; d < a.rank; ++d) {
    const auto lo = std::min(a.begin[d], b.begin[d]);
    r.set(d, lo, std::max(a.end(d), b.end(d)) - lo);
  }
  return r;
}

}  // namespace spillway::workloads
