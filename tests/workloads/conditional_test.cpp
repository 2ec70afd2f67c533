// If: resolved where shapes, constants or given values decide the condition; both branches computed elsewhere.
#include <algorithm>

#include "tests/workloads/onnx_models.h"

using namespace spillway;
using namespace spillway::workloads;
using Catch::Contains;
using spillway::workloads::test::error_of;
using spillway::workloads::test::ModelMaker;

namespace {

/// A branch that gives op(x) of the x outside, by a tensor called `inner`.
void add_branch(onnx::NodeProto& node, const std::string& name, const std::string& op, const std::string& inner) {
  auto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(onnx::AttributeProto::GRAPH);
  auto& graph = *attribute.mutable_g();
  graph.set_name(name);
  auto& body = *graph.add_node();
  body.set_op_type(op);
  body.add_input("x");
  body.add_output(inner);
  graph.add_output()->set_name(inner);
}

/// y = flag ? Abs(x) : Neg(x); both branches name their result like a tensor outside.
ModelMaker model(const std::string& condition) {
  ModelMaker maker;
  maker.input("x", {2});
  maker.input("flag", {}, onnx::TensorProto::BOOL);
  maker.node("Relu", {"x"}, {"inner"});
  auto& branching = maker.node("If", {condition}, {"chosen"}, "choice");
  add_branch(branching, "then_branch", "Abs", "inner");
  add_branch(branching, "else_branch", "Neg", "inner");
  maker.node("Add", {"chosen", "inner"}, {"y"});
  maker.output("y");
  return maker;
}

HostTensor flag(bool value) { return {DataType::kBool, {}, std::vector<std::int64_t>{value ? 1 : 0}}; }

std::vector<float> run(const Graph& graph, bool value) {
  const HostTensor x{DataType::kFloat32, {2}, std::vector<float>{-3.0F, 2.0F}};
  return execute(graph, {{"x", x}, {"flag", flag(value)}}).at("y").floats();
}

}  // namespace

TEST_CASE("a given value decides an If, and its branch takes its place", "[import][conditional]") {
  const Graph yes = model("flag").load({.values = {{"flag", flag(true)}}});
  CHECK(run(yes, true) == std::vector<float>{3.0F, 4.0F});  // |x| + relu(x)
  const Graph no = model("flag").load({.values = {{"flag", flag(false)}}});
  CHECK(run(no, false) == std::vector<float>{3.0F, 0.0F});  // -x + relu(x)
  CHECK(no.inputs.size() == 2);
}

TEST_CASE("where data decide an If, both branches are computed and one result is selected", "[import][conditional]") {
  const Graph graph = model("flag").load();
  CHECK(run(graph, true) == std::vector<float>{3.0F, 4.0F});
  CHECK(run(graph, false) == std::vector<float>{3.0F, 0.0F});
  REQUIRE(graph.warnings.size() == 1);
  CHECK_THAT(graph.warnings[0], Contains("node 'choice'") && Contains("both of its branches are computed"));
  // And so does what the NPU executes.
  CHECK(run(canonicalise(graph), true) == std::vector<float>{3.0F, 4.0F});
  CHECK(run(canonicalise(graph), false) == std::vector<float>{3.0F, 0.0F});
}

TEST_CASE("a condition of one dimension lends it to no result", "[import][conditional]") {
  ModelMaker maker;
  maker.input("x", {});
  maker.input("flag", {1}, onnx::TensorProto::BOOL);
  auto& branching = maker.node("If", {"flag"}, {"y"}, "choice");
  add_branch(branching, "then_branch", "Abs", "inner");
  add_branch(branching, "else_branch", "Neg", "inner");
  maker.output("y");
  const Graph graph = maker.load();
  CHECK(graph.tensors[graph.outputs[0]].shape.empty());
}

TEST_CASE("an If within a branch that data decide", "[import][conditional]") {
  ModelMaker maker = model("flag");
  maker.input("other", {}, onnx::TensorProto::BOOL);
  auto& choice = *std::find_if(maker.graph.mutable_node()->begin(), maker.graph.mutable_node()->end(),
                               [](const auto& node) { return node.op_type() == "If"; });
  auto& taken = *choice.mutable_attribute(0)->mutable_g();
  taken.clear_node();
  auto& inner = *taken.add_node();
  inner.set_op_type("If");
  inner.set_name("nested");
  inner.add_input("other");
  inner.add_output("inner");
  add_branch(inner, "then_branch", "Sign", "inner");
  add_branch(inner, "else_branch", "Relu", "inner");
  const Graph graph = maker.load();
  const HostTensor x{DataType::kFloat32, {2}, std::vector<float>{-3.0F, 2.0F}};
  const auto y = [&](bool outer, bool within) {
    return execute(graph, {{"x", x}, {"flag", flag(outer)}, {"other", flag(within)}}).at("y").floats();
  };
  CHECK(y(true, true) == std::vector<float>{-1.0F, 3.0F});  // sign(x) + relu(x)
  CHECK(y(true, false) == std::vector<float>{0.0F, 4.0F});  // relu(x) + relu(x)
  CHECK(y(false, true) == std::vector<float>{3.0F, 0.0F});  // -x + relu(x)
}

TEST_CASE("branches of different shapes that data decide are refused", "[import][conditional][errors]") {
  ModelMaker maker = model("flag");
  auto& choice = *std::find_if(maker.graph.mutable_node()->begin(), maker.graph.mutable_node()->end(),
                               [](const auto& node) { return node.op_type() == "If"; });
  auto& body = *choice.mutable_attribute(1)->mutable_g()->mutable_node(0);
  body.set_op_type("Shape");  // int64 [1]
  const auto error = error_of([&] { (void)maker.load(); });
  CHECK_THAT(error.what(), Contains("node 'choice'") && Contains("float32 2") && Contains("int64 1"));
  CHECK_THAT(error.help(), Contains("--value"));
  // Given, the condition decides, and the other branch does not matter.
  CHECK_NOTHROW(maker.load({.values = {{"flag", flag(true)}}}));
}

TEST_CASE("an If without a branch or with several conditions is refused", "[import][conditional][errors]") {
  ModelMaker maker = model("flag");
  auto& choice = *std::find_if(maker.graph.mutable_node()->begin(), maker.graph.mutable_node()->end(),
                               [](const auto& node) { return node.op_type() == "If"; });
  choice.add_input("flag");
  CHECK_THAT(error_of([&] { (void)maker.load(); }).what(), Contains("node 'choice'") && Contains("2 inputs"));
  choice.mutable_input()->RemoveLast();
  choice.mutable_attribute()->RemoveLast();
  CHECK_THAT(error_of([&] { (void)maker.load(); }).what(), Contains("node 'choice'") && Contains("no else_branch"));
}

TEST_CASE("a given value may be of any integer type and rank", "[import][conditional]") {
  const HostTensor one{DataType::kInt64, {1}, std::vector<std::int64_t>{1}};
  const Graph yes = model("flag").load({.values = {{"flag", one}}});
  CHECK(yes.warnings.empty());
  CHECK(run(yes, true) == std::vector<float>{3.0F, 4.0F});
}

TEST_CASE("a condition on shapes is decided by them", "[import][conditional]") {
  ModelMaker maker = model("is_two");
  maker.node("Size", {"x"}, {"size"});
  maker.node("Cast", {"size"}, {"is_two"}).add_attribute()->set_name("to");
  auto& to = *maker.graph.mutable_node(maker.graph.node_size() - 1)->mutable_attribute(0);
  to.set_type(onnx::AttributeProto::INT);
  to.set_i(onnx::TensorProto::BOOL);
  CHECK(run(maker.load(), false) == std::vector<float>{3.0F, 4.0F});
}
