// Every objective: the prediction beside the simulation, and that each is served best by its own plan.
#include <catch2/catch.hpp>
#include <cmath>

#include "partitioner/energy.h"
#include "tests/pipeline/stages.h"

namespace {

using namespace spillway;
using configs::Bytes;
using partitioner::Objective;

double simulated(const simulator::Result& result, Objective objective) {
  switch (objective) {
    case Objective::kLatency:
      return static_cast<double>(result.cycles);
    case Objective::kMoves:
      return static_cast<double>(result.moves.total());
    case Objective::kEnergy:
      return result.energy.total_pj();
    case Objective::kEdp:
      return result.energy.total_pj() * static_cast<double>(result.cycles);
  }
  return 0;
}

double predicted(const test::Staged& s, Objective objective) {
  if (objective == Objective::kLatency) return static_cast<double>(s.plan.cycles);
  if (objective == Objective::kMoves) return static_cast<double>(s.plan.moves.total());
  const double energy = partitioner::energy_of(s.graph, s.npu, s.plan).total_pj();
  return objective == Objective::kEnergy ? energy : energy * static_cast<double>(s.plan.cycles);
}

void check_near(const char* what, double predicted, double simulated, double tolerance) {
  INFO(what << ": predicted " << predicted << ", simulated " << simulated);
  CHECK(std::abs(predicted - simulated) <= tolerance * simulated);
}

/// Of each part of the energy; the static one is as good as the cycles.
void check_energy(const test::Staged& s, double dram_tolerance) {
  const auto is = simulator::simulate(s.program, s.npu).energy;
  const auto e = partitioner::energy_of(s.graph, s.npu, s.plan);
  check_near("MAC", e.mac_pj, is.mac_pj, 1e-9);
  check_near("vector", e.vector_pj, is.vector_pj, 1e-3);
  check_near("scratchpad", e.scratchpad_pj, is.scratchpad_pj, 0.002);
  check_near("accumulators", e.accumulator_pj, is.accumulator_pj, 1e-9);
  check_near("DRAM", e.dram_pj, is.dram_pj, dram_tolerance);
}

}  // namespace

TEST_CASE("predicted energy is what the simulator counts, part by part", "[pipeline][objectives]") {
  for (const char* preset : {"edge-8mb", "edge-8mb-slow", "tpu-v1-like", "ethos-u85-like"}) {
    for (const std::string name : {"text_encoder", "unet", "vae_encoder", "vae_decoder"}) {
      for (const configs::Bytes budget : {Bytes{48} << 10, Bytes{1} << 20}) {
        for (const auto strategy : {partitioner::Strategy::kFused, partitioner::Strategy::kLayerByLayer}) {
          INFO(name << " on " << preset << " at " << budget << ", " << name_of(strategy));
          check_energy(test::stage(test::zoo("sd-tiny", name), test::npu_with(preset, budget), {.strategy = strategy}),
                       0.01);
        }
      }
    }
  }
}

TEST_CASE("no energy in the table is an objective like any other", "[pipeline][objectives]") {
  const auto npu = configs::load_config("edge-8mb", {"energy.dram=0pJ/B", "energy.scratchpad=0pJ/B",
                                                     "energy.accumulator=0pJ/B", "energy.static_power=0mW"});
  for (const Objective objective : {Objective::kEnergy, Objective::kEdp}) {
    const auto s = test::stage(test::zoo("sd-tiny", "vae_encoder"), npu, {.objective = objective});
    test::require_proven(s.program);
    CHECK(s.plan.objective == objective);
    CHECK(partitioner::energy_of(s.graph, s.npu, s.plan).dram_pj == 0);
  }
}

TEST_CASE("a plan for energy takes less than one for latency where the two differ", "[pipeline][objectives]") {
  // What the plans for the SD 1.5 VAE decoder take, measured: 2 % less energy in 1.2 % more time.
  const auto graph = test::zoo("sd15", "vae_decoder");
  std::vector<simulator::Result> results;
  for (const Objective objective : {Objective::kLatency, Objective::kEnergy, Objective::kEdp}) {
    const auto s = test::stage(graph, configs::load_config("edge-8mb"), {.objective = objective});
    check_energy(s, 0.001);
    results.push_back(simulator::simulate(s.program, s.npu));
  }
  CHECK(results[1].energy.total_pj() < 0.985 * results[0].energy.total_pj());
  CHECK(results[0].cycles < results[1].cycles);
  for (const auto& other : {results[0], results[1]}) {
    CHECK(simulated(results[2], Objective::kEdp) < simulated(other, Objective::kEdp));
  }
}

TEST_CASE("forced fates under energy and its product with delay", "[pipeline][objectives]") {
  const auto graph = test::zoo("sd-tiny", "unet");
  const auto npu = test::npu_with("edge-8mb-slow", Bytes{96} << 10);
  for (const Objective objective : {Objective::kEnergy, Objective::kEdp}) {
    const auto free = predicted(test::stage(graph, npu, {.objective = objective}), objective);
    for (const auto skips : {partitioner::Wish::kHold, partitioner::Wish::kSpill, partitioner::Wish::kRecompute}) {
      INFO(name_of(objective) << ", " << name_of(skips));
      const auto s = test::stage(graph, npu, {.objective = objective, .skips = skips});
      test::require_proven(s.program);
      CHECK(free <= 1.005 * predicted(s, objective));
    }
  }
}

// Plans are chosen by what is predicted, so there each must be the best but for ties, which go to fewer bytes. What is
// simulated may differ by the error of the prediction: these graphs take a few microseconds, and what happens where one
// group follows another, which no price knows, is up to 6 % of that (docs/cost-model.md).
TEST_CASE("each objective is served best by its own plan", "[pipeline][objectives]") {
  int pairs = 0;
  int worse = 0;
  for (const char* preset : {"edge-8mb", "edge-8mb-slow", "tpu-v1-like", "ethos-u85-like"}) {
    for (const std::string name : {"text_encoder", "unet", "vae_encoder", "vae_decoder"}) {
      for (const configs::Bytes budget : {Bytes{48} << 10, Bytes{256} << 10}) {
        // Two cases of the largest graph take as long as all others.
        const bool slow_dram = std::string(preset) == "edge-8mb-slow" || std::string(preset) == "tpu-v1-like";
        if (name == "unet" && !(slow_dram && budget == Bytes{48} << 10)) continue;
        std::vector<test::Staged> staged;
        std::vector<simulator::Result> results;
        for (const Objective objective : partitioner::kObjectives) {
          staged.push_back(
              test::stage(test::zoo("sd-tiny", name), test::npu_with(preset, budget), {.objective = objective}));
          results.push_back(simulator::simulate(staged.back().program, staged.back().npu));
        }
        for (std::size_t own = 0; own < results.size(); ++own) {
          const Objective objective = partitioner::kObjectives[own];
          // The U-Net has too many operators for a plan for latency to wait for the other objectives' searches.
          const bool alone = objective == Objective::kLatency && name == "unet";
          for (std::size_t other = 0; other < results.size(); ++other) {
            INFO(name << " on " << preset << " at " << budget << ": " << name_of(objective)
                      << " of its own plan and of " << name_of(partitioner::kObjectives[other]) << "'s");
            CHECK(predicted(staged[own], objective) <= (alone ? 1.04 : 1.005) * predicted(staged[other], objective));
            const double is = simulated(results[own], objective);
            const double could_be = simulated(results[other], objective);
            CHECK(is <= 1.065 * could_be);
            ++pairs;
            if (is > 1.005 * could_be) ++worse;
          }
        }
      }
    }
  }
  INFO(worse << " of " << pairs << " are more than half a percent worse");
  CHECK(worse <= 14);
}
