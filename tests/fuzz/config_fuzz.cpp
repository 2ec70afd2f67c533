// Any bytes given to the config loader, as a file and as an override, end in an Error that is the user's to mend or in
// a config that survives the round trip through its resolved YAML.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "configs/configs.h"

namespace {

using spillway::Error;
using spillway::ErrorKind;
namespace configs = spillway::configs;

void check_round_trip(const configs::NpuConfig& npu) {
  if (!(configs::parse_config(configs::to_yaml(npu), "round.yaml") == npu)) std::abort();
}

template <typename Action>
void allow_bad_input(Action action) {
  try {
    action();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kBadInput) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  // The file name is in no folder, so that `extends` cannot reach into one.
  allow_bad_input([&] { check_round_trip(configs::parse_config(text, "fuzz.yaml")); });
  allow_bad_input([&] { check_round_trip(configs::parse_config("extends: edge-8mb\n" + text, "fuzz.yaml")); });
  allow_bad_input([&] { check_round_trip(configs::load_config("edge-8mb", {text})); });
  return 0;
}
