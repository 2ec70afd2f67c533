// Two plans beside each other: hand-made ones with differences worked out by hand, then real ones whose differences
// must add up.
#include "reports/compare_plans.h"

#include <catch2/catch.hpp>

#include "partitioner/partitioner.h"
#include "partitioner/plan_io.h"
#include "workloads/workloads.h"

namespace {

using namespace spillway;
using namespace spillway::reports;
using partitioner::PlanDocument;
using partitioner::StorageClass;

/// Adds traffic and keeps the sums right.
void move(PlanDocument::Group& group, const std::string& storage, StorageClass c, configs::Bytes read,
          configs::Bytes written) {
  group.traffic.push_back({storage, read, written});
  group.moves.read[static_cast<int>(c)] += read;
  group.moves.written[static_cast<int>(c)] += written;
}

PlanDocument::Group group_of(const std::string& name, std::vector<std::vector<std::string>> stages,
                             configs::Cycles cycles) {
  PlanDocument::Group group;
  group.name = name;
  group.stages = std::move(stages);
  group.root = "y";
  group.region = {{0, 4}, {0, 20}};
  group.tile = {2, 20};
  group.loop_order = {0, 1};
  group.cycles = cycles;
  return group;
}

void sum_up(PlanDocument& plan) {
  plan.moves = {};
  plan.cycles = 0;
  for (const auto& group : plan.groups) plan.moves += group.moves, plan.cycles += group.cycles;
}

/// x (100 B) -> conv1 (50 B) -> relu -> t (200 B) -> conv2 (60 B) -> y (80 B); 4 B/cycle of DRAM.
PlanDocument blank() {
  PlanDocument plan;
  plan.graph = "small";
  plan.operators = 3;
  plan.graph_fingerprint = "0123";
  plan.npu = "edge-8mb";
  plan.config = {{"clock", "1GHz"}, {"scratchpad.size", "8MiB"}};
  plan.dram_bytes_per_cycle = 4;
  plan.budget = 8 << 20;
  plan.peak_scratchpad = 1000;
  plan.tensors = {{"t", StorageClass::kActivation, 200, false, false},
                  {"w1", StorageClass::kWeight, 50, true, false},
                  {"w2", StorageClass::kWeight, 60, true, false},
                  {"x", StorageClass::kActivation, 100, true, false},
                  {"y", StorageClass::kActivation, 80, false, true}};
  return plan;
}

/// Two groups, t through DRAM: 350 and 340 B, 1000 and 2000 cycles.
PlanDocument apart() {
  PlanDocument plan = blank();
  plan.groups = {group_of("conv1", {{"conv1", "relu"}}, 1000), group_of("conv2", {{"conv2"}}, 2000)};
  move(plan.groups[0], "x", StorageClass::kActivation, 100, 0);
  move(plan.groups[0], "w1", StorageClass::kWeight, 50, 0);
  move(plan.groups[0], "t", StorageClass::kActivation, 0, 200);
  move(plan.groups[1], "t", StorageClass::kActivation, 200, 0);
  move(plan.groups[1], "w2", StorageClass::kWeight, 60, 0);
  move(plan.groups[1], "y", StorageClass::kActivation, 0, 80);
  plan.groups[0].buffers = {{"x", {2, 25}, 2, 64, 0, false}};
  plan.groups[1].buffers = {{"t", {2, 50}, 2, 128, 0, false}};
  sum_up(plan);
  return plan;
}

/// t stays in the scratchpad: 150 B in 900 cycles, 140 B in 1800.
PlanDocument held() {
  PlanDocument plan = apart();
  plan.groups[0].traffic.pop_back();
  plan.groups[0].moves.written = {};
  plan.groups[0].cycles = 900;
  plan.groups[1].traffic.erase(plan.groups[1].traffic.begin());
  plan.groups[1].moves.read[static_cast<int>(StorageClass::kActivation)] = 0;
  plan.groups[1].cycles = 1800;
  plan.residencies = {{"t", {{0, 4}, {0, 50}}, 0, 1, false, 256, 512}};
  sum_up(plan);
  return plan;
}

/// All in one group: 290 B in 2500 cycles.
PlanDocument together() {
  PlanDocument plan = blank();
  plan.groups = {group_of("conv2", {{"conv1", "relu"}, {"conv2"}}, 2500)};
  move(plan.groups[0], "x", StorageClass::kActivation, 100, 0);
  move(plan.groups[0], "w1", StorageClass::kWeight, 50, 0);
  move(plan.groups[0], "w2", StorageClass::kWeight, 60, 0);
  move(plan.groups[0], "y", StorageClass::kActivation, 0, 80);
  sum_up(plan);
  return plan;
}

PlanComparison compare(const PlanDocument& a, const PlanDocument& b) {
  auto comparison = compare_plans(a, b);
  REQUIRE(comparison);
  return std::move(*comparison);
}

}  // namespace

TEST_CASE("plans of different graphs are not compared", "[reports][compare]") {
  PlanDocument other = apart();
  other.graph_fingerprint = "4567";
  CHECK(!compare_plans(apart(), other));
}

TEST_CASE("a plan is equal to itself", "[reports][compare]") {
  for (const auto& plan : {apart(), held(), together()}) {
    const auto c = compare(plan, plan);
    CHECK(c.equal());
    CHECK(c.worse_by() == 0);
    CHECK(c.unchanged_groups == static_cast<std::int64_t>(plan.groups.size()));
  }
}

TEST_CASE("settings that differ are named, the others not", "[reports][compare]") {
  PlanDocument other = apart();
  other.objective = partitioner::Objective::kMoves;
  other.budget = 4 << 20;
  other.config[1].second = "4MiB";
  other.config.emplace_back("dram.channels", "2");
  const auto c = compare(apart(), other);
  REQUIRE(c.settings.size() == 4);
  CHECK(c.settings[0].what == "objective");
  CHECK(c.settings[0].a == "latency");
  CHECK(c.settings[0].b == "moves");
  CHECK(c.settings[1].what == "budget");
  CHECK(c.settings[2].what == "dram.channels");
  CHECK(c.settings[2].a.empty());
  CHECK(c.settings[3].what == "scratchpad.size");
  CHECK(!c.equal());
}

TEST_CASE("a tensor that stays in the scratchpad is a change of its fate, not of the loops", "[reports][compare]") {
  const auto c = compare(apart(), held());
  CHECK(c.a.moves.total() == 690);
  CHECK(c.b.moves.total() == 290);
  CHECK(c.b.held == 1);
  REQUIRE(c.groups.size() == 2);
  CHECK(c.groups[0].fate == GroupFate::kNeighbours);  // 2000 -> 1800 first, then 1000 -> 900
  CHECK(c.groups[0].name == "conv2");
  CHECK(c.groups[0].cycles_b - c.groups[0].cycles_a == -200);
  CHECK(c.groups[0].moved_b - c.groups[0].moved_a == -200);
  CHECK(c.groups[1].cycles_b - c.groups[1].cycles_a == -100);
  REQUIRE(c.tensors.size() == 1);
  CHECK(c.tensors[0].name == "t");
  CHECK(c.tensors[0].fate_a == "through DRAM");
  CHECK(c.tensors[0].fate_b == "held");
  CHECK(c.tensors[0].moved_a == 400);
  CHECK(c.tensors[0].moved_b == 0);
  CHECK(c.tensors[0].cycles_a == 100);
  CHECK(c.worse_by() == 0);
  // The other way round it is worse: 3000 cycles after 2700, 690 B after 290.
  CHECK(compare(held(), apart()).worse_by() == Approx(400.0 / 290));
}

TEST_CASE("groups that are merged, and split again", "[reports][compare]") {
  const auto c = compare(apart(), together());
  REQUIRE(c.groups.size() == 1);
  CHECK(c.groups[0].fate == GroupFate::kMerged);
  CHECK(c.groups[0].a == std::vector<int>{0, 1});
  CHECK(c.groups[0].b == std::vector<int>{0});
  CHECK(c.groups[0].what == "2 groups -> 1");
  CHECK(c.groups[0].cycles_b - c.groups[0].cycles_a == -500);
  CHECK(c.groups[0].moved_b - c.groups[0].moved_a == -400);
  REQUIRE(c.tensors.size() == 1);
  CHECK(c.tensors[0].fate_b == "inside a group");
  const auto back = compare(together(), apart());
  REQUIRE(back.groups.size() == 1);
  CHECK(back.groups[0].fate == GroupFate::kSplit);
  CHECK(back.groups[0].what == "1 group -> 2");
  CHECK(back.worse_by() == Approx(400.0 / 290));
}

TEST_CASE("another loop over the same operators, and what it reads more", "[reports][compare]") {
  PlanDocument other = apart();
  auto& group = other.groups[1];
  group.tile = {1, 20};
  group.loop_order = {1, 0};
  group.pipelining = partitioner::Pipelining::kDouble;
  group.traffic[1].read = 150;  // weights 2.5 times
  group.moves.read[static_cast<int>(StorageClass::kWeight)] = 150;
  group.traffic[0].read = 250;
  group.moves.read[static_cast<int>(StorageClass::kActivation)] = 250;
  group.cycles = 2040;
  sum_up(other);
  const auto c = compare(apart(), other);
  REQUIRE(c.groups.size() == 1);
  CHECK(c.unchanged_groups == 1);
  CHECK(c.groups[0].fate == GroupFate::kChosen);
  CHECK(c.groups[0].a == std::vector<int>{1});
  CHECK(c.groups[0].what == "tile 2x20 -> 1x20; loop order 0,1 -> 1,0; single-buffered -> double-buffered");
  REQUIRE(c.tensors.size() == 2);
  CHECK(c.tensors[0].name == "w2");
  CHECK(c.tensors[0].fate_a == "read 1 x");
  CHECK(c.tensors[0].fate_b == "read 2.5 x");
  CHECK(c.tensors[0].moved_b - c.tensors[0].moved_a == 90);
  CHECK(c.tensors[1].name == "t");
  CHECK(c.tensors[1].fate_b == "through DRAM, read 1.25 x");
  CHECK(c.worse_by() == Approx(140.0 / 690));  // bytes; cycles are 40 / 3000
}

TEST_CASE("a result that is made again", "[reports][compare]") {
  // conv2's group makes t anew, for instance since another reader of t comes much later.
  PlanDocument again = apart();
  again.groups[1] = group_of("conv2", {{"conv1", "relu"}, {"conv2"}}, 2600);
  again.groups[0].dropped = {"t"};
  again.groups[1].dropped = {"t"};
  again.groups[0].traffic.pop_back();
  again.groups[0].moves.written = {};
  move(again.groups[1], "x", StorageClass::kActivation, 100, 0);
  move(again.groups[1], "w1", StorageClass::kWeight, 50, 0);
  move(again.groups[1], "w2", StorageClass::kWeight, 60, 0);
  move(again.groups[1], "y", StorageClass::kActivation, 0, 80);
  sum_up(again);
  const auto c = compare(apart(), again);
  // conv1 and relu run twice there, so conv2 alone links the second groups.
  REQUIRE(c.groups.size() == 2);
  CHECK(c.groups[0].a == std::vector<int>{1});
  CHECK(c.groups[0].what == "2 operators more (conv1, ..); drops 0 -> 1 results");
  CHECK(c.groups[1].a == std::vector<int>{0});
  CHECK(c.groups[1].b == std::vector<int>{0});
  CHECK(c.groups[1].what == "drops 0 -> 1 results");
  REQUIRE(c.tensors.size() == 3);
  CHECK(c.tensors[0].name == "t");
  CHECK(c.tensors[0].fate_b == "made again");
  CHECK(c.tensors[0].moved_b - c.tensors[0].moved_a == -400);
  CHECK(c.tensors[1].fate_b == "read 2 x");  // x, then w1
}

TEST_CASE("a group that runs once for each of the batch", "[reports][compare]") {
  PlanDocument sliced = apart();
  auto part = sliced.groups[1];
  part.cycles = 1050;
  part.region[0] = {0, 2};
  part.moves = {};
  part.traffic.clear();
  move(part, "t", StorageClass::kActivation, 100, 0);
  move(part, "w2", StorageClass::kWeight, 60, 0);
  move(part, "y", StorageClass::kActivation, 0, 40);
  sliced.groups = {sliced.groups[0], part, part};
  sliced.groups[2].region[0] = {2, 2};
  sum_up(sliced);
  const auto c = compare(apart(), sliced);
  REQUIRE(c.groups.size() == 1);
  CHECK(c.groups[0].fate == GroupFate::kSplit);
  CHECK(c.groups[0].b == std::vector<int>{1, 2});
  CHECK(c.groups[0].cycles_b - c.groups[0].cycles_a == 100);
  REQUIRE(c.tensors.size() == 1);
  CHECK(c.tensors[0].fate_b == "read 2 x");
}

TEST_CASE("other addresses alone are no other choice, but not equal", "[reports][compare]") {
  PlanDocument other = held();
  other.groups[1].buffers[0].address = 4096;
  other.residencies[0].address = 1024;
  const auto c = compare(held(), other);
  CHECK(c.groups.empty());
  CHECK(c.tensors.empty());
  CHECK(c.moved_addresses == 2);
  CHECK(!c.equal());
}

TEST_CASE("a tensor that is held and stored, and one that is held in part", "[reports][compare]") {
  PlanDocument both = held();
  both.residencies[0].stored = true;
  move(both.groups[0], "t", StorageClass::kActivation, 0, 200);
  sum_up(both);
  CHECK(compare(held(), both).tensors.at(0).fate_b == "held, through DRAM");
  PlanDocument half = apart();
  half.residencies = {{"t", {{0, 2}, {0, 50}}, 0, 1, false, 128, 512}};
  half.groups[1].traffic[0].read = 100;
  half.groups[1].moves.read[static_cast<int>(StorageClass::kActivation)] = 100;
  sum_up(half);
  CHECK(compare(apart(), half).tensors.at(0).fate_b == "held in part, through DRAM, read 0.5 x");
}

TEST_CASE("from nothing to something is worse than any share", "[reports][compare]") {
  PlanDocument nothing = apart();
  for (auto& group : nothing.groups) {
    group.moves = {};
    group.traffic.clear();
  }
  sum_up(nothing);
  CHECK(compare(nothing, apart()).worse_by() > 1e300);
  CHECK(compare(apart(), nothing).worse_by() == 0);
}

TEST_CASE("the differences of real plans add up to the plans'", "[reports][compare]") {
  const auto document = [](const char* graph_name, configs::Bytes budget, partitioner::Strategy strategy) {
    const auto graph = workloads::canonicalise(workloads::zoo_graph("sd-tiny", graph_name));
    auto npu = configs::load_config("edge-8mb");
    npu.scratchpad.size = budget;
    const auto planned = partitioner::partition(graph, npu, {.strategy = strategy});
    const std::string text = partitioner::plan_to_json(std::get<partitioner::Plan>(planned), graph, npu);
    return partitioner::parse_plan_document(text, Place{});
  };
  using partitioner::Strategy;
  for (const char* name : {"unet", "vae_decoder"}) {
    const std::vector<PlanDocument> plans{
        document(name, 8 << 20, Strategy::kFused), document(name, 128 << 10, Strategy::kFused),
        document(name, 8 << 20, Strategy::kLayerByLayer), document(name, 64 << 10, Strategy::kLayerByLayer)};
    for (const auto& a : plans) {
      for (const auto& b : plans) {
        const auto c = compare(a, b);
        CHECK(c.equal() == (&a == &b));
        configs::Cycles cycles = 0;
        configs::Bytes by_group = 0;
        configs::Bytes by_tensor = 0;
        std::vector<int> seen_a, seen_b;
        for (const auto& g : c.groups) {
          cycles += g.cycles_b - g.cycles_a;
          by_group += g.moved_b - g.moved_a;
          seen_a.insert(seen_a.end(), g.a.begin(), g.a.end());
          seen_b.insert(seen_b.end(), g.b.begin(), g.b.end());
        }
        for (const auto& t : c.tensors) by_tensor += t.moved_b - t.moved_a;
        CHECK(cycles == b.cycles - a.cycles);
        CHECK(by_group == b.moves.total() - a.moves.total());
        CHECK(by_tensor == b.moves.total() - a.moves.total());
        CHECK(static_cast<std::int64_t>(seen_a.size()) + c.unchanged_groups == c.a.groups);
        CHECK(static_cast<std::int64_t>(seen_b.size()) + c.unchanged_groups == c.b.groups);
      }
    }
  }
}
