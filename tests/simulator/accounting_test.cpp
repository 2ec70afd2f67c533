// Energy, traffic and occupancy against sums worked out by hand.
#include <catch2/catch.hpp>

#include "program_builder.h"

namespace spillway::simulator::test {

TEST_CASE("energy is counts times the table", "[simulator][energy]") {
  auto npu = small_npu();
  npu.energy.scratchpad_pj_per_byte = 2;
  npu.energy.accumulator_pj_per_byte = 3;
  npu.energy.dram_pj_per_byte = 40;
  npu.energy.static_mw = 100;
  npu.energy.vector_op_pj[static_cast<std::size_t>(configs::VectorOp::kExp)] = 7;
  ProgramBuilder b(npu);
  const StorageId a = b.storage("a", 320), w = b.storage("w", 320, StorageClass::kWeight), c = b.storage("c", 320);
  const int load = b.load(0, a, 0, 320);
  // m 16, n 20, k 20 on 8 x 8: three folds along the columns, three along the contraction
  const int product = b.matrix(
      {.m = 16, .n = 20, .k = 20},
      {b.in_scratchpad(a, 0, 0, 320), b.in_scratchpad(w, 512, 0, 320), b.operand(Space::kAccumulator, c, 0, 0, 320)},
      {b.done(load)});
  configs::VectorWork work{};
  work[static_cast<std::size_t>(configs::VectorOp::kExp)] = 320;
  const int drain = b.vector(work, {b.operand(Space::kAccumulator, c, 0, 0, 320), b.in_scratchpad(c, 1024, 0, 320)},
                             {b.done(product)});
  b.store(1, c, 1024, 320, {b.done(drain)});
  const Result r = simulate(b.program, npu);
  CHECK(r.energy.mac_pj == Approx(16 * 20 * 20 * 0.5));
  CHECK(r.energy.vector_pj == Approx(320 * 7));
  // load writes 320; the product reads a three times and w once; the drain writes 320; the store reads 320
  CHECK(r.scratchpad_written == 320 + 320);
  CHECK(r.scratchpad_read == 3 * 320 + 320 + 320);
  CHECK(r.energy.scratchpad_pj == Approx((640 + 1600) * 2));
  // partial sums written three times, read back twice, drained once
  CHECK(r.energy.accumulator_pj == Approx(320 * 6 * 3));
  CHECK(r.energy.dram_pj == Approx(2 * 320 * 40));                           // 320 bytes are five whole bursts
  CHECK(r.energy.static_pj == Approx(static_cast<double>(r.cycles) * 100));  // 100 mW at 1 GHz: 100 pJ a cycle
  CHECK(r.vector_ops == work);
}

TEST_CASE("moves are elements and their bytes by class, bursts apart", "[simulator][moves]") {
  const auto npu = small_npu();
  ProgramBuilder b(npu);
  b.program.group_names = {"g0", "g1"};
  const StorageId w = b.storage("w", 1000, StorageClass::kWeight), p = b.storage("p", 1000, StorageClass::kParameter);
  b.load(0, w, 0, 10);
  b.group = 1;
  b.load(0, p, 0, 20);
  b.store(1, p, 0, 30);
  const Result r = simulate(b.program, npu);
  CHECK(r.moves.of(StorageClass::kWeight) == 10);
  CHECK(r.moves.read[static_cast<int>(StorageClass::kParameter)] == 20);
  CHECK(r.moves.written[static_cast<int>(StorageClass::kParameter)] == 30);
  CHECK(r.moves.of(StorageClass::kActivation) == 0);
  CHECK(r.dram.burst_bytes == 3 * 64);
  CHECK(r.groups[0].moves.total() == 10);
  CHECK(r.groups[1].moves.total() == 50);
}

TEST_CASE("scratchpad bytes are live from their write to their last read", "[simulator][occupancy]") {
  const auto npu = small_npu();
  ProgramBuilder b(npu);
  const StorageId x = b.storage("x", 1000), y = b.storage("y", 600), z = b.storage("z", 100);
  const Operand in_x = b.in_scratchpad(x, 0, 0, 1000), in_y = b.in_scratchpad(y, 2000, 0, 600);
  SECTION("input and output of a command live together") {
    const int load = b.load(0, x, 0, 1000);
    const int compute = b.vector(additions(10), {in_x, in_y}, {b.done(load)});
    b.vector(additions(10), {in_y, b.in_scratchpad(z, 0, 0, 100)}, {b.done(compute)});
    // x 1000 + y 600 while the first runs; then y 600 + z 100
    CHECK(simulate(b.program, npu).peak_scratchpad == 1600);
  }
  SECTION("overwritten bytes are counted once") {
    int last = b.load(0, x, 0, 1000);
    for (int i = 0; i < 3; ++i) {
      const int compute = b.vector(additions(10), {in_x, in_x}, {b.done(last)});
      last = b.load(0, x, 0, 1000, {b.done(compute)});
    }
    CHECK(simulate(b.program, npu).peak_scratchpad == 1000);
  }
  SECTION("two halves written apart and read together") {
    const int first = b.load(0, x, 0, 500);
    const int second = b.load(1, x, 0, 500, {}, 500);
    b.vector(additions(10), {in_x, b.in_scratchpad(x, 0, 0, 1)}, {b.done(first), b.done(second)});
    const Result r = simulate(b.program, npu);
    CHECK(r.peak_scratchpad == 1000);
  }
}

TEST_CASE("activations in DRAM are live from first store to last load", "[simulator][occupancy]") {
  const auto npu = small_npu();
  ProgramBuilder b(npu);
  const StorageId in = b.storage("in", 100), mid = b.storage("mid", 1000), out = b.storage("out", 10);
  const StorageId w = b.storage("w", 5000, StorageClass::kWeight);
  b.program.layout.storages[static_cast<std::size_t>(in)].is_input = true;
  b.program.layout.storages[static_cast<std::size_t>(out)].is_output = true;
  const int l0 = b.load(0, in, 0, 100);
  const int lw = b.load(0, w, 10'000, 5000, {b.done(l0)});
  const int s0 = b.store(1, mid, 2000, 1000, {b.done(lw)});
  const int l1 = b.load(0, mid, 2000, 1000, {b.done(s0)});
  b.store(1, out, 4000, 10, {b.done(l1)});
  const Result r = simulate(b.program, npu);
  // `in` ends with its load, before `mid` is stored; `out` begins after `mid`'s load; weights do not count
  CHECK(r.peak_dram_activation == 1000);
  CHECK(r.working_buffer >= r.peak_dram_activation);
  CHECK(r.peak_scratchpad == 5000);  // nothing reads the weights: live while they are loaded
}

TEST_CASE("the peak names the group that reached it", "[simulator][occupancy]") {
  const auto npu = small_npu();
  ProgramBuilder b(npu);
  b.program.group_names = {"small", "large"};
  const StorageId x = b.storage("x", 1000);
  const int first = b.load(0, x, 0, 10);
  b.group = 1;
  b.load(0, x, 0, 1000, {b.done(first)});
  CHECK(simulate(b.program, npu).peak_group == 1);
}

}  // namespace spillway::simulator::test
