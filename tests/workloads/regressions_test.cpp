// What the fuzzer once found stays found: each file loads or is refused, and does neither slowly nor fatally.
#include <algorithm>
#include <iterator>

#include "tests/workloads/onnx_models.h"

using namespace spillway;
using namespace spillway::workloads;

TEST_CASE("files that once broke the importer", "[import][regressions]") {
  const auto folder = std::filesystem::path(SPILLWAY_SOURCE_DIR) / "tests/regressions/onnx";
  REQUIRE(std::filesystem::is_directory(folder));
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".md") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  REQUIRE_FALSE(files.empty());
  for (const auto& path : files) {
    INFO(path.string());
    std::ifstream file(path, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    try {
      (void)statistics_of(import_onnx_bytes(bytes, path.filename().string(), ""));
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::kBadInput);
    }
  }
}
