#include "workloads/histogram.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "workloads/compute/narrow.h"
#include "workloads/compute/parallel.h"

namespace spillway::workloads {

void Histogram::widen(float magnitude) {
  if (bins_.empty()) bins_.assign(2 * kHalf, 0);
  const double needed = std::ldexp(1.0, std::ilogb(magnitude) + 1) / kHalf;
  if (width_ == 0) {
    width_ = needed;
    // What has been seen so far was zero.
    return;
  }
  while (width_ < needed) {
    std::vector<std::int64_t> merged(2 * kHalf, 0);
    for (int bin = 0; bin < 2 * kHalf; ++bin) {
      const int to = kHalf + (bin >= kHalf ? (bin - kHalf) / 2 : -((kHalf - bin + 1) / 2));
      merged[static_cast<std::size_t>(to)] += bins_[static_cast<std::size_t>(bin)];
    }
    bins_ = std::move(merged);
    width_ *= 2;
  }
}

Range Histogram::count(std::span<const float> values) {
  constexpr std::size_t kPiece = 1 << 16;
  struct Found {
    Range range;
    std::int64_t strange = 0;
  };
  std::vector<Found> found((values.size() + kPiece - 1) / kPiece);
  compute::parallel_for(static_cast<std::int64_t>(found.size()), [&](std::int64_t i) {
    const auto piece = values.subspan(static_cast<std::size_t>(i) * kPiece);
    Found& part = found[static_cast<std::size_t>(i)];
    part.strange = compute::narrow().widen(static_cast<std::int64_t>(std::min(kPiece, piece.size())), piece.data(),
                                           &part.range.low, &part.range.high);
  });
  Range seen;
  std::int64_t strange = 0;
  for (const Found& part : found) {
    seen = {std::min(seen.low, part.range.low), std::max(seen.high, part.range.high)};
    strange += part.strange;
  }
  not_finite_ += strange;
  count_ += static_cast<std::int64_t>(values.size()) - strange;
  extremes_ = {std::min(extremes_.low, seen.low), std::max(extremes_.high, seen.high)};
  return seen;
}

void Histogram::add_extremes(std::span<const float> values) { (void)count(values); }

void Histogram::add(std::span<const float> values) {
  const Range seen = count(values);
  const float magnitude = std::max(-seen.low, seen.high);
  if (magnitude > 0) widen(magnitude);
  if (width_ == 0) return;  // nothing but zeros yet: they are the difference of count_ and the bins' sum
  const double per_width = 1 / width_;
  for (const float v : values) {
    if (v == 0 || !std::isfinite(v)) continue;
    const int bin = kHalf + static_cast<int>(std::floor(v * per_width));
    ++bins_[static_cast<std::size_t>(std::clamp(bin, 0, 2 * kHalf - 1))];
  }
}

Range Histogram::extremes() const { return extremes_; }

Range Histogram::percentile(double percent) const {
  if (width_ == 0) return extremes_;
  const double outside = static_cast<double>(count_) * (100 - percent) / 200;  // on either side
  Range range = extremes_;
  double seen = 0;
  for (int bin = 0; bin < kHalf; ++bin) {
    seen += static_cast<double>(bins_[static_cast<std::size_t>(bin)]);
    if (seen <= outside) range.low = std::max(range.low, static_cast<float>((bin + 1 - kHalf) * width_));
  }
  seen = 0;
  for (int bin = 2 * kHalf - 1; bin >= kHalf; --bin) {
    seen += static_cast<double>(bins_[static_cast<std::size_t>(bin)]);
    if (seen <= outside) range.high = std::min(range.high, static_cast<float>((bin - kHalf) * width_));
  }
  return range;
}

Range Histogram::least_square_error(int bits, bool symmetric) const {
  if (width_ == 0) return extremes_;
  constexpr int kTries = 80;  // from the extremes down to a fifth of them
  Range best = extremes_;
  double least = std::numeric_limits<double>::infinity();
  for (int shrink = 0; shrink < kTries; ++shrink) {
    const float part = 1.0F - 0.01F * static_cast<float>(shrink);
    const Range range{extremes_.low * part, extremes_.high * part};
    const Quantiser q = symmetric ? symmetric_quantiser(range, bits) : asymmetric_quantiser(range, bits);
    const double lowest = q.decode(q.low);
    const double highest = q.decode(q.high);
    double error = 0;
    for (int bin = 0; bin < 2 * kHalf; ++bin) {
      const auto n = static_cast<double>(bins_[static_cast<std::size_t>(bin)]);
      if (n == 0) continue;
      const double v = centre(bin);
      const double beyond = std::max({0.0, v - highest, lowest - v});
      // Inside, values lie anywhere between two integers: the variance of a uniform error.
      error += n * (beyond > 0 ? beyond * beyond : static_cast<double>(q.scale) * q.scale / 12);
    }
    if (error < least) least = error, best = range;
  }
  return best;
}

}  // namespace spillway::workloads
