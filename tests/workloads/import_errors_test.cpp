// Is everything that is wrong with a model refused with one clear message that names the place?
#include "tests/workloads/onnx_models.h"

using namespace spillway;
using namespace spillway::workloads;
using Catch::Contains;
using spillway::testing::TemporaryFolder;
using spillway::workloads::test::error_of;
using spillway::workloads::test::ModelMaker;
using spillway::workloads::test::relu_model;

namespace {

Error import_error(const std::string& bytes) {
  return error_of([&] { (void)import_onnx_bytes(bytes, "m.onnx", ""); });
}
Error load_error(const ModelMaker& maker) { return import_error(maker.bytes()); }

}  // namespace

TEST_CASE("a file that is absent, a folder or unreadable", "[import][errors]") {
  const TemporaryFolder folder;
  const auto absent = (folder.path() / "none.onnx").string();
  CHECK_THAT(error_of([&] { (void)import_onnx(absent); }).what(),
             Contains(absent + ": cannot be read: No such file or directory"));
  CHECK_THAT(error_of([&] { (void)import_onnx(folder.path().string()); }).what(), Contains("Is a directory"));
}

TEST_CASE("a file that is not ONNX", "[import][errors]") {
  CHECK_THAT(import_error("").what(), Contains("m.onnx: is empty"));
  CHECK_THAT(import_error("#!/bin/sh\necho hello\n").what(), Contains("m.onnx: is not an ONNX model"));
  CHECK_THAT(import_error(std::string("\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16)).what(), Contains("is not an ONNX model"));
  CHECK_THAT(import_error(std::string(1000, '\0')).what(), Contains("is not an ONNX model"));
  onnx::ModelProto no_graph;
  no_graph.set_ir_version(7);
  CHECK_THAT(import_error(no_graph.SerializeAsString()).what(), Contains("it has no graph"));
}

TEST_CASE("a model cut short at any byte is an error, and says so where that can be known", "[import][errors]") {
  auto maker = relu_model();
  maker.initializer<float>("w", {64}, std::vector<float>(64, 1.0F));
  const auto bytes = maker.bytes();
  int told = 0;
  for (std::size_t size = 0; size + 1 < bytes.size(); ++size) {
    try {
      (void)import_onnx_bytes(std::string_view(bytes).substr(0, size), "m.onnx", "");
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::kBadInput);
      told += std::string(error.what()).find("truncated") != std::string::npos ? 1 : 0;
    }
  }
  CHECK(told > static_cast<int>(bytes.size()) * 9 / 10);
  const auto error = import_error(bytes.substr(0, bytes.size() / 2));
  CHECK_THAT(error.what(), Contains("is truncated: it has " + std::to_string(bytes.size() / 2) +
                                    " bytes when its contents say at least"));
}

TEST_CASE("operator sets outside 7 to 23", "[import][errors]") {
  for (const auto opset : {5, 24, 999}) {  // Relu changed in 6
    auto maker = relu_model();
    maker.model.mutable_opset_import(0)->set_version(opset);
    CHECK_THAT(load_error(maker).what(),
               Contains("uses ONNX operator set " + std::to_string(opset) + " when 7 to 23 are supported"));
  }
  auto none = relu_model();
  none.model.clear_opset_import();
  CHECK_THAT(load_error(none).what(), Contains("names no version of the ONNX operator set"));
}

TEST_CASE("a cyclic graph", "[import][errors]") {
  ModelMaker maker;
  maker.input("x", {2});
  maker.node("Add", {"x", "b"}, {"a"}, "first");
  maker.node("Relu", {"a"}, {"b"}, "second");
  maker.output("b");
  const auto error = load_error(maker);
  CHECK(error.place().node == "first");
  CHECK_THAT(error.what(), Contains("'first' -> 'second' -> 'first'"));
}

TEST_CASE("a dangling tensor name", "[import][errors]") {
  auto maker = relu_model();
  maker.node("Add", {"y", "nobody"}, {"z"}, "adder");
  const auto error = load_error(maker);
  CHECK(error.place().file == "m.onnx");
  CHECK(error.place().node == "adder");
  CHECK(error.place().tensor == "nobody");
  auto output = relu_model();
  output.output("nothing");
  CHECK(load_error(output).place().tensor == "nothing");
}

TEST_CASE("two producers of one name", "[import][errors]") {
  auto nodes = relu_model();
  nodes.node("Relu", {"x"}, {"y"}, "again");
  CHECK_THAT(load_error(nodes).what(), Contains("node 'again'") && Contains("'y'") && Contains("node 'relu'"));
  auto input = relu_model();
  input.node("Relu", {"y"}, {"x"}, "again");
  CHECK_THAT(load_error(input).what(), Contains("a graph input"));
  auto initializer = relu_model();
  initializer.initializer<float>("w", {1}, {1.0F});
  initializer.initializer<float>("w", {1}, {2.0F});
  CHECK_THAT(load_error(initializer).what(), Contains("'w'") && Contains("the name of another tensor"));
  auto twice = relu_model();
  twice.input("x", {1, 4});
  CHECK_THAT(load_error(twice).what(), Contains("is a graph input twice"));
  auto outputs = relu_model();
  outputs.output("y");
  CHECK_THAT(load_error(outputs).what(), Contains("is a graph output twice"));
}

TEST_CASE("unsupported operators are listed all at once, with counts", "[import][errors]") {
  auto maker = relu_model();
  for (const auto* output : {"f0", "f1", "f2"}) maker.node("FancyOp", {"x"}, {output});
  maker.node("Bizarre", {"x"}, {"b"});
  maker.node("FusedMatMul", {"x"}, {"m"}).set_domain("com.microsoft");
  maker.node("Relu", {"x"}, {"r"}).set_domain("ai.onnx");  // the default domain's other name
  const auto error = load_error(maker);
  CHECK(error.problem() == "operators that are not supported: Bizarre (1), FancyOp (3), com.microsoft.FusedMatMul (1)");
}

TEST_CASE("control flow is refused by name", "[import][errors]") {
  auto maker = relu_model();
  auto& branch = *maker.node("If", {"x"}, {"z"}, "branch").add_attribute();
  branch.set_name("then_branch");
  branch.set_type(onnx::AttributeProto::GRAPH);
  maker.node("Loop", {"x"}, {"l"}, "loop");
  const auto error = load_error(maker);
  CHECK_THAT(error.what(), Contains("If (1, control flow), Loop (1, control flow)"));
  CHECK_THAT(error.help(), Contains("static graph"));
}

TEST_CASE("operators with a wrong number of inputs or outputs", "[import][errors]") {
  auto many = relu_model();
  many.node("Relu", {"x", "x", "x"}, {"z"}, "greedy");
  CHECK(load_error(many).place().node == "greedy");
  auto few = relu_model();
  few.node("Add", {"x"}, {"z"}, "lonely");
  CHECK(load_error(few).place().node == "lonely");
  auto omitted = relu_model();
  omitted.node("Add", {"x", ""}, {"z"}, "half");
  CHECK(load_error(omitted).place().node == "half");
  auto silent = relu_model();
  silent.node("Relu", {"x"}, {}, "silent");
  CHECK(load_error(silent).place().node == "silent");
  auto dropped = relu_model();
  dropped.node("Relu", {"x"}, {""}, "dropped");
  CHECK(load_error(dropped).place().node == "dropped");
  auto talkative = relu_model();
  talkative.node("Relu", {"x"}, {"z", "w"}, "talkative");
  CHECK(load_error(talkative).place().node == "talkative");
}

TEST_CASE("shapes that do not fit together", "[import][errors]") {
  auto maker = relu_model();
  maker.input("k", {3});
  maker.node("Add", {"x", "k"}, {"z"}, "adder");
  const auto error = load_error(maker);
  CHECK(error.place().node == "adder");
  CHECK_THAT(error.what(), Contains("1x4") && Contains("3"));
}

TEST_CASE("a declared shape that contradicts inference is told, and the operator's counts", "[import]") {
  auto shape = relu_model();
  ModelMaker::declare(*shape.graph.add_value_info(), "y", {1, 5});
  const Graph graph = shape.load();
  CHECK(graph.tensors[graph.find_tensor("y")].shape == Shape{1, 4});
  REQUIRE(graph.warnings.size() == 1);
  CHECK_THAT(graph.warnings[0], Contains("tensor 'y' is declared 1x5 when its operator gives 1x4"));
  auto rank = relu_model();
  ModelMaker::declare(*rank.graph.add_value_info(), "y", {4});
  CHECK_THAT(rank.load().warnings.at(0), Contains("is declared 4 when its operator gives 1x4"));
}

TEST_CASE("a declared type, or the shape of a constant, that contradicts the file", "[import][errors]") {
  auto type = relu_model();
  ModelMaker::declare(*type.graph.add_value_info(), "y", {1, 4}, onnx::TensorProto::INT64);
  CHECK_THAT(load_error(type).what(), Contains("is declared int64 when its operator gives float32"));
  auto weights = relu_model();
  weights.input("w", {5});
  weights.initializer<float>("w", {4}, {1, 2, 3, 4});
  CHECK_THAT(load_error(weights).what(), Contains("tensor 'w'") && Contains("is declared 5"));
  auto fine = relu_model();
  ModelMaker::declare(*fine.graph.add_value_info(), "y", {1, 4});
  ModelMaker::declare(*fine.graph.add_value_info(), "elsewhere", {7});  // of nothing in this graph
  CHECK_NOTHROW(fine.load());
}

TEST_CASE("absurd dimensions", "[import][errors]") {
  const std::int64_t huge = std::int64_t{1} << 40;
  auto input = relu_model();
  input.input("big", {huge, huge});
  CHECK(load_error(input).place().tensor == "big");
  auto elements = relu_model();
  elements.input("big", {1 << 21, 1 << 20});
  CHECK_THAT(load_error(elements).what(), Contains("2097152x1048576") && Contains("at most 2^40"));
  auto rank = relu_model();
  rank.input("deep", std::vector<std::int64_t>(9, 1));
  CHECK_THAT(load_error(rank).what(), Contains("rank 9 when at most 8"));
  auto negative = relu_model();
  negative.initializer<float>("w", {-4}, {1, 2, 3, 4});
  CHECK_THAT(load_error(negative).what(), Contains("'w'") && Contains("-4"));
  auto overflow = relu_model();
  overflow.initializer<float>("w", {1 << 30, 1 << 30, 1 << 30}, {1.0F});
  CHECK(load_error(overflow).place().tensor == "w");
  // 2^40 elements are legal, their product with themselves is not.
  auto product = relu_model();
  product.input("p", {1 << 20, 1, 1 << 20});
  product.input("q", {1 << 20, 1 << 10, 1});
  product.node("Add", {"p", "q"}, {"s"}, "outer");
  CHECK(load_error(product).place().node == "outer");
}

TEST_CASE("an initializer whose data do not match its shape costs no memory", "[import][errors]") {
  auto raw = relu_model();
  raw.initializer<float>("w", {1 << 20, 1 << 10}, {1.0F, 2.0F});
  CHECK_THAT(load_error(raw).what(), Contains("has 8 bytes of data when its shape and type need 4294967296"));
  auto typed = relu_model();
  auto& tensor = *typed.graph.add_initializer();
  tensor.set_name("w");
  tensor.set_data_type(onnx::TensorProto::FLOAT);
  tensor.add_dims(1 << 30);
  tensor.add_float_data(1.0F);
  CHECK_THAT(load_error(typed).what(), Contains("has 1 values when its shape needs 1073741824"));
  tensor.set_dims(0, 1);
  tensor.clear_float_data();
  tensor.add_int64_data(1);  // in the field of another type
  CHECK_THAT(load_error(typed).what(), Contains("has 0 values when its shape needs 1"));
}

TEST_CASE("element types, sparse tensors and tensor kinds that are not supported", "[import][errors]") {
  auto text = relu_model();
  text.initializer<float>("w", {1}, {1.0F});
  text.graph.mutable_initializer(0)->set_data_type(onnx::TensorProto::STRING);
  CHECK_THAT(load_error(text).what(), Contains("'w'") && Contains("element type STRING is not supported"));
  text.graph.mutable_initializer(0)->set_data_type(99);
  CHECK_THAT(load_error(text).what(), Contains("element type number 99"));
  auto sparse = relu_model();
  sparse.graph.add_sparse_initializer()->mutable_values()->set_name("s");
  CHECK_THAT(load_error(sparse).what(), Contains("'s'") && Contains("sparse initializer"));
  auto sequence = relu_model();
  auto& info = *sequence.graph.add_input();
  info.set_name("list");
  info.mutable_type()->mutable_sequence_type();
  CHECK_THAT(load_error(sequence).what(), Contains("'list'") && Contains("not a dense tensor"));
  auto untyped = relu_model();
  untyped.graph.add_input()->set_name("mystery");
  CHECK_THAT(load_error(untyped).what(), Contains("'mystery'") && Contains("without an element type"));
  auto segmented = relu_model();
  segmented.initializer<float>("w", {1}, {1.0F});
  segmented.graph.mutable_initializer(0)->mutable_segment()->set_begin(0);
  CHECK_THAT(load_error(segmented).what(), Contains("'w'") && Contains("segments"));
}

TEST_CASE("Constant nodes that are none", "[import][errors]") {
  auto empty = relu_model();
  empty.node("Constant", {}, {"c"}, "empty");
  CHECK_THAT(load_error(empty).what(), Contains("node 'empty'") && Contains("0 attributes when it should have 1"));
  auto strange = relu_model();
  auto& attribute = *strange.node("Constant", {}, {"c"}, "strange").add_attribute();
  attribute.set_name("value_string");
  attribute.set_type(onnx::AttributeProto::STRING);
  CHECK_THAT(load_error(strange).what(), Contains("node 'strange'") && Contains("'value_string'"));
  auto fed = relu_model();
  fed.node("Constant", {"x"}, {"c"}, "fed");
  CHECK_THAT(load_error(fed).what(), Contains("1 inputs and 1 outputs"));
}

TEST_CASE("attributes that cannot be read", "[import][errors]") {
  auto twice = relu_model();
  auto& node = twice.node("LeakyRelu", {"x"}, {"z"}, "leaky");
  for (int i = 0; i < 2; ++i) {
    auto& alpha = *node.add_attribute();
    alpha.set_name("alpha");
    alpha.set_type(onnx::AttributeProto::FLOAT);
  }
  const auto error = load_error(twice);
  CHECK(error.place().node == "leaky");
  CHECK_THAT(error.what(), Contains("attribute 'alpha' is given twice"));
  auto reference = relu_model();
  auto& borrowed = *reference.node("LeakyRelu", {"x"}, {"z"}, "leaky").add_attribute();
  borrowed.set_name("alpha");
  borrowed.set_ref_attr_name("outer");
  CHECK_THAT(load_error(reference).what(), Contains("outside of any function"));
}

TEST_CASE("names that would garble a terminal", "[import][errors]") {
  auto node = relu_model();
  node.graph.mutable_node(0)->set_name("\x1B[2Jevil");
  CHECK_THAT(load_error(node).what(), Contains("a node name is not printable UTF-8: '\\x1b[2Jevil'"));
  auto tensor = relu_model();
  tensor.node("Relu", {"x"}, {"a\nb"}, "n");
  CHECK_THAT(load_error(tensor).what(), Contains("a tensor name is not printable"));
}

TEST_CASE("a graph without nodes or without outputs", "[import][errors]") {
  ModelMaker empty;
  empty.input("x", {1});
  empty.output("x");
  CHECK_THAT(load_error(empty).what(), Contains("the graph has no operators"));
  ModelMaker mute;
  mute.input("x", {1});
  mute.node("Relu", {"x"}, {"y"});
  CHECK_THAT(load_error(mute).what(), Contains("the graph has no outputs"));
}
