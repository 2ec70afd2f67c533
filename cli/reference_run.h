// The reference executor at work for `spillway run`: memory, progress, and where NaN or infinity appears.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/context.h"
#include "workloads/workloads.h"

namespace spillway::cli {

struct ReferenceRun {
  std::string model;              ///< for messages
  std::vector<std::string> dump;  ///< tensors wanted besides the outputs
  bool nan_is_error = false;
  bool double_sums = false;  ///< products of matrices are summed in double
};

/// Throws Error(kBadInput), saying how much, if running the graph needs more memory than there is. Cheap: before
/// anything is generated.
void check_memory(const workloads::Graph& graph, const std::string& model);

/// Executes the graph. Warns of the first operator that makes NaN, and the first that makes infinity, of finite inputs;
/// throws Error(kBadInput) instead if told so.
[[nodiscard]] workloads::TensorMap run_reference(const workloads::Graph& graph, const workloads::TensorMap& inputs,
                                                 const ReferenceRun& run, Context& context, Progress& progress);

/// Whether some float element is NaN or infinite.
[[nodiscard]] bool has_non_finite(const workloads::TensorMap& tensors);

}  // namespace spillway::cli
