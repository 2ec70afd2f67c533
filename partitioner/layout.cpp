#include "partitioner/layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <optional>

#include "configs/error.h"
#include "partitioner/layout_builder.h"

namespace spillway::partitioner {

std::string_view name_of(StorageClass c) {
  switch (c) {
    case StorageClass::kWeight:
      return "weight";
    case StorageClass::kActivation:
      return "activation";
    case StorageClass::kParameter:
      return "parameter";
    case StorageClass::kStatistics:
      return "statistics";
  }
  internal_error("unknown storage class");
}

Box Storage::whole() const {
  Box box;
  box.rank = rank;
  box.extent = extent;
  return box;
}

Box Layout::to_storage(TensorId tensor, const Box& logical) const {
  const TensorView& view = views[tensor];
  const Storage& storage = storages[view.storage];
  Box box;
  box.rank = storage.rank;
  for (int f = 0; f < box.rank; ++f) box.extent[f] = 1;
  const bool nothing = logical.empty();
  for (std::size_t d = 0; d < view.dims.size(); ++d) {
    const auto& refs = view.dims[d];
    if (refs.size() == 1) {  // the usual case, without a division
      box.set(refs[0].factor, refs[0].offset + logical.begin[d], logical.extent[d]);
      continue;
    }
    std::int32_t inner = 1;  // an index of the dimension is below 2^31, so products of its factors are too
    for (const FactorRef& ref : refs) inner *= ref.extent;
    std::int32_t lo = logical.begin[d];
    std::int32_t hi = logical.end(static_cast<int>(d)) - 1;
    bool same = true;  // all digits so far agree, so the range is still one run of this factor
    for (const FactorRef& ref : refs) {
      inner /= ref.extent;
      if (!same) {
        box.set(ref.factor, ref.offset, ref.extent);
        continue;
      }
      const std::int32_t first = lo / inner;
      const std::int32_t last = hi / inner;
      box.set(ref.factor, ref.offset + first, last - first + 1);
      lo -= first * inner;
      hi -= last * inner;
      same = first == last;
    }
  }
  if (nothing) {
    for (int f = 0; f < box.rank; ++f) box.extent[f] = 0;
  }
  return box;
}

std::vector<Box> Layout::to_logical(TensorId tensor, const Box& storage_box) const {
  const TensorView& view = views[tensor];
  std::vector<Box> boxes(1);
  boxes[0].rank = static_cast<int>(view.dims.size());
  for (std::size_t d = 0; d < view.dims.size(); ++d) {
    // Runs of this logical dimension: the product of the factor ranges, merged where inner factors are whole.
    std::vector<std::pair<std::int64_t, std::int64_t>> runs{{0, 1}};
    for (const FactorRef& ref : view.dims[d]) {
      const std::int32_t lo = std::max(storage_box.begin[ref.factor], ref.offset) - ref.offset;
      const std::int32_t hi = std::min(storage_box.end(ref.factor), ref.offset + ref.extent) - ref.offset;
      if (hi <= lo) return {};
      std::vector<std::pair<std::int64_t, std::int64_t>> next;
      for (const auto& [begin, count] : runs) {
        if (lo == 0 && hi == ref.extent) {
          next.emplace_back(begin * ref.extent, count * ref.extent);
        } else {
          for (std::int64_t i = 0; i < count; ++i) next.emplace_back((begin + i) * ref.extent + lo, hi - lo);
        }
      }
      runs = std::move(next);
    }
    std::vector<Box> crossed;
    crossed.reserve(boxes.size() * runs.size());
    for (const Box& box : boxes) {
      for (const auto& [begin, count] : runs) {
        crossed.push_back(box);
        crossed.back().set(static_cast<int>(d), static_cast<std::int32_t>(begin), static_cast<std::int32_t>(count));
      }
    }
    boxes = std::move(crossed);
  }
  return boxes;
}

Box Layout::logical_hull(TensorId tensor, const Box& storage_box, bool* exact) const {
  const TensorView& view = views[tensor];
  Box hull;
  hull.rank = static_cast<int>(view.dims.size());
  if (exact != nullptr) *exact = true;
  for (int d = 0; d < hull.rank; ++d) {
    // First and last index of the product of the factor ranges, in mixed radix.
    std::int64_t first = 0;
    std::int64_t last = 0;
    std::int64_t count = 1;
    for (const FactorRef& ref : view.dims[d]) {
      const std::int32_t lo = std::max(storage_box.begin[ref.factor], ref.offset) - ref.offset;
      const std::int32_t hi = std::min(storage_box.end(ref.factor), ref.offset + ref.extent) - ref.offset;
      if (hi <= lo) {
        hull.set(d, 0, 0);
        return hull;
      }
      first = first * ref.extent + lo;
      last = last * ref.extent + hi - 1;
      count *= hi - lo;
    }
    hull.set(d, static_cast<std::int32_t>(first), static_cast<std::int32_t>(last - first + 1));
    if (exact != nullptr && count != last - first + 1) *exact = false;
  }
  return hull;
}

std::optional<FactorMap> Layout::factor_map(TensorId from, TensorId to, int except_dim) const {
  const TensorView& a = views[from];
  const TensorView& b = views[to];
  if (a.dims.size() != b.dims.size()) return std::nullopt;
  FactorMap map;
  map.fill(kNone);
  for (std::size_t d = 0; d < a.dims.size(); ++d) {
    const auto& x = a.dims[d];
    const auto& y = b.dims[d];
    if (x.size() != y.size()) return std::nullopt;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const bool may_differ = static_cast<int>(d) == except_dim && i == 0;
      if (!may_differ && x[i].extent != y[i].extent) return std::nullopt;
      map[x[i].factor] = y[i].factor;
    }
  }
  return map;
}

}  // namespace spillway::partitioner
