// Reductions, searches and scans by hand.
#include <catch2/catch.hpp>
#include <cmath>

#include "regions.h"

using namespace spillway;
using namespace spillway::workloads;
using namespace spillway::workloads::test;

namespace {

const HostTensor kNumbers = floats({2, 3}, {1, -2, 3, -4, 5, 6});

Attributes over(IntList axes, std::int64_t keep = 1) { return {{"axes", std::move(axes)}, {"keepdims", keep}}; }

}  // namespace

TEST_CASE("reductions refuse axes outside the tensor or given twice", "[operators][reduce]") {
  CHECK_THAT(refusal("ReduceSum", {kNumbers}, over({2})), Catch::Contains("axis 2"));
  CHECK_THAT(refusal("ReduceSum", {kNumbers}, over({1, -1})), Catch::Contains("given twice"));
  CHECK_THAT(refusal("ReduceSum", {kNumbers, list({1})}), Catch::Contains("not known before"));
  CHECK_THAT(refusal("ArgMax", {kNumbers}, {{"axis", std::int64_t{5}}}), Catch::Contains("axis 5"));
  CHECK_THAT(refusal("ArgMax", {floats({0, 2}, {})}), Catch::Contains("empty"));
  CHECK_THAT(refusal("TopK", {kNumbers, fixed(list({4}))}, {}, 2), Catch::Contains("takes 4 of 3"));
}

TEST_CASE("each reduction by hand", "[operators][reduce]") {
  CHECK(computed("ReduceSum", {kNumbers}, over({1})) == std::vector<float>{2, 7});
  CHECK(computed("ReduceSum", {kNumbers}, over({0})) == std::vector<float>{-3, 3, 9});
  CHECK(computed("ReduceMean", {kNumbers}, over({0, 1})) == std::vector<float>{1.5F});
  CHECK(computed("ReduceMax", {kNumbers}, over({-1})) == std::vector<float>{3, 6});
  CHECK(computed("ReduceMin", {kNumbers}, over({-1})) == std::vector<float>{-2, -4});
  CHECK(computed("ReduceProd", {kNumbers}, over({1})) == std::vector<float>{-6, -120});
  CHECK(computed("ReduceL1", {kNumbers}, over({1})) == std::vector<float>{6, 15});
  CHECK(computed("ReduceSumSquare", {kNumbers}, over({1})) == std::vector<float>{14, 77});
  CHECK(computed("ReduceL2", {floats({1, 2}, {3, 4})}, over({1})) == std::vector<float>{5});
  CHECK(computed("ReduceLogSum", {floats({1, 2}, {1, 3})}, over({1}))[0] == Approx(std::log(4.0)));
  CHECK(computed("ReduceLogSumExp", {floats({1, 2}, {1000, 1000})}, over({1}))[0] == Approx(1000 + std::log(2.0)));
  CHECK(std::isnan(computed("ReduceMax", {floats({1, 3}, {1, NAN, 2})}, over({1}))[0]));
}

TEST_CASE("which axes are reduced and which are kept", "[operators][reduce]") {
  const HostTensor x = noise({2, 3, 4});
  CHECK(OneNode("ReduceSum", {x}, over({1})).output().shape == Shape{2, 1, 4});
  CHECK(OneNode("ReduceSum", {x}, over({1, 0}, 0)).output().shape == Shape{4});
  CHECK(OneNode("ReduceSum", {x}).output().shape == Shape{1, 1, 1});
  CHECK(OneNode("ReduceSum", {x, fixed(list({-1}))}).output().shape == Shape{2, 3, 1});
  const OneNode nothing("ReduceSum", {x, fixed(list({}))}, {{"noop_with_empty_axes", std::int64_t{1}}});
  CHECK(nothing.evaluate()[0].floats() == x.floats());
}

TEST_CASE("integers are reduced exactly", "[operators][reduce]") {
  const std::int64_t large = (std::int64_t{1} << 40) + 1;  // not a float
  CHECK(compute_ints("ReduceSum", {list({large, large})}) == IntList{2 * large});
  CHECK(compute_ints("ReduceProd", {list({large, 3})}) == IntList{3 * large});
  CHECK(compute_ints("ReduceMax", {list({-5, large})}) == IntList{large});
}

TEST_CASE("reductions on any part of their output", "[operators][reduce][regions]") {
  const HostTensor x = noise({3, 4, 2, 5}, 8);
  for (const char* op : {"ReduceSum", "ReduceMean", "ReduceMax", "ReduceL2", "ReduceLogSumExp"}) {
    INFO(op);
    check_regions(OneNode(op, {x}, over({3})));
    check_regions(OneNode(op, {x}, over({0, 2}, 0)));
    check_regions(OneNode(op, {x}, over({1})));
  }
  check_regions(OneNode("ArgMax", {x}, {{"axis", std::int64_t{1}}, {"keepdims", std::int64_t{0}}}));
  check_regions(OneNode("ArgMin", {x}, {{"axis", std::int64_t{-1}}}));
  check_regions(OneNode("CumSum", {x, fixed(list({1}))}));
  check_regions(OneNode("CumSum", {x, fixed(list({-1}))}, {{"reverse", std::int64_t{1}}}));
}

TEST_CASE("ArgMax and ArgMin, first and last of equals", "[operators][reduce]") {
  const HostTensor x = floats({2, 4}, {1, 7, 7, 0, 3, 3, -1, -1});
  CHECK(compute_ints("ArgMax", {x}, {{"axis", std::int64_t{1}}}) == IntList{1, 0});
  CHECK(compute_ints("ArgMax", {x}, {{"axis", std::int64_t{1}}, {"select_last_index", std::int64_t{1}}}) ==
        IntList{2, 1});
  CHECK(compute_ints("ArgMin", {x}, {{"axis", std::int64_t{-1}}}) == IntList{3, 2});
  CHECK(compute_ints("ArgMax", {x}) == IntList{1, 0, 0, 0});
  const std::int64_t large = std::int64_t{1} << 50;
  CHECK(compute_ints("ArgMax", {list({large, large + 1})}) == IntList{1});
  const OneNode pooled("ArgMax", {x}, {{"axis", std::int64_t{1}}, {"keepdims", std::int64_t{0}}});
  CHECK(pooled.output().shape == Shape{2});
  CHECK(pooled.output().type == DataType::kInt64);
}

TEST_CASE("CumSum in all four ways", "[operators][reduce]") {
  const HostTensor x = floats({4}, {1, 2, 3, 4});
  const std::int64_t one = 1;
  CHECK(computed("CumSum", {x, fixed(list({0}))}) == std::vector<float>{1, 3, 6, 10});
  CHECK(computed("CumSum", {x, fixed(list({0}))}, {{"exclusive", one}}) == std::vector<float>{0, 1, 3, 6});
  CHECK(computed("CumSum", {x, fixed(list({0}))}, {{"reverse", one}}) == std::vector<float>{10, 9, 7, 4});
  CHECK(computed("CumSum", {x, fixed(list({0}))}, {{"exclusive", one}, {"reverse", one}}) ==
        std::vector<float>{9, 7, 4, 0});
}

TEST_CASE("TopK, largest and smallest, stable", "[operators][reduce]") {
  const HostTensor x = floats({2, 4}, {3, 1, 3, 2, 0, 9, 8, 9});
  const auto largest = OneNode("TopK", {x, fixed(list({2}))}, {}, 2).evaluate();
  CHECK(largest[0].floats() == std::vector<float>{3, 3, 9, 9});
  CHECK(largest[1].ints() == IntList{0, 2, 1, 3});
  const auto smallest =
      OneNode("TopK", {x, fixed(list({1}))}, {{"largest", std::int64_t{0}}, {"axis", std::int64_t{0}}}, 2).evaluate();
  CHECK(smallest[0].floats() == std::vector<float>{0, 1, 3, 2});
  CHECK(smallest[1].ints() == IntList{1, 0, 0, 0});
}
