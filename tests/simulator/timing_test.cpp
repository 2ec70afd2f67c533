// Does every command take what its closed form says? Cycles are derived term by term beside each check.
#include <catch2/catch.hpp>
#include <numeric>

#include "program_builder.h"

namespace spillway::simulator::test {

namespace {

/// What must hold of any result.
void check_accounts(const Result& result) {
  Cycles bound = std::accumulate(result.bound_by.begin(), result.bound_by.end(), Cycles{0});
  CHECK(bound == result.cycles);
  for (const EngineUse& engine : result.engines) {
    CAPTURE(engine.name);
    CHECK(engine.busy + std::accumulate(engine.waiting.begin(), engine.waiting.end(), Cycles{0}) == result.cycles);
    for (const Cycles waited : engine.waiting) CHECK(waited >= 0);
  }
  Cycles critical = 0;
  double energy = 0;
  for (const GroupUse& group : result.groups) {
    critical += group.critical;
    energy += group.energy_pj;
    CHECK(std::accumulate(group.bound.begin(), group.bound.end(), Cycles{0}) == group.critical);
  }
  CHECK(critical == result.cycles);
  CHECK(energy == Approx(result.energy.total_pj()));
}

struct Operands {
  explicit Operands(ProgramBuilder& b)
      : a(b.in_scratchpad(b.storage("a", 160), 0, 0, 160)),
        w(b.in_scratchpad(b.storage("w", 64, StorageClass::kWeight), 1024, 0, 64)),
        c(b.operand(Space::kAccumulator, b.storage("c", 160), 0, 0, 160)) {}
  Operand a, w, c;
};

}  // namespace

TEST_CASE("one matrix command: fetch, issue, one fold", "[simulator][timing]") {
  const auto npu = small_npu();
  ProgramBuilder b(npu);
  const Operands o(b);
  b.matrix({.m = 20, .n = 8, .k = 8}, {o.a, o.w, o.c});
  const Result r = simulate(b.program, npu);
  // fetched at 1; issue 10; M + 2R + C - 2 = 20 + 16 + 8 - 2 = 42
  CHECK(r.commands[0].start == 1);
  CHECK(r.cycles == 1 + 10 + 42);
  CHECK(r.macs == 20 * 8 * 8);
  CHECK(share(r, Cause::kDescriptor) == 1);
  CHECK(share(r, Cause::kMatrix) == 52);
  CHECK(r.matrix_cycles.total() == 52);
  check_accounts(r);
}

TEST_CASE("vector commands are bound by lanes or by the scratchpad port", "[simulator][timing]") {
  const auto npu = small_npu();
  ProgramBuilder b(npu);
  const StorageId x = b.storage("x", 3200), y = b.storage("y", 3200);
  SECTION("lanes") {
    b.vector(additions(160), {b.in_scratchpad(x, 0, 0, 64), b.in_scratchpad(y, 4096, 0, 64)});
    const Result r = simulate(b.program, npu);
    CHECK(r.cycles == 1 + 5 + 160 / 16);
    CHECK(share(r, Cause::kVector) == 15);
    check_accounts(r);
  }
  SECTION("port") {
    b.vector(additions(160), {b.in_scratchpad(x, 0, 0, 3200), b.in_scratchpad(y, 4096, 0, 3200)});
    const Result r = simulate(b.program, npu);
    CHECK(r.cycles == 1 + 5 + 6400 / 64);
    CHECK(share(r, Cause::kPort) == 100 - 10);
    CHECK(share(r, Cause::kVector) == 15);
    CHECK(r.scratchpad_read == 3200);
    CHECK(r.scratchpad_written == 3200);
    check_accounts(r);
  }
}

TEST_CASE("a load of one DRAM row: descriptor, latency, activation, bursts", "[simulator][timing][dma]") {
  auto npu = small_npu();
  ProgramBuilder b(npu);
  const StorageId s = b.storage("s", 1024);
  b.load(0, s, 0, 1024);
  // descriptor until 31; first of four 256-byte requests reaches the DRAM at 31 + 20; tRCD + tCL = 20; 16 cycles each
  constexpr Cycles kArrival = 1 + 30 + 20;
  SECTION("bound by DRAM") {
    const Result r = simulate(b.program, npu);
    CHECK(r.cycles == kArrival + 20 + 4 * 16);
    CHECK(share(r, Cause::kDescriptor) == 1 + 30);
    CHECK(share(r, Cause::kPort) == 20);
    CHECK(share(r, Cause::kDram) == 20 + 4 * 16);
    CHECK(r.moves.read[static_cast<int>(StorageClass::kActivation)] == 1024);
    CHECK(r.moves.read_elements[static_cast<int>(StorageClass::kActivation)] == 1024);
    CHECK(r.dram.row_misses == 1);
    CHECK(r.dram.row_hits == 15);
    CHECK(r.dram.burst_bytes == 1024);
    CHECK(r.dram.busy == 64);
    check_accounts(r);
  }
  SECTION("one request in flight: each waits for the one before") {
    npu.dma.outstanding = 1;
    const Result r = simulate(b.program, npu);
    // the others find their row open: latency 20, tCL 10, data 16
    CHECK(r.cycles == kArrival + 20 + 16 + 3 * (20 + 10 + 16));
    check_accounts(r);
  }
  SECTION("bound by the interconnect") {
    npu.interconnect.bytes_per_cycle = 8;  // 32 cycles a request, from its arrival
    const Result r = simulate(b.program, npu);
    CHECK(r.cycles == kArrival + 4 * 32);
    CHECK(share(r, Cause::kDram) == 20 + 16);  // the first request's data come later than the link would
    CHECK(share(r, Cause::kPort) == 20 + (4 * 32 - 36));
    check_accounts(r);
  }
  SECTION("bound by the scratchpad port") {
    npu.scratchpad.banks = 1;
    npu.scratchpad.bank_port_bytes = 4;  // 64 cycles a request
    const Result r = simulate(b.program, npu);
    CHECK(r.cycles == kArrival + 4 * 64);
    CHECK(share(r, Cause::kPort) == 20 + 4 * 64);
    check_accounts(r);
  }
}

TEST_CASE("a store takes the same way back, and turning the bus around costs", "[simulator][timing][dma]") {
  const auto npu = small_npu();
  ProgramBuilder b(npu);
  const StorageId s = b.storage("s", 1024);
  const int load = b.load(0, s, 0, 1024);
  b.store(1, s, 0, 1024, {b.done(load)});
  const Result r = simulate(b.program, npu);
  CHECK(r.commands[1].start == r.commands[0].end);
  // the row is still open: descriptor 30, latency 20, tCL 10 (longer than tRTW 7), data 64
  CHECK(r.commands[1].end - r.commands[1].start == 30 + 20 + 10 + 64);
  CHECK(r.dram.turnarounds == 1);
  CHECK(r.moves.written[static_cast<int>(StorageClass::kActivation)] == 1024);
  CHECK(r.commands[1].wait == Cause::kDram);
  check_accounts(r);
}

TEST_CASE("a copy inside the scratchpad uses both paths and the port twice", "[simulator][timing][dma]") {
  const auto npu = small_npu();
  ProgramBuilder b(npu);
  const StorageId s = b.storage("s", 1024);
  b.add(CommandKind::kCopy, 0, {b.in_scratchpad(s, 0, 0, 1024), b.in_scratchpad(s, 2048, 0, 1024)}, {});
  const Result r = simulate(b.program, npu);
  // four requests, each 256 / 64 port cycles in and out; the 8 cycles of the interconnect paths run beside
  CHECK(r.cycles == 1 + 30 + 20 + 4 * (4 + 4));
  CHECK(r.moves == partitioner::Moves{});
  CHECK(r.dram.burst_bytes == 0);
  check_accounts(r);
}

TEST_CASE("a gather fetches one row of the table for each index", "[simulator][timing][dma]") {
  const auto npu = small_npu();
  ProgramBuilder b(npu);
  const StorageId ids = b.storage("ids", 8), table = b.storage("table", 64000, StorageClass::kWeight);
  const StorageId out = b.storage("out", 512);
  b.add(CommandKind::kGather, 0,
        {b.in_scratchpad(ids, 0, 0, 8), b.in_dram(table, 0, 64000), b.in_scratchpad(out, 64, 0, 512)}, {});
  const Result r = simulate(b.program, npu);
  CHECK(r.moves.read[static_cast<int>(StorageClass::kWeight)] == 512);
  CHECK(r.moves.read_elements[static_cast<int>(StorageClass::kWeight)] == 512);
  CHECK(r.dram.burst_bytes == 512);  // eight rows of one burst each
  CHECK(r.dram.row_hits + r.dram.row_misses == 8);
  check_accounts(r);
}

TEST_CASE("double buffering overlaps because the tokens say so", "[simulator][timing]") {
  const auto npu = small_npu();
  const auto run = [&](bool two_slots) {
    ProgramBuilder b(npu);
    const StorageId x = b.storage("x", 2048), y = b.storage("y", 64);
    const Operand out = b.in_scratchpad(y, 8192, 0, 64);
    const int load0 = b.load(0, x, 0, 1024);
    const int compute0 = b.vector(additions(16000), {b.in_scratchpad(x, 0, 0, 1024), out}, {b.done(load0)});
    // the second half goes into its own slot at once, or into the first when that has been read
    const std::vector<Wait> slot_free = two_slots ? std::vector<Wait>{} : std::vector<Wait>{b.done(compute0)};
    const int load1 = b.load(0, x, two_slots ? 1024 : -1024, 1024, slot_free, 1024);
    b.vector(additions(16000), {b.in_scratchpad(x, two_slots ? 1024 : -1024, 1024, 1024), out}, {b.done(load1)});
    return simulate(b.program, npu);
  };
  const Result overlapped = run(true), serial = run(false);
  // load of one row until 135; then two computations of 5 + 1000
  CHECK(overlapped.cycles == 135 + 2 * 1005);
  const Cycles second_load = serial.commands[2].end - serial.commands[2].start;
  CHECK(serial.cycles == overlapped.cycles + second_load);
  CHECK(serial.commands[2].wait == Cause::kVector);
  CHECK(serial.commands[3].wait == Cause::kDram);
  CHECK(share(serial, Cause::kVector) == 2 * 1005);
  check_accounts(overlapped);
  check_accounts(serial);
}

TEST_CASE("the critical path goes through the latest of several waits", "[simulator][timing]") {
  const auto npu = small_npu();
  ProgramBuilder b(npu);
  b.program.group_names = {"first", "second"};
  const Operands o(b);
  const StorageId x = b.storage("x", 64);
  const Operand small = b.in_scratchpad(x, 4096, 0, 64);
  const int product = b.matrix({.m = 200, .n = 8, .k = 8}, {o.a, o.w, o.c});  // 1 .. 1 + 10 + 222
  const int load = b.load(0, x, 4096, 64);                                    // 2 .. shorter
  b.group = 1;
  b.vector(additions(160), {small, small}, {b.done(load), b.done(product)});
  const Result r = simulate(b.program, npu);
  CHECK(r.commands[2].start == 233);
  CHECK(r.commands[2].wait == Cause::kMatrix);
  CHECK(share(r, Cause::kMatrix) == 232);
  CHECK(share(r, Cause::kVector) == 15);
  CHECK(share(r, Cause::kDram) == 0);
  CHECK(r.groups[0].critical == 233);
  CHECK(r.groups[1].critical == 15);
  CHECK(r.groups[0].dma_busy > 0);
  CHECK(r.groups[1].first_start == 233);
  CHECK(r.groups[1].last_end == r.cycles);
  // vector0 waited for fetch until 3, then for the product
  const EngineUse& vector = r.engines[3];
  CHECK(vector.name == "vector0");
  CHECK(waiting(vector, Cause::kDescriptor) == 3);
  CHECK(waiting(vector, Cause::kMatrix) == 230);
  CHECK(waiting(r.engines[1], Cause::kIdle) == r.cycles);  // dma1 had nothing to do
  check_accounts(r);
}

TEST_CASE("a full queue stops fetch but no legal program", "[simulator][timing]") {
  const auto npu = small_npu();
  ProgramBuilder b(npu);
  const StorageId x = b.storage("x", 64);
  const Operand o = b.in_scratchpad(x, 0, 0, 64);
  // 100 loads, each waiting for the first computation; then a computation that could start at once
  const int first = b.vector(additions(16000), {o, o});
  for (int i = 0; i < 100; ++i) b.load(0, x, 0, 64, {b.done(first)});
  b.load(1, x, 0, 64);
  const Result r = simulate(b.program, npu);
  // fetch holds 32 loads until the computation ends at 1006; then as each starts, another is fetched
  CHECK(r.commands[101].start > 1006);
  CHECK(waiting(r.engines[1], Cause::kDependency) > 1006);
  CHECK(waiting(r.engines[1], Cause::kDescriptor) <= 2);
  check_accounts(r);
}

TEST_CASE("two channels share the DRAM and both make progress", "[simulator][timing][dma]") {
  const auto npu = small_npu();
  ProgramBuilder b(npu);
  const StorageId x = b.storage("x", 64 * 1024), y = b.storage("y", 64 * 1024);
  b.load(0, x, 0, 64 * 1024);
  b.load(1, y, 64 * 1024, 64 * 1024);
  const Result r = simulate(b.program, npu);
  CHECK(r.dram.burst_bytes == 128 * 1024);
  CHECK(r.cycles >= 128 * 1024 / 16);  // never faster than 16 bytes a cycle
  CHECK(std::abs(r.commands[0].end - r.commands[1].end) < r.cycles / 10);
  check_accounts(r);
}

TEST_CASE("the same program gives the same result every time", "[simulator][timing]") {
  const auto npu = small_npu();
  ProgramBuilder b(npu);
  const StorageId x = b.storage("x", 40000), y = b.storage("y", 40000);
  for (int i = 0; i < 20; ++i) {
    const int l = b.load(i % 2, i % 2 == 0 ? x : y, 0, 1000 + 37 * i);
    b.vector(additions(500), {b.in_scratchpad(x, 0, 0, 64), b.in_scratchpad(y, 50000, 0, 64)}, {b.done(l)});
  }
  const Result one = simulate(b.program, npu), two = simulate(b.program, npu);
  REQUIRE(one.commands.size() == two.commands.size());
  for (std::size_t c = 0; c < one.commands.size(); ++c) {
    CHECK(one.commands[c].start == two.commands[c].start);
    CHECK(one.commands[c].end == two.commands[c].end);
  }
  CHECK(one.dram.row_hits == two.dram.row_hits);
  check_accounts(one);
}

TEST_CASE("an empty program takes no time", "[simulator][timing]") {
  const auto npu = small_npu();
  const ProgramBuilder b(npu);
  const Result r = simulate(b.program, npu);
  CHECK(r.cycles == 0);
  CHECK(r.energy.total_pj() == 0);
}

}  // namespace spillway::simulator::test
