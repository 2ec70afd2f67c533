// The bytes that a box of a storage covers under a placement, and exact questions about two such sets of bytes.
//
// Placements are *nested*: with the factors sorted by stride, each step clears the span of all finer factors. So the
// bytes form a hierarchy of equal blocks, no two elements share a byte, and questions descend block by block instead
// of visiting elements.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "partitioner/program.h"

namespace spillway::partitioner {

struct Footprint {
  Box box;
  Placement at;
  std::int64_t element_bytes = 1;
  std::int64_t first = 0, last = 0;  ///< hull: [first, last)
  int levels = 0;
  std::array<std::uint8_t, kMaxRank> factor{};  ///< those of extent over 1, coarsest stride first

  [[nodiscard]] bool dense() const { return last - first == box.elements() * element_bytes; }
  [[nodiscard]] bool hull_meets(const Footprint& other) const { return first < other.last && other.first < last; }
  /// Address of a coordinate of the box.
  [[nodiscard]] std::int64_t address(const std::array<std::int32_t, kMaxRank>& coordinate) const;
  /// The same placement restricted to a box inside this one.
  [[nodiscard]] Footprint part(const Box& inner) const;
};

/// The footprint of an operand of a memory of `limit` bytes, or what is wrong with it: an empty box, a placement that
/// is not nested, bytes outside the memory.
struct FootprintResult {
  Footprint footprint;
  std::optional<std::string> problem;
};
[[nodiscard]] FootprintResult footprint_of(const Operand& operand, std::int64_t limit);

/// Whether any byte belongs to both. Exact.
[[nodiscard]] bool share_bytes(const Footprint& a, const Footprint& b);

/// Appends the boxes of `old` whose bytes survive a write of `fresh`. Never claims survival of an overwritten element.
/// Exact if one is placed as a shift of the other or `fresh` is contiguous; else all of `old` or nothing survives.
void surviving(const Footprint& old, const Footprint& fresh, std::vector<Box>& out);

}  // namespace spillway::partitioner
