// Names and options of the zoo, checked, and the model built from them. The public functions are in workloads.h.
#pragma once

#include <string>
#include <vector>

#include "workloads/workloads.h"
#include "workloads/zoo/builder.h"
#include "workloads/zoo/configurations.h"

namespace spillway::workloads::zoo {

/// Throws Error(kBadInput) that names the nearest model.
[[nodiscard]] const ModelConfig& find_model(const std::string& name);

/// In pipeline order.
[[nodiscard]] std::vector<std::string> graph_names(const ModelConfig& model);

/// Throws Error(kBadInput) on an unknown graph or an option out of its range.
[[nodiscard]] Model build(const ModelConfig& model, const std::string& graph, const ZooOptions& options);

}  // namespace spillway::workloads::zoo
