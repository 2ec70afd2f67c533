// What range the values of each activation lie in, from runs of the reference executor on samples: what integer formats
// need to know before they can hold them.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "workloads/histogram.h"
#include "workloads/workloads.h"

namespace spillway::workloads {

enum class CalibrationMethod : std::uint8_t {
  kMinMax,      ///< nothing saturates
  kPercentile,  ///< outliers saturate
  kMse,         ///< the least mean square error
};
[[nodiscard]] std::string_view name_of(CalibrationMethod method);
/// Throws Error(kBadInput) naming the known ones.
[[nodiscard]] CalibrationMethod calibration_method_from_name(std::string_view name);

struct CalibrationOptions {
  CalibrationMethod method = CalibrationMethod::kMinMax;
  double percent = 99.99;  ///< kPercentile
  int bits = 8;            ///< kMse: of the integers that will hold the values
  bool symmetric = true;   ///< zero point 0; else all integers are used
};

struct Calibration {
  std::string graph;  ///< name of the graph it was made for
  CalibrationMethod method = CalibrationMethod::kMinMax;
  bool symmetric = true;
  int samples = 0;
  std::map<std::string, Range> ranges;  ///< by tensor of the canonical graph
};

/// Runs `graph` (canonical, since those are the tensors that the NPU stores) on every sample.
/// Throws Error(kBadInput) naming the first tensor that is NaN or infinite.
[[nodiscard]] Calibration calibrate(const Graph& graph, const std::vector<TensorMap>& samples,
                                    const CalibrationOptions& options);

[[nodiscard]] std::string calibration_to_json(const Calibration& calibration);
/// Throws Error(kBadInput) naming `source` and key.
[[nodiscard]] Calibration calibration_from_json(const std::string& text, const std::string& source);

}  // namespace spillway::workloads
