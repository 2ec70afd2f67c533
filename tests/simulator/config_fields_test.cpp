// Does every field of the config that the simulator reads move a number? Each row: the field, how it is changed, which
// number moves, and which way.
#include <catch2/catch.hpp>
#include <cmath>
#include <functional>

#include "program_builder.h"

namespace spillway::simulator::test {

namespace {

configs::NpuConfig base_npu() {
  auto npu = small_npu();
  npu.dram.channels = 2;
  npu.dram.channel_bits = 32;
  npu.dram.trefi_ns = 2000;
  return npu;
}

/// A bit of everything, one thing after the other so that each shows: streaming and scattered loads from the same and
/// other banks, both directions, several ragged folds, all vector classes, port-bound vector work, a copy, both
/// directions at once.
partitioner::Program everything(const configs::NpuConfig& npu) {
  ProgramBuilder b(npu);
  const StorageId x = b.storage("x", 256 * 1024), y = b.storage("y", 64 * 1024), c = b.storage("c", 480);
  std::vector<Wait> last;
  const auto next = [&](int command) { last = {b.done(command)}; };
  next(b.load(0, x, 0, 100'000, last));
  for (int i = 0; i < 8; ++i) next(b.load(0, x, -i * 4096, 64, last, i * 4096));
  Operand strided = b.in_dram(x, 0, 256 * 1024);  // 64 runs of 64 bytes
  b.program.layout.storages.push_back(b.program.layout.storages[static_cast<std::size_t>(x)]);
  auto& view = b.program.layout.storages.back();
  view.rank = 2;
  view.extent = {64, 4096};
  strided.storage = static_cast<StorageId>(b.program.layout.storages.size()) - 1;
  strided.box.rank = 2;
  strided.box.set(0, 0, 64);
  strided.box.set(1, 0, 64);
  strided.at.stride = {4096, 1};
  Operand packed = strided;
  packed.space = Space::kScratchpad;
  packed.at.origin = 0;
  packed.at.stride = {64, 1};
  next(b.add(CommandKind::kLoad, 0, {strided, packed}, last));
  next(b.matrix(
      {.m = 20, .n = 12, .k = 20, .batch = 2},
      {b.in_scratchpad(x, 0, 0, 400), b.in_scratchpad(x, 0, 1000, 240), b.operand(Space::kAccumulator, c, 0, 0, 480)},
      last));
  for (int op = 0; op < configs::kVectorOpCount; ++op) {
    configs::VectorWork work{};
    work[static_cast<std::size_t>(op)] = 5000;
    next(b.vector(work, {b.in_scratchpad(x, 0, 0, 64), b.in_scratchpad(y, 300'000, 0, 64)}, last));
  }
  next(b.vector(additions(16), {b.in_scratchpad(x, 0, 0, 60'000), b.in_scratchpad(y, 300'000, 0, 60'000)}, last));
  next(b.add(CommandKind::kCopy, 0, {b.in_scratchpad(y, 300'000, 0, 60'000), b.in_scratchpad(y, 400'000, 0, 60'000)},
             last));
  next(b.store(1, y, 300'000, 60'000, last));
  const std::vector<Wait> before = last;
  next(b.load(0, x, 0, 10'000, before));  // beside the store
  b.store(1, y, 300'000, 10'000, before);
  b.program.precision.weight = configs::Format::kInt8;
  return b.program;
}

struct Row {
  const char* field;
  std::function<void(configs::NpuConfig&)> change;
  std::function<double(const Result&)> number;
  int direction;  // +1: it grows
};

double cycles(const Result& r) { return static_cast<double>(r.cycles); }
double energy(const Result& r) { return r.energy.total_pj(); }

std::vector<Row> rows() {
  using N = configs::NpuConfig;
  const auto int8 = static_cast<std::size_t>(configs::Format::kInt8);
  std::vector<Row> rows = {
      {"clock: DRAM nanoseconds are more cycles", [](N& n) { n.clock_hz *= 2; }, cycles, +1},
      {"clock: static energy lasts less", [](N& n) { n.clock_hz *= 2; }, [](auto& r) { return r.energy.static_pj; },
       -1},
      {"matrix.rows", [](N& n) { n.matrix.rows = 4; }, cycles, +1},
      {"matrix.cols", [](N& n) { n.matrix.cols = 4; }, cycles, +1},
      {"matrix.shadow_weights", [](N& n) { n.matrix.shadow_weights = true; }, cycles, -1},
      {"matrix.rate", [=](N& n) { n.matrix.rate[int8] = 0.5; }, cycles, +1},
      {"matrix.issue_cycles", [](N& n) { n.matrix.issue_cycles += 7; }, cycles, +1},
      {"vector.lanes", [](N& n) { n.vector.lanes *= 2; }, cycles, -1},
      {"vector.issue_cycles", [](N& n) { n.vector.issue_cycles += 7; }, cycles, +1},
      {"scratchpad.banks", [](N& n) { n.scratchpad.banks *= 2; }, cycles, -1},
      {"scratchpad.bank_port", [](N& n) { n.scratchpad.bank_port_bytes /= 2; }, cycles, +1},
      {"interconnect.bandwidth", [](N& n) { n.interconnect.bytes_per_cycle = 4; }, cycles, +1},
      {"interconnect.latency_cycles", [](N& n) { n.interconnect.latency_cycles += 5; }, cycles, +1},
      {"dma.descriptor_cycles", [](N& n) { n.dma.descriptor_cycles += 5; }, cycles, +1},
      {"dma.max_burst", [](N& n) { n.dma.max_burst = 32; }, cycles, +1},
      {"dma.outstanding", [](N& n) { n.dma.outstanding = 1; }, cycles, +1},
      {"dram.channels", [](N& n) { n.dram.channels = 1; }, cycles, +1},
      {"dram.channel_bits", [](N& n) { n.dram.channel_bits = 16; }, cycles, +1},
      {"dram.data_rate", [](N& n) { n.dram.data_rate_mtps /= 2; }, cycles, +1},
      {"dram.burst_length", [](N& n) { n.dram.burst_length *= 16; }, [](auto& r) { return double(r.dram.burst_bytes); },
       +1},
      {"dram.banks", [](N& n) { n.dram.banks = 1; }, cycles, +1},
      {"dram.row_size", [](N& n) { n.dram.row_bytes = 128; }, [](auto& r) { return double(r.dram.row_misses); }, +1},
      {"dram.trcd", [](N& n) { n.dram.trcd_ns += 10; }, cycles, +1},
      {"dram.trp", [](N& n) { n.dram.trp_ns += 10; }, cycles, +1},
      {"dram.tcl", [](N& n) { n.dram.tcl_ns += 10; }, cycles, +1},
      {"dram.tras", [](N& n) { n.dram.tras_ns += 200; }, cycles, +1},
      {"dram.twtr", [](N& n) { n.dram.twtr_ns += 200; }, cycles, +1},
      {"dram.trtw", [](N& n) { n.dram.trtw_ns += 500; }, cycles, +1},
      {"dram.trfc", [](N& n) { n.dram.trfc_ns += 500; }, cycles, +1},
      {"dram.trefi", [](N& n) { n.dram.trefi_ns /= 2; }, [](auto& r) { return double(r.dram.refreshes); }, +1},
      {"energy.mac", [=](N& n) { n.energy.mac_pj[int8] *= 2; }, [](auto& r) { return r.energy.mac_pj; }, +1},
      {"energy.scratchpad", [](N& n) { n.energy.scratchpad_pj_per_byte *= 2; }, energy, +1},
      {"energy.accumulator", [](N& n) { n.energy.accumulator_pj_per_byte *= 2; }, energy, +1},
      {"energy.dram", [](N& n) { n.energy.dram_pj_per_byte *= 2; }, energy, +1},
      {"energy.static_power", [](N& n) { n.energy.static_mw *= 2; }, energy, +1},
  };
  for (std::size_t op = 0; op < configs::kVectorOpCount; ++op) {
    rows.push_back({"vector.rate", [=](N& n) { n.vector.rate[op] = 0.25; }, cycles, +1});
    rows.push_back({"energy.vector_op", [=](N& n) { n.energy.vector_op_pj[op] *= 2; }, energy, +1});
  }
  return rows;
}

}  // namespace

TEST_CASE("every field of the config that the simulator reads moves its number", "[simulator][config]") {
  const auto npu = base_npu();
  const auto program = everything(npu);
  const Result before = simulate(program, npu);
  for (const Row& row : rows()) {
    auto changed = npu;
    row.change(changed);
    const Result after = simulate(program, changed);
    CAPTURE(row.field, row.number(before), row.number(after));
    if (row.direction > 0) {
      CHECK(row.number(after) > row.number(before));
    } else {
      CHECK(row.number(after) < row.number(before));
    }
  }
}

TEST_CASE("the operands' formats choose the array's rate and the energy of a MAC", "[simulator][config]") {
  auto npu = base_npu();
  constexpr auto kOther = configs::Format::kFp8E4M3;  // of the same size
  npu.matrix.rate[static_cast<std::size_t>(kOther)] = 0.25;
  npu.energy.mac_pj[static_cast<std::size_t>(kOther)] = 4;
  auto program = everything(npu);
  const Result int8 = simulate(program, npu);
  const auto operands_in = [&](std::uint32_t count) {
    for (const auto& command : program.commands) {
      if (command.kind != partitioner::CommandKind::kMatrix) continue;
      for (std::uint32_t i = 0; i < count; ++i) program.operand_pool[command.first_operand + i].format = kOther;
    }
    return simulate(program, npu);
  };
  const Result mixed = operands_in(1);
  const Result both = operands_in(2);
  CHECK(mixed.cycles > int8.cycles);
  CHECK(both.cycles > mixed.cycles);
  CHECK(both.energy.mac_pj == Approx(8 * int8.energy.mac_pj));
  CHECK(mixed.energy.mac_pj == Approx(std::sqrt(8.0) * int8.energy.mac_pj));
}

TEST_CASE("more engines of a kind share work given to their queues", "[simulator][config]") {
  auto npu = base_npu();
  npu.vector.count = 2;
  ProgramBuilder b(npu);
  const StorageId x = b.storage("x", 64);
  const Operand o = b.in_scratchpad(x, 0, 0, 64);
  b.vector(additions(16'000), {o, o}, {}, 0);
  b.vector(additions(16'000), {o, o}, {}, 1);
  CHECK(simulate(b.program, npu).cycles == 2 + 5 + 1000);
}

}  // namespace spillway::simulator::test
