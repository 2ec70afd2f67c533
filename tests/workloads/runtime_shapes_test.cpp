// Shapes that depend on data: refused where they must be static, and right where the reference executor runs them.
#include "tests/workloads/onnx_models.h"

using namespace spillway;
using namespace spillway::workloads;
using Catch::Contains;
using spillway::workloads::test::error_of;
using spillway::workloads::test::ModelMaker;

namespace {

HostTensor of_floats(Shape shape, std::vector<float> values) {
  return {DataType::kFloat32, std::move(shape), std::move(values)};
}

/// The values of x that are not zero, doubled: the places, transposed to coordinates, gathered.
ModelMaker non_zero_model() {
  ModelMaker maker;
  maker.input("x", {2, 3});
  maker.node("NonZero", {"x"}, {"places"}, "find");
  maker.node("Transpose", {"places"}, {"coordinates"});
  maker.node("GatherND", {"x", "coordinates"}, {"values"});
  maker.node("Add", {"values", "values"}, {"y"});
  maker.output("y");
  return maker;
}

}  // namespace

TEST_CASE("a shape that depends on data is refused by name unless it is allowed", "[shapes][errors]") {
  CHECK_THAT(error_of([] { (void)non_zero_model().load(); }).what(),
             Contains("NonZero: how many elements are not zero is not known before the graph runs"));
  const Graph graph = non_zero_model().load({.dynamic = true});
  CHECK(graph.has_dynamic_shapes());
  CHECK_THAT(error_of([&] { (void)canonicalise(graph); }).what(),
             Contains("operators whose output shapes depend on data: NonZero (1)"));
}

TEST_CASE("what depends on data has another shape in each run", "[shapes]") {
  const Graph graph = non_zero_model().load({.dynamic = true});
  const auto run = [&](std::vector<float> x) {
    return execute(graph, {{"x", of_floats({2, 3}, std::move(x))}}).at("y");
  };
  const HostTensor some = run({0, 5, 0, 7, 0, -1});
  CHECK(some.shape == Shape{3});
  CHECK(some.floats() == std::vector<float>{10, 14, -2});
  CHECK(run({0, 0, 0, 0, 0, 0}).shape == Shape{0});
  CHECK(run({1, 1, 1, 1, 1, 1}).shape == Shape{6});
}

TEST_CASE("a parameter that arrives at run time", "[shapes]") {
  ModelMaker maker;
  maker.input("x", {2, 6});
  maker.input("shape", {2}, onnx::TensorProto::INT64);
  maker.node("Reshape", {"x", "shape"}, {"y"});
  maker.output("y");
  const Graph graph = maker.load({.dynamic = true});
  HostTensor shape{DataType::kInt64, {2}, std::vector<std::int64_t>{3, -1}};
  const auto x = of_floats({2, 6}, std::vector<float>(12, 1.0F));
  CHECK(execute(graph, {{"x", x}, {"shape", shape}}).at("y").shape == Shape{3, 4});
  shape.ints() = {5, -1};
  CHECK_THAT(error_of([&] {
               (void)execute(graph, {{"x", x}, {"shape", shape}});
             }).what(),
             Contains("cannot make 2x6 (12 elements) into 5x-1"));
}

TEST_CASE("the shapes of given tensors bind what nothing else does", "[shapes]") {
  ModelMaker maker;
  maker.dynamic_input("x", {"batch", "3"});
  maker.node("Relu", {"x"}, {"y"});
  maker.output("y");
  const auto shape_of_y = [&](const ShapeBindings& bindings) {
    const Graph graph = maker.load(bindings);
    return graph.tensors[graph.find_tensor("y")].shape;
  };
  CHECK(shape_of_y({.offered = {{"x", {4, 3}}}}) == Shape{4, 3});
  CHECK(shape_of_y({.dims = {{"batch", 2}}, .offered = {{"x", {4, 3}}}}) == Shape{2, 3});  // the user's word counts
  CHECK_THAT(error_of([&] { (void)shape_of_y({.offered = {{"x", {4, 5}}}}); }).what(), Contains("nothing binds"));
}

TEST_CASE("the first operator that makes NaN or infinity is named", "[execute]") {
  ModelMaker maker;
  maker.input("x", {2});
  maker.node("Abs", {"x"}, {"a"}, "absolute");
  maker.node("Log", {"x"}, {"l"}, "logarithm");
  maker.node("Add", {"l", "a"}, {"y"}, "sum");
  maker.output("y");
  const Graph graph = maker.load();
  std::vector<NonFinite> events;
  ExecuteOptions options;
  options.non_finite = [&](const NonFinite& event) { events.push_back(event); };
  const auto run = [&](float first, float second) {
    events.clear();
    return execute(graph, {{"x", of_floats({2}, {first, second})}}, {}, options);
  };
  (void)run(1, 2);
  CHECK(events.empty());
  (void)run(-1, 2);
  REQUIRE(events.size() == 1);
  CHECK(events[0].node == "logarithm");
  CHECK(events[0].op == "Log");
  CHECK(events[0].tensor == "l");
  CHECK(events[0].nan);
  (void)run(0, 2);
  REQUIRE(events.size() == 1);
  CHECK(events[0].node == "logarithm");
  CHECK_FALSE(events[0].nan);
  (void)run(std::numeric_limits<float>::infinity(), 2);
  REQUIRE(events.size() == 1);
  CHECK(events[0].node.empty());
  CHECK(events[0].tensor == "x");
  options.non_finite = [](const NonFinite&) { throw Error(ErrorKind::kBadInput, Place{}, "stop"); };
  CHECK_THROWS_AS(run(-1, 2), Error);
}

TEST_CASE("the memory of a run is known before it", "[execute]") {
  ModelMaker maker;
  maker.input("x", {1000});
  maker.node("Relu", {"x"}, {"a"});
  maker.node("Exp", {"a"}, {"b"});
  maker.node("Add", {"b", "a"}, {"y"});
  maker.output("y");
  // Two tensors of 4000 bytes at Relu; a, b and y at Add.
  CHECK(peak_bytes(maker.load()) == 3 * 4000);
}
