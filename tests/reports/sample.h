// A report built by hand: two operators of a graph of three, one group each, figures chosen so that sums are known.
#pragma once

#include <string>

#include "reports/reports.h"

namespace spillway::test {

/// Names hold what CSV and JSON must escape.
inline const std::string kAwkwardName = "conv,\"one\"\nsecond line";

/// The config of edge-8mb's figures, without its file.
[[nodiscard]] configs::NpuConfig sample_npu();
/// 1000 cycles: matrix 600, vector 250, DRAM 100, dependency 50.
[[nodiscard]] reports::GraphProfile sample_profile(const std::string& model = "sample/graph");
[[nodiscard]] reports::Report sample_report();

}  // namespace spillway::test
