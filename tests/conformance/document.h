// docs/operators.md, as the operator table, ONNX's schemas and the node tests have it.
#pragma once

#include <map>
#include <string>

#include "tests/conformance/cases.h"

namespace spillway::workloads::test {

/// `outcomes` by case; `listed`: the closed list of cases that do not run.
[[nodiscard]] std::string operators_document(const std::map<std::string, Outcome>& outcomes,
                                             const std::map<std::string, std::string>& listed);

}  // namespace spillway::workloads::test
