// Every expected cycle count is derived by hand in the test.
#include "configs/timing.h"

#include "tests/configs/expect_error.h"

namespace spillway::configs {
namespace {

MatrixConfig array(int rows, int cols, bool shadow) {
  MatrixConfig m;
  m.rows = rows;
  m.cols = cols;
  m.shadow_weights = shadow;
  m.issue_cycles = 0;
  m.rate.fill(0);
  m.rate[static_cast<int>(Format::kInt8)] = 1;
  m.rate[static_cast<int>(Format::kFp16)] = 0.5;
  m.rate[static_cast<int>(Format::kFp32)] = 0.25;
  m.rate[static_cast<int>(Format::kBf16)] = 1.0 / 3;
  m.rate[static_cast<int>(Format::kFp8E4M3)] = 2;
  return m;
}

TEST_CASE("one fold of a weight-stationary array", "[configs][timing]") {
  // preload 8 + stream 8 + skew 8 + 8 - 2  =  30 = M + 2R + C - 2
  const MatrixCycles c = matrix_cycles(array(8, 8, false), {.m = 8, .n = 8, .k = 8}, Format::kInt8);
  CHECK(c.total() == 30);
  CHECK(c.ideal == 8);  // 512 macs on 64 cells
  CHECK(c.padding == 0);
  CHECK(c.fill == 22);
  // One fold has nothing to overlap with: shadow weights do not help it.
  CHECK(matrix_cycles(array(8, 8, true), {.m = 8, .n = 8, .k = 8}, Format::kInt8).total() == 30);
}

TEST_CASE("folds repeat the whole cost without shadow weights", "[configs][timing]") {
  // k 24 = 3 folds of 8, n 16 = 4 folds of 4; each 100 + 2 * 8 + 4 - 2 = 118; 12 * 118 = 1416
  const MatrixCycles c = matrix_cycles(array(8, 4, false), {.m = 100, .n = 16, .k = 24}, Format::kInt8);
  CHECK(c.total() == 1416);
  CHECK(c.ideal == 1200);  // 100 * 16 * 24 / 32
  CHECK(c.padding == 0);
  CHECK(c.fill == 216);
}

TEST_CASE("shadow weights hide every preload but the first", "[configs][timing]") {
  // 8 + 12 * max(100, 8) + (8 + 4 - 2) = 1218
  CHECK(matrix_cycles(array(8, 4, true), {.m = 100, .n = 16, .k = 24}, Format::kInt8).total() == 1218);
  // Few rows: the preload of the next fold is the longer. 8 + 12 * max(3, 8) + 10 = 114; streamed 12 * 3 = 36
  const MatrixCycles c = matrix_cycles(array(8, 4, true), {.m = 3, .n = 16, .k = 24}, Format::kInt8);
  CHECK(c.total() == 114);
  CHECK(c.ideal == 36);
  CHECK(c.fill == 78);
}

TEST_CASE("ragged folds are padding", "[configs][timing]") {
  // k 9 needs 2 folds of 8, n 5 needs 2 of 4: 4 folds stream 4 * 10 = 40; useful 10 * 9 * 5 / 32 = 14.06 -> 15
  const MatrixCycles c = matrix_cycles(array(8, 4, true), {.m = 10, .n = 5, .k = 9}, Format::kInt8);
  CHECK(c.ideal == 15);
  CHECK(c.padding == 25);
  CHECK(c.total() == 8 + 4 * 10 + 10);
}

TEST_CASE("batched products are folds of their own", "[configs][timing]") {
  // a depthwise convolution: 32 groups of k 9, n 1: 32 * 2 folds of max(50, 8): 8 + 64 * 50 + 10 = 3218
  const MatrixCycles c = matrix_cycles(array(8, 4, true), {.m = 50, .n = 1, .k = 9, .batch = 32}, Format::kInt8);
  CHECK(c.total() == 3218);
  CHECK(c.ideal == 450);  // 50 * 9 * 32 / 32
}

TEST_CASE("formats of lower rate stretch the stream, exactly", "[configs][timing]") {
  const MatrixShape shape{.m = 7, .n = 8, .k = 8};
  // ceil(7 / 0.25) = 28, ceil(7 / 0.5) = 14, 7 * 3 = 21, ceil(7 / 2) = 4; each + 8 + 14
  CHECK(matrix_cycles(array(8, 8, false), shape, Format::kFp32).total() == 28 + 22);
  CHECK(matrix_cycles(array(8, 8, false), shape, Format::kFp16).total() == 14 + 22);
  CHECK(matrix_cycles(array(8, 8, false), shape, Format::kBf16).total() == 21 + 22);
  CHECK(matrix_cycles(array(8, 8, false), shape, Format::kFp8E4M3).total() == 4 + 22);
  CHECK(matrix_cycles(array(8, 8, false), shape, Format::kFp32).ideal == 28);
  MatrixConfig slow = array(8, 8, false);
  slow.rate[0] = 0.3;  // 3 / 0.3 is 10, not the 11 that binary fractions would make of it
  CHECK(matrix_cycles(slow, {.m = 3, .n = 8, .k = 8}, Format::kInt8).total() == 10 + 22);
}

TEST_CASE("issue counts as fill, and no work costs only that", "[configs][timing]") {
  MatrixConfig m = array(8, 8, true);
  m.issue_cycles = 5;
  CHECK(matrix_cycles(m, {.m = 8, .n = 8, .k = 8}, Format::kInt8).total() == 35);
  CHECK(matrix_cycles(m, {.m = 0, .n = 8, .k = 8}, Format::kInt8).total() == 5);
}

TEST_CASE("large products do not overflow", "[configs][timing]") {
  // 2^31 rows, 2^16 x 2^16 folded on 256 x 256: 2^16 folds of 2^31 cycles
  const MatrixCycles c =
      matrix_cycles(array(256, 256, true), {.m = 1LL << 31, .n = 1 << 16, .k = 1 << 16}, Format::kFp8E4M3);
  CHECK(c.ideal == 1LL << 46);
  CHECK(c.padding == 0);
}

TEST_CASE("the parts of a matrix command are never negative and the ideal is a lower bound", "[configs][timing]") {
  for (const bool shadow : {false, true}) {
    for (const Format format : {Format::kInt8, Format::kFp32, Format::kBf16, Format::kFp8E4M3}) {
      for (std::int64_t m = 1; m < 20; m += 3) {
        for (std::int64_t n = 1; n < 20; ++n) {
          for (std::int64_t k = 1; k < 20; ++k) {
            const MatrixCycles c = matrix_cycles(array(8, 4, shadow), {.m = m, .n = n, .k = k}, format);
            REQUIRE(c.ideal >= 1);
            REQUIRE(c.padding >= 0);
            REQUIRE(c.fill >= 0);
          }
        }
      }
    }
  }
}

TEST_CASE("a format without a rate never costs zero cycles", "[configs][timing]") {
  CHECK(test::error_of([] {
          (void)matrix_cycles(array(8, 8, true), {.m = 1, .n = 1, .k = 1}, Format::kInt16);
        }).kind() == ErrorKind::kInternal);
}

NpuConfig vector_npu() {
  NpuConfig npu;
  npu.vector.lanes = 256;
  npu.vector.rate.fill(1);
  for (const VectorOp op : {VectorOp::kDiv, VectorOp::kExp}) npu.vector.rate[static_cast<int>(op)] = 0.25;
  npu.vector.issue_cycles = 16;
  npu.scratchpad.banks = 4;
  npu.scratchpad.bank_port_bytes = 32;
  return npu;
}

TEST_CASE("vector commands add up their classes at their rates", "[configs][timing]") {
  VectorWork work{};
  work[static_cast<int>(VectorOp::kAddMul)] = 1000;  // ceil(1000 / 256) = 4
  work[static_cast<int>(VectorOp::kExp)] = 100;      // ceil(100 / 64) = 2
  const VectorCycles c = vector_cycles(vector_npu(), work, 0);
  CHECK(c.compute == 6);
  CHECK(c.port == 0);
  CHECK(c.issue == 16);
  CHECK(c.total() == 22);
}

TEST_CASE("a vector command is not faster than the scratchpad port", "[configs][timing]") {
  VectorWork work{};
  work[static_cast<int>(VectorOp::kAddMul)] = 1024;         // 4 cycles
  CHECK(vector_cycles(vector_npu(), work, 512).port == 0);  // 512 / 128 = 4
  CHECK(vector_cycles(vector_npu(), work, 513).port == 1);
  CHECK(vector_cycles(vector_npu(), work, 1280).total() == 16 + 10);
}

TEST_CASE("interconnect and DRAM bursts round up to whole beats", "[configs][timing]") {
  InterconnectConfig wire;
  wire.bytes_per_cycle = 64;
  CHECK(interconnect_cycles(wire, 0) == 0);
  CHECK(interconnect_cycles(wire, 64) == 1);
  CHECK(interconnect_cycles(wire, 65) == 2);

  DramConfig dram;  // 16 bits x 16 = 32 bytes a burst
  CHECK(dram_burst_bytes(dram, 0, 0) == 0);
  CHECK(dram_burst_bytes(dram, 0, 32) == 32);
  CHECK(dram_burst_bytes(dram, 0, 33) == 64);
  CHECK(dram_burst_bytes(dram, 31, 2) == 64);  // straddles
  CHECK(dram_burst_bytes(dram, 40, 8) == 32);
}

TEST_CASE("operands of two formats run at the geometric mean of their rates and energies", "[timing]") {
  NpuConfig npu = load_config("edge-8mb");  // int8 1, int16 1/4
  CHECK(product_rate(npu.matrix, Format::kInt8) == 1.0);
  CHECK(product_rate(npu.matrix, {Format::kInt8, Format::kInt16}) == 0.5);
  CHECK(product_rate(npu.matrix, {Format::kInt16, Format::kInt8}) == 0.5);
  npu.matrix.rate[static_cast<std::size_t>(Format::kBf16)] = 0;
  CHECK(product_rate(npu.matrix, {Format::kInt8, Format::kBf16}) == 0);
  // 64 folds of 64 x 64, 1000 rows each, at half the rate: twice the streamed cycles.
  const MatrixShape shape{.m = 1000, .n = 512, .k = 512};
  const auto both = matrix_cycles(npu.matrix, shape, Format::kInt8);
  const auto mixed = matrix_cycles(npu.matrix, shape, {Format::kInt8, Format::kInt16});
  CHECK(both.ideal == 64000);
  CHECK(mixed.ideal == 128000);
  CHECK(mixed.fill == both.fill);
}

}  // namespace
}  // namespace spillway::configs
