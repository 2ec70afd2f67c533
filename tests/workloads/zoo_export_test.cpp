// Does the zoo write files that other tools and this importer read, and nothing half written?
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/temporary_files.h"
#include "workloads/workloads.h"

namespace {

using namespace spillway;
using namespace spillway::workloads;
using Catch::Matchers::Contains;
using spillway::testing::FileSizeLimit;
using spillway::testing::TemporaryFolder;
namespace fs = std::filesystem;

Error error_of_export(const fs::path& dir, const ZooOptions& options, bool with_weights) {
  try {
    zoo_export("sd-tiny", dir.string(), options, with_weights);
  } catch (const Error& error) {
    return error;
  }
  FAIL("the export succeeded");
  throw;
}

// Elements of the tensors that belong beside the model: at least 1024 bytes each, as the onnx package has it.
std::int64_t external_elements(const Graph& graph) {
  std::int64_t elements = 0;
  for (const auto& tensor : graph.tensors) {
    const bool initializer = tensor.constant && tensor.producer == kNone;
    if (initializer && tensor.elements() * bytes_of(tensor.type) >= 1024) elements += tensor.elements();
  }
  return elements;
}

// Every float constant of the imported file equals the zoo's own.
void check_same_weights(const fs::path& dir, const ZooOptions& options) {
  for (const auto& name : zoo_graphs("sd-tiny")) {
    INFO(name);
    const auto ours = zoo_graph("sd-tiny", name, options);
    const auto theirs = import_onnx((dir / name / "model.onnx").string());
    CHECK(theirs.warnings.empty());
    REQUIRE(theirs.tensors.size() == ours.tensors.size());
    for (std::size_t i = 0; i < ours.tensors.size(); ++i) {
      const auto& tensor = ours.tensors[i];
      if (!tensor.constant || !is_float(tensor.type)) continue;
      INFO(tensor.name);
      CHECK(materialise(theirs.tensors[i]).floats() == materialise(tensor).floats());
    }
  }
}

}  // namespace

TEST_CASE("an export that runs out of space leaves nothing behind", "[zoo][export]") {
  const TemporaryFolder folder;
  // sd-tiny's largest model.onnx is under 300 KB; the U-Net's weights are 800 KB.
  const auto error = [&] {
    const FileSizeLimit limit(500'000);
    return error_of_export(folder.path(), {}, true);
  }();
  CHECK(error.kind() == ErrorKind::kBadInput);
  CHECK_THAT(error.what(), Contains("unet/weights.bin") && Contains("File too large"));
  // The text encoder came before and is whole.
  CHECK(folder.files() == std::vector<std::string>{"text_encoder/model.onnx", "text_encoder/weights.bin"});
  CHECK_FALSE(fs::exists(folder.path() / "unet"));
  CHECK_FALSE(fs::exists(folder.path() / "vae_decoder"));

  const FileSizeLimit limit(100);
  CHECK(error_of_export(folder.path() / "new" / "deep", {}, false).kind() == ErrorKind::kBadInput);
  CHECK_FALSE(fs::exists(folder.path() / "new"));
}

TEST_CASE("an export to a folder that cannot be made or written is refused", "[zoo][export]") {
  const TemporaryFolder folder;
  const auto file = folder.path() / "file";
  std::ofstream(file) << "x";
  const auto error = error_of_export(file / "below", {}, false);
  CHECK(error.kind() == ErrorKind::kBadInput);
  CHECK_THAT(error.what(), Contains("cannot make the folder") && Contains(file.string()));

  if (::geteuid() == 0) return;  // root writes anywhere
  fs::permissions(folder.path(), fs::perms::owner_read | fs::perms::owner_exec);
  CHECK_THROWS_AS(zoo_export("sd-tiny", folder.path().string(), {}, false), Error);
  fs::permissions(folder.path(), fs::perms::owner_all);
}

TEST_CASE("a bad name or option exports nothing", "[zoo][export]") {
  const TemporaryFolder folder;
  const auto dir = folder.path() / "out";
  CHECK_THROWS_AS(zoo_export("sd99", dir.string(), {}, true), Error);
  CHECK_THROWS_AS(zoo_export("sd-tiny", dir.string(), {.image = 63}, true), Error);
  CHECK_FALSE(fs::exists(dir));
}

TEST_CASE("exported weights are those that the zoo generates", "[zoo][export]") {
  const TemporaryFolder folder;
  zoo_export("sd-tiny", folder.path().string(), {.seed = 7}, true);
  CHECK(folder.files() == std::vector<std::string>{"text_encoder/model.onnx", "text_encoder/weights.bin",
                                                   "unet/model.onnx", "unet/weights.bin", "vae_decoder/model.onnx",
                                                   "vae_decoder/weights.bin", "vae_encoder/model.onnx",
                                                   "vae_encoder/weights.bin"});
  check_same_weights(folder.path(), {.seed = 7});
  const auto external = external_elements(zoo_graph("sd-tiny", "unet"));
  CHECK(static_cast<std::int64_t>(fs::file_size(folder.path() / "unet/weights.bin")) == 4 * external);
}

TEST_CASE("fp16 weights take half the space and are the same on both ways", "[zoo][export]") {
  const TemporaryFolder folder;
  const ZooOptions options{.precision = "fp16"};
  zoo_export("sd-tiny", folder.path().string(), options, true);
  check_same_weights(folder.path(), options);
  const auto external = external_elements(zoo_graph("sd-tiny", "unet", options));
  CHECK(static_cast<std::int64_t>(fs::file_size(folder.path() / "unet/weights.bin")) == 2 * external);
}

TEST_CASE("small tensors are in the model itself, weights or not", "[zoo][export]") {
  const TemporaryFolder folder;
  zoo_export("sd-tiny", folder.path().string(), {}, false);
  for (const auto& name : zoo_graphs("sd-tiny")) {
    INFO(name);
    const auto ours = zoo_graph("sd-tiny", name);
    const auto theirs = import_onnx((folder.path() / name / "model.onnx").string());
    REQUIRE(theirs.tensors.size() == ours.tensors.size());
    int small = 0;
    for (std::size_t i = 0; i < ours.tensors.size(); ++i) {
      const auto& tensor = theirs.tensors[i];
      if (!tensor.constant || tensor.producer != kNone || !is_float(tensor.type)) continue;
      INFO(tensor.name);
      const bool external = tensor.elements() * bytes_of(tensor.type) >= 1024;
      CHECK(tensor.constant->missing() == external);
      if (external) continue;
      CHECK(materialise(tensor).floats() == materialise(ours.tensors[i]).floats());
      ++small;
    }
    CHECK(small > 0);
  }
}

TEST_CASE("an export without weights loads with a warning", "[zoo][export]") {
  const TemporaryFolder folder;
  zoo_export("sd-tiny", folder.path().string(), {}, false);
  CHECK_FALSE(fs::exists(folder.path() / "unet/weights.bin"));
  const auto graph = import_onnx((folder.path() / "unet/model.onnx").string());
  REQUIRE(graph.warnings.size() == 1);
  CHECK_THAT(graph.warnings[0], Contains("weights.bin"));
  CHECK(statistics_of(graph).macs_total == statistics_of(zoo_graph("sd-tiny", "unet")).macs_total);
}

TEST_CASE("an export is the same every time and never sits beside another's weights", "[zoo][export]") {
  const TemporaryFolder folder;
  zoo_export("sd-tiny", folder.path().string(), {}, true);
  const auto model = folder.read("unet/model.onnx");
  const auto weights = folder.read("unet/weights.bin");

  zoo_export("sd-tiny", folder.path().string(), {}, false);  // the same model: its weights may stay
  CHECK(folder.read("unet/weights.bin") == weights);

  const auto error = error_of_export(folder.path(), {.seed = 2}, false);
  CHECK_THAT(error.what(), Contains("weights.bin") && Contains("another export"));
  CHECK(folder.read("unet/model.onnx") == model);

  zoo_export("sd-tiny", folder.path().string(), {}, true);
  CHECK(folder.read("unet/model.onnx") == model);
  CHECK(folder.read("unet/weights.bin") == weights);
}
