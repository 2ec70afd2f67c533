// A Plan as a text that a person can read and diff, and back.
#pragma once

#include <string>
#include <string_view>

#include "partitioner/plan_document.h"

namespace spillway::partitioner {

/// `plan` is one of partition()'s for this canonical graph (propose()'s, with its own graph) and this config.
[[nodiscard]] PlanDocument document_of(const Plan& plan, const Graph& graph, const configs::NpuConfig& npu);
[[nodiscard]] std::string plan_to_json(const Plan& plan, const Graph& graph, const configs::NpuConfig& npu);

/// The canonical graph with its attentions cut as they were when the plan was made (propose()): what plan_from_json()
/// wants. Throws Error(kBadInput) naming file and key.
[[nodiscard]] Graph graph_of_plan(std::string_view text, const Graph& graph, const Place& place);

/// The saved Plan again, equal in effect: lower() makes the same Program of it, byte for byte. Nothing in the text is
/// trusted: what can be derived is derived anew and compared, so that lower() can rely on the Plan as on partition()'s.
/// `place` names the file. Throws Error(kBadInput) naming file and key: no plan, a plan for another graph or another
/// NPU, or one that cannot be right.
[[nodiscard]] Plan plan_from_json(std::string_view text, const Graph& graph, const configs::NpuConfig& npu,
                                  const Place& place);

}  // namespace spillway::partitioner
