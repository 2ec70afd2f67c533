// Are derived figures the sums, ratios and shares that they say?
#include "reports/derived.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "sample.h"

using namespace spillway;
using namespace spillway::reports;
using test::sample_npu;
using test::sample_profile;

TEST_CASE("utilisation is MACs over cycles times cells", "[reports][derived]") {
  const auto npu = sample_npu();
  // 64 x 64 cells at one int8 MAC a cycle.
  CHECK(peak_macs_per_cycle(npu) == 4096);
  CHECK(utilisation(4096 * 500, 1000, npu) == Approx(0.5));
  CHECK(utilisation(1, 0, npu) == 0);
}

TEST_CASE("a group partly hidden behind its neighbours is not over 100 % busy", "[reports][derived]") {
  const auto npu = sample_npu();
  simulator::GroupUse group;
  group.macs = 4096 * 100;
  group.critical = 200, group.matrix_busy = 120;
  CHECK(utilisation(group, npu) == Approx(0.5));
  group.critical = 50;
  CHECK(utilisation(group, npu) == Approx(100.0 / 120));
}

TEST_CASE("a format of lower rate lowers the peak", "[reports][derived]") {
  auto npu = sample_npu();
  npu.precision.activation = configs::Format::kFp16;
  npu.matrix.rate[static_cast<int>(configs::Format::kFp16)] = 0.5;
  CHECK(peak_macs_per_cycle(npu) == Approx(4096 * std::sqrt(0.5)));  // int8 weights with fp16 activations
  npu.precision.weight = configs::Format::kFp16;
  CHECK(peak_macs_per_cycle(npu) == 2048);
}

TEST_CASE("the lower bound is the largest of three", "[reports][derived]") {
  const auto npu = sample_npu();
  auto profile = sample_profile();
  // 16 + 32 + 8 compulsory bytes at 51.2 bytes a cycle.
  const LowerBound by_moves = lower_bound(profile, npu);
  CHECK(by_moves.kind == LowerBound::Kind::kMoves);
  CHECK(by_moves.cycles == Approx(56 / 51.2));
  CHECK(by_moves.macs == Approx(64 / 4096.0));
  // 8 additions at 256 a cycle, 8 exponentials at 64 a cycle.
  CHECK(by_moves.vector == Approx(8 / 256.0 + 8 / 64.0));
  profile.result.macs = profile.statistics.macs_total = 4096 * 100;
  CHECK(lower_bound(profile, npu).kind == LowerBound::Kind::kMacs);
  CHECK(lower_bound(profile, npu).cycles == Approx(100));
}

TEST_CASE("what a plan computes twice is neither useful nor part of the lower bound", "[reports][derived]") {
  const auto npu = sample_npu();
  const auto once = sample_profile();
  auto recomputing = once;
  recomputing.result.macs = 80;
  CHECK(useful_macs(recomputing) == 64);
  CHECK(utilisation(recomputing, npu) == Approx(64.0 / 1000 / 4096));
  CHECK(lower_bound(recomputing, npu).macs == lower_bound(once, npu).macs);
}

TEST_CASE("the loss parts add up to latency minus lower bound", "[reports][derived]") {
  const auto npu = sample_npu();
  auto profile = sample_profile();
  profile.result.macs = profile.statistics.macs_total = 4096 * 100;
  const Loss lost = loss(profile, npu);
  CHECK(lost.total == Approx(900));
  // Critical matrix time 600 = ideal 100 + padding 300 + fill 200, all of it shown: nothing is scaled.
  CHECK(lost.padding == Approx(300));
  CHECK(lost.fill == Approx(200));
  CHECK(lost.matrix == 0);
  CHECK(lost.vector == Approx(250));
  CHECK(lost.dram == Approx(100));
  CHECK(lost.dependency == Approx(50));
  const Loss by_moves = loss(sample_profile(), npu);
  CHECK(by_moves.padding + by_moves.fill + by_moves.matrix + by_moves.vector + by_moves.dram + by_moves.port +
            by_moves.descriptor + by_moves.dependency ==
        Approx(by_moves.total));
}

TEST_CASE("operator mix as exported", "[reports][derived]") {
  workloads::Statistics s;
  s.ops = {{"Add", 3}, {"Conv", 2}, {"ConvTranspose", 1}, {"Gemm", 1}, {"MatMul", 2}};
  s.macs = {{"Conv_1x1", 10}, {"Conv_3x3", 90},         {"ConvTranspose_2x2", 7},
            {"Gemm", 5},      {"MatMul_act_x_act", 20}, {"MatMul_weight", 30}};
  s.macs_total = 162;
  s.output_elements = {{"Add", 36}, {"Conv", 1000}};
  const auto rows = exported_mix(s);
  REQUIRE(rows.size() == 5);
  CHECK(rows[0].op == "Add");
  std::int64_t macs = 0;
  for (const auto& row : rows) {
    macs += row.macs;
    if (row.op == "Conv") CHECK(row.macs == 100);
    if (row.op == "MatMul") CHECK(row.macs == 50);
  }
  CHECK(macs == s.macs_total);
  CHECK(mac_split(s).activations == 20);
  CHECK(mac_split(s).constant == 142);
  CHECK(matrix_nodes(s) == 6);
  // Conv's outputs are results of its MACs, not operations of their own.
  CHECK(matrix_share_of_operations(s) == Approx(324.0 / 360.0));
}

TEST_CASE("operator mix as executed adds up to the engines and the moves", "[reports][derived]") {
  const auto profile = sample_profile();
  configs::Cycles matrix = 0, vector = 0, dma = 0;
  configs::Bytes moved = 0;
  for (const auto& row : executed_mix(profile)) {
    matrix += row.matrix_cycles, vector += row.vector_cycles, dma += row.dma_cycles, moved += row.moved;
  }
  CHECK(matrix == profile.result.engines[1].busy);
  CHECK(vector == profile.result.engines[2].busy);
  CHECK(dma == profile.result.engines[0].busy);
  CHECK(moved == profile.result.moves.total());
}

TEST_CASE("where storages live", "[reports][derived]") {
  auto profile = sample_profile();
  auto uses = storage_uses(profile);
  CHECK(uses[0].produced == -1);
  CHECK(uses[0].last_read == 0);
  CHECK(uses[2].produced == 0);
  CHECK(uses[2].last_read == 1);
  CHECK(uses[2].home == StorageUse::Home::kDram);
  profile.storages[2] = {0, 0};
  CHECK(storage_uses(profile)[2].home == StorageUse::Home::kGroup);
  profile.plan.residencies.push_back(
      {.storage = 2, .part = {}, .first_group = 0, .last_group = 1, .bytes = 8, .address = 0});
  CHECK(storage_uses(profile)[2].home == StorageUse::Home::kResident);
  // One weight of 8 x 4 bytes; the graph input is no constant.
  CHECK(constant_bytes(profile) == 32);
}

namespace {

SensitivityRow row(Knob knob, double factor, configs::Cycles cycles) {
  return {.knob = knob, .factor = factor, .fits = true, .cycles = cycles};
}

}  // namespace

TEST_CASE("the sensitivity verdict names the best knob and the spent ones", "[reports][derived]") {
  auto profile = sample_profile();
  CHECK(verdict(profile).best == -1);
  profile.sensitivity = {row(Knob::kScratchpad, 0.5, 1500),    row(Knob::kScratchpad, 2, 996),
                         row(Knob::kDramBandwidth, 0.5, 1200), row(Knob::kDramBandwidth, 2, 900),
                         row(Knob::kArrays, 0.5, 2000),        row(Knob::kArrays, 2, 700),
                         row(Knob::kVectorLanes, 0.5, 1001),   row(Knob::kVectorLanes, 2, 994)};
  const Verdict v = verdict(profile);
  CHECK(v.best == 5);
  CHECK(v.best_gain == Approx(0.3));
  // 0.4 % is spent, 0.6 % is not.
  CHECK(v.spent == std::vector<int>{1});
}

TEST_CASE("a knob that makes things worse has stopped helping", "[reports][derived]") {
  auto profile = sample_profile();
  profile.sensitivity = {row(Knob::kDramBandwidth, 2, 1030)};
  CHECK(verdict(profile).best == -1);
  CHECK(verdict(profile).spent == std::vector<int>{0});
}

TEST_CASE("a row that does not fit is neither best nor spent", "[reports][derived]") {
  auto profile = sample_profile();
  profile.sensitivity = {row(Knob::kArrays, 2, 0)};
  profile.sensitivity[0].fits = false;
  CHECK(verdict(profile).best == -1);
  CHECK(verdict(profile).spent.empty());
}

TEST_CASE("halving a knob never counts as helping", "[reports][derived]") {
  auto profile = sample_profile();
  profile.sensitivity = {row(Knob::kArrays, 0.5, 500)};
  CHECK(verdict(profile).best == -1);
}

TEST_CASE("precision and batch in words", "[reports][derived]") {
  configs::Precision precision;
  CHECK(precision_name(precision) == "int8");
  precision.activation = configs::Format::kFp16;
  CHECK(precision_name(precision) == "int8 weights, fp16 activations");
  CHECK(batch_of(sample_profile().exported) == 2);
  CHECK(batch_of(workloads::Graph{}) == 1);
}
