// The third witness on Programs made by hand: the clean ones pass, and each thing that can be wrong with them is found.
#include "partitioner/checker.h"

#include <catch2/catch.hpp>

#include "partitioner/footprint.h"
#include "tests/partitioner/small_programs.h"

using namespace spillway::partitioner;
using namespace spillway::partitioner::test;
using Catch::Matchers::Contains;

namespace {

std::string text_of(const std::vector<Violation>& violations) {
  std::string text;
  for (const Violation& violation : violations) text += violation.what + "\n";
  return text;
}

std::vector<std::size_t> commands_of(const Program& program, CommandKind kind) {
  std::vector<std::size_t> found;
  for (std::size_t c = 0; c < program.commands.size(); ++c) {
    if (program.commands[c].kind == kind) found.push_back(c);
  }
  return found;
}

Operand& operand_of(Program& program, std::size_t command, int i) {
  return program.operand_pool[program.commands[command].first_operand + i];
}

/// Factors of the convolution's and the normalisation's images: [y, x, channel]; batch has no factor.
constexpr int kRow = 0;

void drop_wait(Program& program, Command& command, int i) {
  auto* waits = &program.wait_pool[command.first_wait];
  for (int k = i; k + 1 < command.waits; ++k) waits[k] = waits[k + 1];
  --command.waits;
}

}  // namespace

TEST_CASE("hand-made Programs are proven", "[partitioner][checker]") {
  CHECK(text_of(check(convolution_program())).empty());
  CHECK(text_of(check(normalisation_program())).empty());
  CHECK(text_of(check(concat_program())).empty());
}

TEST_CASE("every dropped or weakened wait is a race", "[partitioner][checker]") {
  for (const Program& clean : {convolution_program(), normalisation_program(), concat_program()}) {
    int dropped = 0;
    for (std::size_t c = 0; c < clean.commands.size(); ++c) {
      for (int i = 0; i < clean.commands[c].waits; ++i) {
        Program p = clean;
        drop_wait(p, p.commands[c], i);
        CAPTURE(clean.name, c, i);
        CHECK(text_of(check(p)).find("nothing orders it before") != std::string::npos);
        ++dropped;
        p = clean;
        Wait& wait = p.wait_pool[p.commands[c].first_wait + i];
        if (--wait.count > 0) CHECK_FALSE(check(p).empty());
      }
    }
    CHECK(dropped > 0);
  }
}

TEST_CASE("a wait for the future is a violation", "[partitioner][checker]") {
  Program p = convolution_program();
  p.wait_pool[p.commands.back().first_wait].count = 5;
  CHECK_THAT(text_of(check(p)), Contains("waits for 5 commands of v0, which are not all earlier in the stream"));
}

TEST_CASE("a halo row that is not loaded is missed by the product", "[partitioner][checker]") {
  Program p = convolution_program();
  const auto loads = commands_of(p, CommandKind::kLoad);
  const std::size_t second_tile = loads[3];
  for (int i = 0; i < 2; ++i) --operand_of(p, second_tile, i).box.extent[kRow];
  const auto violations = check(p);
  REQUIRE_FALSE(violations.empty());
  CHECK(p.commands[violations[0].command].kind == CommandKind::kMatrix);
  CHECK_THAT(violations[0].what, Contains("act x [1:5,0:8,0:16] sp 0x3000 fp32, but [4:5,0:8,0:16] is not there"));
}

TEST_CASE("a product that is given less than its halo is wrong even if the data is there", "[partitioner][checker]") {
  Program p = convolution_program();
  const auto products = commands_of(p, CommandKind::kMatrix);
  --operand_of(p, products[1], 0).box.extent[kRow];
  CHECK_THAT(text_of(check(p)), Contains("node 'Conv_0': input 0 'x' needs [0:1,0:16,1:5,0:8]"));
}

TEST_CASE("buffers that overlap are found", "[partitioner][checker]") {
  const Program clean = convolution_program();
  for (std::size_t i = 0; i < clean.operand_pool.size(); ++i) {
    if (clean.operand_pool[i].space == Space::kDram) continue;
    for (const std::int64_t shift : {-4, 4, 512}) {
      Program p = clean;
      p.operand_pool[i].at.origin += shift;
      CAPTURE(i, shift);
      CHECK_FALSE(check(p).empty());
    }
  }
  // All of one buffer's commands moved together, so that each still finds what it wrote: its first four
  // bytes are the last of the weights.
  Program p = clean;
  const StorageId x = p.layout.views[0].storage;
  for (Operand& operand : p.operand_pool) {
    if (operand.space == Space::kScratchpad && operand.storage == x) operand.at.origin -= 1028;
  }
  CHECK_FALSE(check(p).empty());
}

TEST_CASE("commands in the wrong order are found", "[partitioner][checker]") {
  const Program clean = convolution_program();
  for (const CommandKind kind : {CommandKind::kMatrix, CommandKind::kVector, CommandKind::kStore}) {
    const auto commands = commands_of(clean, kind);
    for (std::size_t i = 0; i + 1 < commands.size(); ++i) {
      Program p = clean;
      std::swap(p.commands[commands[i]], p.commands[commands[i + 1]]);
      CAPTURE(name_of(kind), i);
      CHECK_FALSE(check(p).empty());
    }
  }
}

TEST_CASE("a dropped command is found", "[partitioner][checker]") {
  const Program clean = convolution_program();
  for (std::size_t c = 0; c < clean.commands.size(); ++c) {
    Program p = clean;
    // Counts of its queue move down by one, as if the lowering had never made it.
    const std::int16_t queue = p.commands[c].queue;
    std::int32_t index = 1;
    for (std::size_t k = 0; k < c; ++k) index += p.commands[k].queue == queue ? 1 : 0;
    p.commands.erase(p.commands.begin() + static_cast<std::ptrdiff_t>(c));
    for (Command& command : p.commands) {
      for (int i = command.waits - 1; i >= 0; --i) {
        Wait& wait = p.wait_pool[command.first_wait + i];
        if (wait.queue == queue && wait.count >= index && --wait.count == 0) drop_wait(p, command, i);
      }
    }
    CAPTURE(c);
    CHECK_FALSE(check(p).empty());
  }
}

TEST_CASE("a missing store leaves the output incomplete", "[partitioner][checker]") {
  Program p = convolution_program();
  p.commands.pop_back();
  CHECK_THAT(text_of(check(p)), Contains("graph output 'y' is not in DRAM at the end: [6:8,0:8,0:16]"));
}

TEST_CASE("a store that comes twice is found", "[partitioner][checker]") {
  Program p = convolution_program();
  p.commands.push_back(p.commands.back());
  CHECK_THAT(text_of(check(p)), Contains("a part of which has been stored before"));
}

TEST_CASE("graph inputs and constants are read-only", "[partitioner][checker]") {
  Program p = convolution_program();
  p.layout.storages[p.layout.views[3].storage].is_input = true;
  CHECK_THAT(text_of(check(p)), Contains("which is a graph input or constant"));
}

TEST_CASE("data of another storage is no substitute", "[partitioner][checker]") {
  Program p = convolution_program();
  const auto products = commands_of(p, CommandKind::kMatrix);
  operand_of(p, products[0], 0).storage = p.layout.views[3].storage;  // y has the shape of x
  CHECK_FALSE(check(p).empty());

  p = convolution_program();
  const auto loads = commands_of(p, CommandKind::kLoad);
  for (int i = 0; i < 2; ++i) {
    Operand& operand = operand_of(p, loads[2], i);
    operand.storage = p.layout.views[3].storage;
  }
  CHECK_FALSE(check(p).empty());
}

TEST_CASE("a transfer moves one box", "[partitioner][checker]") {
  Program p = convolution_program();
  const auto loads = commands_of(p, CommandKind::kLoad);
  --operand_of(p, loads[2], 0).box.extent[kRow];
  CHECK_THAT(text_of(check(p)), Contains("moves act x"));
}

TEST_CASE("a kernel that computes less than it writes is found", "[partitioner][checker]") {
  const Program clean = convolution_program();
  for (std::size_t b = 0; b < clean.box_pool.size(); ++b) {
    Program p = clean;
    --p.box_pool[b].extent[2];
    CAPTURE(b);
    CHECK_FALSE(check(p).empty());
  }
}

TEST_CASE("work is never free", "[partitioner][checker]") {
  Program p = convolution_program();
  const auto products = commands_of(p, CommandKind::kMatrix);
  p.commands[products[2]].matrix.k -= 1;
  CHECK_THAT(text_of(check(p)), Contains("is charged as"));
  p = convolution_program();
  p.commands[commands_of(p, CommandKind::kVector)[1]].vector = {};
  CHECK_THAT(text_of(check(p)), Contains("operations are charged when the kernel needs"));
}

TEST_CASE("everything stays inside its memory", "[partitioner][checker]") {
  const Program clean = convolution_program();
  std::array<std::int64_t, 3> end{};
  for (const Operand& operand : clean.operand_pool) {
    auto& last = end[static_cast<int>(operand.space)];
    last = std::max(last, footprint_of(operand, std::int64_t{1} << 40).footprint.last);
  }
  Program p = clean;
  p.dram_bytes = end[0];
  p.scratchpad_bytes = end[1];
  p.accumulator_bytes = end[2];
  CHECK(text_of(check(p)).empty());
  --p.dram_bytes;
  CHECK_FALSE(check(p).empty());
  p.dram_bytes = end[0];
  --p.scratchpad_bytes;
  CHECK_FALSE(check(p).empty());
  p.scratchpad_bytes = end[1];
  --p.accumulator_bytes;
  CHECK_FALSE(check(p).empty());
}

TEST_CASE("commands belong to their engines, operands to their memories", "[partitioner][checker]") {
  const Program clean = convolution_program();
  const auto products = commands_of(clean, CommandKind::kMatrix);
  Program p = clean;
  p.commands[products[0]].queue = 0;
  CHECK_THAT(text_of(check(p)), Contains("another kind of engine"));
  p = clean;
  operand_of(p, products[0], 1).space = Space::kDram;
  CHECK_THAT(text_of(check(p)), Contains("in the wrong memory"));
  p = clean;
  operand_of(p, products[0], 1).format = spillway::configs::Format::kFp16;
  CHECK_THAT(text_of(check(p)), Contains("should be fp32"));
  p = clean;
  p.commands[products[0]].kernel = kNone;
  p.commands[products[0]].boxes = 0;
  CHECK_THAT(text_of(check(p)), Contains("has no kernel"));
  p = clean;
  operand_of(p, 0, 0).at.origin += 4;
  CHECK_THAT(text_of(check(p)), Contains("not placed as its storage lies in DRAM"));
}

TEST_CASE("DRAM ranges may be shared only in turn", "[partitioner][checker]") {
  // y may take the place of x only once the last of x has been read; the first stores come before that.
  Program p = convolution_program();
  const StorageId x = p.layout.views[0].storage;
  const StorageId y = p.layout.views[3].storage;
  p.layout.storages[y].dram_address = p.layout.storages[x].dram_address;
  for (Operand& operand : p.operand_pool) {
    if (operand.space == Space::kDram && operand.storage == y) operand.at.origin = p.layout.storages[y].dram_address;
  }
  const auto violations = check(p);
  CHECK(text_of(violations).find("is not there") != std::string::npos);

  // One load, then the output in its place: sound with the wait, a race without.
  Program late = normalisation_program();
  const StorageId a = late.layout.views[0].storage;
  const StorageId b = late.layout.views[2].storage;
  late.layout.storages[b].dram_address = late.layout.storages[a].dram_address;
  for (Operand& operand : late.operand_pool) {
    if (operand.space == Space::kDram && operand.storage == b) operand.at.origin = late.layout.storages[b].dram_address;
  }
  CHECK(text_of(check(late)).empty());
  // The stores on a channel of their own, and the first of them in front of everything.
  late.layout.storages[b].dram_address += 4;
  CHECK_FALSE(check(late).empty());
}

TEST_CASE("statistics are accumulated once and read when complete", "[partitioner][checker]") {
  const Program clean = normalisation_program();
  const auto vectors = commands_of(clean, CommandKind::kVector);
  SECTION("a wrong count of what came before") {
    for (const std::int64_t prior : {0, 7, 9, 16}) {
      Program p = clean;
      p.commands[vectors[1]].prior = prior;
      CHECK_THAT(text_of(check(p)), Contains("has accumulated 8 elements before"));
    }
    Program p = clean;
    p.commands[vectors[0]].prior = 8;
    CHECK_FALSE(check(p).empty());
  }
  SECTION("a part that comes twice") {
    Program p = clean;
    p.box_pool[p.commands[vectors[1]].first_box] = p.box_pool[p.commands[vectors[0]].first_box];
    operand_of(p, vectors[1], 0) = operand_of(p, vectors[0], 0);
    CHECK_THAT(text_of(check(p)), Contains("accumulates a part of"));
  }
  SECTION("used before the last part") {
    Program p = clean;
    std::swap(p.commands[vectors[1]], p.commands[vectors[2]]);
    CHECK_THAT(text_of(check(p)), Contains("is read before node 'NormStatistics_0' has accumulated"));
  }
  SECTION("merged into other bytes") {
    Program p = clean;
    operand_of(p, vectors[1], 1).at.origin += 64;
    CHECK_FALSE(check(p).empty());
  }
}

TEST_CASE("a copy may shift a window down over itself, never up", "[partitioner][checker]") {
  // The first load lands `shift` bytes above its place and a copy moves it there.
  const auto shifted = [](std::int64_t shift) {
    Program p = concat_program();
    Command copy = p.commands[0];
    copy.kind = CommandKind::kCopy;
    copy.first_operand = static_cast<std::uint32_t>(p.operand_pool.size());
    Operand above = operand_of(p, 0, 1);
    above.at.origin += shift;
    p.operand_pool.push_back(above);
    p.operand_pool.push_back(operand_of(p, 0, 1));
    operand_of(p, 0, 1) = above;
    p.commands.insert(p.commands.begin() + 1, copy);
    ++p.wait_pool.back().count;
    for (Operand& operand : p.operand_pool) {
      if (operand.space == Space::kScratchpad) operand.at.origin += 64;
    }
    return check(p);
  };
  CHECK(shifted(16).empty());
  CHECK_THAT(text_of(shifted(-16)), Contains("operands share bytes"));
}

TEST_CASE("a Concat's copies go where the node says", "[partitioner][checker]") {
  const Program clean = concat_program();
  const auto copies = commands_of(clean, CommandKind::kCopy);
  SECTION("another place in the output") {
    Program p = clean;
    Operand& piece = operand_of(p, copies[0], 1);
    ++piece.box.begin[piece.box.rank == 3 && piece.box.extent[2] == 4 ? 2 : 0];
    CHECK_FALSE(check(p).empty());
    p.box_pool[p.commands[copies[0]].first_box].begin[1] += 1;  // and the box says the same: not what Concat does
    CHECK_FALSE(check(p).empty());
  }
  SECTION("one piece missing") {
    Program p = clean;
    p.commands[copies[1]] = p.commands[copies[0]];
    CHECK_FALSE(check(p).empty());
  }
  SECTION("a copy over its own source") {
    Program p = clean;
    operand_of(p, copies[0], 0).at = operand_of(p, copies[0], 1).at;
    CHECK_FALSE(check(p).empty());
  }
}

TEST_CASE("references that lead nowhere are one violation, not a crash", "[partitioner][checker]") {
  const Program clean = convolution_program();
  const auto broken = [&](auto mutate) {
    Program p = clean;
    mutate(p);
    return check(p).size() == 1;
  };
  CHECK(broken([](Program& p) { p.operand_pool[3].storage = 99; }));
  CHECK(broken([](Program& p) { p.operand_pool[3].box.rank = 2; }));
  CHECK(broken([](Program& p) { p.commands[2].first_operand = 1000000; }));
  CHECK(broken([](Program& p) { p.commands[3].kernel = 12; }));
  CHECK(broken([](Program& p) { p.kernels[0].steps[0].node = 5; }));
  CHECK(broken([](Program& p) { p.kernels[0].steps[0].inputs[0].index = 17; }));
  CHECK(broken([](Program& p) { p.commands[1].queue = 9; }));
  CHECK(broken([](Program& p) { p.wait_pool[0].queue = -1; }));
  CHECK(broken([](Program& p) { p.layout.views.pop_back(); }));
}

TEST_CASE("the limit bounds the list and never hides that there is one", "[partitioner][checker]") {
  Program p = convolution_program();
  p.wait_pool.assign(p.wait_pool.size(), Wait{0, 1});
  CHECK(check(p, 0).size() == 1);
  CHECK(check(p, 3).size() == 3);
  CHECK(check(p, 100).size() > 3);
}
