// The functional memory: who owns which byte, tiles of constants that are not copied, waves of commands.
#include "simulator/functional/memory.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <random>

#include "program_builder.h"
#include "simulator/functional/waves.h"

namespace spillway::simulator::test {

namespace {

Operand row_major(StorageId storage, std::int32_t rows, std::int32_t columns, std::int64_t address) {
  Operand operand;
  operand.storage = storage;
  operand.space = Space::kScratchpad;
  operand.format = configs::Format::kFp32;
  operand.box.rank = 2;
  operand.box.set(0, 0, rows);
  operand.box.set(1, 0, columns);
  operand.at.stride = {std::int64_t{4} * columns, 4};
  operand.at.origin = address;
  return operand;
}

/// 12 x 16 floats, 0 to 191, as a constant whose elements lie transposed.
struct Constant {
  std::vector<float> values = std::vector<float>(192);
  Memory::Lent lent;

  Constant() {
    for (std::size_t i = 0; i < 12; ++i) {
      for (std::size_t j = 0; j < 16; ++j) values[j * 12 + i] = static_cast<float>(i * 16 + j);
    }
    lent.lies.stride = {4, 48};
    lent.data = reinterpret_cast<const std::byte*>(values.data());
  }
};

float float_at(const Memory& memory, std::int64_t address, StorageId storage) {
  float value = 0;
  std::memcpy(&value, memory.read(address, 4, storage), 4);
  return value;
}

}  // namespace

TEST_CASE("owners agree with a list of them", "[simulator][memory]") {
  constexpr std::int64_t kElements = 700;  // of 4 bytes: lines whole, in part and at the end
  Owners owners(4 * kElements);
  std::vector<StorageId> wanted(kElements, partitioner::kNone);
  std::mt19937 random(3);
  for (int round = 0; round < 4000; ++round) {
    const auto first = static_cast<std::int64_t>(random() % kElements);
    const auto count = 1 + static_cast<std::int64_t>(random() % (round % 2 == 0 ? 5 : 300));
    const std::int64_t end = std::min(first + count, kElements);
    const auto storage = static_cast<StorageId>(random() % 3);
    if (round % 3 == 0) {
      owners.set(4 * first, 4 * (end - first), storage);
      std::fill(wanted.begin() + first, wanted.begin() + end, storage);
      continue;
    }
    const auto wrong = std::find_if(wanted.begin() + first, wanted.begin() + end, [=](auto o) { return o != storage; });
    const auto found = owners.other_than(storage, 4 * first, 4 * (end - first));
    REQUIRE(found.has_value() == (wrong != wanted.begin() + end));
    if (found) {
      CHECK(found->address == 4 * (wrong - wanted.begin()));
      CHECK(found->owner == *wrong);
    }
  }
}

TEST_CASE("a tile of a constant reads as if it had been copied", "[simulator][memory]") {
  const Constant constant;
  Memory memory("scratchpad", 4096);
  const Operand tile = row_major(1, 12, 16, 256);
  REQUIRE(memory.alias(tile, constant.lent));

  SECTION("by its elements, where they lie") {
    const Memory::Alias* alias = memory.aliased(tile, tile.box);
    REQUIRE(alias != nullptr);
    CHECK(alias->data == constant.lent.data);
    workloads::Box beyond = tile.box;
    beyond.set(1, 8, 9);
    CHECK(memory.aliased(tile, beyond) == nullptr);
    Operand other = tile;
    other.at.stride = {4, 48};
    CHECK(memory.aliased(other, other.box) == nullptr);
    other = tile;
    other.storage = 2;
    CHECK(memory.aliased(other, other.box) == nullptr);
  }
  SECTION("by its addresses") {
    for (std::int64_t i = 0; i < 192; ++i) CHECK(float_at(memory, 256 + 4 * i, 1) == static_cast<float>(i));
    CHECK(memory.aliased(tile, tile.box) == nullptr);  // bytes may change from now on
  }
  SECTION("where something else is written over a part of it") {
    const float value = 0.5F;
    std::memcpy(memory.write(256 + 4 * 100, 4, 2), &value, 4);
    CHECK(memory.aliased(tile, tile.box) == nullptr);
    CHECK(float_at(memory, 256 + 4 * 99, 1) == 99.0F);
    CHECK(float_at(memory, 256 + 4 * 101, 1) == 101.0F);
    CHECK(float_at(memory, 256 + 4 * 100, 2) == 0.5F);
    CHECK_THROWS_AS(memory.read(256 + 4 * 96, 32, 1), WrongRead);
  }
  SECTION("where another tile of the same constant covers a part of it") {
    Operand smaller = row_major(1, 6, 16, 256);
    Memory::Lent rest = constant.lent;
    rest.data += std::ptrdiff_t{4} * 6;  // rows 6 to 11
    REQUIRE(memory.alias(smaller, rest));
    CHECK(float_at(memory, 256, 1) == 96.0F);
    CHECK(float_at(memory, 256 + 4 * 96, 1) == 96.0F);  // what the first tile left behind
  }
  SECTION("beside what is about to be overwritten as a whole") {
    // Rows 3 to 5: nothing is copied for their sake, and they are nobody's until they are written.
    const Operand rows = row_major(2, 3, 16, 256 + 4 * 48);
    memory.prepare(rows, Memory::Use::kReplaced);
    CHECK(memory.aliased(tile, tile.box) == nullptr);
    CHECK_THROWS_AS(memory.read(256 + 4 * 48, 4, 1), WrongRead);
    CHECK_THROWS_AS(memory.read(256 + 4 * 48, 4, 2), WrongRead);
    for (std::int64_t i = 48; i < 96; ++i) {
      const auto value = static_cast<float>(-i);
      std::memcpy(memory.write(256 + 4 * i, 4, 2), &value, 4);
    }
    for (std::int64_t i = 0; i < 192; ++i) {
      const bool written = i >= 48 && i < 96;
      CHECK(float_at(memory, 256 + 4 * i, written ? 2 : 1) == static_cast<float>(written ? -i : i));
    }
    // Again, now that the rest has been copied.
    memory.prepare(rows, Memory::Use::kReplaced);
    CHECK(float_at(memory, 256 + 4 * 48, 2) == -48.0F);
    CHECK(float_at(memory, 256 + 4 * 47, 1) == 47.0F);
  }
  SECTION("when a command writes over what it reads") {
    memory.prepare(tile, Memory::Use::kRead);
    memory.prepare(row_major(2, 12, 16, 256), Memory::Use::kWritten);
    CHECK(float_at(memory, 256 + 4 * 48, 1) == 48.0F);
  }
  SECTION("until all of it has been overwritten, bit by bit") {
    for (const std::int32_t row : {6, 0, 3, 9}) {
      memory.prepare(row_major(2, 3, 16, 256 + std::int64_t{64} * row), Memory::Use::kReplaced);
      std::memset(memory.write(256 + std::int64_t{64} * row, 192, 2), 0, 192);
    }
    for (std::int64_t i = 0; i < 192; ++i) CHECK(float_at(memory, 256 + 4 * i, 2) == 0.0F);
    CHECK_THROWS_AS(memory.read(256, 4, 1), WrongRead);
  }
  SECTION("but not outside of it") {
    CHECK_THROWS_AS(memory.read(252, 8, 1), WrongRead);
    CHECK_THROWS_AS(memory.read(256 + 4 * 191, 8, 1), WrongRead);
  }
  SECTION("and not with gaps between its rows") {
    Operand gaps = row_major(1, 12, 8, 1024);
    gaps.at.stride[0] = 64;
    CHECK_FALSE(memory.alias(gaps, constant.lent));
  }
}

TEST_CASE("storages that share addresses of DRAM have bytes of their own", "[simulator][memory]") {
  std::vector<partitioner::Storage> storages(3);
  for (partitioner::Storage& storage : storages) {
    storage.format = configs::Format::kFp32;
    storage.rank = 1;
    storage.extent[0] = 16;
  }
  storages[2].dram_address = 64;
  Memory memory("DRAM", 128, storages, std::make_shared<workloads::BufferPool>());
  CHECK_THROWS_AS(memory.read(0, 64, 0), WrongRead);
  static_cast<void>(memory.write(0, 64, 0));
  static_cast<void>(memory.read(0, 64, 0));
  static_cast<void>(memory.write(0, 32, 1));
  CHECK_THROWS_AS(memory.read(0, 64, 0), WrongRead);
  CHECK_THROWS_AS(memory.read(0, 64, 1), WrongRead);
  static_cast<void>(memory.read(32, 32, 0));
  CHECK_THROWS_WITH(memory.write(32, 64, 0), Catch::Contains("outside of its tensor"));
  memory.forget(0);
  CHECK_THROWS_AS(memory.read(32, 32, 0), WrongRead);
}

TEST_CASE("commands come after those whose bytes they need", "[simulator][memory]") {
  ProgramBuilder builder(small_npu());
  partitioner::Program& program = builder.program;
  const auto transfer = [&](CommandKind kind, Space from, std::int64_t source, Space to, std::int64_t destination) {
    Operand in = row_major(0, 1, 64, source), out = row_major(0, 1, 64, destination);
    in.space = from;
    out.space = to;
    partitioner::Command command;
    command.kind = kind;
    command.first_operand = static_cast<std::uint32_t>(program.operand_pool.size());
    command.operands = 2;
    program.operand_pool.push_back(in);
    program.operand_pool.push_back(out);
    program.commands.push_back(command);
  };
  transfer(CommandKind::kLoad, Space::kDram, 0, Space::kScratchpad, 0);           // 0
  transfer(CommandKind::kLoad, Space::kDram, 0, Space::kScratchpad, 1024);        // 1: beside 0
  transfer(CommandKind::kCopy, Space::kScratchpad, 0, Space::kScratchpad, 2048);  // 2: reads what 0 wrote
  transfer(CommandKind::kStore, Space::kScratchpad, 1024, Space::kDram, 1024);    // 3: what 1 wrote
  transfer(CommandKind::kLoad, Space::kDram, 4096, Space::kScratchpad, 0);        // 4: over what 2 reads
  transfer(CommandKind::kLoad, Space::kDram, 1024, Space::kScratchpad, 4096);     // 5: what 3 wrote
  const std::vector<std::int32_t> order{0, 1, 2, 3, 4, 5};
  const std::vector<std::vector<std::int32_t>> wanted{{0, 1}, {2, 3}, {4, 5}};
  CHECK(waves_of(program, order) == wanted);
}

}  // namespace spillway::simulator::test
