#include "partitioner/allocate.h"

#include <algorithm>
#include <numeric>

namespace spillway::partitioner {

namespace {

struct Interval {
  Bytes begin = 0, end = 0;
};

/// The free intervals of [0, budget) between the occupied ones.
std::vector<Interval> gaps_of(std::vector<Interval> occupied, Bytes budget) {
  std::sort(occupied.begin(), occupied.end(), [](const Interval& a, const Interval& b) { return a.begin < b.begin; });
  std::vector<Interval> gaps;
  Bytes at = 0;
  for (const Interval& o : occupied) {
    if (o.begin > at) gaps.push_back({at, o.begin});
    at = std::max(at, o.end);
  }
  if (at < budget) gaps.push_back({at, budget});
  return gaps;
}

bool overlap(const Residency& a, const Residency& b) {
  return a.first_group <= b.last_group && b.first_group <= a.last_group;
}

bool place_buffers(std::vector<Buffer>& buffers, std::vector<Interval> gaps, bool from_top) {
  std::vector<std::size_t> order(buffers.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return buffers[a].slots * buffers[a].slot_bytes > buffers[b].slots * buffers[b].slot_bytes;
  });
  for (const std::size_t i : order) {
    const Bytes bytes = buffers[i].slots * buffers[i].slot_bytes;
    Interval* best = nullptr;  // the tightest gap
    for (Interval& gap : gaps) {
      if (gap.end - gap.begin < bytes) continue;
      if (best == nullptr || gap.end - gap.begin < best->end - best->begin) best = &gap;
    }
    if (best == nullptr) return false;
    if (from_top) {
      best->end -= bytes;
      buffers[i].address = best->end;
    } else {
      buffers[i].address = best->begin;
      best->begin += bytes;
    }
  }
  return true;
}

}  // namespace

std::optional<AllocationFailure> allocate(std::vector<Residency>& residencies, std::vector<Group>& groups,
                                          Bytes budget) {
  std::vector<std::size_t> order(residencies.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return residencies[a].bytes > residencies[b].bytes; });
  std::vector<std::size_t> placed;
  for (const std::size_t i : order) {
    Residency& r = residencies[i];
    std::vector<Interval> occupied;
    for (const std::size_t other : placed) {
      if (overlap(r, residencies[other])) {
        occupied.push_back({residencies[other].address, residencies[other].address + residencies[other].bytes});
      }
    }
    bool found = false;
    for (const Interval& gap : gaps_of(occupied, budget)) {
      if (gap.end - gap.begin < r.bytes) continue;
      r.address = gap.begin;
      found = true;
      break;
    }
    if (!found) return AllocationFailure{r.first_group};
    placed.push_back(i);
  }
  for (std::size_t g = 0; g < groups.size(); ++g) {
    std::vector<Interval> occupied;
    for (const Residency& r : residencies) {
      if (r.first_group <= static_cast<int>(g) && static_cast<int>(g) <= r.last_group) {
        occupied.push_back({r.address, r.address + r.bytes});
      }
    }
    const auto gaps = gaps_of(occupied, budget);
    const bool top = g % 2 == 1;
    if (!place_buffers(groups[g].buffers, gaps, top) && !place_buffers(groups[g].buffers, gaps, !top)) {
      return AllocationFailure{static_cast<int>(g)};
    }
  }
  return std::nullopt;
}

}  // namespace spillway::partitioner
