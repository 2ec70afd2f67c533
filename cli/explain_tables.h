// Why a plan is as it is: tables, text and JSON of `spillway partition --explain`.
#pragma once

#include <iosfwd>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "partitioner/explain.h"

namespace spillway::cli {

struct Explained {
  partitioner::Explanation explanation;
  std::optional<partitioner::MoreScratchpad> more;  ///< of the whole plan
  std::vector<int> groups;                          ///< to be shown in depth; none: the tables of all
};

/// Groups by number, or whose names contain `text`. Throws Error(kBadInput) if there are none.
[[nodiscard]] std::vector<int> groups_named(const std::string& text, const partitioner::Plan& plan);

void print_explanation(std::ostream& out, const Explained& explained, const partitioner::Plan& plan);
[[nodiscard]] nlohmann::ordered_json explanation_json(const Explained& explained, const partitioner::Plan& plan);

}  // namespace spillway::cli
