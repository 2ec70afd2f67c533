#include "workloads/calibration.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <span>

#include "configs/error.h"

namespace spillway::workloads {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::array kMethods{CalibrationMethod::kMinMax, CalibrationMethod::kPercentile, CalibrationMethod::kMse};
constexpr int kVersion = 1;

Range range_of(const Histogram& histogram, const CalibrationOptions& options) {
  switch (options.method) {
    case CalibrationMethod::kMinMax:
      return histogram.extremes();
    case CalibrationMethod::kPercentile:
      return histogram.percentile(options.percent);
    case CalibrationMethod::kMse:
      return histogram.least_square_error(options.bits, options.symmetric);
  }
  internal_error("unknown calibration method");
}

/// By tensor: whether nothing but Softmax reads it, along its last axis, perhaps through views.
std::vector<char> read_by_softmax_only(const Graph& graph) {
  std::vector<char> only(graph.tensors.size(), 0);
  for (auto node = graph.nodes.rbegin(); node != graph.nodes.rend(); ++node) {
    for (const TensorId id : node->inputs) {
      if (id == kNone || graph.is_output(id)) continue;
      const Tensor& tensor = graph.tensors[id];
      const auto rank = static_cast<std::int64_t>(tensor.shape.size());
      only[id] = !tensor.consumers.empty() &&
                 std::all_of(tensor.consumers.begin(), tensor.consumers.end(), [&](NodeId consumer) {
                   const Node& reader = graph.nodes[consumer];
                   const std::int64_t axis = reader.integer("axis", -1);
                   if (reader.op == "Softmax") return axis == -1 || axis == rank - 1;
                   const Tensor& view = graph.tensors[reader.outputs[0]];
                   return operator_of(reader).op_class == OpClass::kView && only[reader.outputs[0]] != 0 && rank > 0 &&
                          !view.shape.empty() && view.shape.back() == tensor.shape.back();
                 });
    }
  }
  return only;
}

/// Masks are made of numbers far below all others; what lies 20 below the largest of its row gets a probability under
/// 2.1e-9. The least that must still be told apart from that.
float least_that_counts(std::size_t row, std::span<const float> values) {
  constexpr float kFarBelow = 20;
  float least = std::numeric_limits<float>::max();
  for (std::size_t at = 0; row > 0 && at < values.size(); at += row) {
    least = std::min(least, *std::max_element(values.begin() + static_cast<std::ptrdiff_t>(at),
                                              values.begin() + static_cast<std::ptrdiff_t>(at + row)));
  }
  return std::min(least - kFarBelow, 0.0F);
}

}  // namespace

std::string_view name_of(CalibrationMethod method) {
  switch (method) {
    case CalibrationMethod::kMinMax:
      return "minmax";
    case CalibrationMethod::kPercentile:
      return "percentile";
    case CalibrationMethod::kMse:
      return "mse";
  }
  internal_error("unknown calibration method");
}

CalibrationMethod calibration_method_from_name(std::string_view name) {
  for (const CalibrationMethod method : kMethods) {
    if (name_of(method) == name) return method;
  }
  throw Error(ErrorKind::kBadInput, Place{}, "unknown calibration '" + std::string(name) + "'",
              "known: minmax, percentile, mse");
}

Calibration calibrate(const Graph& graph, const std::vector<TensorMap>& samples, const CalibrationOptions& options) {
  if (samples.empty()) throw Error(ErrorKind::kBadInput, Place{.file = graph.source}, "calibration needs a sample");
  std::map<std::string, Histogram> histograms;
  const std::vector<char> only_softmax = read_by_softmax_only(graph);
  const auto add = options.method == CalibrationMethod::kMinMax ? &Histogram::add_extremes : &Histogram::add;
  ExecuteOptions execution;
  execution.observe = [&](TensorId id, const Shape& shape, std::span<const float> values) {
    const std::string& name = graph.tensors[id].name;
    Histogram& histogram = histograms[name];
    if (only_softmax[id] != 0) {
      const float least = least_that_counts(static_cast<std::size_t>(shape.back()), values);
      constexpr std::size_t kPiece = std::size_t{1} << 20;  // scores may be a good part of the machine's memory
      std::vector<float> scores;
      for (; !values.empty(); values = values.subspan(scores.size())) {
        const auto piece = values.first(std::min(kPiece, values.size()));
        scores.assign(piece.begin(), piece.end());
        for (float& v : scores) v = std::max(v, least);
        (histogram.*add)(scores);
      }
    } else {
      (histogram.*add)(values);
    }
    if (histogram.not_finite() == 0) return;
    throw Error(ErrorKind::kBadInput, Place{.file = graph.source, .tensor = name},
                std::to_string(histogram.not_finite()) + " values are NaN or infinite, which no integer stands for",
                "other samples, or a floating-point precision");
  };
  for (const TensorMap& sample : samples) (void)execute(graph, sample, {}, execution);
  Calibration calibration;
  calibration.graph = graph.name;
  calibration.method = options.method;
  calibration.symmetric = options.symmetric;
  calibration.samples = static_cast<int>(samples.size());
  for (const auto& [name, histogram] : histograms) calibration.ranges[name] = range_of(histogram, options);
  return calibration;
}

std::string calibration_to_json(const Calibration& calibration) {
  Json ranges = Json::object();
  for (const auto& [name, range] : calibration.ranges) ranges[name] = {range.low, range.high};
  const Json json = {{"spillway_calibration", kVersion},      {"graph", calibration.graph},
                     {"method", name_of(calibration.method)}, {"symmetric", calibration.symmetric},
                     {"samples", calibration.samples},        {"ranges", ranges}};
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Calibration calibration_from_json(const std::string& text, const std::string& source) {
  const auto refuse = [&](const std::string& key, const std::string& problem) {
    throw Error(ErrorKind::kBadInput, Place{.file = source, .key = key}, problem,
                "spillway run MODEL --save-ranges FILE writes such a file");
  };
  const Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded() || !json.is_object()) refuse("", "is not JSON, or not an object");
  const auto member = [&](const char* key, auto is) {
    const auto found = json.find(key);
    if (found == json.end() || !is(*found)) refuse(key, "is missing or of another type");
    return *found;
  };
  const auto is_number = [](const Json& j) { return j.is_number(); };
  const auto is_integer = [](const Json& j) { return j.is_number_integer(); };
  const auto is_string = [](const Json& j) { return j.is_string(); };
  if (member("spillway_calibration", is_integer) != kVersion) {
    refuse("spillway_calibration", "is another version than " + std::to_string(kVersion));
  }
  Calibration calibration;
  calibration.graph = member("graph", is_string).get<std::string>();
  const auto method = member("method", is_string).get<std::string>();
  const auto known = std::find_if(kMethods.begin(), kMethods.end(), [&](auto m) { return name_of(m) == method; });
  if (known == kMethods.end()) refuse("method", "'" + method + "' is not minmax, percentile or mse");
  calibration.method = *known;
  calibration.symmetric = member("symmetric", [](const Json& j) { return j.is_boolean(); }).get<bool>();
  calibration.samples = member("samples", is_integer).get<int>();
  const Json ranges = member("ranges", [](const Json& j) { return j.is_object(); });
  for (const auto& [name, ends] : ranges.items()) {
    const bool two = ends.is_array() && ends.size() == 2 && is_number(ends[0]) && is_number(ends[1]);
    if (!two) refuse("ranges." + name, "is not two numbers, [low, high]");
    const Range range{ends[0].get<float>(), ends[1].get<float>()};
    if (!std::isfinite(range.low) || !std::isfinite(range.high) || range.low > 0 || range.high < 0) {
      refuse("ranges." + name, "does not hold zero between two finite ends");
    }
    calibration.ranges[name] = range;
  }
  return calibration;
}

}  // namespace spillway::workloads
