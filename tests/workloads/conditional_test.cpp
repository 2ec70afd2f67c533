// If: resolved where shapes, constants or given values decide the condition; refused as control flow elsewhere.
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

TEST_CASE("an If that nothing decides is control flow", "[import][conditional][errors]") {
  CHECK_THAT(error_of([] { (void)model("flag").load(); }).what(), Contains("If (1, control flow)"));
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
