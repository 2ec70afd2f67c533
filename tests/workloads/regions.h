// Kernels on parts: whatever box of the output is asked for, computed from exactly the boxes that the region map names
// (or from larger ones), it must hold what the whole computation gives there.
#pragma once

#include <catch2/catch.hpp>
#include <random>

#include "one_node.h"

namespace spillway::workloads::test {

/// The elements of `tensor` inside `box`, row-major, as floats.
inline std::vector<float> crop(const HostTensor& tensor, const Box& box) {
  std::vector<float> values;
  std::array<std::int64_t, kMaxRank> index{};
  if (box.empty()) return values;
  while (true) {
    std::int64_t at = 0;
    for (int d = 0; d < box.rank; ++d) at = at * tensor.shape[d] + box.begin[d] + index[d];
    values.push_back(tensor.holds_float() ? tensor.floats()[at] : static_cast<float>(tensor.ints()[at]));
    int d = box.rank - 1;
    while (d >= 0 && ++index[d] == box.extent[d]) index[d--] = 0;
    if (d < 0) return values;
  }
}

inline Box random_part(const Box& of, std::mt19937& random) {
  Box part = of;
  for (int d = 0; d < of.rank; ++d) {
    const auto begin = static_cast<std::int32_t>(random() % static_cast<unsigned>(of.extent[d]));
    const auto extent = 1 + static_cast<std::int32_t>(random() % static_cast<unsigned>(of.extent[d] - begin));
    part.set(d, of.begin[d] + begin, extent);
  }
  return part;
}

/// A box around `inner` inside `outer`.
inline Box random_around(const Box& inner, const Box& outer, std::mt19937& random) {
  Box box = inner;
  for (int d = 0; d < inner.rank; ++d) {
    const std::int32_t before = inner.begin[d] - outer.begin[d];
    const std::int32_t after = outer.end(d) - inner.end(d);
    const auto more = static_cast<std::int32_t>(random() % static_cast<unsigned>(before + 1));
    const auto beyond = static_cast<std::int32_t>(random() % static_cast<unsigned>(after + 1));
    box.set(d, inner.begin[d] - more, inner.extent[d] + more + beyond);
  }
  return box;
}

/// `exact_regions`: only boxes exactly as the region map says (statistics are over whatever box they are given).
inline void check_regions(const OneNode& n, double tolerance = 2e-6, bool exact_regions = false) {
  const HostTensor reference = n.evaluate().at(0);
  const Box all = whole(reference.shape);
  double largest = 1e-30;
  for (const float v : crop(reference, all)) largest = std::max(largest, std::abs(double{v}));
  std::mt19937 random(42);
  for (int round = 0; round < 40; ++round) {
    const Box part = round == 0 ? all : random_part(all, random);
    std::vector<std::vector<float>> storage(n.inputs().size());
    std::vector<ConstRegionView> views(n.inputs().size());
    for (std::size_t i = 0; i < n.inputs().size(); ++i) {
      if (!n.inputs()[i].value) continue;
      const Box input = whole(n.inputs()[i].value->shape);
      const Box region = n.def().region(n.graph(), n.node(), static_cast<int>(i), part);
      REQUIRE(region.rank == input.rank);
      REQUIRE(input.contains(region));
      views[i].box = round % 2 == 0 || region.empty() || exact_regions ? region : random_around(region, input, random);
      storage[i] = crop(*n.inputs()[i].value, views[i].box);
      views[i].data = storage[i].data();
    }
    std::vector<float> found(static_cast<std::size_t>(part.elements()), -12345.0F);
    n.def().kernel(n.graph(), n.node(), views, RegionView{part, found.data()});
    const std::vector<float> wanted = crop(reference, part);
    double worst = 0.0;
    for (std::size_t k = 0; k < wanted.size(); ++k) {
      if (wanted[k] != found[k]) worst = std::max(worst, std::abs(double{wanted[k]} - double{found[k]}) / largest);
    }
    CHECK(worst <= tolerance);
  }
}

/// Work of the parts of the output, cut at random along every axis, adds up to the work of the whole.
inline void check_macs_add_up(const OneNode& n) {
  std::mt19937 random(7);
  const Box all = whole(n.output().shape);
  const std::int64_t total = n.def().matrix_shape(n.graph(), n.node(), all).macs();
  for (int d = 0; d < all.rank; ++d) {
    if (all.extent[d] < 2) continue;
    const auto cut = 1 + static_cast<std::int32_t>(random() % static_cast<unsigned>(all.extent[d] - 1));
    Box low = all;
    Box high = all;
    low.set(d, 0, cut);
    high.set(d, cut, all.extent[d] - cut);
    CHECK(n.def().matrix_shape(n.graph(), n.node(), low).macs() +
              n.def().matrix_shape(n.graph(), n.node(), high).macs() ==
          total);
  }
}

inline HostTensor noise(Shape shape, std::uint64_t seed = 1) { return random_tensor(DataType::kFloat32, shape, seed); }

}  // namespace spillway::workloads::test
