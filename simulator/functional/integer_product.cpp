#include "simulator/functional/integer_product.h"

#include <algorithm>
#include <cmath>

namespace spillway::simulator {

using workloads::ConstRegionView;

namespace {

/// A float holds every whole number up to 2^24, and so do sums that stay below it in whatever order they are taken.
constexpr double kExact = 1 << 24;

float largest_of(const ConstRegionView& view) {
  float most = 0;
  const std::int64_t elements = view.box.elements();
  for (std::int64_t i = 0; i < elements; ++i) most = std::max(most, std::fabs(view.data[i]));
  return most;
}

/// Whole numbers as sums of pieces[p] * base^p, each piece smaller than base.
struct Pieces {
  float base = 1;
  std::vector<std::vector<float>> pieces;
};

Pieces split(const ConstRegionView& view, float most, float base) {
  Pieces result{base, {}};
  std::vector<float> rest(view.data, view.data + view.box.elements());
  for (float left = most; left > 0 || result.pieces.empty(); left = std::trunc(left / base)) {
    std::vector<float> piece = rest;
    if (left >= base) {
      for (std::size_t i = 0; i < rest.size(); ++i) {
        const float higher = std::trunc(rest[i] / base);
        piece[i] = rest[i] - higher * base;
        rest[i] = higher;
      }
    }
    result.pieces.push_back(std::move(piece));
    if (left < base) break;
  }
  return result;
}

}  // namespace

std::vector<double> integer_product(const workloads::Graph& graph, const workloads::Node& node,
                                    std::span<const ConstRegionView> inputs, std::int64_t terms,
                                    const workloads::Box& out) {
  workloads::Node sums_only = node;
  sums_only.attributes.erase("alpha");
  const ConstRegionView& a = inputs[0];
  const ConstRegionView& b = inputs[1];
  // Operands are cut into as few digits as keep every sum of products of two digits exact.
  const float most_a = largest_of(a);
  const float most_b = largest_of(b);
  float base_a = most_a + 1;
  float base_b = most_b + 1;
  while (double{base_a} * base_b * static_cast<double>(terms) > kExact && base_a * base_b > 4) {
    (base_a >= base_b ? base_a : base_b) = std::max(2.0F, std::ceil(std::sqrt(std::max(base_a, base_b))));
  }
  const Pieces as = split(a, most_a, base_a);
  const Pieces bs = split(b, most_b, base_b);
  const auto elements = static_cast<std::size_t>(out.elements());
  std::vector<double> exact(elements, 0);
  std::vector<float> partial(elements);
  double weight_a = 1;
  for (const auto& piece_a : as.pieces) {
    double weight = weight_a;
    for (const auto& piece_b : bs.pieces) {
      std::vector<ConstRegionView> views(inputs.begin(), inputs.end());
      views[0].data = piece_a.data();
      views[1].data = piece_b.data();
      workloads::operator_of(node).kernel(graph, sums_only, views, {out, partial.data()});
      for (std::size_t i = 0; i < elements; ++i) exact[i] += weight * static_cast<double>(partial[i]);
      weight *= base_b;
    }
    weight_a *= base_a;
  }
  return exact;
}

}  // namespace spillway::simulator
