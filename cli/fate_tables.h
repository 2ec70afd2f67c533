// What became of tensors between groups, and what else could have: tables and JSON of `spillway partition`.
#pragma once

#include <iosfwd>
#include <nlohmann/json.hpp>
#include <vector>

#include "partitioner/fates.h"

namespace spillway::cli {

struct FateRow {
  partitioner::TensorFate fate;
  std::vector<partitioner::Alternative> alternatives;
};

/// The fate of each tensor; alternatives for the `tried` largest ones, planned anew one by one.
[[nodiscard]] std::vector<FateRow> fate_rows(const workloads::Graph& graph, const configs::NpuConfig& npu,
                                             const partitioner::Options& options, const partitioner::Plan& plan,
                                             std::size_t tried);

void print_fates(std::ostream& out, const std::vector<FateRow>& rows, bool all);
[[nodiscard]] nlohmann::ordered_json fates_json(const std::vector<FateRow>& rows);

}  // namespace spillway::cli
