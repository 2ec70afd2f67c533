// ONNX's backend node tests as this project sees them: each case is a model of one node (or of the function that stands
// for it) with inputs and the outputs that any implementation must give.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "workloads/workloads.h"

namespace spillway::workloads::test {

/// Names of the cases in the folder, sorted; empty if it is absent.
[[nodiscard]] std::vector<std::string> node_cases(const std::string& folder);

struct Outcome {
  std::string trouble{};           ///< why it does not pass; empty if it does
  std::vector<std::string> ops{};  ///< operators of the model; empty if it could not be imported
};
/// Runs all data sets of one case through importer and reference executor and compares as ONNX's runner does: types,
/// shapes, integers and bools exactly, floats within |a - b| <= 1e-7 + 1e-3 |b|, NaN equal to NaN.
[[nodiscard]] Outcome run_case(const std::string& folder, const std::string& name);

/// The closed list: cases that do not run, with the reason of each. Lines "NAME: reason"; '#' begins a comment.
[[nodiscard]] std::map<std::string, std::string> not_run(const std::string& path);

}  // namespace spillway::workloads::test
