// Products and convolutions against loops written from their definitions.
#include <catch2/catch.hpp>

#include "regions.h"
#include "workloads/compute/strided.h"

using namespace spillway;
using namespace spillway::workloads;
using namespace spillway::workloads::test;

namespace {

/// Row-major index with per-axis extents.
std::int64_t flat(const Shape& shape, const std::vector<std::int64_t>& index) {
  std::int64_t at = 0;
  for (std::size_t d = 0; d < shape.size(); ++d) at = at * shape[d] + index[d];
  return at;
}

/// Calls body(index) for every index of a shape.
template <typename Body>
void for_each(const Shape& shape, Body body) {
  std::vector<std::int64_t> index(shape.size(), 0);
  if (elements_of(shape) == 0) return;
  while (true) {
    body(index);
    int d = static_cast<int>(shape.size()) - 1;
    while (d >= 0 && ++index[d] == shape[d]) index[d--] = 0;
    if (d < 0) return;
  }
}

struct ConvCase {
  Shape x, w;
  std::int64_t group = 1;
  IntList strides, dilations, pads;
};

Attributes attributes_of(const ConvCase& c) {
  return {{"group", c.group}, {"strides", c.strides}, {"dilations", c.dilations}, {"pads", c.pads}};
}

/// ONNX Conv by definition, in double.
std::vector<float> conv_by_definition(const ConvCase& c, const std::vector<float>& x, const std::vector<float>& w,
                                      const std::vector<float>& bias, const Shape& out) {
  std::vector<float> y;
  const std::size_t dims = c.x.size() - 2;
  for_each(out, [&](const std::vector<std::int64_t>& o) {
    double sum = bias[o[1]];
    const std::int64_t group = o[1] / (c.w[0] / c.group);
    Shape patch(c.w.begin() + 1, c.w.end());
    for_each(patch, [&](const std::vector<std::int64_t>& k) {
      std::vector<std::int64_t> at{o[0], group * c.w[1] + k[0]};
      std::vector<std::int64_t> tap{o[1], k[0]};
      for (std::size_t d = 0; d < dims; ++d) {
        const std::int64_t position = o[d + 2] * c.strides[d] - c.pads[d] + k[d + 1] * c.dilations[d];
        if (position < 0 || position >= c.x[d + 2]) return;
        at.push_back(position);
        tap.push_back(k[d + 1]);
      }
      sum += double{x[flat(c.x, at)]} * w[flat(c.w, tap)];
    });
    y.push_back(static_cast<float>(sum));
  });
  return y;
}

/// ONNX ConvTranspose by definition: scatter.
std::vector<float> transposed_by_definition(const ConvCase& c, const std::vector<float>& x, const std::vector<float>& w,
                                            const Shape& out) {
  std::vector<double> y(static_cast<std::size_t>(elements_of(out)), 0.0);
  const std::int64_t in_per_group = c.w[0] / c.group;
  for_each(c.x, [&](const std::vector<std::int64_t>& i) {
    const std::int64_t group = i[1] / in_per_group;
    Shape patch(c.w.begin() + 1, c.w.end());
    for_each(patch, [&](const std::vector<std::int64_t>& k) {
      std::vector<std::int64_t> at{i[0], group * c.w[1] + k[0]};
      std::vector<std::int64_t> tap{i[1], k[0]};
      for (std::size_t d = 0; d + 2 < c.x.size(); ++d) {
        const std::int64_t position = i[d + 2] * c.strides[d] - c.pads[d] + k[d + 1] * c.dilations[d];
        if (position < 0 || position >= out[d + 2]) return;
        at.push_back(position);
        tap.push_back(k[d + 1]);
      }
      y[flat(out, at)] += double{x[flat(c.x, i)]} * w[flat(c.w, tap)];
    });
  });
  return {y.begin(), y.end()};
}

void check_close(const std::vector<float>& found, const std::vector<float>& wanted, double tolerance = 2e-6) {
  REQUIRE(found.size() == wanted.size());
  double largest = 1e-30;
  double worst = 0.0;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    largest = std::max(largest, std::abs(double{wanted[i]}));
    worst = std::max(worst, std::abs(double{found[i]} - double{wanted[i]}));
  }
  CHECK(worst <= tolerance * largest);
}

const std::vector<ConvCase> kConvolutions = {
    {{2, 3, 7, 6}, {4, 3, 3, 3}, 1, {1, 1}, {1, 1}, {1, 1, 1, 1}},
    {{1, 3, 8, 9}, {4, 3, 3, 2}, 1, {2, 3}, {1, 1}, {0, 0, 1, 1}},  // asymmetric pads, as after a merged Pad
    {{1, 2, 9, 9}, {2, 2, 3, 3}, 1, {1, 2}, {2, 3}, {2, 0, 1, 3}},  // dilated
    {{2, 6, 5, 5}, {4, 3, 1, 1}, 2, {1, 1}, {1, 1}, {0, 0, 0, 0}},  // grouped, pointwise
    {{1, 4, 6, 6}, {8, 1, 3, 3}, 4, {1, 1}, {1, 1}, {1, 1, 1, 1}},  // depthwise, two per channel
    {{2, 3, 11}, {4, 3, 5}, 1, {2}, {1}, {3, 4}},                   // 1-D, pads beyond half the window
    {{1, 2, 4, 5, 3}, {3, 2, 2, 3, 2}, 1, {1, 2, 1}, {1, 1, 2}, {1, 0, 1, 0, 1, 1}},  // 3-D
    {{1, 1, 2, 2}, {1, 1, 2, 2}, 1, {3, 3}, {1, 1}, {4, 4, 4, 4}},                    // whole windows lie in the pads
};

/// Rows of output longer and shorter than a panel, sums longer than a block.
const std::vector<ConvCase> kLargerConvolutions = {
    {{1, 3, 21, 75}, {17, 3, 3, 3}, 1, {1, 1}, {1, 1}, {1, 1, 1, 1}},
    {{1, 50, 7, 7}, {40, 50, 3, 3}, 1, {1, 1}, {1, 1}, {1, 1, 1, 1}},
    {{1, 3, 40, 41}, {9, 3, 7, 7}, 1, {2, 2}, {1, 1}, {3, 3, 3, 3}},
    {{2, 4, 20, 23}, {6, 4, 3, 3}, 1, {2, 3}, {2, 1}, {2, 0, 1, 1}},
    {{1, 45, 14, 14}, {20, 45, 1, 1}, 1, {2, 2}, {1, 1}, {0, 0, 0, 0}},
};

}  // namespace

TEST_CASE("Conv refuses what does not fit together", "[operators][conv]") {
  CHECK_THAT(refusal("Conv", {floats({1, 0, 2, 2}, {}), floats({3, 0, 1, 1}, {})}),
             Catch::Contains("weight 3x0x1x1 is empty"));
  const HostTensor x = noise({1, 4, 5, 5});
  CHECK_THAT(refusal("Conv", {x, noise({2, 3, 3, 3})}), Catch::Contains("4 channels") && Catch::Contains("need 3"));
  CHECK_THAT(refusal("Conv", {x, noise({3, 2, 3, 3})}, {{"group", std::int64_t{2}}}), Catch::Contains("2 groups"));
  CHECK_THAT(refusal("Conv", {x, noise({2, 4, 3, 3})}, {{"group", std::int64_t{0}}}), Catch::Contains("0 groups"));
  CHECK_THAT(refusal("Conv", {x, noise({2, 4, 6, 3})}), Catch::Contains("window of 6") && Catch::Contains("5"));
  CHECK_THAT(refusal("Conv", {x, noise({2, 4, 3, 3}), noise({3})}), Catch::Contains("bias is 3"));
  CHECK_THAT(refusal("Conv", {x, noise({2, 4, 3})}), Catch::Contains("rank"));
  CHECK_THAT(refusal("Conv", {x, noise({2, 4, 3, 3})}, {{"strides", IntList{0, 1}}}), Catch::Contains("strides"));
  CHECK_THAT(refusal("Conv", {x, noise({2, 4, 3, 3})}, {{"strides", IntList{1}}}), Catch::Contains("1 entries"));
  CHECK_THAT(refusal("Conv", {x, noise({2, 4, 3, 3})}, {{"pads", IntList{-1, 0, 0, 0}}}), Catch::Contains("pads"));
  CHECK_THAT(refusal("Conv", {x, noise({2, 4, 3, 3})}, {{"dilations", IntList{INT64_MAX, 1}}}),
             Catch::Contains("dilations"));
  CHECK_THAT(refusal("Conv", {x, noise({2, 4, 3, 3})}, {{"kernel_shape", IntList{3, 2}}}), Catch::Contains("3x2"));
  CHECK_THAT(refusal("Conv", {x, noise({2, 4, 3, 3})}, {{"auto_pad", std::string("SAME")}}), Catch::Contains("SAME"));
}

TEST_CASE("Conv equals its definition", "[operators][conv]") {
  std::vector<ConvCase> cases = kConvolutions;
  cases.insert(cases.end(), kLargerConvolutions.begin(), kLargerConvolutions.end());
  for (const ConvCase& c : cases) {
    const HostTensor x = noise(c.x, 1);
    const HostTensor w = noise(c.w, 2);
    const HostTensor bias = noise({c.w[0]}, 3);
    const OneNode n("Conv", {x, w, bias}, attributes_of(c));
    INFO(to_string(c.x) << " by " << to_string(c.w));
    check_close(n.evaluate()[0].floats(),
                conv_by_definition(c, x.floats(), w.floats(), bias.floats(), n.output().shape));
  }
}

TEST_CASE("Conv between tensors whose channels are innermost", "[operators][conv]") {
  for (const ConvCase& c : kLargerConvolutions) {
    INFO(to_string(c.x) << " by " << to_string(c.w));
    const HostTensor x = noise(c.x, 1), w = noise(c.w, 2), bias = noise({c.w[0]}, 3);
    const OneNode n("Conv", {x, w, bias}, attributes_of(c));
    const Box in = whole(c.x), weights = whole(c.w), out = whole(n.output().shape);
    std::vector<float> from(x.floats().size()), to(static_cast<std::size_t>(out.elements())), found(to.size());
    const StridedView input = compute::channels_last(in, from.data()), output = compute::channels_last(out, to.data());
    compute::copy({in, x.floats().data(), compute::dense_strides(in)}, input);
    const std::vector<ConstStridedView> views{compute::readable(input),
                                              {weights, w.floats().data(), compute::dense_strides(weights)},
                                              {whole({c.w[0]}), bias.floats().data(), {1}}};
    n.def().strided(n.graph(), n.node(), views, output, compute::Sums::kFloat);
    compute::copy(compute::readable(output), {out, found.data(), compute::dense_strides(out)});
    check_close(found, conv_by_definition(c, x.floats(), w.floats(), bias.floats(), n.output().shape));
  }
}

TEST_CASE("Conv on any part of its output", "[operators][conv][regions]") {
  for (const ConvCase& c : kConvolutions) {
    INFO(to_string(c.x) << " by " << to_string(c.w));
    const OneNode n("Conv", {noise(c.x, 1), noise(c.w, 2), noise({c.w[0]}, 3)}, attributes_of(c));
    check_regions(n);
    check_macs_add_up(n);
  }
}

TEST_CASE("Conv's halo and product, by hand", "[operators][conv][regions]") {
  const OneNode n("Conv", {noise({1, 8, 10, 10}), noise({6, 4, 3, 3})},
                  {{"group", std::int64_t{2}}, {"strides", IntList{2, 2}}, {"pads", IntList{1, 1, 0, 0}}});
  REQUIRE(n.output().shape == Shape{1, 6, 5, 5});
  Box out = whole(n.output().shape);
  out.set(1, 2, 3);  // channel 2 of the first group, 3 and 4 of the second
  out.set(2, 0, 2);
  out.set(3, 3, 2);
  const Box x = n.def().region(n.graph(), n.node(), 0, out);
  CHECK(x.begin == std::array<std::int32_t, kMaxRank>{0, 0, 0, 5});  // rows -1..3, columns 5..9
  CHECK(x.extent == std::array<std::int32_t, kMaxRank>{1, 8, 4, 5});
  const Box w = n.def().region(n.graph(), n.node(), 1, out);
  CHECK((w.begin[0] == 2 && w.extent[0] == 3 && w.extent[1] == 4));
  const auto all = n.def().matrix_shape(n.graph(), n.node(), whole(n.output().shape));
  CHECK((all.m == 25 && all.n == 3 && all.k == 36 && all.batch == 2));
}

TEST_CASE("auto_pad of Conv", "[operators][conv]") {
  const HostTensor x = noise({1, 1, 5, 6});
  const HostTensor w = noise({1, 1, 2, 3});
  // Rows: out 3, span (3-1)*2+2 = 6, one pad in all; columns: out 3, span 7, one pad in all.
  const auto upper = computed("Conv", {x, w}, {{"auto_pad", std::string("SAME_UPPER")}, {"strides", IntList{2, 2}}});
  CHECK(upper == computed("Conv", {x, w}, {{"pads", IntList{0, 0, 1, 1}}, {"strides", IntList{2, 2}}}));
  const auto lower = computed("Conv", {x, w}, {{"auto_pad", std::string("SAME_LOWER")}, {"strides", IntList{2, 2}}});
  CHECK(lower == computed("Conv", {x, w}, {{"pads", IntList{1, 1, 0, 0}}, {"strides", IntList{2, 2}}}));
  CHECK(computed("Conv", {x, w}, {{"auto_pad", std::string("VALID")}}) == computed("Conv", {x, w}));
}

TEST_CASE("ConvTranspose equals its definition, on any part", "[operators][conv][regions]") {
  const std::vector<ConvCase> cases = {
      {{2, 3, 4, 5}, {3, 2, 3, 3}, 1, {2, 2}, {1, 1}, {1, 1, 1, 1}},
      {{1, 4, 3, 4}, {4, 2, 2, 3}, 2, {1, 3}, {2, 1}, {0, 1, 1, 0}},
      {{1, 2, 6}, {2, 3, 4}, 1, {3}, {1}, {0, 0}},
      {{1, 2, 2, 3, 2}, {2, 1, 2, 2, 2}, 1, {2, 1, 3}, {1, 1, 1}, {0, 0, 0, 0, 0, 0}},
  };
  for (const ConvCase& c : cases) {
    INFO(to_string(c.x) << " by " << to_string(c.w));
    const HostTensor x = noise(c.x, 1);
    const HostTensor w = noise(c.w, 2);
    const OneNode n("ConvTranspose", {x, w}, attributes_of(c));
    check_close(n.evaluate()[0].floats(), transposed_by_definition(c, x.floats(), w.floats(), n.output().shape));
    check_regions(n);
  }
}

TEST_CASE("extents of ConvTranspose", "[operators][conv]") {
  const HostTensor x = noise({1, 1, 3, 3});
  const HostTensor w = noise({1, 2, 3, 3});
  // 2 * (3 - 1) + 3 = 7
  CHECK(OneNode("ConvTranspose", {x, w}, {{"strides", IntList{2, 2}}}).output().shape == Shape{1, 2, 7, 7});
  CHECK(OneNode("ConvTranspose", {x, w}, {{"strides", IntList{2, 2}}, {"output_padding", IntList{1, 0}}})
            .output()
            .shape == Shape{1, 2, 8, 7});
  CHECK(
      OneNode("ConvTranspose", {x, w}, {{"strides", IntList{3, 3}}, {"output_shape", IntList{10, 8}}}).output().shape ==
      Shape{1, 2, 10, 8});
  CHECK(OneNode("ConvTranspose", {x, w}, {{"strides", IntList{2, 2}}, {"auto_pad", std::string("SAME_UPPER")}})
            .output()
            .shape == Shape{1, 2, 6, 6});
  CHECK_THAT(refusal("ConvTranspose", {noise({1, 2, 3, 3}), w}), Catch::Contains("groups"));
  CHECK_THAT(refusal("ConvTranspose", {x, w}, {{"pads", IntList{9, 9, 9, 9}}}), Catch::Contains("no output"));
}

TEST_CASE("MatMul by hand", "[operators][matmul]") {
  const HostTensor a = floats({2, 3}, {1, 2, 3, 4, 5, 6});
  const HostTensor b = floats({3, 2}, {7, 8, 9, 10, 11, 12});
  CHECK(computed("MatMul", {a, b}) == std::vector<float>{58, 64, 139, 154});
  CHECK(computed("MatMul", {a, b, floats({2}, {100, 200})}, {{"alpha", 2.0F}}) ==
        std::vector<float>{216, 328, 378, 508});
  CHECK(computed("MatMul", {b, b}, {{"transA", std::int64_t{1}}}) == std::vector<float>{251, 278, 278, 308});
  CHECK(computed("MatMul", {a, a}, {{"transB", std::int64_t{1}}}) == std::vector<float>{14, 32, 32, 77});
  CHECK(computed("MatMul", {a, b}, {{"transA", std::int64_t{1}}, {"transB", std::int64_t{1}}}) ==
        std::vector<float>{39, 49, 59, 54, 68, 82, 69, 87, 105});
}

TEST_CASE("MatMul with one-dimensional operands and broadcast batches", "[operators][matmul]") {
  const HostTensor v = floats({3}, {1, 2, 3});
  const HostTensor a = floats({2, 3}, {1, 2, 3, 4, 5, 6});
  const HostTensor b = floats({3, 2}, {7, 8, 9, 10, 11, 12});
  const OneNode dot("MatMul", {v, v});
  CHECK(dot.output().shape.empty());
  CHECK(dot.evaluate()[0].floats() == std::vector<float>{14});
  CHECK(OneNode("MatMul", {a, v}).output().shape == Shape{2});
  CHECK(computed("MatMul", {a, v}) == std::vector<float>{14, 32});
  CHECK(OneNode("MatMul", {v, b}).output().shape == Shape{2});
  CHECK(computed("MatMul", {v, b}) == std::vector<float>{58, 64});
  CHECK(OneNode("MatMul", {noise({2, 1, 4, 5}), noise({3, 5, 6})}).output().shape == Shape{2, 3, 4, 6});
  CHECK(OneNode("MatMul", {noise({4, 2, 3}), v}).output().shape == Shape{4, 2});
  CHECK_THAT(refusal("MatMul", {a, a}), Catch::Contains("contracts 3 of 2x3 with 2 of 2x3"));
  CHECK_THAT(refusal("MatMul", {noise({2, 4, 5}), noise({3, 5, 6})}), Catch::Contains("do not broadcast"));
  CHECK_THAT(refusal("MatMul", {floats({}, {1.0F}), a}), Catch::Contains("scalar"));
  CHECK_THAT(refusal("MatMul", {a, b, noise({3})}), Catch::Contains("bias is 3"));
  CHECK_THAT(refusal("MatMul", {a, ints({3, 2}, {1, 2, 3, 4, 5, 6})}), Catch::Contains("int64"));
}

TEST_CASE("MatMul on any part of its output", "[operators][matmul][regions]") {
  const std::vector<OneNode> nodes = {
      {"MatMul", {noise({2, 3, 7, 5}, 1), noise({2, 3, 5, 6}, 2)}},
      {"MatMul", {noise({2, 1, 7, 5}, 1), noise({3, 5, 6}, 2), noise({6}, 3)}},
      {"MatMul", {noise({4, 7, 5}, 1), noise({5, 6}, 2)}},
      {"MatMul", {noise({7, 5}, 1), noise({4, 5, 6}, 2)}},
      {"MatMul",
       {noise({2, 5, 7}, 1), noise({2, 6, 5}, 2)},
       {{"transA", std::int64_t{1}}, {"transB", std::int64_t{1}}, {"alpha", 0.3F}}},
      {"MatMul", {noise({5}, 1), noise({3, 5, 6}, 2)}},
      {"MatMul", {noise({3, 6, 5}, 1), noise({5}, 2)}},
  };
  for (const OneNode& n : nodes) {
    check_regions(n);
    check_macs_add_up(n);
  }
}

TEST_CASE("shapes of products on the array", "[operators][matmul]") {
  const auto shape = [](const OneNode& n) {
    return n.def().matrix_shape(n.graph(), n.node(), whole(n.output().shape));
  };
  const auto attention = shape(OneNode("MatMul", {noise({4, 7, 5}), noise({4, 5, 6})}));
  CHECK((attention.m == 7 && attention.n == 6 && attention.k == 5 && attention.batch == 4));
  // One weight for all of the batch: its rows stream one after the other.
  const auto linear = shape(OneNode("MatMul", {noise({4, 7, 5}), noise({5, 6})}));
  CHECK((linear.m == 28 && linear.n == 6 && linear.k == 5 && linear.batch == 1));
  const auto vector = shape(OneNode("MatMul", {noise({4, 7, 5}), noise({5})}));
  CHECK((vector.m == 28 && vector.n == 1 && vector.k == 5 && vector.batch == 1));
}

TEST_CASE("Gemm by hand and on any part", "[operators][matmul][regions]") {
  const HostTensor a = floats({2, 2}, {1, 2, 3, 4});
  const HostTensor b = floats({2, 2}, {5, 6, 7, 8});
  CHECK(computed("Gemm", {a, b, floats({2, 1}, {10, 20})}, {{"alpha", 2.0F}, {"beta", 0.5F}}) ==
        std::vector<float>{43, 49, 96, 110});
  CHECK(computed("Gemm", {a, b, floats({}, {1})}) == std::vector<float>{20, 23, 44, 51});
  CHECK_THAT(refusal("Gemm", {a, noise({1, 2, 2})}), Catch::Contains("rank 2"));
  CHECK_THAT(refusal("Gemm", {a, b, noise({3})}), Catch::Contains("do not broadcast"));
  CHECK_THAT(refusal("Gemm", {a, b, noise({2, 2, 2})}), Catch::Contains("C is 2x2x2"));
  check_regions(OneNode("Gemm", {noise({5, 7}, 1), noise({6, 5}, 2), noise({6}, 3)},
                        {{"transA", std::int64_t{1}}, {"transB", std::int64_t{1}}, {"beta", 0.7F}}));
}
