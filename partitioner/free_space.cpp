#include "partitioner/free_space.h"

#include <algorithm>
#include <numeric>

namespace spillway::partitioner {

void sort_by_begin(Intervals& intervals) {
  std::sort(intervals.begin(), intervals.end(), [](const Interval& a, const Interval& b) { return a.begin < b.begin; });
}

Intervals gaps_of(const Intervals& occupied, Bytes limit) {
  Intervals gaps;
  Bytes at = 0;
  for (const Interval& o : occupied) {
    if (o.begin > at) gaps.push_back({at, std::min(o.begin, limit)});
    at = std::max(at, o.end);
    if (at >= limit) break;
  }
  if (at < limit) gaps.push_back({at, limit});
  return gaps;
}

Intervals without(const Intervals& gaps, const Intervals& taken) {
  Intervals left;
  std::size_t first = 0;
  for (const Interval& gap : gaps) {
    Bytes at = gap.begin;
    while (first < taken.size() && taken[first].end <= gap.begin) ++first;
    for (std::size_t t = first; t < taken.size() && taken[t].begin < gap.end; ++t) {
      if (taken[t].begin > at) left.push_back({at, taken[t].begin});
      at = std::max(at, taken[t].end);
    }
    if (at < gap.end) left.push_back({at, gap.end});
  }
  return left;
}

Bytes overlap_of(const Intervals& a, const Intervals& b) {
  Bytes bytes = 0;
  for (std::size_t i = 0, k = 0; i < a.size() && k < b.size();) {
    bytes += std::max<Bytes>(0, std::min(a[i].end, b[k].end) - std::max(a[i].begin, b[k].begin));
    (a[i].end < b[k].end ? i : k) += 1;
  }
  return bytes;
}

namespace {

constexpr std::size_t kNoGap = static_cast<std::size_t>(-1);

/// Which gap takes which block; `spare` may take any (it is kNoGap) at the price of its bytes.
class Distribution {
 public:
  Distribution(const std::vector<Bytes>& sizes, const Intervals& gaps) : sizes_(sizes), gap_(sizes.size(), kNoGap) {
    for (const Interval& gap : gaps) free_.push_back(gap.size());
  }

  /// Best fit decreasing. The bytes left over.
  Bytes greedy() {
    std::vector<Bytes> free = free_;
    Bytes over = 0;
    for (std::size_t i = 0; i < sizes_.size(); ++i) {
      std::size_t best = kNoGap;
      for (std::size_t k = 0; k < free.size(); ++k) {
        if (free[k] >= sizes_[i] && (best == kNoGap || free[k] < free[best])) best = k;
      }
      gap_[i] = best;
      (best == kNoGap ? over : free[best]) += best == kNoGap ? sizes_[i] : -sizes_[i];
    }
    return over;
  }

  /// Depth-first over all distributions, for one that leaves at most `enough` bytes over. True if found.
  bool improve(Bytes enough) {
    steps_ = 0;
    trial_ = gap_;
    return place(0, 0, enough);
  }

  [[nodiscard]] std::size_t gap_of(std::size_t block) const { return gap_[block]; }

 private:
  bool place(std::size_t i, Bytes over, Bytes enough) {
    constexpr int kMostSteps = 4000;
    if (over > enough || ++steps_ > kMostSteps) return false;
    if (i == sizes_.size()) {
      gap_ = trial_;
      return true;
    }
    for (std::size_t k = 0; k < free_.size(); ++k) {
      if (free_[k] < sizes_[i]) continue;
      // Gaps with as much room left are the same choice.
      if (std::find(free_.begin(), free_.begin() + static_cast<std::ptrdiff_t>(k), free_[k]) !=
          free_.begin() + static_cast<std::ptrdiff_t>(k)) {
        continue;
      }
      free_[k] -= sizes_[i];
      trial_[i] = k;
      const bool found = place(i + 1, over, enough);
      free_[k] += sizes_[i];
      if (found) return true;
    }
    trial_[i] = kNoGap;
    return place(i + 1, over + sizes_[i], enough);
  }

  const std::vector<Bytes>& sizes_;
  std::vector<Bytes> free_;
  std::vector<std::size_t> gap_, trial_;
  int steps_ = 0;
};

}  // namespace

std::optional<std::vector<Bytes>> pack(const std::vector<Bytes>& sizes, const Intervals& gaps, From from) {
  Bytes room = 0;
  for (const Interval& gap : gaps) room += gap.size();
  if (std::accumulate(sizes.begin(), sizes.end(), Bytes{0}) > room) return std::nullopt;
  Distribution blocks(sizes, gaps);
  if (blocks.greedy() > 0 && !blocks.improve(0)) return std::nullopt;
  std::vector<Bytes> addresses(sizes.size());
  Intervals free = gaps;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] == 0) continue;
    Interval& gap = free[blocks.gap_of(i)];
    if (from == From::kTop) {
      gap.end -= sizes[i];
      addresses[i] = gap.end;
    } else {
      addresses[i] = gap.begin;
      gap.begin += sizes[i];
    }
  }
  return addresses;
}

Bytes reach_of(const std::vector<Bytes>& sizes, const Intervals& gaps, Bytes top, Bytes limit) {
  Distribution blocks(sizes, gaps);
  const Bytes over = blocks.greedy();
  if (top + over > limit && top <= limit && blocks.improve(limit - top)) return limit;
  return top + over;
}

}  // namespace spillway::partitioner
