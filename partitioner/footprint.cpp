#include "partitioner/footprint.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "partitioner/region_set.h"

namespace spillway::partitioner {

namespace {

using Wide = __int128;

/// Arithmetic on addresses whose sum is known to be small although its terms may not be: modulo 2^64.
std::int64_t offset_of(const Placement& at, const std::array<std::int32_t, kMaxRank>& coordinate, int rank) {
  auto sum = static_cast<std::uint64_t>(at.origin);
  for (int f = 0; f < rank; ++f) {
    sum += static_cast<std::uint64_t>(at.stride[f]) * static_cast<std::uint64_t>(coordinate[f]);
  }
  return static_cast<std::int64_t>(sum);
}

/// Coarsest stride first. By insertion: there are at most eight.
template <typename Index>
void sort_by_stride(std::array<Index, kMaxRank>& factors, int count, const Placement& at) {
  for (int i = 1; i < count; ++i) {
    for (int k = i; k > 0 && at.stride[factors[k]] > at.stride[factors[k - 1]]; --k) {
      std::swap(factors[k], factors[k - 1]);
    }
  }
}

/// Fills levels, factor, first and last of a box whose nesting is known.
void measure(Footprint& f) {
  f.levels = 0;
  for (int i = 0; i < f.box.rank; ++i) {
    if (f.box.extent[i] > 1) f.factor[f.levels++] = static_cast<std::uint8_t>(i);
  }
  sort_by_stride(f.factor, f.levels, f.at);
  f.first = offset_of(f.at, f.box.begin, f.box.rank);
  f.last = f.first + f.element_bytes;
  for (int level = 0; level < f.levels; ++level) {
    f.last += f.at.stride[f.factor[level]] * (f.box.extent[f.factor[level]] - 1);
  }
}

/// The hierarchy of blocks of a footprint: a block of level l is `count[l]` blocks of level l + 1, `step[l]` apart;
/// a block of the last level is one run. Dense inner levels are folded into the run.
struct Blocks {
  int levels = 0;
  std::array<std::int64_t, kMaxRank> step{}, count{};
  std::array<std::int64_t, kMaxRank + 1> span{};

  explicit Blocks(const Footprint& f) {
    std::int64_t run = f.element_bytes;
    int level = f.levels;
    while (level > 0 && f.at.stride[f.factor[level - 1]] == run) run *= f.box.extent[f.factor[--level]];
    levels = level;
    span[levels] = run;
    for (--level; level >= 0; --level) {
      step[level] = f.at.stride[f.factor[level]];
      count[level] = f.box.extent[f.factor[level]];
      span[level] = step[level] * (count[level] - 1) + span[level + 1];
    }
  }
};

std::int64_t floor_div(std::int64_t a, std::int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

/// Whether a block of `a` of level i at address p shares a byte with a block of `b` of level j at address q.
bool meet(const Blocks& a, int i, std::int64_t p, const Blocks& b, int j, std::int64_t q) {
  if (p + a.span[i] <= q || q + b.span[j] <= p) return false;
  if (i == a.levels && j == b.levels) return true;
  if (i == a.levels || (j < b.levels && b.span[j] > a.span[i])) return meet(b, j, q, a, i, p);
  // Only sub-blocks k with p + k * step in (q - their span, q + span of b).
  const std::int64_t from = std::max<std::int64_t>(0, floor_div(q - a.span[i + 1] - p, a.step[i]) + 1);
  const std::int64_t to = std::min(a.count[i] - 1, floor_div(q + b.span[j] - 1 - p, a.step[i]));
  for (std::int64_t k = from; k <= to; ++k) {
    if (meet(a, i + 1, p + k * a.step[i], b, j, q)) return true;
  }
  return false;
}

/// Appends the boxes of elements that end at or before `limit` (below), or begin at or after it.
void on_one_side(const Footprint& f, std::int64_t limit, bool below, std::vector<Box>& out) {
  std::int64_t base = f.first;
  std::int64_t span = f.last - f.first;
  Box rest = f.box;
  for (int level = 0; level <= f.levels; ++level) {
    if (below ? base + span <= limit : base >= limit) {
      out.push_back(rest);
      return;
    }
    if (level == f.levels || (below ? base >= limit : base + span <= limit)) return;
    const int d = f.factor[level];
    const std::int64_t step = f.at.stride[d];
    const std::int64_t count = rest.extent[d];
    span -= step * (count - 1);
    // Whole sub-blocks on the wanted side, then into the one that straddles the limit.
    const std::int64_t whole = below ? std::clamp<std::int64_t>(floor_div(limit - span - base, step) + 1, 0, count)
                                     : std::clamp<std::int64_t>(floor_div(base + step * count - limit, step), 0, count);
    if (whole > 0) {
      Box slab = rest;
      slab.set(d, below ? rest.begin[d] : static_cast<std::int32_t>(rest.end(d) - whole),
               static_cast<std::int32_t>(whole));
      out.push_back(slab);
    }
    if (whole == count) return;
    const std::int64_t straddles = below ? whole : count - 1 - whole;
    rest.set(d, static_cast<std::int32_t>(rest.begin[d] + straddles), 1);
    base += step * straddles;
  }
}

/// `fresh`'s box in the coordinates of `old`, if it is placed with the same strides and one box around both is nested,
/// so that equal coordinates and equal bytes are the same thing.
std::optional<Box> as_shift(const Footprint& old, const Footprint& fresh, bool nearest) {
  if (old.box.rank != fresh.box.rank || old.element_bytes != fresh.element_bytes) return std::nullopt;
  std::array<int, kMaxRank> active{};
  int count = 0;
  for (int f = 0; f < old.box.rank; ++f) {
    if (old.box.extent[f] == 1 && fresh.box.extent[f] == 1) continue;
    if (old.at.stride[f] != fresh.at.stride[f] || old.at.stride[f] <= 0) return std::nullopt;
    active[count++] = f;
  }
  sort_by_stride(active, count, old.at);
  Box shifted = old.box;
  for (int f = 0; f < shifted.rank; ++f) shifted.extent[f] = 1;
  std::int64_t rest = fresh.first - old.first;
  for (int i = 0; i < count; ++i) {
    const int f = active[i];
    const std::int64_t stride = old.at.stride[f];
    const std::int64_t steps = floor_div(nearest ? rest + stride / 2 : rest, stride);
    rest -= steps * stride;
    const std::int64_t begin = old.box.begin[f] + steps;
    if (begin < -(1 << 30) || begin > (1 << 30)) return std::nullopt;
    shifted.set(f, static_cast<std::int32_t>(begin), fresh.box.extent[f]);
  }
  if (rest != 0) return std::nullopt;
  const Box around = bounding(old.box, shifted);
  Wide span = old.element_bytes;
  for (int i = count - 1; i >= 0; --i) {
    const std::int64_t stride = old.at.stride[active[i]];
    if (stride < span) return std::nullopt;
    span += Wide{stride} * (around.extent[active[i]] - 1);
  }
  return shifted;
}

}  // namespace

std::int64_t Footprint::address(const std::array<std::int32_t, kMaxRank>& coordinate) const {
  return offset_of(at, coordinate, box.rank);
}

Footprint Footprint::part(const Box& inner) const {
  Footprint result = *this;
  result.box = inner;
  measure(result);
  return result;
}

FootprintResult footprint_of(const Operand& operand, std::int64_t limit) {
  FootprintResult result;
  Footprint& f = result.footprint;
  f.box = operand.box;
  f.at = operand.at;
  f.element_bytes = operand.element_bytes();
  if (operand.box.empty()) {
    result.problem = "the box is empty";
    return result;
  }
  Wide first = operand.at.origin;
  for (int i = 0; i < operand.box.rank; ++i) {
    const std::int64_t stride = operand.at.stride[i];
    if (operand.box.extent[i] > 1 && (stride <= 0 || stride > limit)) {
      result.problem = fmt::format("factor {} has stride {} in a memory of {} bytes", i, stride, limit);
      return result;
    }
    first += Wide{stride} * operand.box.begin[i];
    if (operand.box.extent[i] > 1) f.factor[f.levels++] = static_cast<std::uint8_t>(i);
  }
  sort_by_stride(f.factor, f.levels, f.at);
  Wide span = f.element_bytes;
  for (int level = f.levels - 1; level >= 0; --level) {
    const int i = f.factor[level];
    if (f.at.stride[i] < span) {
      result.problem = fmt::format("elements share bytes: factor {} has stride {} over a block of {} bytes", i,
                                   f.at.stride[i], static_cast<std::int64_t>(span));
      return result;
    }
    span += Wide{f.at.stride[i]} * (f.box.extent[i] - 1);
  }
  if (first < 0 || first + span > limit) {
    const auto shown = [](Wide v) {
      constexpr Wide kMost = std::numeric_limits<std::int64_t>::max();
      return static_cast<std::int64_t>(std::clamp(v, -kMost, kMost));
    };
    result.problem = fmt::format("bytes [{:#x}, {:#x}) are outside a memory of {:#x} bytes", shown(first),
                                 shown(first + span), limit);
    return result;
  }
  f.first = static_cast<std::int64_t>(first);
  f.last = static_cast<std::int64_t>(first + span);
  return result;
}

bool share_bytes(const Footprint& a, const Footprint& b) {
  if (!a.hull_meets(b)) return false;
  for (const bool nearest : {false, true}) {
    if (const auto shifted = as_shift(a, b, nearest)) return !intersect(a.box, *shifted).empty();
  }
  return meet(Blocks(a), 0, a.first, Blocks(b), 0, b.first);
}

void surviving(const Footprint& old, const Footprint& fresh, std::vector<Box>& out) {
  if (!old.hull_meets(fresh)) {
    out.push_back(old.box);
    return;
  }
  const bool dense = fresh.dense();
  if (dense && fresh.first <= old.first && old.last <= fresh.last) return;
  for (const bool nearest : {false, true}) {
    if (const auto shifted = as_shift(old, fresh, nearest)) return subtract(old.box, *shifted, out);
  }
  if (dense) {
    on_one_side(old, fresh.first, true, out);
    on_one_side(old, fresh.last, false, out);
  } else if (!share_bytes(old, fresh)) {
    out.push_back(old.box);
  }
}

}  // namespace spillway::partitioner
