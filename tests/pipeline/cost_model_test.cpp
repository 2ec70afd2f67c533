// The cost model held to the simulator: plans of small graphs, predicted and simulated. docs/cost-model.md does the
// same for large ones.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <sstream>

#include "partitioner/energy.h"
#include "tests/pipeline/resnet.h"
#include "tests/pipeline/stages.h"

namespace {

using namespace spillway;
using partitioner::Objective;

struct Pair {
  double predicted = 0, simulated = 0;
};

/// Kendall's tau over the pairs of plans that differ by more than `apart` as simulated.
double agreement(const std::vector<Pair>& plans, double apart) {
  int pairs = 0;
  int sum = 0;
  for (std::size_t i = 0; i < plans.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      const auto [low, high] = std::minmax(plans[i].simulated, plans[j].simulated);
      if (high <= (1 + apart) * low) continue;
      const double order = (plans[i].predicted - plans[j].predicted) * (plans[i].simulated - plans[j].simulated);
      ++pairs;
      sum += order > 0 ? 1 : order < 0 ? -1 : 0;
    }
  }
  REQUIRE(pairs >= 50);
  return static_cast<double>(sum) / pairs;
}

struct Bounds {
  double mean = 0, largest = 0, agreement = 0;
};

void check(const std::vector<Pair>& plans, const Bounds& bounds) {
  double sum = 0;
  double largest = 0;
  for (const Pair& p : plans) {
    const double error = std::abs(p.predicted / p.simulated - 1);
    sum += error;
    largest = std::max(largest, error);
  }
  const double tau = agreement(plans, 0.01);
  INFO("mean error " << sum / static_cast<double>(plans.size()) << ", largest " << largest << ", tau " << tau);
  CHECK(sum / static_cast<double>(plans.size()) <= bounds.mean);
  CHECK(largest <= bounds.largest);
  CHECK(tau >= bounds.agreement);
}

/// What was measured, and a little more: cycles, energy.
void compare(const workloads::Graph& graph, configs::Bytes budget, const Bounds& cycles, const Bounds& energy) {
  const auto npu = test::npu_with("edge-8mb", budget);
  const auto plans = partitioner::candidates(graph, npu, {}, 20);
  REQUIRE(plans.size() == 20);
  std::vector<Pair> by_cycles;
  std::vector<Pair> by_energy;
  for (const auto& plan : plans) {
    const auto program = partitioner::lower(graph, npu, plan);
    const auto result = simulator::simulate(program, npu);
    CHECK(plan.moves == result.moves);
    by_cycles.push_back({static_cast<double>(plan.cycles), static_cast<double>(result.cycles)});
    by_energy.push_back({partitioner::energy_of(graph, npu, plan).total_pj(), result.energy.total_pj()});
  }
  check(by_cycles, cycles);
  check(by_energy, energy);
}

}  // namespace

TEST_CASE("no candidates where nothing fits, one where there is no choice", "[pipeline][cost-model]") {
  workloads::test::GraphBuilder b;
  const auto graph = workloads::canonicalise(b.finish({b.op("Relu", {b.input("x", {1, 4, 4})})}));
  CHECK(partitioner::candidates(graph, test::npu_with("edge-8mb", 64), {}, 20).empty());
  CHECK(partitioner::candidates(graph, test::npu_with("edge-8mb", 8 << 20), {}, 0).empty());
  CHECK(!partitioner::candidates(graph, test::npu_with("edge-8mb", 8 << 20), {}, 20).empty());
}

TEST_CASE("candidates are legal, differ, and come best first", "[pipeline][cost-model]") {
  const auto graph = test::zoo("sd-tiny", "vae_decoder");
  const auto npu = test::npu_with("edge-8mb", 64 << 10);
  for (const Objective objective : partitioner::kObjectives) {
    INFO(name_of(objective));
    const partitioner::Options options{.objective = objective};
    const auto value = [&](const partitioner::Plan& plan) {
      const auto cycles = static_cast<double>(plan.cycles);
      if (objective == Objective::kLatency) return cycles;
      if (objective == Objective::kMoves) return static_cast<double>(plan.moves.total());
      return partitioner::energy_of(graph, npu, plan).total_pj() * (objective == Objective::kEdp ? cycles : 1);
    };
    const auto plans = partitioner::candidates(graph, npu, options, 8);
    REQUIRE(plans.size() == 8);
    for (std::size_t i = 0; i < plans.size(); ++i) {
      CHECK(plans[i].budget == npu.scratchpad.size);
      CHECK(plans[i].objective == objective);
      CHECK(plans[i].peak_scratchpad <= npu.scratchpad.size);
      test::require_proven(partitioner::lower(graph, npu, plans[i]));
      if (i > 0) CHECK(value(plans[i - 1]) <= value(plans[i]));
    }
    // What differs in no group and no residency would come out as the same Program.
    std::vector<std::string> listings;
    for (const auto& plan : plans) {
      std::ostringstream listing;
      partitioner::disassemble(partitioner::lower(graph, npu, plan), listing);
      listings.push_back(listing.str());
    }
    std::sort(listings.begin(), listings.end());
    CHECK(std::adjacent_find(listings.begin(), listings.end()) == listings.end());
    CHECK(value(plans[0]) <= 1.005 * value(std::get<partitioner::Plan>(partitioner::partition(graph, npu, options))));
  }
}

TEST_CASE("plans rank as they are simulated: U-Net", "[pipeline][cost-model]") {
  compare(test::zoo("sd-tiny", "unet"), 96 << 10, {0.05, 0.20, 0.95}, {0.015, 0.05, 0.95});
}

TEST_CASE("plans rank as they are simulated: VAE decoder", "[pipeline][cost-model]") {
  compare(test::zoo("sd-tiny", "vae_decoder"), 64 << 10, {0.03, 0.10, 0.93}, {0.005, 0.02, 0.95});
}

TEST_CASE("plans rank as they are simulated: a residual network", "[pipeline][cost-model]") {
  compare(workloads::canonicalise(test::ResNet::build({2, 2, 2}, 32, 128)), 128 << 10, {0.06, 0.15, 0.85},
          {0.01, 0.03, 0.95});
}
