// Dynamic dimensions are bound by name or by input shape, checked against each other, and never guessed.
#include "tests/workloads/onnx_models.h"

using namespace spillway;
using namespace spillway::workloads;
using Catch::Contains;
using spillway::workloads::test::error_of;
using spillway::workloads::test::ModelMaker;

namespace {

/// y = a + b with a [batch, 4, side, side] and b [batch, 1, 1, 1].
ModelMaker dynamic_model() {
  ModelMaker maker;
  maker.dynamic_input("a", {"batch", "4", "side", "side"});
  maker.dynamic_input("b", {"batch", "1", "1", "1"});
  maker.node("Add", {"a", "b"}, {"y"});
  maker.output("y");
  return maker;
}

Shape y_shape(const ModelMaker& maker, const ShapeBindings& bindings) {
  const auto graph = maker.load(bindings);
  return graph.tensors[graph.find_tensor("y")].shape;
}

}  // namespace

TEST_CASE("dimensions are bound by name", "[shapes]") {
  CHECK(y_shape(dynamic_model(), {.dims = {{"batch", 2}, {"side", 8}}}) == Shape{2, 4, 8, 8});
}

TEST_CASE("a whole input's shape binds the names in it, for other inputs too", "[shapes]") {
  CHECK(y_shape(dynamic_model(), {.inputs = {{"a", {3, 4, 16, 16}}}}) == Shape{3, 4, 16, 16});
}

TEST_CASE("unbound dimensions are listed by name, with an example", "[shapes][errors]") {
  const auto error = error_of([] { (void)dynamic_model().load(); });
  CHECK_THAT(error.what(), Contains("'batch' (dimension 0 of input 'a')") &&
                               Contains("'side' (dimension 3 of input 'a')") &&
                               Contains("'batch' (dimension 0 of input 'b')"));
  CHECK_THAT(error.help(), Contains("--shape a:1x4x64x64"));
  const auto partial = error_of([] { (void)dynamic_model().load({.dims = {{"batch", 2}}}); });
  CHECK_THAT(partial.what(), !Contains("'batch'") && Contains("'side'"));
  CHECK_THAT(partial.help(), Contains("--shape a:2x4x64x64"));
}

TEST_CASE("dimensions without names, and inputs without shapes", "[shapes][errors]") {
  ModelMaker maker;
  maker.dynamic_input("x", {"", "4"});
  maker.node("Relu", {"x"}, {"y"});
  maker.output("y");
  CHECK_THAT(error_of([&] { (void)maker.load(); }).what(), Contains("dimension 0 of input 'x'"));
  CHECK(y_shape(maker, {.inputs = {{"x", {7, 4}}}}) == Shape{7, 4});
  maker.graph.mutable_input(0)->mutable_type()->mutable_tensor_type()->clear_shape();
  CHECK_THAT(error_of([&] { (void)maker.load(); }).what(), Contains("the whole shape of input 'x'"));
  CHECK(y_shape(maker, {.inputs = {{"x", {2, 3, 4}}}}) == Shape{2, 3, 4});
}

TEST_CASE("bindings that contradict the file or each other", "[shapes][errors]") {
  const auto message = [](const ShapeBindings& bindings) {
    return std::string(error_of([&] { (void)dynamic_model().load(bindings); }).what());
  };
  CHECK_THAT(message({.inputs = {{"a", {2, 5, 8, 8}}}}), Contains("dimension 1 is 4 and cannot become 5"));
  CHECK_THAT(message({.inputs = {{"a", {2, 4, 8}}}}),
             Contains("2x4x8 (rank 3)") && Contains("batchx4xsidexside (rank 4)"));
  CHECK_THAT(message({.inputs = {{"a", {2, 4, 8, 9}}}}), Contains("dimension 'side' is 8") && Contains("and 9"));
  CHECK_THAT(message({.inputs = {{"a", {2, 4, 8, 8}}, {"b", {3, 1, 1, 1}}}}),
             Contains("dimension 'batch' is 2") && Contains("and 3"));
  CHECK_THAT(message({.dims = {{"batch", 2}, {"side", 8}}, .inputs = {{"b", {3, 1, 1, 1}}}}), Contains("'batch' is 2"));
  CHECK_THAT(message({.dims = {{"batch", 0}, {"side", 8}}}), Contains("'batch' is 0") && Contains("at least 1"));
  CHECK_THAT(message({.dims = {{"batch", -1}, {"side", 8}}}), Contains("'batch' is -1"));
  CHECK_THAT(message({.inputs = {{"a", {2, 4, 0, 0}}}}), Contains("every extent should be at least 1"));
  CHECK_THAT(message({.dims = {{"batch", 1LL << 40}, {"side", 8}}}), Contains("1099511627776"));
}

TEST_CASE("bindings that name nothing are warnings", "[shapes]") {
  const auto graph =
      dynamic_model().load({.dims = {{"batch", 1}, {"side", 2}, {"sequence", 77}}, .inputs = {{"z", {1}}}});
  REQUIRE(graph.warnings.size() == 2);
  CHECK_THAT(graph.warnings[0], Contains("--shape sequence=77 binds nothing"));
  CHECK_THAT(graph.warnings[1], Contains("--shape z:1 binds nothing"));
}

TEST_CASE("declared symbols say nothing, declared numbers are compared", "[shapes]") {
  auto maker = dynamic_model();
  auto& info = *maker.graph.add_value_info();
  ModelMaker::declare(info, "y", {});
  auto& shape = *info.mutable_type()->mutable_tensor_type()->mutable_shape();
  shape.add_dim()->set_dim_param("whatever");
  shape.add_dim()->set_dim_value(4);
  shape.add_dim();
  shape.add_dim()->set_dim_value(-1);
  CHECK(y_shape(maker, {.dims = {{"batch", 2}, {"side", 8}}}) == Shape{2, 4, 8, 8});
  shape.mutable_dim(1)->set_dim_value(5);
  const Graph graph = maker.load({.dims = {{"batch", 2}, {"side", 8}}});
  CHECK_THAT(graph.warnings.at(0), Contains("is declared whateverx5x?x? when its operator gives 2x4x8x8"));
}
