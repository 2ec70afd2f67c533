#include <catch2/catch.hpp>
#include <limits>
#include <numeric>

#include "tests/workloads/one_node.h"

namespace spillway::workloads {
namespace {

using namespace test;
using Catch::Matchers::Contains;
using Floats = std::vector<float>;
using Ints = std::vector<std::int64_t>;

/// 0, 1, 2, ... of a shape.
HostTensor counting(Shape shape) {
  Floats values(static_cast<std::size_t>(elements_of(shape)));
  std::iota(values.begin(), values.end(), 0.0F);
  return floats(std::move(shape), std::move(values));
}
Box box_of(std::vector<std::int32_t> begin, std::vector<std::int32_t> extent) {
  Box box;
  box.rank = static_cast<int>(begin.size());
  for (int d = 0; d < box.rank; ++d) box.set(d, begin[d], extent[d]);
  return box;
}
Box region(const OneNode& one, int i, const Box& out) { return one.def().region(one.graph(), one.node(), i, out); }

TEST_CASE("Concat refuses what does not join", "[operators][move]") {
  const Attributes axis1 = {{"axis", std::int64_t{1}}};
  CHECK_THAT(refusal("Concat", {counting({2, 3}), counting({3, 3})}, axis1), Contains("cannot join 3x3"));
  CHECK_THAT(refusal("Concat", {counting({2, 3}), counting({2})}, axis1), Contains("cannot join 2 "));
  CHECK_THAT(refusal("Concat", {counting({2}), ints({1}, {1})}, {{"axis", std::int64_t{0}}}), Contains("int64"));
  CHECK_THAT(refusal("Concat", {counting({2, 3})}, {{"axis", std::int64_t{2}}}), Contains("axis 2 is outside"));
}

TEST_CASE("Concat joins, and its regions meet only the inputs concerned", "[operators][move]") {
  const OneNode one("Concat", {floats({2, 1}, {1, 2}), floats({2, 2}, {3, 4, 5, 6}), floats({2, 1}, {7, 8})},
                    {{"axis", std::int64_t{-1}}});
  REQUIRE(one.output().shape == Shape{2, 4});
  CHECK(one.evaluate()[0].floats() == Floats{1, 3, 4, 7, 2, 5, 6, 8});
  const Box out = box_of({0, 2}, {2, 2});
  CHECK(region(one, 0, out).empty());
  CHECK(region(one, 1, out) == box_of({0, 1}, {2, 1}));
  CHECK(region(one, 2, out) == box_of({0, 0}, {2, 1}));
  CHECK(compute_ints("Concat", {list({1, 2}), list({}), list({3})}, {{"axis", std::int64_t{0}}}) == Ints{1, 2, 3});
}

TEST_CASE("Split divides evenly, by sizes, or into rounded-up parts", "[operators][move]") {
  const HostTensor x = counting({2, 6});
  const Attributes axis1 = {{"axis", std::int64_t{1}}};
  const OneNode even("Split", {x}, axis1, 3);
  REQUIRE(even.output(2).shape == Shape{2, 2});
  CHECK(even.evaluate()[1].floats() == Floats{2, 3, 8, 9});
  const OneNode sized("Split", {x, fixed(list({1, 5}))}, axis1, 2);  // opset 13: an input
  CHECK(sized.evaluate()[0].floats() == Floats{0, 6});
  const OneNode attribute("Split", {x}, {{"axis", std::int64_t{1}}, {"split", IntList{4, 2}}}, 2, 11);
  CHECK(attribute.evaluate()[1].floats() == Floats{4, 5, 10, 11});
  const OneNode rounded("Split", {counting({7})}, {{"num_outputs", std::int64_t{3}}}, 3, 18);
  CHECK(rounded.output(0).shape == Shape{3});
  CHECK(rounded.evaluate()[2].floats() == Floats{6});
  CHECK_THAT(refusal("Split", {counting({7})}, {}, 3), Contains("7 does not split into 3"));
  CHECK_THAT(refusal("Split", {x, fixed(list({1, 6}))}, axis1, 2), Contains("do not add up"));
  CHECK_THAT(refusal("Split", {x, fixed(list({1, 4}))}, axis1, 2), Contains("2 parts of 5 elements"));
}

TEST_CASE("Slice: bounds from the end, clamped, backwards", "[operators][move]") {
  const HostTensor x = counting({10});
  const auto slice = [&](std::int64_t start, std::int64_t end, std::int64_t step) {
    return computed("Slice", {x, fixed(list({start})), fixed(list({end})), fixed(list({0})), fixed(list({step}))});
  };
  constexpr auto kMost = std::numeric_limits<std::int64_t>::max();
  constexpr auto kLeast = std::numeric_limits<std::int64_t>::min();
  CHECK(slice(2, 5, 1) == Floats{2, 3, 4});
  CHECK(slice(-3, kMost, 1) == Floats{7, 8, 9});
  CHECK(slice(1, -1, 3) == Floats{1, 4, 7});
  CHECK(slice(kMost, kLeast, -4) == Floats{9, 5, 1});
  CHECK(slice(8, 2, -2) == Floats{8, 6, 4});
  CHECK(slice(5, 2, 1).empty());
  CHECK(slice(0, 10, kMost) == Floats{0});
  CHECK(slice(9, kLeast, kLeast) == Floats{9});
  CHECK_THAT(refusal("Slice", {x, fixed(list({0})), fixed(list({5})), fixed(list({0})), fixed(list({0}))}),
             Contains("a step is 0"));
  CHECK_THAT(refusal("Slice", {x, fixed(list({0, 0})), fixed(list({5, 5})), fixed(list({0, 0}))}),
             Contains("axis 0 is given twice"));
  CHECK_THAT(refusal("Slice", {x, fixed(list({0})), fixed(list({5, 6}))}), Contains("differ in length"));
  CHECK_THAT(refusal("Slice", {x, list({0}), list({5})}), Contains("starts are not known before the graph runs"));
}

TEST_CASE("Slice of attributes (opset 9), on several axes, with its region", "[operators][move]") {
  const OneNode one("Slice", {counting({3, 4})},
                    {{"starts", IntList{1, -3}}, {"ends", IntList{3, 1000}}, {"axes", IntList{0, 1}}}, 1, 9);
  REQUIRE(one.output().shape == Shape{2, 3});
  CHECK(one.evaluate()[0].floats() == Floats{5, 6, 7, 9, 10, 11});
  CHECK(region(one, 0, box_of({1, 0}, {1, 2})) == box_of({2, 1}, {1, 2}));
  const OneNode back("Slice",
                     {counting({10}), fixed(list({8})), fixed(list({0})), fixed(list({0})), fixed(list({-3}))});
  // outputs 8, 5, 2; the last two need inputs 2 to 5
  CHECK(region(back, 0, box_of({1}, {2})) == box_of({2}, {4}));
}

TEST_CASE("Expand and Tile repeat", "[operators][move]") {
  CHECK(computed("Expand", {floats({2, 1}, {1, 2}), fixed(list({3, 1, 2}))}) ==
        Floats{1, 1, 2, 2, 1, 1, 2, 2, 1, 1, 2, 2});
  CHECK(computed("Expand", {floats({3}, {1, 2, 3}), fixed(list({1}))}) == Floats{1, 2, 3});  // the shape may be smaller
  CHECK(compute_ints("Tile", {ints({1, 2}, {1, 2}), fixed(list({2, 2}))}) == Ints{1, 2, 1, 2, 1, 2, 1, 2});
  CHECK_THAT(refusal("Tile", {counting({2}), fixed(list({1, 1}))}), Contains("repeats should have 1 elements"));
  CHECK_THAT(refusal("Tile", {counting({2}), fixed(list({-1}))}), Contains("-1 is out of range"));
  CHECK_THAT(refusal("Expand", {counting({2}), fixed(list({3}))}), Contains("do not broadcast"));
  CHECK_THAT(refusal("Expand", {counting({1}), fixed(list({std::int64_t{1} << 40, std::int64_t{1} << 40}))}),
             !Contains("internal") && Contains("1099511627776"));
  const OneNode tile("Tile", {counting({4}), fixed(list({3}))});
  CHECK(region(tile, 0, box_of({5}, {2})) == box_of({1}, {2}));  // inside the second copy
  CHECK(region(tile, 0, box_of({3}, {2})) == box_of({0}, {4}));  // across a seam
}

TEST_CASE("Pad: constant, reflect, edge and wrap", "[operators][move]") {
  const HostTensor x = floats({3}, {1, 2, 3});
  const auto pad = [&](const std::string& mode, IntList pads) {
    return computed("Pad", {x, fixed(list(std::move(pads)))}, {{"mode", mode}});
  };
  CHECK(pad("constant", {1, 2}) == Floats{0, 1, 2, 3, 0, 0});
  CHECK(pad("reflect", {2, 2}) == Floats{3, 2, 1, 2, 3, 2, 1});
  CHECK(pad("edge", {2, 1}) == Floats{1, 1, 1, 2, 3, 3});
  CHECK(pad("wrap", {2, 1}) == Floats{2, 3, 1, 2, 3, 1});
  CHECK(computed("Pad", {x, fixed(list({0, 1})), fixed(floats({}, {9}))}) == Floats{1, 2, 3, 9});
  CHECK(computed("Pad", {x}, {{"pads", IntList{1, 0}}, {"value", 7.0F}}) == Floats{7, 1, 2, 3});  // opset 2
  CHECK(compute_ints("Pad", {ints({1}, {5}), fixed(list({1, 0})), fixed(ints({}, {-1}))}) == Ints{-1, 5});
  // Two dimensions, and only the named axis (opset 18).
  CHECK(computed("Pad", {floats({2, 2}, {1, 2, 3, 4}), fixed(list({0, 1, 1, 0}))}) ==
        Floats{0, 1, 2, 0, 3, 4, 0, 0, 0});
  CHECK(computed("Pad", {floats({2, 1}, {1, 2}), fixed(list({0, 1})), omitted(), fixed(list({-1}))}) ==
        Floats{1, 0, 2, 0});
  CHECK_THAT(refusal("Pad", {x, fixed(list({-2, -2}))}), Contains("pads -2 and -2 crop more than the extent 3"));
  CHECK_THAT(refusal("Pad", {x, fixed(list({INT64_MIN, 0}))}), Contains("crop more than the extent 3"));
  CHECK_THAT(refusal("Pad", {x, fixed(list({1}))}), Contains("pads has 1 elements when it should have 2"));
  CHECK_THAT(refusal("Pad", {x, fixed(list({3, 0}))}, {{"mode", std::string("reflect")}}),
             Contains("pad 3 is too large for extent 3"));
  CHECK_THAT(refusal("Pad", {x, fixed(list({3, 0}))}, {{"mode", std::string("mirror")}}), Contains("'mirror'"));
}

TEST_CASE("negative pads crop, and what is left is padded", "[operators][move]") {
  const HostTensor x = floats({4}, {1, 2, 3, 4});
  const auto pad = [&](const std::string& mode, IntList pads) {
    return computed("Pad", {x, fixed(list(std::move(pads)))}, {{"mode", mode}});
  };
  CHECK(pad("constant", {-1, -2}) == Floats{2});
  CHECK(pad("constant", {2, -1}) == Floats{0, 0, 1, 2, 3});
  CHECK(pad("constant", {-4, 1}) == Floats{0});
  CHECK(pad("reflect", {-1, 2}) == Floats{2, 3, 4, 3, 2});
  CHECK(pad("edge", {2, -2}) == Floats{1, 1, 1, 2});
  CHECK(pad("wrap", {-2, 2}) == Floats{3, 4, 3, 4});
  CHECK_THAT(refusal("Pad", {x, fixed(list({-2, 2}))}, {{"mode", std::string("reflect")}}),
             Contains("pad 2 is too large for extent 2"));
  const OneNode cropped("Pad", {counting({5}), fixed(list({-1, 2}))}, {{"mode", std::string("reflect")}});
  CHECK(region(cropped, 0, box_of({4}, {2})) == box_of({2}, {2}));  // 1 2 3 4 | 3 2: the last two show 3 2
}

TEST_CASE("Pad's regions stop at the data", "[operators][move]") {
  const OneNode constant("Pad", {counting({4, 4}), fixed(list({1, 1, 1, 1}))});
  CHECK(region(constant, 0, box_of({0, 0}, {3, 6})) == box_of({0, 0}, {2, 4}));
  CHECK(region(constant, 0, box_of({0, 0}, {1, 6})).empty());
  const OneNode reflect("Pad", {counting({5}), fixed(list({2, 2}))}, {{"mode", std::string("reflect")}});
  CHECK(region(reflect, 0, box_of({0}, {3})) == box_of({0}, {3}));  // shows 2 1 0
  CHECK(region(reflect, 0, box_of({7}, {2})) == box_of({2}, {2}));  // shows 3 2
}

TEST_CASE("DepthToSpace and SpaceToDepth", "[operators][move]") {
  // The example of the ONNX specification: blocks of 2, channels 0 to 7, DCR and CRD.
  const HostTensor x = floats({1, 8, 1, 1}, {0, 1, 2, 3, 4, 5, 6, 7});
  const Attributes dcr = {{"blocksize", std::int64_t{2}}, {"mode", std::string("DCR")}};
  const Attributes crd = {{"blocksize", std::int64_t{2}}, {"mode", std::string("CRD")}};
  CHECK(computed("DepthToSpace", {x}, dcr) == Floats{0, 2, 4, 6, 1, 3, 5, 7});
  CHECK(computed("DepthToSpace", {x}, crd) == Floats{0, 1, 2, 3, 4, 5, 6, 7});
  const OneNode one("DepthToSpace", {counting({2, 12, 3, 5})}, dcr);
  REQUIRE(one.output().shape == Shape{2, 3, 6, 10});
  // SpaceToDepth undoes DCR.
  const HostTensor forth = one.evaluate()[0];
  CHECK(computed("SpaceToDepth", {forth}, {{"blocksize", std::int64_t{2}}}) == counting({2, 12, 3, 5}).floats());
  CHECK_THAT(refusal("DepthToSpace", {counting({1, 6, 1, 1})}, dcr), Contains("no blocks of 2"));
  CHECK_THAT(refusal("SpaceToDepth", {counting({1, 1, 3, 2})}, {{"blocksize", std::int64_t{2}}}),
             Contains("no blocks of 2"));
  CHECK_THAT(refusal("SpaceToDepth", {counting({1, 1, 2, 2})}), Contains("blocksize 0 is out of range"));
}

TEST_CASE("Gather takes slices by index", "[operators][move]") {
  const HostTensor table = counting({4, 3});
  CHECK(computed("Gather", {table, ints({2}, {3, -4})}) == Floats{9, 10, 11, 0, 1, 2});
  CHECK(computed("Gather", {table, ints({}, {1})}, {{"axis", std::int64_t{1}}}) == Floats{1, 4, 7, 10});
  const OneNode two("Gather", {counting({2, 3, 2}), ints({2, 2}, {2, 0, 1, 1})}, {{"axis", std::int64_t{1}}});
  REQUIRE(two.output().shape == Shape{2, 2, 2, 2});
  CHECK(two.evaluate()[0].floats() == Floats{4, 5, 0, 1, 2, 3, 2, 3, 10, 11, 6, 7, 8, 9, 8, 9});
  CHECK(region(two, 0, box_of({1, 0, 1, 0}, {1, 2, 1, 2})) == box_of({1, 0, 0}, {1, 3, 2}));
  CHECK(region(two, 1, box_of({1, 0, 1, 0}, {1, 2, 1, 2})) == box_of({0, 1}, {2, 1}));
  CHECK(compute_ints("Gather", {list({10, 20, 30}), ints({1}, {-1})}) == Ints{30});
  CHECK_THAT(refusal("Gather", {table, ints({1}, {4})}), Contains("index 4 is outside an axis of 4"));
  CHECK_THAT(refusal("Gather", {table, floats({1}, {1})}), Contains("should be an integer type"));
  // One constant index needs one slice only.
  const OneNode known("Gather", {table, fixed(ints({}, {-1}))});
  CHECK(region(known, 0, box_of({1}, {2})) == box_of({3, 1}, {1, 2}));
}

TEST_CASE("GatherElements and GatherND address single elements and tails", "[operators][move]") {
  const HostTensor x = counting({3, 2});
  CHECK(computed("GatherElements", {x, ints({2, 2}, {2, 0, -1, 1})}) == Floats{4, 1, 4, 3});
  CHECK(computed("GatherElements", {x, ints({3, 1}, {1, 0, 1})}, {{"axis", std::int64_t{1}}}) == Floats{1, 2, 5});
  CHECK_THAT(refusal("GatherElements", {x, ints({2, 3}, Ints(6, 0))}), Contains("do not fit"));
  CHECK(computed("GatherND", {x, ints({2, 2}, {2, 1, 0, 0})}) == Floats{5, 0});
  CHECK(computed("GatherND", {x, ints({1, 1}, {1})}) == Floats{2, 3});
  CHECK(computed("GatherND", {counting({2, 3, 2}), ints({2, 1}, {2, -3})}, {{"batch_dims", std::int64_t{1}}}) ==
        Floats{4, 5, 6, 7});
  CHECK_THAT(refusal("GatherND", {x, ints({1, 3}, {0, 0, 0})}), Contains("do not address"));
  CHECK_THAT(refusal("GatherND", {x, ints({1, 1}, {3})}), Contains("index 3 is outside"));
}

TEST_CASE("Trilu keeps a triangle", "[operators][move]") {
  const HostTensor x = counting({3, 3});
  CHECK(computed("Trilu", {x}) == Floats{0, 1, 2, 0, 4, 5, 0, 0, 8});
  CHECK(computed("Trilu", {x, fixed(ints({}, {1}))}) == Floats{0, 1, 2, 0, 0, 5, 0, 0, 0});
  CHECK(computed("Trilu", {x}, {{"upper", std::int64_t{0}}}) == Floats{0, 0, 0, 3, 4, 0, 6, 7, 8});
  CHECK(computed("Trilu", {x, fixed(ints({}, {-1}))}, {{"upper", std::int64_t{0}}}) ==
        Floats{0, 0, 0, 3, 0, 0, 6, 7, 0});
  CHECK(computed("Trilu", {x, fixed(ints({}, {1000}))}) == Floats(9, 0));
  CHECK_THAT(refusal("Trilu", {counting({3})}), Contains("is not a matrix"));
}

}  // namespace
}  // namespace spillway::workloads
