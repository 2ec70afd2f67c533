// More of anything never makes the chosen objective worse: scratchpad, DRAM bandwidth, engines. As simulated, not only
// as predicted. Half a percent is allowed: that near, plans are taken for the bytes they save.
#include <catch2/catch.hpp>

#include "tests/pipeline/stages.h"

namespace {

using namespace spillway;

constexpr double kTie = 1.005;

double simulated(const workloads::Graph& graph, const std::vector<std::string>& overrides,
                 partitioner::Objective objective) {
  const auto s = test::stage(graph, configs::load_config("edge-8mb", overrides), {.objective = objective});
  const auto result = simulator::simulate(s.program, s.npu);
  return static_cast<double>(objective == partitioner::Objective::kMoves ? result.moves.total() : result.cycles);
}

/// `key` takes the values in turn, each more than the one before; an empty one is the preset's, whose result is
/// `given`.
void require_monotone(const std::string& name, const std::string& key, const std::vector<std::string>& values,
                      partitioner::Objective objective = partitioner::Objective::kLatency, double tie = kTie,
                      double given = 0) {
  const auto graph = test::zoo("sd15", name);
  double least = 0;
  std::string of;
  for (const std::string& value : values) {
    const double now = value.empty() ? given : simulated(graph, {key + "=" + value}, objective);
    INFO(name << ": " << key << "=" << value << " gives " << now << ", " << of << " gave " << least);
    if (!of.empty()) CHECK(now <= tie * least);
    if (of.empty() || now < least) least = now, of = value;
  }
}

const std::vector<std::string> kSizes{"512KiB", "1MiB", "2MiB", "4MiB", "8MiB", "16MiB", "32MiB", "64MiB"};

}  // namespace

TEST_CASE("more scratchpad is never worse: text encoder and VAE", "[pipeline][monotone]") {
  for (const std::string name : {"text_encoder", "vae_encoder", "vae_decoder"}) {
    require_monotone(name, "scratchpad.size", kSizes);
  }
}

TEST_CASE("more scratchpad is never worse: moves", "[pipeline][monotone]") {
  for (const std::string name : {"text_encoder", "vae_encoder", "vae_decoder"}) {
    require_monotone(name, "scratchpad.size", kSizes, partitioner::Objective::kMoves);
  }
}

TEST_CASE("more scratchpad is never worse: U-Net", "[pipeline][monotone]") {
  require_monotone("unet", "scratchpad.size", {"512KiB", "2MiB", "8MiB", "32MiB"});
}

TEST_CASE("more bandwidth, arrays or lanes are never worse", "[pipeline][monotone]") {
  for (const std::string name : {"text_encoder", "vae_encoder", "vae_decoder", "unet"}) {
    const auto objective = partitioner::Objective::kLatency;
    const double given = simulated(test::zoo("sd15", name), {}, objective);
    require_monotone(name, "dram.data_rate", {"3200MT/s", "", "12800MT/s"}, objective, kTie, given);
    require_monotone(name, "matrix.count", {"", "2"}, objective, kTie, given);
    if (name != "unet") require_monotone(name, "matrix.count", {"2", "4"});
    // Two vector engines take the drains of the U-Net's attention in turn, and its products wait 1 % longer for them.
    require_monotone(name, "vector.count", {"", "2"}, objective, name == "unet" ? 1.012 : kTie, given);
    require_monotone(name, "vector.lanes", {"128", "", "512"}, objective, kTie, given);
  }
}
