// The YAML files of configs/presets, compiled into the library so that presets are found from anywhere.
#pragma once

#include <span>
#include <string_view>

namespace spillway::configs {

struct Preset {
  std::string_view name;
  std::string_view yaml;
};

/// Sorted by name. Defined in a file that embed_presets.cmake writes.
[[nodiscard]] std::span<const Preset> embedded_presets();

}  // namespace spillway::configs
