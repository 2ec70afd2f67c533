// Does a well-formed ONNX model, in each of the forms that exporters write, become the graph that it describes?
#include "tests/workloads/onnx_models.h"

using namespace spillway;
using namespace spillway::workloads;
using spillway::testing::TemporaryFolder;
using spillway::workloads::test::ModelMaker;

TEST_CASE("a file becomes a graph with inferred shapes", "[import]") {
  const TemporaryFolder folder;
  const auto path = folder.write("model.onnx", test::relu_model().bytes());
  const auto graph = import_onnx(path);
  CHECK(graph.source == path);
  CHECK(graph.name == "test");
  CHECK(graph.opset == 14);
  REQUIRE(graph.nodes.size() == 1);
  CHECK(graph.nodes[0].name == "relu");
  REQUIRE(graph.outputs.size() == 1);
  const auto& y = graph.tensors[graph.outputs[0]];
  CHECK(y.name == "y");
  CHECK(y.shape == Shape{1, 4});
  CHECK(y.producer == 0);
  CHECK(graph.tensors[graph.inputs[0]].consumers == std::vector<NodeId>{0});
  CHECK(graph.find_tensor("x") == graph.inputs[0]);
  CHECK(graph.find_tensor("z") == kNone);
  CHECK(graph.warnings.empty());
}

TEST_CASE("initializers in raw and typed fields hold the same values", "[import]") {
  auto maker = test::relu_model();
  maker.initializer<float>("raw", {2}, {1.5F, -2.0F});
  auto& typed = *maker.graph.add_initializer();
  typed.set_name("typed");
  typed.set_data_type(onnx::TensorProto::FLOAT);
  typed.add_dims(2);
  typed.add_float_data(1.5F);
  typed.add_float_data(-2.0F);
  auto& half = *maker.graph.add_initializer();
  half.set_name("half");
  half.set_data_type(onnx::TensorProto::FLOAT16);
  half.add_dims(2);
  half.add_int32_data(0x3E00);  // 1.5
  half.add_int32_data(0xC000);  // -2
  auto& bytes = *maker.graph.add_initializer();
  bytes.set_name("bytes");
  bytes.set_data_type(onnx::TensorProto::UINT8);
  bytes.add_int32_data(200);
  auto& signed_bytes = *maker.graph.add_initializer();
  signed_bytes.set_name("signed");
  signed_bytes.set_data_type(onnx::TensorProto::INT8);
  signed_bytes.add_dims(3);
  for (const int value : {-128, -1, 127}) signed_bytes.add_int32_data(value);
  const auto graph = maker.load();
  for (const auto* name : {"raw", "typed", "half"}) {
    INFO(name);
    CHECK(materialise(graph.tensors[graph.find_tensor(name)]).floats() == std::vector<float>{1.5F, -2.0F});
  }
  const auto scalar = materialise(graph.tensors[graph.find_tensor("bytes")]);
  CHECK(scalar.shape.empty());
  CHECK(scalar.ints() == std::vector<std::int64_t>{200});
  CHECK(materialise(graph.tensors[graph.find_tensor("signed")]).ints() == std::vector<std::int64_t>{-128, -1, 127});
}

TEST_CASE("a graph input that is an initializer is a constant, not an input", "[import]") {
  ModelMaker maker;
  maker.input("x", {1, 4});
  maker.input("w", {4});
  maker.initializer<float>("w", {4}, {1, 2, 3, 4});
  maker.node("Add", {"x", "w"}, {"y"});
  maker.output("y");
  const auto graph = maker.load();
  REQUIRE(graph.inputs.size() == 1);
  CHECK(graph.tensors[graph.inputs[0]].name == "x");
  CHECK(graph.tensors[graph.find_tensor("w")].is_constant());
}

TEST_CASE("Constant nodes in every form are constants and stay as folded nodes", "[import]") {
  auto maker = test::relu_model();
  maker.constant_node<float>("tensor", {1}, {2.5F});
  const auto attribute = [&](const std::string& output, const std::string& name,
                             onnx::AttributeProto::AttributeType type) -> onnx::AttributeProto& {
    auto& result = *maker.node("Constant", {}, {output}).add_attribute();
    result.set_name(name);
    result.set_type(type);
    return result;
  };
  attribute("int", "value_int", onnx::AttributeProto::INT).set_i(-3);
  auto& ints = attribute("ints", "value_ints", onnx::AttributeProto::INTS);
  ints.add_ints(4);
  ints.add_ints(5);
  attribute("float", "value_float", onnx::AttributeProto::FLOAT).set_f(0.5F);
  attribute("floats", "value_floats", onnx::AttributeProto::FLOATS).add_floats(0.25F);
  const auto graph = maker.load();
  const auto value = [&](const char* name) { return materialise(graph.tensors[graph.find_tensor(name)]); };
  CHECK(value("tensor").floats() == std::vector<float>{2.5F});
  CHECK(value("int").ints() == std::vector<std::int64_t>{-3});
  CHECK(value("int").shape.empty());
  CHECK(value("ints").ints() == std::vector<std::int64_t>{4, 5});
  CHECK(value("ints").shape == Shape{2});
  CHECK(value("float").floats() == std::vector<float>{0.5F});
  CHECK(value("floats").shape == Shape{1});
  CHECK(graph.nodes.size() == 6);
  for (const auto& node : graph.nodes) CHECK(node.folded == (node.op == "Constant"));
}

TEST_CASE("unnamed nodes get names of their own", "[import]") {
  auto maker = test::relu_model();
  maker.graph.mutable_node(0)->set_name("");
  maker.node("Relu", {"x"}, {"z"}, "Relu_0");  // takes the first choice
  const auto graph = maker.load();
  CHECK(graph.nodes[0].name == "Relu_0_");
  CHECK(graph.nodes[1].name == "Relu_0");
}

TEST_CASE("nodes out of order are sorted", "[import]") {
  ModelMaker maker;
  maker.input("x", {2});
  maker.node("Relu", {"b"}, {"y"}, "third");
  maker.node("Relu", {"a"}, {"b"}, "second");
  maker.node("Relu", {"x"}, {"a"}, "first");
  maker.output("y");
  const auto graph = maker.load();
  CHECK(graph.nodes[0].name == "first");
  CHECK(graph.nodes[1].name == "second");
  CHECK(graph.nodes[2].name == "third");
}

TEST_CASE("attributes of every kind arrive", "[import]") {
  ModelMaker maker;
  maker.input("x", {1, 1, 4, 4});
  maker.initializer<float>("w", {1, 1, 3, 3}, std::vector<float>(9, 1.0F));
  auto& conv = maker.node("Conv", {"x", "w"}, {"y"});
  auto& pads = *conv.add_attribute();
  pads.set_name("pads");
  pads.set_type(onnx::AttributeProto::INTS);
  for (const int pad : {1, 1, 1, 1}) pads.add_ints(pad);
  auto& pad = *conv.add_attribute();
  pad.set_name("auto_pad");
  pad.set_type(onnx::AttributeProto::STRING);
  pad.set_s("NOTSET");
  maker.output("y");
  const auto graph = maker.load();
  CHECK(graph.nodes[0].integers("pads") == std::vector<std::int64_t>{1, 1, 1, 1});
  CHECK(graph.nodes[0].text("auto_pad", "") == "NOTSET");
  CHECK(graph.output(graph.nodes[0]).shape == Shape{1, 1, 4, 4});
}

TEST_CASE("the same bytes give the same graph", "[import]") {
  const auto bytes = test::relu_model().bytes();
  const auto a = import_onnx_bytes(bytes, "a", "");
  const auto b = import_onnx_bytes(bytes, "a", "");
  REQUIRE(a.tensors.size() == b.tensors.size());
  for (std::size_t i = 0; i < a.tensors.size(); ++i) CHECK(a.tensors[i].name == b.tensors[i].name);
}
