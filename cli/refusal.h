// "Does not fit" is a result: demand, budget, gap, the smallest budget that would do, what makes up the demand, levers.
#pragma once

#include <string>

#include "cli/session.h"

namespace spillway::cli {

[[nodiscard]] std::string refusal_text(const DoesNotFit& refusal);

}  // namespace spillway::cli
