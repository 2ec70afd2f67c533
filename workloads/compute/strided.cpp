#include "workloads/compute/strided.h"

#include <algorithm>

#include "workloads/compute/simd.h"

namespace spillway::workloads::compute {

std::array<std::int64_t, kMaxRank> dense_strides(const Box& box) {
  std::array<std::int64_t, kMaxRank> stride{};
  std::int64_t step = 1;
  for (int d = box.rank - 1; d >= 0; --d) {
    stride[d] = step;
    step *= box.extent[d];
  }
  return stride;
}

ConstStridedView strided(const ConstRegionView& view) { return {view.box, view.data, dense_strides(view.box)}; }
StridedView strided(const RegionView& view) { return {view.box, view.data, dense_strides(view.box)}; }

bool is_dense(const Box& box, const std::array<std::int64_t, kMaxRank>& stride) {
  const auto dense = dense_strides(box);
  for (int d = 0; d < box.rank; ++d) {
    if (box.extent[d] > 1 && stride[d] != dense[d]) return false;
  }
  return true;
}

std::int64_t common_step(const Box& box, const std::array<std::int64_t, kMaxRank>& stride, int from, int to) {
  std::int64_t step = 0, next = 0;
  for (int d = to - 1; d >= from; --d) {
    if (box.extent[d] == 1) continue;
    if (step == 0) {
      step = stride[d];
    } else if (stride[d] != next) {
      return 0;
    }
    next = stride[d] * box.extent[d];
  }
  return step == 0 ? 1 : step;
}

StridedView channels_last(const Box& box, float* data) {
  StridedView view{box, data, {}};
  std::int64_t step = box.extent[1];
  view.stride[1] = 1;
  for (int d = box.rank - 1; d >= 0; --d) {
    if (d == 1) continue;
    view.stride[d] = step;
    step *= box.extent[d];
  }
  return view;
}

void through_dense(void (*kernel)(const Graph&, const Node&, std::span<const ConstRegionView>, const RegionView&),
                   const Graph& graph, const Node& node, std::span<const ConstStridedView> inputs,
                   const StridedView& out) {
  std::vector<ConstRegionView> views;
  std::vector<Scratch> copies;
  views.reserve(inputs.size());
  copies.reserve(inputs.size());
  for (const ConstStridedView& input : inputs) {
    if (input.data == nullptr || is_dense(input.box, input.stride)) {
      views.push_back({input.box, input.data});
      continue;
    }
    copies.emplace_back(input.box.elements());
    copy(input, {input.box, copies.back().get(), dense_strides(input.box)});
    views.push_back({input.box, copies.back().get()});
  }
  if (is_dense(out.box, out.stride)) return kernel(graph, node, views, {out.box, out.data});
  const Scratch result(out.box.elements());
  kernel(graph, node, views, {out.box, result.get()});
  copy({out.box, result.get(), dense_strides(out.box)}, out);
}

void copy(const ConstStridedView& from, const StridedView& to) {
  const Box& box = to.box;
  if (box.empty()) return;
  // Where the two layouts run along different dimensions, plane by plane through the cache.
  int along_from = -1, along_to = -1;
  for (int d = 0; d < box.rank; ++d) {
    if (box.extent[d] == 1) continue;
    if (from.stride[d] == 1) along_from = d;
    if (to.stride[d] == 1) along_to = d;
  }
  if (along_from >= 0 && along_to >= 0 && along_from != along_to) {
    Box outer = box;
    outer.extent[along_from] = outer.extent[along_to] = 1;
    constexpr std::int64_t kLines = 256;
    const std::int64_t columns = box.extent[along_from];
    const std::int64_t pieces = (columns + kLines - 1) / kLines;
    const std::int64_t planes = outer.elements();
    parallel_for(planes * pieces, [&](std::int64_t i) {
      std::int64_t rest = i / pieces;
      std::int64_t at_from = 0, at_to = 0;
      for (int d = box.rank - 1; d >= 0; --d) {
        const std::int64_t index = rest % outer.extent[d];
        rest /= outer.extent[d];
        at_from += index * from.stride[d];
        at_to += index * to.stride[d];
      }
      const std::int64_t first = i % pieces * kLines;
      simd().transpose(box.extent[along_to], std::min(kLines, columns - first), from.data + at_from + first,
                       from.stride[along_to], to.data + at_to + first * to.stride[along_from], to.stride[along_from]);
    });
    return;
  }
  const Loops<2> loops(box, {to.stride, from.stride});
  const std::int64_t step_to = loops.step(0), step_from = loops.step(1);
  loops.for_each_row([&](const std::array<std::int64_t, 2>& at, std::int64_t n) {
    float* target = to.data + at[0];
    const float* source = from.data + at[1];
    if (step_to == 1 && step_from == 1) {
      std::copy_n(source, n, target);
    } else {
      for (std::int64_t i = 0; i < n; ++i) target[i * step_to] = source[i * step_from];
    }
  });
}

}  // namespace spillway::workloads::compute
