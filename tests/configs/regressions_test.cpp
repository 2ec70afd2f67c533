// What the fuzzer found stays found: every file of tests/regressions/config is loaded; it either is refused with a
// spillway::Error or gives a config that survives the round trip.
#include <filesystem>
#include <fstream>

#include "configs/configs.h"
#include "tests/configs/expect_error.h"

namespace spillway::configs {
namespace {

TEST_CASE("configs that a fuzzer made", "[configs][regressions]") {
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(SPILLWAY_SOURCE_DIR "/tests/regressions/config")) {
    INFO(entry.path().string());
    std::ifstream stream(entry.path(), std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(stream), {}};
    ++files;
    try {
      const NpuConfig npu = parse_config(text, "fuzz.yaml");
      CHECK(parse_config(to_yaml(npu), "fuzz.yaml") == npu);
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::kBadInput);
      CHECK(std::string(error.what()).size() < 4000);
    }
  }
  CHECK(files > 0);
}

}  // namespace
}  // namespace spillway::configs
