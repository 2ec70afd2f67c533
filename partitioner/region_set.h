// Sets of coordinates as short lists of disjoint boxes: what has been written, computed or accumulated of a tensor.
#pragma once

#include <span>
#include <vector>

#include "workloads/box.h"

namespace spillway::partitioner {

using workloads::Box;

/// Appends the part of `box` outside `hole`: at most two boxes a dimension, disjoint.
void subtract(const Box& box, const Box& hole, std::vector<Box>& out);

/// The part of every box outside `hole`, in place.
void subtract(std::vector<Box>& boxes, const Box& hole);

/// If the union of the two disjoint boxes is a box, `into` becomes it.
[[nodiscard]] bool merge(Box& into, const Box& other);

/// Disjoint boxes, merged with their neighbours as they are added, so that a tensor filled tile by tile ends as one.
class RegionSet {
 public:
  RegionSet() = default;
  explicit RegionSet(const Box& box) { add(box); }

  [[nodiscard]] std::span<const Box> boxes() const { return boxes_; }
  [[nodiscard]] bool covers(const Box& box) const;
  [[nodiscard]] bool intersects(const Box& box) const;
  /// The parts of `box` that are not in the set.
  [[nodiscard]] std::vector<Box> missing(const Box& box) const;
  void add(const Box& box);

 private:
  void add_disjoint(Box box);

  std::vector<Box> boxes_;
};

}  // namespace spillway::partitioner
