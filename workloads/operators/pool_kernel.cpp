#include "workloads/operators/pool_kernel.h"

#include <algorithm>
#include <array>
#include <limits>
#include <vector>

#include "workloads/compute/parallel.h"

namespace spillway::workloads {

namespace {

constexpr float kNothing = -std::numeric_limits<float>::infinity();

/// Windows of a region: rows of output along one axis, which is the channels where those are adjacent and otherwise the
/// last spatial one; the taps of a row's windows along the other axes.
class Windows {
 public:
  Windows(const Window& window, const Shape& in, const ConstStridedView& x, const StridedView& out)
      : x_(x), out_(out), dims_(window.dims()), along_(out.box.rank - 1) {
    if (x.stride[1] == 1 && out.stride[1] == 1 && out.box.extent[1] > 1) along_ = 1;
    ranges_.resize(static_cast<std::size_t>(dims_));
    for (int d = 0; d < dims_; ++d) {
      taps_ *= window.kernel[d];
      for (std::int32_t p = out.box.begin[d + 2]; p < out.box.end(d + 2); ++p) {
        ranges_[d].push_back(taps_of(window, d, in[d + 2], p));
      }
    }
  }

  [[nodiscard]] bool along_channels() const { return along_ == 1; }
  [[nodiscard]] const std::vector<TapRange>& last_axis() const { return ranges_.back(); }
  [[nodiscard]] std::int64_t columns() const { return out_.box.extent[along_]; }

  /// A row of outputs: where it lies, where the first of its windows' input lies (without the axis that is walked), and
  /// how many taps each other spatial axis has.
  struct Row {
    float* to = nullptr;
    const float* from = nullptr;
    std::array<const TapRange*, kMaxRank> range{};
    int axes = 0;
  };

  /// body(row) for every row, on all cores.
  template <typename Body>
  void for_each_row(const Body& body) const {
    const std::int64_t rows = out_.box.elements() / columns();
    constexpr std::int64_t kWork = 1 << 15;  // taps of a piece
    const std::int64_t pack = std::max<std::int64_t>(1, kWork / (columns() * taps_));
    compute::parallel_for((rows + pack - 1) / pack, [&](std::int64_t i) {
      for (std::int64_t r = i * pack; r < std::min(rows, (i + 1) * pack); ++r) body(row(r));
    });
  }

  /// body(pointer) for every tap of a row's other axes, in row-major order.
  template <typename Body>
  void for_each_tap(const Row& row, const Body& body) const {
    std::int64_t taps = 1;
    for (int d = 0; d < row.axes; ++d) taps *= row.range[d]->count;
    for (std::int64_t t = 0; t < taps; ++t) {
      std::int64_t rest = t, at = 0;
      for (int d = row.axes - 1; d >= 0; --d) {
        at += rest % row.range[d]->count * row.range[d]->step * x_.stride[d + 2];
        rest /= row.range[d]->count;
      }
      body(row.from + at);
    }
  }

 private:
  [[nodiscard]] Row row(std::int64_t index) const {
    Row row{out_.data, x_.data, {}, along_channels() ? dims_ : dims_ - 1};
    for (int d = out_.box.rank - 1; d >= 0; --d) {
      if (d == along_) {
        if (d == 1) row.from += (out_.box.begin[1] - x_.box.begin[1]) * x_.stride[1];
        continue;
      }
      const std::int64_t at = index % out_.box.extent[d];
      index /= out_.box.extent[d];
      row.to += at * out_.stride[d];
      std::int64_t source = out_.box.begin[d] + at;
      if (d >= 2) {
        row.range[d - 2] = &ranges_[d - 2][static_cast<std::size_t>(at)];
        source = row.range[d - 2]->first;
      }
      row.from += (source - x_.box.begin[d]) * x_.stride[d];
    }
    return row;
  }

  const ConstStridedView& x_;
  const StridedView& out_;
  int dims_;
  int along_;
  std::int64_t taps_ = 1;
  std::vector<std::vector<TapRange>> ranges_;  ///< by spatial axis and output position
};

/// The first of the largest stays, so a zero's sign depends on the order: the last axis is walked last in both layouts.
float larger(float a, float b) { return a < b ? b : a; }

}  // namespace

TapRange taps_of(const Window& window, int d, std::int64_t in, std::int64_t position) {
  TapRange r;
  r.step = window.dilation[d];
  const std::int64_t start = position * window.stride[d] - window.pad_begin[d];
  for (std::int64_t k = 0; k < window.kernel[d]; ++k) {
    const std::int64_t at = start + k * r.step;
    if (at < in + window.pad_end[d]) ++r.padded;
    if (at < 0 || at >= in) continue;
    if (r.count++ == 0) r.first = at;
  }
  return r;
}

void pool_largest(const Window& window, const Shape& in, const ConstStridedView& x, const StridedView& out) {
  if (out.box.empty()) return;
  const Windows windows(window, in, x, out);
  const int last = out.box.rank - 1;
  const std::int64_t columns = windows.columns();
  if (windows.along_channels()) {
    const std::int64_t step = x.stride[last];
    windows.for_each_row([&](const Windows::Row& row) {
      Windows::Row others = row;
      --others.axes;
      const TapRange& inner = *row.range[others.axes];
      std::fill_n(row.to, columns, kNothing);
      for (std::int64_t k = 0; k < inner.count; ++k) {
        others.from = row.from + k * inner.step * step;
        windows.for_each_tap(others, [&](const float* from) {
          for (std::int64_t c = 0; c < columns; ++c) row.to[c] = larger(row.to[c], from[c]);
        });
      }
    });
    return;
  }
  const std::int64_t width = x.box.extent[last], begin = x.box.begin[last];
  const std::int64_t from_step = x.stride[last], to_step = out.stride[last];
  windows.for_each_row([&](const Windows::Row& row) {
    const compute::Scratch buffer(width);
    float* largest = buffer.get();  // of each column of the input
    std::fill_n(largest, width, kNothing);
    windows.for_each_tap(row, [&](const float* from) {
      if (from_step == 1) {
        for (std::int64_t i = 0; i < width; ++i) largest[i] = larger(largest[i], from[i]);
      } else {
        for (std::int64_t i = 0; i < width; ++i) largest[i] = larger(largest[i], from[i * from_step]);
      }
    });
    float* to = row.to;
    for (const TapRange& range : windows.last_axis()) {
      const float* from = largest + range.first - begin;
      float result = kNothing;
      for (std::int64_t k = 0; k < range.count; ++k) result = larger(result, from[k * range.step]);
      *to = result;
      to += to_step;
    }
  });
}

void pool_mean(const Window& window, const Shape& in, bool count_pads, const ConstStridedView& x,
               const StridedView& out) {
  if (out.box.empty()) return;
  const Windows windows(window, in, x, out);
  const int last = out.box.rank - 1;
  const auto columns = static_cast<std::size_t>(windows.columns());
  const auto mean = [](double sum, std::int64_t count) {
    return static_cast<float>(count == 0 ? 0.0 : sum / static_cast<double>(count));
  };
  windows.for_each_row([&](const Windows::Row& row) {
    std::int64_t counted = 1;
    for (int d = 0; d < row.axes; ++d) counted *= count_pads ? row.range[d]->padded : row.range[d]->count;
    std::vector<double> sums(columns, 0.0);
    if (windows.along_channels()) {
      windows.for_each_tap(row, [&](const float* from) {
        for (std::size_t c = 0; c < columns; ++c) sums[c] += from[c];
      });
      for (std::size_t c = 0; c < columns; ++c) row.to[c] = mean(sums[c], counted);
      return;
    }
    const std::vector<TapRange>& ranges = windows.last_axis();
    windows.for_each_tap(row, [&](const float* line) {
      for (std::size_t j = 0; j < columns; ++j) {
        const TapRange& range = ranges[j];
        const float* from = line + (range.first - x.box.begin[last]) * x.stride[last];
        for (std::int64_t k = 0; k < range.count; ++k) sums[j] += from[k * range.step * x.stride[last]];
      }
    });
    for (std::size_t j = 0; j < columns; ++j) {
      row.to[static_cast<std::int64_t>(j) * out.stride[last]] =
          mean(sums[j], counted * (count_pads ? ranges[j].padded : ranges[j].count));
    }
  });
}

}  // namespace spillway::workloads
