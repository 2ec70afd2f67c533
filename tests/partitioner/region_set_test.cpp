// Boxes against sets of points.
#include "partitioner/region_set.h"

#include <catch2/catch.hpp>
#include <random>
#include <set>

using namespace spillway::partitioner;

namespace {

using Points = std::set<std::array<int, 3>>;

Points points_of(const Box& box) {
  Points points;
  for (int x = box.begin[0]; x < box.end(0); ++x) {
    for (int y = box.begin[1]; y < box.end(1); ++y) {
      for (int z = box.begin[2]; z < box.end(2); ++z) points.insert({x, y, z});
    }
  }
  return points;
}

Box random_box(std::mt19937& random) {
  Box box;
  box.rank = 3;
  for (int d = 0; d < 3; ++d) {
    const auto begin = static_cast<int>(random() % 6);
    box.set(d, begin, 1 + static_cast<int>(random() % (6 - begin)));
  }
  return box;
}

Points points_of(std::span<const Box> boxes) {
  Points points;
  for (const Box& box : boxes) {
    for (const auto& point : points_of(box)) REQUIRE(points.insert(point).second);  // disjoint
  }
  return points;
}

}  // namespace

TEST_CASE("a region set is the union of what was added", "[partitioner][region_set]") {
  std::mt19937 random(1);
  for (int round = 0; round < 300; ++round) {
    RegionSet set;
    Points truth;
    for (int i = 0; i < 6; ++i) {
      const Box box = random_box(random);
      const Points points = points_of(box);
      bool any = false;
      bool all = true;
      Points absent;
      for (const auto& point : points) {
        const bool in = truth.contains(point);
        any |= in;
        all &= in;
        if (!in) absent.insert(point);
      }
      REQUIRE(set.intersects(box) == any);
      REQUIRE(set.covers(box) == all);
      REQUIRE(points_of(set.missing(box)) == absent);
      set.add(box);
      truth.insert(points.begin(), points.end());
      REQUIRE(points_of(set.boxes()) == truth);
    }
  }
}

TEST_CASE("tiles added in raster order merge to one box", "[partitioner][region_set]") {
  RegionSet set;
  for (int y = 0; y < 8; ++y) {
    for (int x = 0; x < 8; ++x) {
      Box tile;
      tile.rank = 2;
      tile.set(0, 4 * y, 4);
      tile.set(1, 4 * x, 4);
      set.add(tile);
    }
    REQUIRE(set.boxes().size() <= 2);
  }
  REQUIRE(set.boxes().size() == 1);
}

TEST_CASE("a scalar is one element", "[partitioner][region_set]") {
  RegionSet set;
  const Box scalar;
  CHECK_FALSE(set.covers(scalar));
  set.add(scalar);
  CHECK(set.covers(scalar));
  CHECK(set.intersects(scalar));
}
