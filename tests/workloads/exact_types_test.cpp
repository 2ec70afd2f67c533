// float64 is computed in double and uint64 to its last bit, in the operators that say so; Cast rounds as formats
// define.
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "one_node.h"

using namespace spillway;
using namespace spillway::workloads;
using namespace spillway::workloads::test;

namespace {

constexpr std::int64_t kTop = std::numeric_limits<std::int64_t>::min();  // the bits of 2^63

HostTensor doubles(Shape shape, std::vector<double> values) {
  return {DataType::kFloat64, std::move(shape), std::move(values)};
}
HostTensor unsigned64(std::vector<std::int64_t> bits) {
  const auto count = static_cast<std::int64_t>(bits.size());
  return {DataType::kUint64, {count}, std::move(bits)};
}

std::vector<double> in_double(const std::string& op, std::vector<In> inputs, Attributes attributes = {}) {
  return OneNode(op, std::move(inputs), std::move(attributes)).evaluate().at(0).doubles();
}
std::vector<std::int64_t> cast(HostTensor x, std::int64_t to) {
  return OneNode("Cast", {std::move(x)}, {{"to", to}}).evaluate().at(0).ints();
}

}  // namespace

TEST_CASE("float64 arithmetic keeps what float32 would lose", "[operators][types]") {
  CHECK(in_double("Add", {doubles({1}, {0.1}), doubles({1}, {0.2})}) == std::vector<double>{0.1 + 0.2});
  CHECK(in_double("Div", {doubles({1}, {1}), doubles({1}, {3})}) == std::vector<double>{1.0 / 3.0});
  CHECK(in_double("Exp", {doubles({1}, {1})}) == std::vector<double>{std::exp(1.0)});
  CHECK(in_double("Max", {doubles({1}, {1.0}), doubles({1}, {1.0 + 1e-12})}) == std::vector<double>{1.0 + 1e-12});
  CHECK(in_double("Clip", {doubles({2}, {1.0 + 1e-12, -5}), doubles({}, {0.1}), doubles({}, {2})}) ==
        std::vector<double>{1.0 + 1e-12, 0.1});
  CHECK(in_double("ReduceSum", {doubles({2}, {1e9, 1e-6})}, {{"keepdims", std::int64_t{0}}}) ==
        std::vector<double>{1e9 + 1e-6});
  CHECK(compute_ints("Greater", {doubles({1}, {1.0 + 1e-12}), doubles({1}, {1.0})}) == IntList{1});
  CHECK(compute_ints("ArgMax", {doubles({2}, {1.0, 1.0 + 1e-12})}, {{"keepdims", std::int64_t{0}}}) == IntList{1});
}

TEST_CASE("uint64 over 2^63 - 1", "[operators][types]") {
  const HostTensor large = unsigned64({kTop});
  const HostTensor small = unsigned64({5});
  CHECK(compute_ints("Greater", {large, small}) == IntList{1});
  CHECK(compute_ints("Max", {large, small}) == IntList{kTop});
  CHECK(compute_ints("Min", {large, small}) == IntList{5});
  CHECK(compute_ints("Div", {large, unsigned64({2})}) == IntList{std::int64_t{1} << 62});
  CHECK(compute_ints("Mod", {unsigned64({-1}), unsigned64({10})}) == IntList{5});  // 18446744073709551615
  CHECK(compute_ints("BitShift", {large, unsigned64({63})}, {{"direction", std::string("RIGHT")}}) == IntList{1});
}

TEST_CASE("MatMul of integers is exact beyond 2^24", "[operators][types]") {
  CHECK(compute_ints("MatMul", {ints({1, 2}, {16777217, 1}), ints({2, 1}, {3, 5})}) == IntList{50331656});
  CHECK(compute_ints("MatMul", {ints({2}, {1, 2}), ints({2, 2}, {1, 2, 3, 4})}) == IntList{7, 10});
}

TEST_CASE("Cast between integers, floats and bool", "[operators][types]") {
  constexpr std::int64_t kF32 = 1, kU8 = 2, kI8 = 3, kI64 = 7, kBool = 9, kF64 = 11, kU64 = 13;
  CHECK(cast(doubles({3}, {-1.9, 1.9, 3e9}), kI64) == IntList{-1, 1, 3000000000});
  CHECK(cast(doubles({3}, {0.0, 1e-30, NAN}), kBool) == IntList{0, 1, 1});
  CHECK(cast(floats({2}, {300.0F, -1.0F}), kU8) == IntList{44, 255});  // low bits, as hardware and runtimes do
  CHECK(cast(ints({2}, {200, -129}), kI8) == IntList{-56, 127});
  CHECK(cast(doubles({2}, {18446744073709549568.0, 1e30}), kU64) == IntList{-2048, -1});  // saturated
  CHECK(OneNode("Cast", {unsigned64({-1})}, {{"to", kF64}}).evaluate().at(0).doubles()[0] == 18446744073709551616.0);
  CHECK(OneNode("Cast", {doubles({1}, {0.1})}, {{"to", kF32}}).evaluate().at(0).floats()[0] == 0.1F);
  CHECK_THAT(refusal("Cast", {floats({1}, {1})}, {{"to", std::int64_t{8}}}), Catch::Contains("element type 8"));
}

TEST_CASE("Cast to a 16-bit float rounds to nearest, ties to even, and overflows to infinity", "[operators][types]") {
  const auto half = [](float x) {
    return OneNode("Cast", {floats({1}, {x})}, {{"to", std::int64_t{10}}}).evaluate().at(0).floats()[0];
  };
  CHECK(half(0.1F) == 0.0999755859375F);
  CHECK(half(2049.0F) == 2048.0F);
  CHECK(half(2051.0F) == 2052.0F);
  CHECK(std::isinf(half(65520.0F)));
  const auto bfloat = OneNode("Cast", {floats({1}, {0.1F})}, {{"to", std::int64_t{16}}}).evaluate().at(0);
  CHECK(bfloat.floats()[0] == 0.10009765625F);
}
