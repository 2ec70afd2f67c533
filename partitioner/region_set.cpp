#include "partitioner/region_set.h"

#include <utility>

namespace spillway::partitioner {

void subtract(const Box& box, const Box& hole, std::vector<Box>& out) {
  if (box.empty()) return;
  const Box common = intersect(box, hole);
  if (common.empty()) {
    out.push_back(box);
    return;
  }
  // Cut slabs off below and above the hole, one dimension after the other; what remains at the end is the hole.
  Box rest = box;
  for (int d = 0; d < box.rank; ++d) {
    if (rest.begin[d] < common.begin[d]) {
      Box slab = rest;
      slab.extent[d] = common.begin[d] - rest.begin[d];
      out.push_back(slab);
    }
    if (rest.end(d) > common.end(d)) {
      Box slab = rest;
      slab.set(d, common.end(d), rest.end(d) - common.end(d));
      out.push_back(slab);
    }
    rest.set(d, common.begin[d], common.extent[d]);
  }
}

void subtract(std::vector<Box>& boxes, const Box& hole) {
  std::vector<Box> left;
  for (const Box& box : boxes) subtract(box, hole, left);
  boxes = std::move(left);
}

bool merge(Box& into, const Box& other) {
  int differs = -1;
  for (int d = 0; d < into.rank; ++d) {
    if (into.begin[d] == other.begin[d] && into.extent[d] == other.extent[d]) continue;
    if (differs >= 0) return false;
    differs = d;
  }
  if (differs < 0) return true;
  if (into.end(differs) == other.begin[differs]) {
    into.extent[differs] += other.extent[differs];
    return true;
  }
  if (other.end(differs) == into.begin[differs]) {
    into.begin[differs] = other.begin[differs];
    into.extent[differs] += other.extent[differs];
    return true;
  }
  return false;
}

bool RegionSet::covers(const Box& box) const {
  for (const Box& own : boxes_) {
    if (own.contains(box)) return true;
  }
  return missing(box).empty();
}

bool RegionSet::intersects(const Box& box) const {
  for (const Box& own : boxes_) {
    if (!intersect(own, box).empty()) return true;
  }
  return false;
}

std::vector<Box> RegionSet::missing(const Box& box) const {
  std::vector<Box> left;
  if (!box.empty()) left.push_back(box);
  for (const Box& own : boxes_) {
    if (left.empty()) break;
    if (!intersect(own, box).empty()) subtract(left, own);
  }
  return left;
}

void RegionSet::add(const Box& box) {
  for (const Box& own : boxes_) {
    if (own.contains(box)) return;
  }
  for (const Box& fresh : missing(box)) add_disjoint(fresh);
}

void RegionSet::add_disjoint(Box box) {
  for (std::size_t i = 0; i < boxes_.size();) {
    if (merge(box, boxes_[i])) {
      boxes_[i] = boxes_.back();
      boxes_.pop_back();
      i = 0;  // the larger box may fit others that the smaller did not
    } else {
      ++i;
    }
  }
  boxes_.push_back(box);
}

}  // namespace spillway::partitioner
