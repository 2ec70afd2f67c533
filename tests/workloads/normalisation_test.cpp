// Normalisation and softmax against closed forms, partial statistics against whole ones.
#include <catch2/catch.hpp>
#include <cmath>

#include "regions.h"
#include "workloads/operators/statistics.h"

using namespace spillway;
using namespace spillway::workloads;
using namespace spillway::workloads::test;

namespace {

void check_near(const std::vector<float>& found, const std::vector<double>& wanted, double tolerance = 1e-6) {
  REQUIRE(found.size() == wanted.size());
  for (std::size_t i = 0; i < wanted.size(); ++i)
    CHECK(found[i] == Approx(wanted[i]).epsilon(tolerance).margin(tolerance));
}

/// (x - mean) / sqrt(var + epsilon) of a run of values.
std::vector<double> normalised(const std::vector<float>& x, std::size_t from, std::size_t count, double epsilon) {
  double mean = 0.0;
  double variance = 0.0;
  for (std::size_t i = 0; i < count; ++i) mean += x[from + i] / static_cast<double>(count);
  for (std::size_t i = 0; i < count; ++i) variance += std::pow(x[from + i] - mean, 2) / static_cast<double>(count);
  std::vector<double> y;
  for (std::size_t i = 0; i < count; ++i) y.push_back((x[from + i] - mean) / std::sqrt(variance + epsilon));
  return y;
}

}  // namespace

TEST_CASE("normalisations refuse parameters of the wrong shape", "[operators][norm]") {
  const HostTensor x = noise({2, 4, 3});
  CHECK_THAT(refusal("InstanceNormalization", {x, noise({3}), noise({4})}), Catch::Contains("input 1 is 3"));
  CHECK_THAT(refusal("GroupNormalization", {x, noise({4}), noise({4})}, {{"num_groups", std::int64_t{3}}}),
             Catch::Contains("3 groups"));
  CHECK_THAT(refusal("GroupNormalization", {x, noise({4}), noise({4})}), Catch::Contains("0 groups"));
  CHECK_THAT(refusal("LayerNormalization", {x, noise({4})}), Catch::Contains("do not broadcast"));
  CHECK_THAT(refusal("LayerNormalization", {x, noise({3})}, {{"axis", std::int64_t{3}}}), Catch::Contains("axis 3"));
  CHECK_THAT(refusal("BatchNormalization", {x, noise({4}), noise({4}), noise({4}), noise({5})}),
             Catch::Contains("input 4 is 5"));
  CHECK_THAT(refusal("BatchNormalization", {x, noise({4}), noise({4}), noise({4}), noise({4})},
                     {{"training_mode", std::int64_t{1}}}),
             Catch::Contains("training_mode"));
  CHECK_THAT(refusal("NormApply", {x, noise({2, 4, 3})}), Catch::Contains("2x4x2"));
  CHECK_THAT(refusal("NormApply", {x, noise({2, 4, 2})}, {{"groups", std::int64_t{3}}}), Catch::Contains("3 groups"));
  CHECK_THAT(refusal("NormStatistics", {noise({4})}), Catch::Contains("channel axis"));
  CHECK_THAT(refusal("Softmax", {x}, {{"axis", std::int64_t{-4}}}), Catch::Contains("axis -4"));
}

TEST_CASE("LayerNormalization by its definition", "[operators][norm]") {
  const HostTensor x = noise({3, 2, 4}, 5);
  const HostTensor scale = floats({4}, {1, 2, 3, 4});
  const HostTensor bias = floats({4}, {10, 20, 30, 40});
  std::vector<double> wanted;
  for (std::size_t row = 0; row < 6; ++row) {
    const auto y = normalised(x.floats(), row * 4, 4, 1e-3);
    for (std::size_t i = 0; i < 4; ++i)
      wanted.push_back(y[i] * static_cast<double>(i + 1) + 10.0 * static_cast<double>(i + 1));
  }
  check_near(computed("LayerNormalization", {x, scale, bias}, {{"epsilon", 1e-3F}}), wanted);

  std::vector<double> tail;
  for (std::size_t row = 0; row < 3; ++row) {
    for (const double v : normalised(x.floats(), row * 8, 8, 1e-5)) tail.push_back(v);
  }
  check_near(computed("LayerNormalization", {x}, {{"axis", std::int64_t{1}}}), tail);
}

TEST_CASE("LayerNormalization far from zero", "[operators][norm]") {
  // Mean 4096, deviations -1 and 1: exact in float, lost if squares were summed in float.
  check_near(computed("LayerNormalization", {floats({1, 2}, {4095.0F, 4097.0F})}, {{"epsilon", 0.0F}}), {-1.0, 1.0});
}

TEST_CASE("instance, group and batch normalisation by their definitions", "[operators][norm]") {
  const HostTensor x = noise({2, 4, 2, 3}, 9);
  const HostTensor scale = floats({4}, {1, 2, 3, 4});
  const HostTensor bias = floats({4}, {5, 6, 7, 8});
  std::vector<double> instance;
  std::vector<double> group;
  std::vector<double> batch;
  for (std::size_t n = 0; n < 2; ++n) {
    for (std::size_t c = 0; c < 4; ++c) {
      const auto own = normalised(x.floats(), (n * 4 + c) * 6, 6, 1e-5);
      const auto shared = normalised(x.floats(), (n * 4 + c / 2 * 2) * 6, 12, 1e-5);
      const auto s = static_cast<double>(c + 1);
      const auto b = static_cast<double>(c + 5);
      for (std::size_t i = 0; i < 6; ++i) {
        instance.push_back(own[i] * s + b);
        group.push_back(shared[c % 2 * 6 + i] * s + b);
        batch.push_back((x.floats()[(n * 4 + c) * 6 + i] - 0.5) / std::sqrt(4.0 + 1e-5) * s + b);
      }
    }
  }
  check_near(computed("InstanceNormalization", {x, scale, bias}), instance);
  check_near(computed("GroupNormalization", {x, scale, bias}, {{"num_groups", std::int64_t{2}}}), group);
  check_near(computed("BatchNormalization",
                      {x, scale, bias, floats({4}, {0.5F, 0.5F, 0.5F, 0.5F}), floats({4}, {4, 4, 4, 4})}),
             batch);
  const auto statistics = OneNode("NormStatistics", {x}).evaluate()[0];
  check_near(computed("NormApply", {x, statistics, scale, bias}, {{"groups", std::int64_t{4}}}), instance, 3e-6);
  check_near(computed("NormApply", {x, statistics, scale, bias}, {{"groups", std::int64_t{2}}}), group, 3e-6);
}

TEST_CASE("statistics are mean and sum of squared deviations", "[operators][norm]") {
  const HostTensor x = floats({1, 2, 4}, {1, 2, 3, 6, -1, -1, 1, 1});
  CHECK(computed("NormStatistics", {x}) == std::vector<float>{3, 14, 0, 4});
}

TEST_CASE("partial statistics merge to the whole, in any cut", "[operators][norm]") {
  const HostTensor x = noise({1, 1, 6, 7}, 3);
  const OneNode n("NormStatistics", {x});
  const std::vector<float> wanted = n.evaluate()[0].floats();
  for (std::int32_t cut = 1; cut < 6; ++cut) {
    float merged[2] = {99.0F, 99.0F};
    std::int64_t prior = 0;
    for (const auto& [begin, extent] : {std::pair{0, cut}, std::pair{cut, 6 - cut}}) {
      Box part = whole(x.shape);
      part.set(2, begin, extent);
      const std::vector<float> tile = crop(x, part);
      float partial[2];
      const ConstRegionView view{part, tile.data()};
      n.def().kernel(n.graph(), n.node(), {&view, 1}, RegionView{whole(n.output().shape), partial});
      merge_statistics(merged, prior, partial, std::int64_t{7} * extent);
      prior += std::int64_t{7} * extent;
    }
    CHECK(merged[0] == Approx(wanted[0]).epsilon(1e-5).margin(1e-6));
    CHECK(merged[1] == Approx(wanted[1]).epsilon(1e-6));
  }
  float untouched[2] = {1.0F, 2.0F};
  const float other[2] = {7.0F, 8.0F};
  merge_statistics(untouched, 5, other, 0);
  CHECK((untouched[0] == 1.0F && untouched[1] == 2.0F));
}

TEST_CASE("normalisations on any part of their output", "[operators][norm][regions]") {
  const HostTensor x = noise({2, 6, 3, 4}, 4);
  const HostTensor scale = noise({6}, 5);
  const HostTensor bias = noise({6}, 6);
  const Attributes groups{{"groups", std::int64_t{3}}};
  const HostTensor statistics = OneNode("NormStatistics", {x}).evaluate()[0];
  check_regions(OneNode("NormStatistics", {x}), 2e-6, true);
  check_regions(OneNode("NormApply", {x, statistics, scale, bias}, groups));
  check_regions(OneNode("NormApply", {x, statistics}, groups));
  check_regions(OneNode("ChannelAffine", {x, scale, bias}));
  check_regions(OneNode("BatchNormalization", {x, scale, bias, scale, floats({6}, {1, 2, 3, 4, 5, 6})}));
  check_regions(OneNode("InstanceNormalization", {x, scale, bias}));
  check_regions(OneNode("GroupNormalization", {x, scale, bias}, {{"num_groups", std::int64_t{3}}}));
  check_regions(OneNode("GroupNormalization", {x, noise({2}), noise({2})}, {{"num_groups", std::int64_t{2}}}));
  check_regions(OneNode("LayerNormalization", {x, noise({4}), noise({4})}));
  check_regions(OneNode("LayerNormalization", {x, noise({3, 4}), noise({1, 4})}, {{"axis", std::int64_t{2}}}));
  check_regions(OneNode("LayerNormalization", {x, noise({6, 1, 4}), omitted()}, {{"axis", std::int64_t{-1}}}));
}

TEST_CASE("NormApply asks for the statistics of whole groups", "[operators][norm][regions]") {
  const OneNode n("NormApply", {noise({2, 12, 4, 4}), noise({2, 12, 2})}, {{"groups", std::int64_t{3}}});
  Box out = whole(n.output().shape);
  out.set(0, 1, 1);
  out.set(1, 3, 2);  // the last channel of group 0 and the first of group 1
  const Box statistics = n.def().region(n.graph(), n.node(), 1, out);
  CHECK(statistics.begin == std::array<std::int32_t, kMaxRank>{1, 0, 0});
  CHECK(statistics.extent == std::array<std::int32_t, kMaxRank>{1, 8, 2});
  CHECK(n.def().region(n.graph(), n.node(), 0, out) == out);
}

TEST_CASE("Softmax by hand, and where it would overflow", "[operators][softmax]") {
  const double e = std::exp(1.0);
  check_near(computed("Softmax", {floats({1, 3}, {0, 1, 2})}),
             {1 / (1 + e + e * e), e / (1 + e + e * e), e * e / (1 + e + e * e)});
  check_near(computed("Softmax", {floats({2, 2}, {1e4F, 1e4F, -3.4e38F, 0.0F})}), {0.5, 0.5, 0.0, 1.0});
  check_near(computed("LogSoftmax", {floats({1, 2}, {1000.0F, 1000.0F})}), {-std::log(2.0), -std::log(2.0)});
  const HostTensor columns = floats({2, 2}, {0, 5, 0, 5});
  check_near(computed("Softmax", {columns}, {{"axis", std::int64_t{0}}}), {0.5, 0.5, 0.5, 0.5});
}

TEST_CASE("Softmax before opset 13 takes the axes from its own on as one", "[operators][softmax]") {
  const HostTensor x = floats({1, 2, 2}, {0, 0, 0, 0});
  check_near(OneNode("Softmax", {x}, {}, 1, 11).evaluate()[0].floats(), {0.25, 0.25, 0.25, 0.25});
  check_near(OneNode("Softmax", {x}, {{"axis", std::int64_t{2}}}, 1, 11).evaluate()[0].floats(), {0.5, 0.5, 0.5, 0.5});
  check_near(OneNode("Softmax", {x}, {}, 1, 13).evaluate()[0].floats(), {0.5, 0.5, 0.5, 0.5});
}

TEST_CASE("Softmax on any part of its output", "[operators][softmax][regions]") {
  const HostTensor x = noise({3, 4, 5}, 2);
  for (const std::int64_t axis : {0, 1, 2}) {
    check_regions(OneNode("Softmax", {x}, {{"axis", axis}}));
    check_regions(OneNode("LogSoftmax", {x}, {{"axis", axis}}));
    check_regions(OneNode("Softmax", {x}, {{"axis", axis}}, 1, 12));
  }
}

TEST_CASE("vector work of normalisation, by hand", "[operators][norm][softmax]") {
  using configs::VectorOp;
  const auto of = [](const configs::VectorWork& work, VectorOp op) { return work[static_cast<int>(op)]; };
  const HostTensor x = noise({2, 4, 10, 10});
  CHECK(of(OneNode("NormStatistics", {x}).work(), VectorOp::kAddMul) == 3 * 800);
  const auto apply = OneNode("NormApply", {x, noise({2, 4, 2})}, {{"groups", std::int64_t{2}}}).work();
  CHECK(of(apply, VectorOp::kAddMul) == 2 * 800 + 2 * (5 * 4 + 3 * 2 + 3 * 4));
  CHECK(of(apply, VectorOp::kSqrt) == 4);
  CHECK(of(apply, VectorOp::kDiv) == 4);
  const OneNode softmax("Softmax", {noise({8, 100})});
  CHECK(of(softmax.work(), VectorOp::kCompare) == 800);
  CHECK(of(softmax.work(), VectorOp::kAddMul) == 3 * 800);
  CHECK(of(softmax.work(), VectorOp::kExp) == 800);
  CHECK(of(softmax.work(), VectorOp::kDiv) == 8);
  CHECK(softmax.def().input_passes == 3);
  const OneNode layer("LayerNormalization", {noise({8, 100})});
  CHECK(of(layer.work(), VectorOp::kAddMul) == 5 * 800);
  CHECK(of(layer.work(), VectorOp::kSqrt) == 8);
  CHECK(layer.def().input_passes == 2);
}
