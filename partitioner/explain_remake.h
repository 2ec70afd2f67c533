// Internal: why tensors that go through DRAM are not made again instead.
#pragma once

#include <vector>

#include "partitioner/plan_questions.h"

namespace spillway::partitioner {

/// Of every tensor in the plan that is stored for later groups and loaded by them; largest first.
[[nodiscard]] std::vector<TensorExplanation> explain_tensors(PlanQuestions& questions);

}  // namespace spillway::partitioner
