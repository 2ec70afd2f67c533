// Does the zoo write files that other tools and this importer read, and nothing half written?
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "workloads/workloads.h"

namespace {

using namespace spillway;
using namespace spillway::workloads;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (fs::temp_directory_path() / "spillway_zoo_XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  ~TemporaryFolder() { fs::remove_all(path_); }
  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

std::string contents(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::vector<std::string> files_below(const fs::path& folder) {
  std::vector<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) files.push_back(entry.path().lexically_relative(folder).string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

Error error_of_export(const fs::path& dir, const ZooOptions& options, bool with_weights) {
  try {
    zoo_export("sd-tiny", dir.string(), options, with_weights);
  } catch (const Error& error) {
    return error;
  }
  FAIL("the export succeeded");
  throw;
}

// Every file grows to at most `bytes` while this lives, as on a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    handler_ = std::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int) = nullptr;
};

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
  CHECK(files_below(folder.path()) == std::vector<std::string>{"text_encoder/model.onnx", "text_encoder/weights.bin"});
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
  CHECK(files_below(folder.path()) == std::vector<std::string>{"text_encoder/model.onnx", "text_encoder/weights.bin",
                                                               "unet/model.onnx", "unet/weights.bin",
                                                               "vae_decoder/model.onnx", "vae_decoder/weights.bin",
                                                               "vae_encoder/model.onnx", "vae_encoder/weights.bin"});
  check_same_weights(folder.path(), {.seed = 7});
  const auto parameters = statistics_of(zoo_graph("sd-tiny", "unet")).parameters;
  CHECK(static_cast<std::int64_t>(fs::file_size(folder.path() / "unet/weights.bin")) == 4 * parameters);
}

TEST_CASE("fp16 weights take half the space and are the same on both ways", "[zoo][export]") {
  const TemporaryFolder folder;
  const ZooOptions options{.precision = "fp16"};
  zoo_export("sd-tiny", folder.path().string(), options, true);
  check_same_weights(folder.path(), options);
  const auto parameters = statistics_of(zoo_graph("sd-tiny", "unet", options)).parameters;
  CHECK(static_cast<std::int64_t>(fs::file_size(folder.path() / "unet/weights.bin")) == 2 * parameters);
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
  const auto model = contents(folder.path() / "unet/model.onnx");
  const auto weights = contents(folder.path() / "unet/weights.bin");

  zoo_export("sd-tiny", folder.path().string(), {}, false);  // the same model: its weights may stay
  CHECK(contents(folder.path() / "unet/weights.bin") == weights);

  const auto error = error_of_export(folder.path(), {.seed = 2}, false);
  CHECK_THAT(error.what(), Contains("weights.bin") && Contains("another export"));
  CHECK(contents(folder.path() / "unet/model.onnx") == model);

  zoo_export("sd-tiny", folder.path().string(), {}, true);
  CHECK(contents(folder.path() / "unet/model.onnx") == model);
  CHECK(contents(folder.path() / "unet/weights.bin") == weights);
}
