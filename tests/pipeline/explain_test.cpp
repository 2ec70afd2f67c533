// Are the reasons that the tool gives for a plan true? Small graphs whose reasons can be worked out by hand.
#include "partitioner/explain.h"

#include <catch2/catch.hpp>
#include <numeric>

#include "tests/pipeline/stages.h"
#include "tests/workloads/graph_builder.h"

namespace {

using namespace spillway;
using partitioner::Fate;
using partitioner::SpentOn;
using partitioner::Why;
using partitioner::Wish;
using Ints = std::vector<std::int64_t>;

const workloads::test::Attributes kSame{{"pads", Ints{1, 1, 1, 1}}};

struct Told {
  test::Staged staged;
  partitioner::Explanation explanation;
};

Told tell(const workloads::Graph& graph, const configs::NpuConfig& npu, const partitioner::Options& options = {},
          configs::Bytes more = 1 << 20) {
  Told told{test::stage(graph, npu, options), {}};
  told.explanation = partitioner::explain(told.staged.graph, npu, options, told.staged.plan, more);
  REQUIRE(told.explanation.groups.size() == told.staged.plan.groups.size());
  return told;
}

/// conv -> conv, 3x3, 64 channels of 16x16.
workloads::Graph two_convolutions() {
  workloads::test::GraphBuilder b;
  const auto first = b.op("Conv", {b.input("x", {1, 64, 16, 16}), b.random({64, 64, 3, 3})}, kSame);
  return workloads::canonicalise(b.finish({b.op("Conv", {first, b.random({64, 64, 3, 3})}, kSame)}));
}

constexpr std::int64_t kChannels = 32;
constexpr std::int64_t kSide = 64;
constexpr std::int64_t kImage = kChannels * kSide * kSide;  // bytes at int8

struct Residual {
  workloads::Graph graph;
  std::string skip;
};

/// y = conv(relu(norm(c))) + c with c = conv(x): c must be complete before the norm starts, and is read again after it.
Residual residual(bool skip_is_output = false) {
  workloads::test::GraphBuilder b;
  const auto c =
      b.op("Conv", {b.input("x", {1, kChannels, kSide, kSide}), b.random({kChannels, kChannels, 3, 3})}, kSame);
  const auto n = b.op("InstanceNormalization", {c, b.random({kChannels}), b.random({kChannels})});
  const auto d = b.op("Conv", {b.op("Relu", {n}), b.random({kChannels, kChannels, 3, 3})}, kSame);
  const auto y = b.op("Add", {d, c});
  const auto graph = skip_is_output ? b.finish({y, c}) : b.finish({y});
  return {workloads::canonicalise(graph), graph.tensors[c].name};
}

const partitioner::TensorExplanation* told_of(const partitioner::Explanation& e, const std::string& tensor) {
  for (const auto& t : e.tensors) {
    if (t.fate.name == tensor) return &t;
  }
  return nullptr;
}

}  // namespace

TEST_CASE("two convolutions that do not fit together say how much they lack", "[pipeline][explain]") {
  // One element of the second's output needs, at int8 and in beats of 64 B: its weights 3x3x64, all weights of the
  // first 3x3x64x64, a window 3x3x64 of the first's output, 5x3x64 of its input (of the window two columns are there
  // from the step before), and itself.
  constexpr std::int64_t kDemand = 576 + 36864 + 576 + 960 + 64;
  const auto graph = two_convolutions();
  const auto apart = tell(graph, test::npu_with("edge-8mb", kDemand - 64));
  REQUIRE(apart.staged.plan.groups.size() == 2);
  const auto& end = apart.explanation.groups[0].end;
  CHECK(end.why == Why::kDoesNotFit);
  CHECK(end.with == 1);
  CHECK(end.demand == kDemand);
  // Whatever is held between the two would be inside the one: all of the scratchpad is free.
  CHECK(end.available == kDemand - 64);
  CHECK(std::accumulate(end.terms.begin(), end.terms.end(), std::int64_t{0},
                        [](auto sum, const auto& term) { return sum + term.bytes; }) == kDemand);
  REQUIRE_FALSE(end.terms.empty());
  CHECK(end.terms[0].bytes == 36864);
  CHECK(apart.explanation.groups[1].end.why == Why::kEnd);
  // The other side of the gate: with those 64 bytes there is a loop, and another reason.
  const auto fits = tell(graph, test::npu_with("edge-8mb", kDemand));
  if (fits.staged.plan.groups.size() == 2) CHECK(fits.explanation.groups[0].end.why != Why::kDoesNotFit);
}

TEST_CASE("statistics stand between a convolution and what they normalise", "[pipeline][explain]") {
  const Residual r = residual();
  const auto told = tell(r.graph, test::npu_with("edge-8mb", 2 << 20));
  REQUIRE(told.staged.plan.groups.size() >= 2);
  const auto& end = told.explanation.groups[0].end;
  CHECK(end.why == Why::kNotOne);
  CHECK_THAT(end.detail, Catch::Contains("only after the last tile"));
  CHECK_THAT(end.tensor, Catch::Contains("statistics"));
}

TEST_CASE("an addition of two inputs is bound by DRAM, a large product by the array", "[pipeline][explain]") {
  const auto npu = test::npu_with("edge-8mb-slow", 0);
  {
    workloads::test::GraphBuilder b;
    const workloads::Shape shape{1, 64, 128, 128};
    const auto told =
        tell(workloads::canonicalise(b.finish({b.op("Add", {b.input("x", shape), b.input("y", shape)})})), npu);
    REQUIRE(told.explanation.groups.size() == 1);
    const auto& spent = told.explanation.groups[0].spent;
    CHECK(spent.most() == SpentOn::kDram);
    CHECK(spent[SpentOn::kMatrix] == 0);
    CHECK(spent.total() == told.staged.plan.cycles);
    // Two loads and a store of 1 MiB at peak bandwidth are all there is to do, but for the vector work of one tile.
    const double transfers = 3.0 * (1 << 20) / npu.dram_bytes_per_cycle();
    CHECK(static_cast<double>(spent[SpentOn::kDram] + spent[SpentOn::kFill]) >= 0.95 * transfers);
    CHECK(static_cast<double>(spent[SpentOn::kDram]) <= 1.1 * transfers);
  }
  workloads::test::GraphBuilder b;
  const auto told =
      tell(workloads::canonicalise(b.finish({b.op("MatMul", {b.input("x", {1024, 1024}), b.random({1024, 1024})})})),
           test::npu_with("edge-8mb", 0));
  REQUIRE(told.explanation.groups.size() == 1);
  CHECK(told.explanation.groups[0].spent.most() == SpentOn::kMatrix);
  // What came second is not better in both respects; nor is there a reason to leave room unused that would be.
  const auto& next = told.explanation.groups[0].next;
  REQUIRE(next);
  CHECK((next->costs.cycles >= 0 || next->costs.moved > 0));
  CHECK_FALSE(next->tile == told.staged.plan.groups[0].tile);
}

TEST_CASE("one more MiB lets a skip stay, and saves what it moved", "[pipeline][explain]") {
  const Residual r = residual();
  const auto npu = test::npu_with("edge-8mb", 96 << 10);
  const auto told = tell(r.graph, npu);
  const auto* skip = told_of(told.explanation, r.skip);
  REQUIRE(skip != nullptr);
  REQUIRE(skip->fate.written == kImage);
  const auto more = partitioner::plan_with_more(told.staged.graph, npu, {}, told.staged.plan);
  CHECK(more.more == 1 << 20);
  REQUIRE_FALSE(more.changes.empty());
  CHECK(more.changes[0].tensor == r.skip);
  CHECK(more.changes[0].bytes == kImage);
  CHECK(more.changes[0].before == Fate::kSpill);
  CHECK(more.changes[0].after == Fate::kHold);
  // With all of it in the scratchpad only x, the weights and y move.
  const auto large = test::stage(r.graph, test::npu_with("edge-8mb", (96 << 10) + (1 << 20)));
  CHECK(more.costs.moved == large.plan.moves.total() - told.staged.plan.moves.total());
  CHECK(more.costs.moved <= -2 * kImage);
  CHECK(more.costs.cycles == large.plan.cycles - told.staged.plan.cycles);
}

TEST_CASE("a tensor is not made again for the reason that is given", "[pipeline][explain]") {
  const Residual r = residual();
  const auto npu = test::npu_with("edge-8mb", 96 << 10);
  constexpr std::int64_t kMacs = kImage * kChannels * 9;  // of one of the two convolutions
  SECTION("it takes more operations than are allowed") {
    const auto told = tell(r.graph, npu, {.recompute_limit = 0.25});
    const auto* skip = told_of(told.explanation, r.skip);
    REQUIRE(skip != nullptr);
    CHECK(skip->why == Why::kMacs);
    CHECK(skip->operators == 1);
    CHECK(skip->macs == kMacs * skip->readers);
    CHECK(skip->most_macs == kMacs / 2);
    CHECK(skip->saved == skip->fate.written + skip->fate.read);
  }
  SECTION("it costs more than its transfers") {
    const auto told = tell(r.graph, npu, {.recompute_limit = 10});
    const auto* skip = told_of(told.explanation, r.skip);
    REQUIRE(skip != nullptr);
    CHECK(skip->why == Why::kCostsMore);
    REQUIRE(skip->compared);
    CHECK(skip->read_instead - skip->saved == skip->costs.moved);
    // x and the weights of the convolution, read by each group that makes it again; the window may be read in parts.
    CHECK(skip->read_instead >= skip->readers * (kImage + kChannels * kChannels * 9));
    CHECK(skip->costs.cycles > 0);
    // Planned so, with the two groups' tiles as free as they are here, it comes to the same bytes.
    partitioner::Options options;
    options.tensors[r.skip] = Wish::kRecompute;
    const auto again = test::stage(r.graph, npu, options);
    CHECK(again.plan.moves.total() - told.staged.plan.moves.total() == skip->costs.moved);
    CHECK(partitioner::macs_of(r.graph, npu, again.plan) - partitioner::macs_of(r.graph, npu, told.staged.plan) ==
          skip->macs);
  }
  SECTION("somebody asked for another fate") {
    partitioner::Options options;
    options.tensors[r.skip] = Wish::kSpill;
    const auto told = tell(r.graph, npu, options);
    const auto* skip = told_of(told.explanation, r.skip);
    REQUIRE(skip != nullptr);
    CHECK(skip->why == Why::kAsked);
    CHECK(skip->detail == "spill");
  }
  SECTION("it is an output") {
    const Residual out = residual(true);
    const auto told = tell(out.graph, npu);
    const auto* skip = told_of(told.explanation, out.skip);
    REQUIRE(skip != nullptr);
    CHECK(skip->why == Why::kNoSource);
  }
}

TEST_CASE("reasons of whole graphs hold together", "[pipeline][explain]") {
  for (const std::string name : {"unet", "vae_decoder", "text_encoder"}) {
    const auto graph = test::zoo("sd-tiny", name);
    for (const bool slices : {false, true}) {
      for (const configs::Bytes budget : {24 << 10, 256 << 10}) {
        INFO(name << " at " << budget << (slices ? " in slices" : ""));
        const auto told = tell(graph, test::npu_with("edge-8mb", budget), {.slices = slices});
        const auto& plan = told.staged.plan;
        CHECK(partitioner::least_commands(plan) <= static_cast<std::int64_t>(told.staged.program.commands.size()));
        for (std::size_t g = 0; g < plan.groups.size(); ++g) {
          const auto& e = told.explanation.groups[g];
          INFO("group " << g);
          CHECK(e.spent.total() == plan.groups[g].cycles);
          for (const auto cycles : e.spent.cycles) CHECK(cycles >= 0);
          CHECK(e.available >= plan.groups[g].scratchpad_bytes);
          CHECK((e.end.why == Why::kEnd) == (g + 1 == plan.groups.size()));
          if (e.end.why == Why::kDoesNotFit) CHECK(e.end.demand > e.end.available);
          if (e.end.compared) CHECK(e.end.costs.spent.total() == e.end.costs.cycles);
          if (e.next) CHECK(e.next->scratchpad <= e.available);
        }
        for (const auto& t : told.explanation.tensors) {
          CHECK(t.why != Why::kNothing);
          CHECK(t.saved == t.fate.written + t.fate.read);
          if (t.why == Why::kMacs) CHECK(t.macs > t.most_macs);
          if (t.compared) CHECK(t.read_instead - t.saved == t.costs.moved);
        }
      }
    }
  }
}

TEST_CASE("layer by layer every group ends because it was asked to", "[pipeline][explain]") {
  const auto told = tell(test::zoo("sd-tiny", "vae_decoder"), test::npu_with("edge-8mb", 64 << 10),
                         {.strategy = partitioner::Strategy::kLayerByLayer});
  for (std::size_t g = 0; g + 1 < told.explanation.groups.size(); ++g) {
    CHECK(told.explanation.groups[g].end.why == Why::kAsked);
  }
}
