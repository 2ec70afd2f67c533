// The scratchpad's state against a byte array that knows every byte's element and writer.
#include "partitioner/memory_state.h"

#include <catch2/catch.hpp>
#include <map>
#include <random>

using namespace spillway::partitioner;

namespace {

constexpr std::int64_t kMemory = 512;

Operand operand_at(const std::vector<std::int32_t>& begin, const std::vector<std::int32_t>& extent,
                   const Placement& at) {
  Operand operand;
  operand.format = spillway::configs::Format::kInt8;
  operand.box.rank = static_cast<int>(begin.size());
  for (int d = 0; d < operand.box.rank; ++d) operand.box.set(d, begin[d], extent[d]);
  operand.at = at;
  return operand;
}

/// `count` commands on one queue: everything is ordered, so that only coverage is in question.
Program one_queue(int count) {
  Program program;
  program.commands.resize(count);
  return program;
}

Footprint placed(const Operand& operand) {
  const auto result = footprint_of(operand, kMemory);
  REQUIRE_FALSE(result.problem);
  return result.footprint;
}

template <typename Visit>
void for_each_byte(const Footprint& f, Visit visit) {
  for (int y = f.box.begin[0]; y < f.box.end(0); ++y) {
    for (int x = f.box.begin[1]; x < f.box.end(1); ++x) visit(y, x, f.address({y, x}));
  }
}

}  // namespace

TEST_CASE("boxes written across a diagonal fill the box around them", "[partitioner][memory_state]") {
  const Program program = one_queue(5);
  const HappensBefore order(program, [](std::int32_t, const Wait&) {});
  MemoryState memory(order, kMemory, {100});
  const Placement at{.origin = 0, .stride = {8, 1}};
  CHECK_FALSE(memory.write(0, 0, placed(operand_at({0, 0}, {1, 4}, at))));
  CHECK_FALSE(memory.write(1, 0, placed(operand_at({1, 0}, {1, 2}, at))));
  CHECK_FALSE(memory.write(2, 0, placed(operand_at({1, 2}, {1, 2}, at))));
  CHECK_FALSE(memory.read(3, 0, placed(operand_at({0, 0}, {2, 4}, at))));
  CHECK(memory.read(4, 0, placed(operand_at({0, 0}, {2, 5}, at))));
}

TEST_CASE("what a memory holds equals a byte array that remembers", "[partitioner][memory_state]") {
  std::mt19937 random(6);
  constexpr int kAccesses = 120;
  const Program program = one_queue(kAccesses);
  int good = 0;
  int bad = 0;
  for (int round = 0; round < 40; ++round) {
    HappensBefore order(program, [](std::int32_t, const Wait&) {});
    MemoryState memory(order, kMemory, {1000, 1000});
    std::map<std::int64_t, std::array<int, 3>> bytes;  // address -> storage, y, x
    // A few windows of one row stride, as buffers have, so that reads have a chance to hit.
    const std::array<Placement, 3> placements{Placement{.origin = 64, .stride = {8, 1}},
                                              Placement{.origin = 64 + 16, .stride = {8, 1}},
                                              Placement{.origin = 100, .stride = {12, 1}}};
    for (int c = 0; c < kAccesses; ++c) {
      order.advance(c);
      const auto storage = static_cast<StorageId>(random() % 2);
      const Placement& at = placements[random() % 3];
      const int y = static_cast<int>(random() % 6);
      const int x = static_cast<int>(random() % 6);
      const Footprint where = placed(
          operand_at({y, x}, {1 + static_cast<int>(random() % (7 - y)), 1 + static_cast<int>(random() % (8 - x))}, at));
      if (random() % 2 == 0) {
        REQUIRE_FALSE(memory.write(c, storage, where));
        for_each_byte(where, [&](int i, int j, std::int64_t byte) { bytes[byte] = {storage, i, j}; });
      } else {
        bool there = true;
        for_each_byte(where, [&](int i, int j, std::int64_t byte) {
          const auto found = bytes.find(byte);
          there = there && found != bytes.end() && found->second == std::array<int, 3>{storage, i, j};
        });
        const auto fault = memory.read(c, storage, where);
        // What is not there is always noticed. The contrary may be a false alarm only where windows of different
        // strides have cut into each other.
        if (!there) REQUIRE(fault);
        if (there && !fault) ++good;
        if (!there) ++bad;
      }
    }
  }
  CHECK(good > 20);
  CHECK(bad > 200);
}
