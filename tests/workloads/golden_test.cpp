// The reference executor against tensors that another framework computed (PyTorch eager, float32): the graphs as
// exported and what canonicalise() makes of them.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>

#include "workloads/workloads.h"

namespace spillway::workloads {
namespace {

namespace fs = std::filesystem;

const fs::path kGolden = fs::path(SPILLWAY_SOURCE_DIR) / ".." / "shared" / "golden";

/// Files PREFIX.NAME.npy of a case, by NAME.
TensorMap load_tensors(const fs::path& folder, const std::string& prefix) {
  TensorMap tensors;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string file = entry.path().filename().string();
    if (!file.starts_with(prefix + ".") || !file.ends_with(".npy")) continue;
    const std::string name = file.substr(prefix.size() + 1, file.size() - prefix.size() - 5);
    tensors[name] = load_npy(entry.path().string());
  }
  return tensors;
}

std::vector<fs::path> cases_of(const std::string& model) {
  std::vector<fs::path> cases;
  for (const auto& entry : fs::directory_iterator(kGolden / model)) {
    if (entry.is_directory()) cases.push_back(entry.path());
  }
  std::sort(cases.begin(), cases.end());
  return cases;
}

/// |error| at most 2e-5 of the largest reference value, relative L2 at most 1e-5.
void check_close(const HostTensor& result, const HostTensor& reference) {
  REQUIRE(result.shape == reference.shape);
  REQUIRE(result.holds_float() == reference.holds_float());
  if (!result.holds_float()) {
    CHECK(result.ints() == reference.ints());
    return;
  }
  double largest = 0;
  double worst = 0;
  double error2 = 0;
  double norm2 = 0;
  for (std::size_t i = 0; i < reference.floats().size(); ++i) {
    const double want = reference.floats()[i];
    const double error = std::abs(result.floats()[i] - want);
    largest = std::max(largest, std::abs(want));
    worst = std::isnan(error) ? error : std::max(worst, error);
    error2 += error * error;
    norm2 += want * want;
  }
  CHECK(worst <= 2e-5 * largest);
  CHECK(std::sqrt(error2) <= 1e-5 * std::sqrt(norm2));
}

ShapeBindings bindings_for(const TensorMap& inputs) {
  ShapeBindings bindings;
  for (const auto& [name, tensor] : inputs) bindings.inputs[name] = tensor.shape;
  return bindings;
}

void check_model(const std::string& model, const std::string& file) {
  if (!fs::exists(kGolden / file)) {
    WARN("skipped: " << (kGolden / file).string() << " is absent");
    return;
  }
  const auto cases = cases_of(model);
  REQUIRE_FALSE(cases.empty());
  for (const fs::path& folder : cases) {
    const TensorMap inputs = load_tensors(folder, "in");
    const TensorMap wanted = load_tensors(folder, "out");
    REQUIRE_FALSE(wanted.empty());
    const Graph exported = import_onnx((kGolden / file).string(), bindings_for(inputs));
    const Graph canonical = canonicalise(exported);
    for (const Graph* graph : {&exported, &canonical}) {
      const TensorMap results = execute(*graph, inputs);
      for (const auto& [name, reference] : wanted) {
        INFO(file << ", " << folder.filename().string() << ", " << (graph == &canonical ? "canonical" : "exported")
                  << ", output " << name);
        REQUIRE(results.contains(name));
        check_close(results.at(name), reference);
      }
    }
  }
}

TEST_CASE("golden text encoder", "[golden]") { check_model("tiny_text_encoder", "tiny_text_encoder.onnx"); }
TEST_CASE("golden U-Net", "[golden]") { check_model("tiny_unet", "tiny_unet.onnx"); }
TEST_CASE("golden VAE encoder", "[golden]") { check_model("tiny_vae_encoder_mode", "tiny_vae_encoder_mode.onnx"); }
TEST_CASE("golden VAE decoder", "[golden]") { check_model("tiny_vae_decoder", "tiny_vae_decoder.onnx"); }
TEST_CASE("golden text encoder, dynamic axes", "[golden]") {
  check_model("tiny_text_encoder", "tiny_text_encoder_dyn.onnx");
}
TEST_CASE("golden U-Net, dynamic axes", "[golden]") { check_model("tiny_unet", "tiny_unet_dyn.onnx"); }
TEST_CASE("golden VAE decoder, dynamic axes", "[golden]") {
  check_model("tiny_vae_decoder", "tiny_vae_decoder_dyn.onnx");
}

TEST_CASE("the sampling VAE encoder gives the same sample as exported and canonical, run after run", "[golden]") {
  const fs::path file = kGolden / "tiny_vae_encoder.onnx";
  if (!fs::exists(file)) {
    WARN("skipped: " << file.string() << " is absent");
    return;
  }
  const Graph exported = import_onnx(file.string());
  TensorMap inputs;
  for (const TensorId id : exported.inputs) {
    const Tensor& tensor = exported.tensors[id];
    inputs[tensor.name] = random_tensor(tensor.type, tensor.shape, 1);
  }
  const TensorMap first = execute(exported, inputs);
  const TensorMap again = execute(exported, inputs);
  const TensorMap canonical = execute(canonicalise(exported), inputs);
  REQUIRE_FALSE(first.empty());
  for (const auto& [name, tensor] : first) {
    INFO(name);
    CHECK(again.at(name).floats() == tensor.floats());
    check_close(canonical.at(name), tensor);
  }
}

}  // namespace
}  // namespace spillway::workloads
