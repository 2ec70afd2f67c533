// Regions of float tensors in any layout: conversions, copies, and loops that follow the layout.
#pragma once

#include <vector>

#include "workloads/compute/parallel.h"
#include "workloads/operators/operators.h"

namespace spillway::workloads::compute {

[[nodiscard]] ConstStridedView strided(const ConstRegionView& view);
[[nodiscard]] StridedView strided(const RegionView& view);
[[nodiscard]] inline ConstStridedView readable(const StridedView& view) { return {view.box, view.data, view.stride}; }

/// Row-major strides of a box.
[[nodiscard]] std::array<std::int64_t, kMaxRank> dense_strides(const Box& box);

/// Whether the elements lie row-major without gaps.
[[nodiscard]] bool is_dense(const Box& box, const std::array<std::int64_t, kMaxRank>& stride);

/// Element (c_0, ..., c_r-1) of tensor coordinates, which may lie outside the box.
[[nodiscard]] inline std::int64_t offset_in(const ConstStridedView& view, const Box& part) {
  std::int64_t offset = 0;
  for (int d = 0; d < view.box.rank; ++d) offset += view.stride[d] * (part.begin[d] - view.box.begin[d]);
  return offset;
}

/// The one step that walks dimensions [from, to) in row-major order, or 0 if there is none.
[[nodiscard]] std::int64_t common_step(const Box& box, const std::array<std::int64_t, kMaxRank>& stride, int from,
                                       int to);

/// A view of dense memory in which dimension 1 (channels) is innermost.
[[nodiscard]] StridedView channels_last(const Box& box, float* data);

/// OpDef::kernel from OpDef::strided.
template <auto kStrided>
void dense_kernel(const Graph& graph, const Node& node, std::span<const ConstRegionView> inputs,
                  const RegionView& out) {
  std::vector<ConstStridedView> views;
  views.reserve(inputs.size());
  for (const ConstRegionView& input : inputs) views.push_back(strided(input));
  kStrided(graph, node, views, strided(out), Sums::kFloat);
}

/// Runs a kernel that wants dense regions on copies of those that are not.
void through_dense(void (*kernel)(const Graph&, const Node&, std::span<const ConstRegionView>, const RegionView&),
                   const Graph& graph, const Node& node, std::span<const ConstStridedView> inputs,
                   const StridedView& out);

/// Copies elements of equal coordinates; the boxes have equal extents.
void copy(const ConstStridedView& from, const StridedView& to);

/// Walks N arrays over one index space: dimensions ordered by the strides of array 0, adjacent ones merged where all
/// arrays allow, the work cut into rows of bounded length and spread over the cores.
template <int N>
class Loops {
 public:
  using Strides = std::array<std::int64_t, kMaxRank>;
  Loops(const Box& box, const std::array<Strides, N>& strides);

  [[nodiscard]] std::int64_t step(int array) const { return stride_[array][rank_ - 1]; }

  /// body(offsets, length): rows along which array k steps by step(k). Any order, any thread.
  template <typename Body>
  void for_each_row(const Body& body) const;

 private:
  /// Short enough for a few arrays to stay in the second cache, long enough to pay for a call.
  static constexpr std::int64_t kRow = 16384;

  int rank_ = 1;
  bool empty_ = false;
  std::array<std::int64_t, kMaxRank> extent_{};
  std::array<Strides, N> stride_{};
};

// --- implementation ---

template <int N>
Loops<N>::Loops(const Box& box, const std::array<Strides, N>& strides) : empty_(box.empty()) {
  std::array<int, kMaxRank> order{};
  int dims = 0;
  for (int d = 0; d < box.rank; ++d) {
    if (box.extent[d] == 1) continue;
    int at = dims++;
    for (; at > 0 && strides[0][order[at - 1]] < strides[0][d]; --at) order[at] = order[at - 1];
    order[at] = d;
  }
  extent_[0] = 1;
  int used = 0;
  for (int i = 0; i < dims; ++i) {
    const int d = order[i];
    bool merges = used > 0;
    for (int k = 0; k < N && merges; ++k) merges = stride_[k][used - 1] == strides[k][d] * box.extent[d];
    if (merges) {
      extent_[used - 1] *= box.extent[d];
    } else {
      extent_[used++] = box.extent[d];
    }
    for (int k = 0; k < N; ++k) stride_[k][used - 1] = strides[k][d];
  }
  rank_ = used > 0 ? used : 1;
}

template <int N>
template <typename Body>
void Loops<N>::for_each_row(const Body& body) const {
  if (empty_) return;
  std::int64_t rows = 1;
  for (int d = 0; d + 1 < rank_; ++d) rows *= extent_[d];
  const std::int64_t length = extent_[rank_ - 1];
  const std::int64_t pieces = (length + kRow - 1) / kRow;
  const std::int64_t piece = (length + pieces - 1) / pieces;
  // Rows are handed out in packs of about one piece's size.
  const std::int64_t pack = pieces > 1 ? 1 : std::max<std::int64_t>(1, kRow / length);
  const std::int64_t units = rows * pieces;
  const auto run = [&](std::int64_t from, std::int64_t to) {
    for (std::int64_t unit = from; unit < to; ++unit) {
      std::int64_t rest = unit / pieces;
      const std::int64_t first = unit % pieces * piece;
      const std::int64_t count = std::min(piece, length - first);
      if (count <= 0) continue;
      std::array<std::int64_t, N> offsets{};
      for (int k = 0; k < N; ++k) offsets[k] = first * stride_[k][rank_ - 1];
      for (int d = rank_ - 2; d >= 0; --d) {
        const std::int64_t index = rest % extent_[d];
        rest /= extent_[d];
        for (int k = 0; k < N; ++k) offsets[k] += index * stride_[k][d];
      }
      body(offsets, count);
    }
  };
  const std::int64_t packs = (units + pack - 1) / pack;
  if (packs <= 1) return run(0, units);
  parallel_for(packs, [&](std::int64_t i) { run(i * pack, std::min(units, (i + 1) * pack)); });
}

}  // namespace spillway::workloads::compute
