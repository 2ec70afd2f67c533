// Loops of operators that look at whole axes of their input: an outer nest over the axes that are kept, and for each of
// its points an inner one over the axes that are reduced or normalised.
#pragma once

#include <vector>

#include "workloads/operators/support.h"

namespace spillway::workloads {

class Reduction {
 public:
  /// `region`: the part of the input that is looked at, inside `in`. `whole[d]`: axis d is reduced.
  Reduction(const Box& in, const Box& region, const std::vector<bool>& whole)
      : inner_(part(region, whole, true), {walk(in, region, false)}),
        in_(walk(in, region, true)),
        kept_(part(region, whole, false)) {}

  /// body(input offset, output offset): once per point of the kept axes, in row-major order. `out`: the output's step
  /// along each axis of the input (zero where reduced).
  template <typename Body>
  void for_each_kept(const Walk& out, Body body) const {
    const Nest<2> nest(kept_, {in_, out});
    nest.for_each_row([&](const std::array<std::int64_t, 2>& at) {
      for (std::int64_t i = 0; i < nest.row_length(); ++i) {
        body(at[0] + i * nest.row_stride(0), at[1] + i * nest.row_stride(1));
      }
    });
  }

  /// body(offset, length, stride): the runs of one point's reduced elements, relative to its input offset.
  template <typename Body>
  void for_each_run(Body body) const {
    inner_.for_each_row(
        [&](const std::array<std::int64_t, 1>& at) { body(at[0], inner_.row_length(), inner_.row_stride(0)); });
  }

 private:
  static Box part(const Box& region, const std::vector<bool>& whole, bool reduced) {
    Box box = region;
    for (int d = 0; d < box.rank; ++d) {
      if (whole[d] != reduced && box.extent[d] > 1) box.extent[d] = 1;
    }
    return box;
  }
  static Walk walk(const Box& in, const Box& region, bool with_offset) {
    Walk walk = dense_walk(in, region);
    if (!with_offset) walk.offset = 0;
    return walk;
  }

  Nest<1> inner_;
  Walk in_;
  Box kept_;
};

}  // namespace spillway::workloads
