// Is what can be known before a run known, and nothing else?
#include "tests/workloads/onnx_models.h"

using namespace spillway;
using namespace spillway::workloads;
using spillway::workloads::test::ModelMaker;

namespace {

const Tensor& tensor(const Graph& graph, const std::string& name) { return graph.tensors.at(graph.find_tensor(name)); }

void axis(onnx::NodeProto& node, std::int64_t value) {
  auto& attribute = *node.add_attribute();
  attribute.set_name("axis");
  attribute.set_type(onnx::AttributeProto::INT);
  attribute.set_i(value);
}

}  // namespace

TEST_CASE("shape arithmetic is folded to what the shapes say", "[folding]") {
  // The exporter's idiom for x.reshape(x.shape[0], -1, 8).
  ModelMaker maker;
  maker.dynamic_input("x", {"batch", "4", "16"});
  maker.node("Shape", {"x"}, {"shape"});
  maker.constant_node<std::int64_t>("zero", {}, {0});
  axis(maker.node("Gather", {"shape", "zero"}, {"first"}), 0);
  maker.constant_node<std::int64_t>("axes", {1}, {0});
  maker.node("Unsqueeze", {"first", "axes"}, {"dim"});
  maker.constant_node<std::int64_t>("rest", {2}, {-1, 8});
  axis(maker.node("Concat", {"dim", "rest"}, {"target"}), 0);
  maker.node("Reshape", {"x", "target"}, {"y"});
  maker.output("y");
  const auto graph = maker.load({.dims = {{"batch", 3}}});
  CHECK(tensor(graph, "y").shape == Shape{3, 8, 8});
  CHECK(materialise(tensor(graph, "target")).ints() == std::vector<std::int64_t>{3, -1, 8});
  CHECK(tensor(graph, "target").type == DataType::kInt64);
  for (const auto& node : graph.nodes) {
    INFO(node.name);
    CHECK(node.folded == (node.op != "Reshape"));
  }
}

TEST_CASE("what depends on an input is not folded", "[folding]") {
  ModelMaker maker;
  maker.input("x", {4});
  maker.initializer<float>("w", {4}, {1, 2, 3, 4});
  maker.node("Add", {"w", "w"}, {"twice"});
  maker.node("Mul", {"x", "twice"}, {"y"});
  maker.output("y");
  const auto graph = maker.load();
  CHECK(materialise(tensor(graph, "twice")).floats() == std::vector<float>{2, 4, 6, 8});
  CHECK_FALSE(tensor(graph, "y").is_constant());
  CHECK_FALSE(graph.nodes[1].folded);
}

TEST_CASE("whether a node is folded does not depend on the weights being there", "[folding]") {
  ModelMaker maker;
  maker.input("x", {1, 2});
  maker.external("w", {3, 2}, "weights.bin", "0", "24");
  maker.node("Transpose", {"w"}, {"wt"});
  maker.node("MatMul", {"x", "wt"}, {"y"});
  maker.output("y");
  const auto absent = maker.load();
  CHECK(absent.nodes[0].folded);
  CHECK(tensor(absent, "wt").constant->missing());
  CHECK(tensor(absent, "wt").shape == Shape{2, 3});

  const spillway::testing::TemporaryFolder folder;
  const std::vector<float> weights{1, 2, 3, 4, 5, 6};
  folder.write("weights.bin", {reinterpret_cast<const char*>(weights.data()), 24});
  const auto present = import_onnx(folder.write("model.onnx", maker.bytes()));
  CHECK(present.nodes[0].folded);
  CHECK(materialise(tensor(present, "wt")).floats() == std::vector<float>{1, 3, 5, 2, 4, 6});
}

TEST_CASE("random operators are never folded", "[folding]") {
  ModelMaker maker;
  maker.input("x", {4});
  maker.initializer<float>("w", {4}, {1, 2, 3, 4});
  maker.node("RandomNormalLike", {"w"}, {"noise"});
  maker.node("Add", {"x", "noise"}, {"y"});
  maker.output("y");
  const auto graph = maker.load();
  CHECK_FALSE(graph.nodes[0].folded);
  CHECK_FALSE(tensor(graph, "noise").is_constant());
}

TEST_CASE("large tensors of one value stay known without being stored", "[folding]") {
  // torch.baddbmm with beta = 0, as attention is exported with dynamic axes: empty(scores) * 0 + scores.
  ModelMaker maker;
  maker.input("scores", {16, 4096, 4096});
  maker.node("Shape", {"scores"}, {"shape"});
  auto& fill = *maker.node("ConstantOfShape", {"shape"}, {"empty"}).add_attribute();
  fill.set_name("value");
  fill.set_type(onnx::AttributeProto::TENSOR);
  ModelMaker::fill(*fill.mutable_t(), {1}, std::vector<float>{3.0F});
  maker.constant_node<float>("beta", {}, {0.5F});
  maker.node("Mul", {"empty", "beta"}, {"bias"});
  maker.node("Add", {"scores", "bias"}, {"y"});
  maker.output("y");
  const auto graph = maker.load();
  const auto& bias = tensor(graph, "bias");
  CHECK(bias.shape == Shape{16, 4096, 4096});
  REQUIRE(bias.is_constant());
  const auto& generator = std::get<Generator>(bias.constant->source);
  CHECK(generator.kind == Generator::Kind::kConstant);
  CHECK(generator.scale == 1.5F);
  CHECK_FALSE(graph.nodes.back().folded);
}

TEST_CASE("large weights are left where they are", "[folding]") {
  ModelMaker maker;
  maker.input("x", {1, 2048});
  maker.external("w", {1024, 2048}, "weights.bin", "0", "8388608");
  maker.node("Transpose", {"w"}, {"wt"});
  maker.node("MatMul", {"x", "wt"}, {"y"});
  maker.output("y");
  const auto graph = maker.load();
  CHECK_FALSE(graph.nodes[0].folded);
  CHECK(statistics_of(graph).macs == std::map<std::string, std::int64_t>{{"MatMul_weight", 1024 * 2048}});
}
