// Operators that ONNX Runtime's quantiser writes beside ONNX's own: steps counted by hand.
#include "tests/workloads/onnx_models.h"

using namespace spillway;
using namespace spillway::workloads;
using Catch::Contains;
using spillway::workloads::test::error_of;
using spillway::workloads::test::ModelMaker;

namespace {

/// x of four bytes and y of four, with scales and zero points xs, xz and so on; results have rs, rz.
ModelMaker operands() {
  ModelMaker maker;
  maker.input("x", {1, 2, 1, 2}, onnx::TensorProto::UINT8);
  maker.input("y", {1, 2, 1, 2}, onnx::TensorProto::UINT8);
  maker.initializer<float>("xs", {}, {0.5F});
  maker.initializer<float>("ys", {}, {0.25F});
  maker.initializer<float>("rs", {}, {0.125F});
  for (const auto& [name, value] : {std::pair{"xz", 10}, std::pair{"yz", 0}, std::pair{"rz", 100}}) {
    auto& zero = *maker.graph.add_initializer();
    zero.set_name(name);
    zero.set_data_type(onnx::TensorProto::UINT8);
    zero.add_int32_data(value);
  }
  return maker;
}

onnx::NodeProto& foreign(ModelMaker& maker, const std::string& op, const std::vector<std::string>& inputs) {
  auto& node = maker.node(op, inputs, {"r"}, "it");
  node.set_domain("com.microsoft");
  maker.output("r");
  return node;
}

std::vector<std::int64_t> run(ModelMaker& maker) {
  const auto bytes = [](std::vector<std::int64_t> v) {
    return HostTensor{DataType::kUint8, {1, 2, 1, 2}, std::move(v)};
  };
  // x stands for -5, 0, 1, 15; y for 0, 1, 2, 4.
  return execute(maker.load(), {{"x", bytes({0, 10, 12, 40})}, {"y", bytes({0, 4, 8, 16})}}).at("r").ints();
}

}  // namespace

TEST_CASE("sums and products of quantised tensors", "[import][quantised]") {
  auto sum = operands();
  foreign(sum, "QLinearAdd", {"x", "xs", "xz", "y", "ys", "yz", "rs", "rz"});
  CHECK(run(sum) == std::vector<std::int64_t>{60, 108, 124, 252});  // -5, 1, 3, 19 in steps of 1/8 from 100
  auto product = operands();
  foreign(product, "QLinearMul", {"x", "xs", "xz", "y", "ys", "yz", "rs", "rz"});
  CHECK(run(product) == std::vector<std::int64_t>{100, 100, 116, 255});  // 0, 0, 2, 60: saturates
}

TEST_CASE("a missing zero point is zero", "[import][quantised]") {
  auto sum = operands();
  foreign(sum, "QLinearAdd", {"y", "ys", "", "y", "ys", "", "rs"});
  CHECK(run(sum) == std::vector<std::int64_t>{0, 16, 32, 64});  // 0, 2, 4, 8
}

TEST_CASE("quantised activations, pools and joins", "[import][quantised]") {
  auto leaky = operands();
  auto& alpha = *foreign(leaky, "QLinearLeakyRelu", {"x", "xs", "xz", "rs", "rz"}).add_attribute();
  alpha.set_name("alpha");
  alpha.set_type(onnx::AttributeProto::FLOAT);
  alpha.set_f(0.5F);
  CHECK(run(leaky) == std::vector<std::int64_t>{80, 100, 108, 220});  // -2.5, 0, 1, 15
  auto mean = operands();
  foreign(mean, "QLinearGlobalAveragePool", {"x", "xs", "xz", "rs", "rz"});
  CHECK(run(mean) == std::vector<std::int64_t>{80, 164});  // -2.5 and 8
  auto joined = operands();
  auto& axis = *foreign(joined, "QLinearConcat", {"rs", "rz", "x", "xs", "xz", "y", "ys", "yz"}).add_attribute();
  axis.set_name("axis");
  axis.set_type(onnx::AttributeProto::INT);
  axis.set_i(1);
  CHECK(run(joined) == std::vector<std::int64_t>{60, 100, 108, 220, 100, 108, 116, 132});
}

TEST_CASE("a quantised Gemm has its bias in steps of both scales", "[import][quantised]") {
  auto maker = operands();
  maker.node("Flatten", {"x"}, {"flat"});  // 1x4
  auto& bias = *maker.graph.add_initializer();
  bias.set_name("bias");
  bias.set_data_type(onnx::TensorProto::INT32);
  bias.add_dims(1);
  bias.add_int32_data(8);  // of 0.5 x 0.25: 1
  maker.node("Flatten", {"y"}, {"flat_y"});
  auto& product = foreign(maker, "QGemm", {"flat", "xs", "xz", "flat_y", "ys", "yz", "bias", "rs", "rz"});
  auto& transposed = *product.add_attribute();
  transposed.set_name("transB");
  transposed.set_type(onnx::AttributeProto::INT);
  transposed.set_i(1);
  // -5 x 0 + 0 x 1 + 1 x 2 + 15 x 4 + 1 = 63 saturates; without a result's scale it is a number.
  CHECK(run(maker) == std::vector<std::int64_t>{255});
  product.mutable_input()->RemoveLast();
  product.mutable_input()->RemoveLast();
  const HostTensor x{DataType::kUint8, {1, 2, 1, 2}, std::vector<std::int64_t>{0, 10, 12, 40}};
  const HostTensor y{DataType::kUint8, {1, 2, 1, 2}, std::vector<std::int64_t>{0, 4, 8, 16}};
  CHECK(execute(maker.load(), {{"x", x}, {"y", y}}).at("r").floats() == std::vector<float>{63.0F});
}

TEST_CASE("quantised functions in forms that are not taken are refused by name", "[import][quantised][errors]") {
  auto maker = operands();
  auto& last = *foreign(maker, "QLinearGlobalAveragePool", {"x", "xs", "xz", "rs", "rz"}).add_attribute();
  last.set_name("channels_last");
  last.set_type(onnx::AttributeProto::INT);
  last.set_i(1);
  CHECK_THAT(error_of([&] { (void)maker.load(); }).what(), Contains("com.microsoft.QLinearGlobalAveragePool (1)"));
  auto few = operands();
  foreign(few, "QLinearAdd", {"x", "xs", "xz"});
  CHECK_THAT(error_of([&] { (void)few.load(); }).what(), Contains("node 'it'") && Contains("has 3 inputs"));
}
