// What each metric of report.json means and its unit.
#pragma once

#include <span>
#include <string_view>

namespace spillway::reports {

struct Definition {
  std::string_view metric;
  std::string_view unit;
  std::string_view text;
};
[[nodiscard]] std::span<const Definition> metric_definitions();

}  // namespace spillway::reports
