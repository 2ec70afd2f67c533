// Quantised exports (Q and DQ pairs): the operators by the specification's words, and what becomes of the pairs.
#include <catch2/catch.hpp>

#include "graph_builder.h"

using namespace spillway;
using namespace spillway::workloads;
using namespace spillway::workloads::test;

namespace {

HostTensor int8s(Shape shape, std::vector<std::int64_t> values) {
  return ints(std::move(shape), std::move(values), DataType::kInt8);
}

}  // namespace

TEST_CASE("QuantizeLinear and DequantizeLinear refuse what does not go together", "[operators][quantisation]") {
  const HostTensor x = floats({2, 3}, {1, 2, 3, 4, 5, 6});
  CHECK_THAT(refusal("QuantizeLinear", {x, floats({2}, {1, 1})}), Catch::Contains("of shape 2 for an input"));
  CHECK_THAT(refusal("QuantizeLinear", {x, floats({}, {1}), ints({}, {0}, DataType::kInt32)}),
             Catch::Contains("quantises to int32"));
  CHECK_THAT(refusal("QuantizeLinear", {x, floats({3}, {1, 1, 1}), int8s({}, {0})}),
             Catch::Contains("another number of zero points"));
  CHECK_THAT(refusal("QuantizeLinear", {x, floats({3}, {1, 1, 1})}, {{"axis", std::int64_t{2}}}), !Catch::Matches(""));
  CHECK_THAT(refusal("DequantizeLinear", {x, floats({}, {1})}), Catch::Contains("should be an integer"));
  CHECK_THAT(
      refusal("DequantizeLinear", {int8s({4}, {1, 2, 3, 4}), floats({}, {1})}, {{"block_size", std::int64_t{2}}}),
      Catch::Contains("block_size"));
}

TEST_CASE("QuantizeLinear rounds half to even and saturates", "[operators][quantisation]") {
  // The example of the ONNX specification.
  CHECK(compute_ints("QuantizeLinear",
                     {floats({6}, {0, 2, 3, 1000, -254, -1000}), floats({}, {2}), ints({}, {128}, DataType::kUint8)}) ==
        std::vector<std::int64_t>{128, 129, 130, 255, 1, 0});
  CHECK(compute_ints("QuantizeLinear", {floats({4}, {-0.5F, 0.5F, 1.5F, -1.5F}), floats({}, {1}), int8s({}, {0})}) ==
        std::vector<std::int64_t>{0, 0, 2, -2});
  CHECK(compute_ints("QuantizeLinear", {floats({2}, {-3, 300}), floats({}, {1})}) == std::vector<std::int64_t>{0, 255});
  CHECK(compute_ints("QuantizeLinear", {floats({1, 2, 2}, {4, 8, 4, 8}), floats({2}, {1, 4}), int8s({2}, {0, -1})}) ==
        std::vector<std::int64_t>{4, 8, 0, 1});
  CHECK(computed("DequantizeLinear", {ints({4}, {0, 3, 128, 255}, DataType::kUint8), floats({}, {2}),
                                      ints({}, {128}, DataType::kUint8)}) == std::vector<float>{-256, -250, 0, 254});
  CHECK(computed("DequantizeLinear", {int8s({2, 2}, {1, 2, 3, 4}), floats({2}, {10, 100})},
                 {{"axis", std::int64_t{0}}}) == std::vector<float>{10, 20, 300, 400});
}

TEST_CASE("a pair of Q and DQ is one rounding", "[canonical][quantisation]") {
  GraphBuilder g;
  const TensorId x = g.input("x", {1, 2, 3});
  const TensorId scale = g.scalar(0.25F);
  const TensorId zero = g.constant(int8s({}, {-3}));
  const TensorId q = g.op("QuantizeLinear", {x, scale, zero});
  const TensorId y = g.op("Relu", {g.op("DequantizeLinear", {q, scale, g.constant(int8s({}, {-3}))})});
  const TensorId other = g.op("DequantizeLinear", {q, g.scalar(0.5F), zero});  // another grid: stays
  const Graph exported = g.finish({y, other});
  const Graph canonical = canonicalise(exported);
  std::map<std::string, int> counts;
  for (const Node& node : canonical.nodes) ++counts[node.op];
  CHECK(counts ==
        std::map<std::string, int>{{"FakeQuantize", 1}, {"Relu", 1}, {"QuantizeLinear", 1}, {"DequantizeLinear", 1}});
  const TensorMap inputs{{"x", floats({1, 2, 3}, {-100, -1.1F, 0.1F, 0.125F, 0.375F, 100})}};
  // 0.125 / 0.25 is half, to the even 0; 0.375 / 0.25 to 2; 100 to 127 - (-3) steps.
  const auto results = execute(canonical, inputs);
  CHECK(results.at(exported.tensors[y].name).floats() == std::vector<float>{0, 0, 0, 0, 0.5F, 32.5F});
  for (const auto& [name, tensor] : execute(exported, inputs)) CHECK(results.at(name).floats() == tensor.floats());
}

TEST_CASE("integer weights are parameters", "[statistics][quantisation]") {
  GraphBuilder g;
  const TensorId w = g.op("DequantizeLinear", {g.constant(int8s({4, 2}, {1, 2, 3, 4, 5, 6, 7, 8})), g.scalar(0.5F)});
  const Statistics s = statistics_of(g.finish({g.op("MatMul", {g.input("x", {3, 4}), w})}));
  CHECK(s.parameters == 8 + 1);
  CHECK(s.parameters_weights_only == 8);
  CHECK(s.macs.at("MatMul_weight") == 3 * 4 * 2);
}
