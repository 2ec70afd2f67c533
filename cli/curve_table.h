// The curve of moves against extra operations as a table and as JSON.
#pragma once

#include <iosfwd>
#include <nlohmann/json.hpp>
#include <vector>

#include "partitioner/recompute_curve.h"

namespace spillway::cli {

void print_curve(std::ostream& out, const std::vector<partitioner::CurvePoint>& curve);
[[nodiscard]] nlohmann::ordered_json curve_json(const std::vector<partitioner::CurvePoint>& curve);

}  // namespace spillway::cli
