// How operators that only move elements are computed, for any element type: two loops cover them all.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "workloads/operators/support.h"

namespace spillway::workloads {

/// Copies along two walks of one region: Slice, Concat, Expand, Transpose.
template <typename T>
void walk_copy(const Box& region, T* to, const Walk& to_walk, const T* from, const Walk& from_walk) {
  const Nest<2> nest(region, {to_walk, from_walk});
  const std::int64_t n = nest.row_length();
  const std::int64_t to_stride = nest.row_stride(0);
  const std::int64_t from_stride = nest.row_stride(1);
  nest.for_each_row([&](const std::array<std::int64_t, 2>& at) {
    T* d = to + at[0];
    const T* s = from + at[1];
    if (to_stride == 1 && from_stride == 1) {
      std::memcpy(d, s, static_cast<std::size_t>(n) * sizeof(T));
    } else if (to_stride == 1 && from_stride == 0) {
      std::fill(d, d + n, *s);
    } else {
      for (std::int64_t i = 0; i < n; ++i) d[i * to_stride] = s[i * from_stride];
    }
  });
}

/// For each dimension of an output region, the offset that each coordinate adds to the source element's position:
/// out[c0, c1, ...] = source[offset[0][c0] + offset[1][c1] + ...], or the fill value where any entry is kFill.
/// Pad, Tile, DepthToSpace and SpaceToDepth are of this form.
struct OffsetTables {
  static constexpr std::int64_t kFill = INT64_MIN;
  std::array<std::vector<std::int64_t>, kMaxRank> offset;
};

/// The tables of a move in which each output coordinate takes one coordinate of the same dimension of an input that is
/// held over the box `in`: source_of(dimension, output coordinate), negative for the fill value.
template <typename SourceOf>
OffsetTables offset_tables(const Box& out, const Box& in, SourceOf source_of) {
  OffsetTables tables;
  std::int64_t stride = 1;
  for (int d = out.rank - 1; d >= 0; --d) {
    for (std::int64_t c = out.begin[d]; c < out.end(d); ++c) {
      const std::int64_t source = source_of(d, c);
      tables.offset[d].push_back(source < 0 ? OffsetTables::kFill : stride * (source - in.begin[d]));
    }
    stride *= in.extent[d];
  }
  return tables;
}

template <typename T>
void table_copy(const Box& out, T* to, const OffsetTables& tables, const T* from, T fill) {
  if (out.empty()) return;
  if (out.rank == 0) {
    *to = *from;
    return;
  }
  const std::vector<std::int64_t>& row = tables.offset[static_cast<std::size_t>(out.rank - 1)];
  const auto n = static_cast<std::int64_t>(row.size());
  // The stretch of the row that is contiguous in the source is copied as a block; what is before and after it (the
  // padding, in the usual case) element by element.
  std::int64_t first = 0;
  while (first < n && row[first] == OffsetTables::kFill) ++first;
  std::int64_t last = first;
  while (last < n && row[last] != OffsetTables::kFill && row[last] == row[first] + (last - first)) ++last;
  const auto single = [&](T* d, std::int64_t base, std::int64_t i) {
    d[i] = row[i] == OffsetTables::kFill ? fill : from[base + row[i]];
  };
  std::array<std::int64_t, kMaxRank> index{};
  while (true) {
    std::int64_t base = 0;
    bool filled = false;
    for (int d = 0; d < out.rank - 1; ++d) {
      const std::int64_t offset = tables.offset[d][index[d]];
      if (offset == OffsetTables::kFill) {
        filled = true;
        break;
      }
      base += offset;
    }
    if (filled) {
      std::fill(to, to + n, fill);
    } else {
      for (std::int64_t i = 0; i < first; ++i) single(to, base, i);
      if (last > first) {
        std::memcpy(to + first, from + base + row[first], static_cast<std::size_t>(last - first) * sizeof(T));
      }
      for (std::int64_t i = last; i < n; ++i) single(to, base, i);
    }
    to += n;
    int d = out.rank - 2;
    while (d >= 0 && ++index[d] == out.extent[d]) index[d--] = 0;
    if (d < 0) return;
  }
}

/// A dense array over a box of input i, of either representation.
template <typename T>
struct Part {
  Box box;
  const T* data = nullptr;
};

/// Work of a pure move: one kMove an element.
[[nodiscard]] inline configs::VectorWork move_work(const Graph&, const Node&, const Box& out) {
  return work_of(configs::VectorOp::kMove, out.elements());
}

/// Kernel and evaluation of a one-output move from one function
/// template <typename T> void move(graph, node, std::span<const Part<T>> inputs, const Box& out, T* result)
/// given as a type with a static member template of that name.
template <typename Move>
void move_kernel(const Graph& graph, const Node& node, std::span<const ConstRegionView> inputs, const RegionView& out) {
  std::vector<Part<float>> parts(inputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) parts[i] = {inputs[i].box, inputs[i].data};
  Move::template move<float>(graph, node, parts, out.box, out.data);
}

template <typename T>
const T* elements(const HostTensor& tensor) {
  const auto* values = std::get_if<std::vector<T>>(&tensor.data);
  return values == nullptr ? nullptr : values->data();
}

/// Inputs in the other representation (indices of a float table, parameters) have null data here.
template <typename Move>
std::vector<HostTensor> move_evaluate(const Graph& graph, const Node& node, std::span<const HostTensor* const> inputs) {
  const Tensor& declared = graph.output(node);
  std::vector<HostTensor> results;
  results.push_back(make_tensor(declared.type, declared.shape));
  const auto run = [&]<typename T>(std::vector<T>& values) {
    std::vector<Part<T>> parts(inputs.size());
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (inputs[i] != nullptr) parts[i] = {whole(inputs[i]->shape), elements<T>(*inputs[i])};
    }
    Move::template move<T>(graph, node, parts, whole(declared.shape), values.data());
  };
  std::visit(run, results[0].data);
  return results;
}

template <typename Move>
OpDef move_operator(std::string_view name, void (*infer)(InferContext&),
                    Box (*region)(const Graph&, const Node&, int, const Box&), OpClass op_class = OpClass::kMove) {
  return {.name = name,
          .op_class = op_class,
          .infer = infer,
          .evaluate = move_evaluate<Move>,
          .float64 = true,
          .region = region,
          .kernel = move_kernel<Move>,
          .vector_work = move_work};
}

}  // namespace spillway::workloads
