// The Program itself, executed on real tensors through the modelled scratchpad, gives what another framework computed.
#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <set>

#include "tests/pipeline/stages.h"

namespace {

using namespace spillway;
using partitioner::Strategy;
namespace fs = std::filesystem;

const fs::path kGolden = fs::path(SPILLWAY_SOURCE_DIR) / ".." / "shared" / "golden";

void require_near(const std::string& name, const workloads::HostTensor& got, const workloads::HostTensor& want) {
  REQUIRE(got.shape == want.shape);
  double worst = 0;
  double largest = 0;
  double error2 = 0;
  double norm2 = 0;
  for (std::size_t i = 0; i < want.floats().size(); ++i) {
    const double w = want.floats()[i];
    const double e = std::abs(got.floats()[i] - w);
    worst = std::max(worst, e);
    largest = std::max(largest, std::abs(w));
    error2 += e * e;
    norm2 += w * w;
  }
  INFO(name << ": largest error " << worst << " of " << largest);
  CHECK(worst <= 2e-5 * largest);
  CHECK(std::sqrt(error2) <= 1e-5 * std::sqrt(norm2));
}

/// Bytes that leave the scratchpad although nothing outside asks for them.
bool spills(const test::Staged& s) { return s.plan.moves.total() > s.plan.compulsory_bytes; }
bool tiles(const test::Staged& s) {
  return std::any_of(s.plan.groups.begin(), s.plan.groups.end(), [](const auto& g) { return g.steps > 1; });
}

void run_golden(const std::string& model, partitioner::Strategy strategy) {
  const fs::path folder = kGolden / model;
  if (!fs::exists(folder)) {
    WARN("skipped: " << folder << " is not there");
    return;
  }
  const auto graph = workloads::canonicalise(workloads::import_onnx((kGolden / (model + ".onnx")).string()));
  std::set<fs::path> cases;
  for (const auto& entry : fs::directory_iterator(folder)) cases.insert(entry.path());
  REQUIRE_FALSE(cases.empty());
  workloads::TensorMap inputs;
  workloads::TensorMap wanted;
  for (const auto& entry : fs::directory_iterator(*cases.begin())) {
    const std::string file = entry.path().stem().string();  // "in.NAME" or "out.NAME"
    const auto tensor = workloads::load_npy(entry.path().string());
    if (file.rfind("in.", 0) == 0) inputs[file.substr(3)] = tensor;
    if (file.rfind("out.", 0) == 0) wanted[file.substr(4)] = tensor;
  }
  const auto smallest = partitioner::smallest_budget(graph, test::npu_with("edge-8mb", 0, "fp32"));
  for (const double multiple : {1.0, 1.25, 2.0, 8.0}) {
    INFO(model << " " << name_of(strategy) << " at " << multiple << " x the smallest budget of " << smallest);
    const auto bytes = static_cast<configs::Bytes>(std::ceil(static_cast<double>(smallest) * multiple));
    const auto s = test::stage(graph, test::npu_with("edge-8mb", bytes, "fp32"), {.strategy = strategy});
    test::require_proven(s.program);
    const auto run = simulator::simulate_functional(s.program, s.npu, inputs);
    for (const auto& [name, tensor] : wanted) require_near(name, run.outputs.at(name), tensor);
    CHECK(tiles(s));
    CHECK(spills(s));
  }
}

}  // namespace

// One case a strategy, so that they run side by side: the smallest budgets make Programs of millions of commands.
TEST_CASE("golden text encoder through the simulated NPU", "[pipeline][golden]") {
  run_golden("tiny_text_encoder", Strategy::kFused);
  run_golden("tiny_text_encoder", Strategy::kLayerByLayer);
}
TEST_CASE("golden U-Net through the simulated NPU, fused", "[pipeline][golden]") {
  run_golden("tiny_unet", Strategy::kFused);
}
TEST_CASE("golden U-Net through the simulated NPU, layer by layer", "[pipeline][golden]") {
  run_golden("tiny_unet", Strategy::kLayerByLayer);
}
TEST_CASE("golden VAE encoder through the simulated NPU, fused", "[pipeline][golden]") {
  run_golden("tiny_vae_encoder_mode", Strategy::kFused);
}
TEST_CASE("golden VAE encoder through the simulated NPU, layer by layer", "[pipeline][golden]") {
  run_golden("tiny_vae_encoder_mode", Strategy::kLayerByLayer);
}
TEST_CASE("golden VAE decoder through the simulated NPU, fused", "[pipeline][golden]") {
  run_golden("tiny_vae_decoder", Strategy::kFused);
}
TEST_CASE("golden VAE decoder through the simulated NPU, layer by layer", "[pipeline][golden]") {
  run_golden("tiny_vae_decoder", Strategy::kLayerByLayer);
}

TEST_CASE("sd-tiny through the simulated NPU equals the reference executor", "[pipeline]") {
  for (const std::string& name : workloads::zoo_graphs("sd-tiny")) {
    const auto graph = test::zoo("sd-tiny", name);
    workloads::TensorMap inputs;
    for (const auto id : graph.inputs) {
      const auto& t = graph.tensors[id];
      inputs[t.name] = workloads::random_tensor(t.type, t.shape, 7, 100);
    }
    const auto wanted = workloads::execute(graph, inputs);
    for (const auto strategy : {partitioner::Strategy::kFused, partitioner::Strategy::kLayerByLayer}) {
      for (const configs::Bytes budget : {128 << 10, 8 << 20}) {
        INFO(name << " at " << budget << " " << name_of(strategy));
        const auto s = test::stage(graph, test::npu_with("edge-8mb", budget, "fp32"), {.strategy = strategy});
        const auto run = simulator::simulate_functional(s.program, s.npu, inputs);
        for (const auto& [output, tensor] : wanted) require_near(output, run.outputs.at(output), tensor);
      }
    }
  }
}
