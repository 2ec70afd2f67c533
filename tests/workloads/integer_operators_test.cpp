// Products of quantised tensors: sums against ones added up here, and the form that the NPU runs against the operators.
#include <catch2/catch.hpp>
#include <cmath>
#include <numeric>
#include <random>

#include "one_node.h"

using namespace spillway;
using namespace spillway::workloads;
using namespace spillway::workloads::test;

namespace {

HostTensor bytes(DataType type, Shape shape, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::int64_t> values(static_cast<std::size_t>(elements_of(shape)));
  for (auto& v : values) v = static_cast<std::int64_t>(random() % 256) - (type == DataType::kInt8 ? 128 : 0);
  return ints(std::move(shape), std::move(values), type);
}
HostTensor one(DataType type, std::int64_t value) { return ints({}, {value}, type); }
HostTensor step(float value) { return floats({}, {value}); }

/// The graph that the NPU runs of one node, on the node's own data; a step of the result's grid is `tolerance`.
void check_canonical(const OneNode& node, double tolerance) {
  const auto wanted = node.evaluate().at(0);
  const Graph canonical = canonicalise(node.graph());
  for (const Node& n : canonical.nodes) CHECK(n.op != node.node().op);
  TensorMap data;
  for (std::size_t i = 0; i < node.inputs().size(); ++i) {
    const In& in = node.inputs()[i];
    if (in.value && !in.constant) data["in" + std::to_string(i)] = *in.value;
  }
  const HostTensor found = execute(canonical, data).at("out0");
  REQUIRE(found.type == wanted.type);
  REQUIRE(found.shape == wanted.shape);
  for (std::size_t i = 0; i < wanted.ints().size(); ++i) {
    REQUIRE(std::abs(static_cast<double>(found.ints()[i] - wanted.ints()[i])) <= tolerance);
  }
}

}  // namespace

TEST_CASE("sums of bytes of either sign and any zero point are exact", "[operators][integer]") {
  for (const DataType a_type : {DataType::kUint8, DataType::kInt8}) {
    for (const DataType b_type : {DataType::kUint8, DataType::kInt8}) {
      for (const std::int64_t zero : {0, 3, 127}) {
        CAPTURE(name_of(a_type), name_of(b_type), zero);
        const std::int64_t m = 5, k = 300, n = 17;
        const HostTensor a = bytes(a_type, {2, m, k}, 1), b = bytes(b_type, {k, n}, 2);
        const auto found = OneNode("MatMulInteger", {a, b, one(a_type, zero), one(b_type, 2)}).evaluate().at(0).ints();
        for (std::int64_t s = 0; s < 2; ++s) {
          for (std::int64_t i = 0; i < m; ++i) {
            for (std::int64_t j = 0; j < n; ++j) {
              std::int64_t sum = 0;
              for (std::int64_t p = 0; p < k; ++p) {
                sum += (a.ints()[static_cast<std::size_t>((s * m + i) * k + p)] - zero) *
                       (b.ints()[static_cast<std::size_t>(p * n + j)] - 2);
              }
              REQUIRE(found[static_cast<std::size_t>((s * m + i) * n + j)] == sum);
            }
          }
        }
      }
    }
  }
}

TEST_CASE("a convolution of bytes: padding, strides, dilation", "[operators][integer]") {
  for (const DataType x_type : {DataType::kUint8, DataType::kInt8}) {
    const std::int64_t c = 3, h = 7, w = 6, o = 4, zero = 5;
    const HostTensor x = bytes(x_type, {2, c, h, w}, 3), weight = bytes(DataType::kInt8, {o, c, 3, 2}, 4);
    const OneNode node("ConvInteger", {x, weight, one(x_type, zero), one(DataType::kInt8, -7)},
                       {{"pads", IntList{1, 0, 2, 1}}, {"strides", IntList{2, 1}}, {"dilations", IntList{1, 2}}});
    const auto y = node.evaluate().at(0);
    REQUIRE(y.shape == Shape{2, o, 4, 5});
    std::size_t at = 0;
    for (std::int64_t n = 0; n < 2; ++n) {
      for (std::int64_t k = 0; k < o; ++k) {
        for (std::int64_t i = 0; i < 4; ++i) {
          for (std::int64_t j = 0; j < 5; ++j, ++at) {
            std::int64_t sum = 0;
            for (std::int64_t ch = 0; ch < c; ++ch) {
              for (std::int64_t p = 0; p < 3; ++p) {
                for (std::int64_t q = 0; q < 2; ++q) {
                  const std::int64_t row = i * 2 - 1 + p, column = j + q * 2;
                  if (row < 0 || row >= h || column < 0 || column >= w) continue;  // what lies outside counts nothing
                  sum += (x.ints()[static_cast<std::size_t>(((n * c + ch) * h + row) * w + column)] - zero) *
                         (weight.ints()[static_cast<std::size_t>(((k * c + ch) * 3 + p) * 2 + q)] + 7);
                }
              }
            }
            REQUIRE(y.ints()[at] == sum);
          }
        }
      }
    }
  }
}

TEST_CASE("integer products on the numbers that they stand for", "[canonical][integer]") {
  const auto u8 = DataType::kUint8, i8 = DataType::kInt8;
  const HostTensor x = bytes(u8, {1, 4, 6, 6}, 5);
  const Attributes window{{"pads", IntList{1, 1, 1, 1}}};
  check_canonical(OneNode("ConvInteger", {x, fixed(bytes(i8, {8, 4, 3, 3}, 6)), fixed(one(u8, 120))}, window), 0);
  check_canonical(OneNode("ConvInteger", {x, fixed(bytes(u8, {8, 2, 3, 3}, 7)), one(u8, 3), fixed(one(u8, 130))},
                          {{"group", std::int64_t{2}}}),
                  0);
  check_canonical(OneNode("MatMulInteger", {bytes(u8, {3, 8}, 8), fixed(bytes(i8, {8, 5}, 9)), one(u8, 100),
                                            fixed(ints({5}, {1, -2, 3, 0, 5}, i8))}),
                  0);
  check_canonical(OneNode("MatMulInteger", {bytes(u8, {2, 3, 8}, 8), bytes(u8, {8, 5}, 9)}), 0);
  // Requantised: at most a step apart, where both are as near.
  const HostTensor per_channel = floats({8}, {0.011F, 0.012F, 0.013F, 0.014F, 0.015F, 0.016F, 0.017F, 0.018F});
  const HostTensor bias = ints({8}, {100, -200, 300, 0, 500, -600, 7, 8}, DataType::kInt32);
  check_canonical(OneNode("QLinearConv",
                          {x, fixed(step(0.0217F)), fixed(one(u8, 120)), fixed(bytes(i8, {8, 4, 3, 3}, 10)),
                           fixed(per_channel), fixed(ints({8}, std::vector<std::int64_t>(8, 0), i8)),
                           fixed(step(0.513F)), fixed(one(u8, 128)), fixed(bias)},
                          window),
                  1);
  check_canonical(OneNode("QLinearMatMul",
                          {bytes(u8, {3, 8}, 11), step(0.031F), fixed(one(u8, 99)), fixed(bytes(u8, {8, 5}, 12)),
                           fixed(floats({5}, {0.01F, 0.02F, 0.03F, 0.04F, 0.05F})),
                           fixed(ints({5}, {128, 127, 126, 125, 124}, u8)), fixed(step(0.27F)), fixed(one(u8, 10))}),
                  1);
}

TEST_CASE("a range found as the graph runs", "[canonical][integer]") {
  for (const float factor : {1.0F, 0.0F, -3.0F}) {
    CAPTURE(factor);
    HostTensor x = random_tensor(DataType::kFloat32, {2, 3, 5}, 4);
    for (float& v : x.floats()) v *= factor;
    const OneNode node("DynamicQuantizeLinear", {x}, {}, 3);
    const auto wanted = node.evaluate();
    const auto found = execute(canonicalise(node.graph()), {{"in0", x}});
    CHECK(found.at("out0").ints() == wanted[0].ints());
    CHECK(found.at("out1").floats()[0] == Approx(wanted[1].floats()[0]).margin(1e-30));
    CHECK(found.at("out2").ints() == wanted[2].ints());
  }
}
