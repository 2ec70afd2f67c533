// Questions about strided bytes against sets of addresses.
#include "partitioner/footprint.h"

#include <catch2/catch.hpp>
#include <limits>
#include <random>
#include <set>

#include "partitioner/region_set.h"

using namespace spillway::partitioner;

namespace {

constexpr std::int64_t kMemory = 1 << 12;

template <typename Visit>
void for_each_element(const Box& box, Visit visit) {
  std::array<std::int32_t, kMaxRank> at = box.begin;
  while (true) {
    visit(at);
    int d = box.rank - 1;
    for (; d >= 0; --d) {
      if (++at[d] < box.end(d)) break;
      at[d] = box.begin[d];
    }
    if (d < 0) return;
  }
}

std::set<std::int64_t> bytes_of(const Footprint& f, const Box& box) {
  std::set<std::int64_t> bytes;
  for_each_element(box, [&](const auto& at) {
    for (std::int64_t b = 0; b < f.element_bytes; ++b) bytes.insert(f.address(at) + b);
  });
  return bytes;
}

/// A nested placement: factors in a random order, each clearing the finer ones by a random gap.
Operand random_operand(std::mt19937& random) {
  Operand operand;
  operand.format = random() % 2 == 0 ? spillway::configs::Format::kInt8 : spillway::configs::Format::kFp16;
  operand.box.rank = 1 + static_cast<int>(random() % 3);
  std::vector<int> order;
  for (int d = 0; d < operand.box.rank; ++d) {
    operand.box.set(d, static_cast<int>(random() % 4), 1 + static_cast<int>(random() % 4));
    order.push_back(d);
  }
  std::shuffle(order.begin(), order.end(), random);
  std::int64_t span = operand.element_bytes();
  for (const int d : order) {
    operand.at.stride[d] = span + static_cast<std::int64_t>(random() % 3 == 0 ? random() % 12 : 0);
    span += operand.at.stride[d] * (operand.box.extent[d] - 1);
  }
  operand.at.origin = 200 + static_cast<std::int64_t>(random() % 150);
  for (int d = 0; d < operand.box.rank; ++d) operand.at.origin -= operand.at.stride[d] * operand.box.begin[d];
  return operand;
}

Footprint placed(const Operand& operand) {
  const auto result = footprint_of(operand, kMemory);
  REQUIRE_FALSE(result.problem);
  return result.footprint;
}

void check_pair(const Operand& a, const Operand& b) {
  const Footprint old = placed(a);
  const Footprint fresh = placed(b);
  const auto old_bytes = bytes_of(old, a.box);
  const auto fresh_bytes = bytes_of(fresh, b.box);
  REQUIRE(*old_bytes.begin() == old.first);
  REQUIRE(*old_bytes.rbegin() + 1 == old.last);
  REQUIRE(old.dense() == (old.last - old.first == static_cast<std::int64_t>(old_bytes.size())));
  bool shared = false;
  for (const auto byte : old_bytes) shared |= fresh_bytes.contains(byte);
  REQUIRE(share_bytes(old, fresh) == shared);

  std::vector<Box> left;
  surviving(old, fresh, left);
  std::int64_t kept = 0;
  for (const Box& box : left) {
    REQUIRE(a.box.contains(box));
    kept += box.elements();
    for (const auto byte : bytes_of(old, box)) REQUIRE_FALSE(fresh_bytes.contains(byte));
  }
  std::int64_t survivors = 0;
  for_each_element(a.box, [&](const auto& at) {
    bool hit = false;
    for (std::int64_t k = 0; k < old.element_bytes; ++k) hit |= fresh_bytes.contains(old.address(at) + k);
    survivors += hit ? 0 : 1;
  });
  REQUIRE(kept <= survivors);
  // Exact where nothing is lost and where the writer is contiguous, in either order of the factors.
  if (!shared || fresh.dense()) REQUIRE(kept == survivors);
}

}  // namespace

TEST_CASE("shared bytes and survivors equal those of the enumerated addresses", "[partitioner][footprint]") {
  std::mt19937 random(2);
  for (int round = 0; round < 4000; ++round) check_pair(random_operand(random), random_operand(random));
}

TEST_CASE("boxes of one placement, and shifted windows of it, are compared exactly", "[partitioner][footprint]") {
  std::mt19937 random(3);
  for (int round = 0; round < 2000; ++round) {
    Operand a = random_operand(random);
    Operand b = a;
    for (int d = 0; d < b.box.rank; ++d) {
      const auto begin = static_cast<int>(random() % b.box.extent[d]);
      b.box.begin[d] += begin;
      b.box.extent[d] = 1 + static_cast<int>(random() % (b.box.extent[d] - begin));
    }
    check_pair(a, b);
    check_pair(b, a);
    // The same bytes under other coordinates: a window that moved on.
    for (int d = 0; d < b.box.rank; ++d) {
      const auto shift = static_cast<int>(random() % 5);
      b.box.begin[d] += shift;
      b.at.origin -= shift * b.at.stride[d];
    }
    check_pair(a, b);
    std::vector<Box> left;
    surviving(placed(a), placed(b), left);
    std::int64_t kept = 0;
    for (const Box& box : left) kept += box.elements();
    REQUIRE(kept == a.box.elements() - b.box.elements());
  }
}

TEST_CASE("placements that cannot be are refused", "[partitioner][footprint]") {
  Operand operand;
  operand.format = spillway::configs::Format::kInt8;
  operand.box.rank = 2;
  operand.box.set(0, 0, 4);
  operand.box.set(1, 0, 8);
  operand.at = {.origin = 0, .stride = {8, 1}};
  CHECK_FALSE(footprint_of(operand, 32).problem);
  SECTION("one byte too many") { CHECK(footprint_of(operand, 31).problem); }
  SECTION("below zero") {
    operand.at.origin = -1;
    CHECK(footprint_of(operand, 32).problem);
  }
  SECTION("rows that overlap") {
    operand.at.stride[0] = 7;
    CHECK(footprint_of(operand, 32).problem);
  }
  SECTION("a stride of zero repeats elements") {
    operand.at.stride[0] = 0;
    CHECK(footprint_of(operand, 32).problem);
  }
  SECTION("an empty box") {
    operand.box.extent[1] = 0;
    CHECK(footprint_of(operand, 32).problem);
  }
  SECTION("products beyond 64 bits") {
    operand.box.set(0, std::numeric_limits<std::int32_t>::max() - 4, 1);
    operand.at.stride[0] = std::numeric_limits<std::int64_t>::max();
    CHECK(footprint_of(operand, 32).problem);
  }
  SECTION("a factor of one element may have any stride") {
    operand.box.set(0, 3, 1);
    operand.at = {.origin = -3 * 1000, .stride = {1000, 1}};
    CHECK_FALSE(footprint_of(operand, 32).problem);
  }
}
