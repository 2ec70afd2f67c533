// Hold, spill or recompute: forced on one tensor whose bytes are counted by hand, and on everything, with real numbers.
#include "partitioner/fates.h"

#include <catch2/catch.hpp>

#include "tests/pipeline/stages.h"
#include "tests/workloads/graph_builder.h"

namespace {

using namespace spillway;
using partitioner::Fate;
using partitioner::Wish;
using Ints = std::vector<std::int64_t>;

constexpr std::int64_t kChannels = 32;
constexpr std::int64_t kSide = 64;
constexpr std::int64_t kBytes = kChannels * kSide * kSide;  // of an image at int8

/// y = conv(relu(norm(c))) + c with c = conv(x): c must be complete before the norm starts, and is read again after it.
struct Residual {
  workloads::Graph graph;
  std::string skip;
};

Residual residual() {
  workloads::test::GraphBuilder b;
  const workloads::test::Attributes pads{{"pads", Ints{1, 1, 1, 1}}};
  const auto c =
      b.op("Conv", {b.input("x", {1, kChannels, kSide, kSide}), b.random({kChannels, kChannels, 3, 3})}, pads);
  const auto n = b.op("InstanceNormalization", {c, b.random({kChannels}), b.random({kChannels})});
  const auto d = b.op("Conv", {b.op("Relu", {n}), b.random({kChannels, kChannels, 3, 3})}, pads);
  const auto graph = b.finish({b.op("Add", {d, c})});
  return {workloads::canonicalise(graph), graph.tensors[c].name};
}

partitioner::TensorFate fate_of(const test::Staged& s, const std::string& name) {
  for (auto& fate : partitioner::fates_of(s.graph, s.npu, s.plan)) {
    if (fate.name == name) return fate;
  }
  FAIL("no tensor " << name << " outlives its group");
  return {};
}

}  // namespace

TEST_CASE("one skip held, spilled or made again moves what a hand counts", "[pipeline][fates]") {
  const Residual r = residual();
  const auto npu = test::npu_with("edge-8mb", 2 << 20);
  const auto planned = [&](Wish wish, configs::Bytes scratchpad = 2 << 20) {
    partitioner::Options options;
    options.tensors[r.skip] = wish;
    auto s = test::stage(r.graph, test::npu_with("edge-8mb", scratchpad), options);
    test::require_proven(s.program);
    CHECK(simulator::simulate(s.program, s.npu).moves.total() == s.plan.moves.total());
    return s;
  };
  const auto held = planned(Wish::kHold);
  CHECK(fate_of(held, r.skip).fate == Fate::kHold);
  CHECK(fate_of(held, r.skip).skip);
  CHECK(fate_of(held, r.skip).written + fate_of(held, r.skip).read == 0);
  const auto spilled = planned(Wish::kSpill);
  CHECK(fate_of(spilled, r.skip).fate == Fate::kSpill);
  CHECK(fate_of(spilled, r.skip).written == kBytes);
  CHECK(fate_of(spilled, r.skip).read == kBytes);  // norm and addition share a group: one load
  CHECK(spilled.plan.moves.total() == held.plan.moves.total() + 2 * kBytes);
  const auto again = planned(Wish::kRecompute);
  CHECK(fate_of(again, r.skip).fate == Fate::kRecompute);
  CHECK(fate_of(again, r.skip).written + fate_of(again, r.skip).read == 0);
  CHECK(partitioner::macs_of(r.graph, npu, again.plan) - partitioner::macs_of(r.graph, npu, held.plan) ==
        kBytes * kChannels * 9);
  // The weights of the convolution that runs again are read a second time. So is x, unless it has room to stay.
  CHECK(again.plan.moves.of(partitioner::StorageClass::kActivation) ==
        held.plan.moves.of(partitioner::StorageClass::kActivation));
  const auto tight = planned(Wish::kRecompute, kBytes);
  CHECK(fate_of(tight, r.skip).fate == Fate::kRecompute);
  CHECK(tight.plan.moves.of(partitioner::StorageClass::kActivation) ==
        held.plan.moves.of(partitioner::StorageClass::kActivation) + kBytes);
  CHECK(again.plan.moves.of(partitioner::StorageClass::kWeight) ==
        held.plan.moves.of(partitioner::StorageClass::kWeight) + kChannels * kChannels * 9);
}

TEST_CASE("a free choice is never worse than a forced one", "[pipeline][fates]") {
  for (const std::string name : {"unet", "vae_encoder", "vae_decoder"}) {
    const auto graph = test::zoo("sd-tiny", name);
    for (const configs::Bytes budget : {8 << 10, 32 << 10, 128 << 10}) {
      const auto npu = test::npu_with("edge-8mb", budget);
      for (const auto objective : {partitioner::Objective::kLatency, partitioner::Objective::kMoves}) {
        partitioner::Options options{.objective = objective};
        const auto value = [&](const partitioner::Plan& plan) {
          return static_cast<double>(objective == partitioner::Objective::kMoves ? plan.moves.total() : plan.cycles);
        };
        const double free = value(test::stage(graph, npu, options).plan);
        for (const Wish wish : {Wish::kHold, Wish::kSpill}) {
          options.skips = wish;
          INFO(name << " at " << budget << ", " << name_of(objective) << ", " << name_of(wish));
          CHECK(free <= 1.005 * value(test::stage(graph, npu, options).plan));
        }
      }
    }
  }
}

TEST_CASE("every mode computes the same", "[pipeline][fates]") {
  const auto graph = test::zoo("sd-tiny", "unet");
  const auto inputs = workloads::test::random_inputs(graph);
  const auto wanted = workloads::execute(graph, inputs);
  for (const configs::Bytes budget : {24 << 10, 256 << 10}) {
    for (const Wish wish : {Wish::kHold, Wish::kSpill, Wish::kRecompute}) {
      for (const bool slices : {false, true}) {
        INFO(name_of(wish) << " at " << budget << (slices ? " in slices" : ""));
        const auto s =
            test::stage(graph, test::npu_with("edge-8mb", budget, "fp32"), {.skips = wish, .slices = slices});
        test::require_proven(s.program);
        CHECK(workloads::test::distance(wanted, simulator::simulate_functional(s.program, s.npu, inputs).outputs) <=
              1e-5);
      }
    }
  }
}

TEST_CASE("wishes that cannot be are refused with what is missing", "[pipeline][fates]") {
  const Residual r = residual();
  const auto refused = [&](const std::string& tensor, Wish wish, configs::Bytes budget) {
    partitioner::Options options;
    options.tensors[tensor] = wish;
    (void)partitioner::partition(r.graph, test::npu_with("edge-8mb", budget), options);
  };
  CHECK_THROWS_WITH(refused(r.skip + "x", Wish::kHold, 1 << 20), Catch::Contains("no such tensor"));
  CHECK_THROWS_WITH(refused("x", Wish::kHold, 1 << 20), Catch::Contains("is no tensor that one operator makes"));
  CHECK_THROWS_WITH(refused(r.skip, Wish::kHold, 64 << 10),
                    Catch::Contains("131072 B") && Catch::Contains("65536 B") && Catch::Contains("short"));
}
