#include "cli/functional.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <set>

#include "reports/atomic_files.h"

namespace spillway::cli {

namespace {

namespace fs = std::filesystem;
using workloads::Graph;
using workloads::HostTensor;
using workloads::TensorMap;

std::vector<double> values_of(const HostTensor& tensor) {
  return std::visit([](const auto& values) { return std::vector<double>(values.begin(), values.end()); }, tensor.data);
}

HostTensor load_input(const workloads::Tensor& tensor, const std::string& file) {
  HostTensor loaded = workloads::load_npy(file);
  if (loaded.shape != tensor.shape) {
    throw Error(ErrorKind::kBadInput, Place{.file = file, .tensor = tensor.name},
                fmt::format("shape is {} when the graph's input is {}", workloads::to_string(loaded.shape),
                            workloads::to_string(tensor.shape)));
  }
  if (workloads::is_float(loaded.type) != workloads::is_float(tensor.type)) {
    throw Error(ErrorKind::kBadInput, Place{.file = file, .tensor = tensor.name},
                fmt::format("elements are {} when the graph's input is {}", workloads::name_of(loaded.type),
                            workloads::name_of(tensor.type)));
  }
  if (loaded.holds_integer()) {
    loaded.type = tensor.type;
    return loaded;
  }
  return workloads::held_as(std::move(loaded), tensor.type);
}

/// A file name of an output: "/out/sample" -> "_out_sample".
std::string file_name(const std::string& tensor, std::set<std::string>& taken) {
  std::string name;
  for (const char c : tensor) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
                       c == '-' || (c == '.' && !name.empty());
    name += plain ? c : '_';
  }
  constexpr std::size_t kLongest = 200;
  if (name.size() > kLongest) name.resize(kLongest);
  if (name.empty()) name = "output";
  std::string unique = name;
  for (int n = 2; !taken.insert(unique).second; ++n) unique = fmt::format("{}_{}", name, n);
  return unique + ".npy";
}

}  // namespace

TensorMap inputs_of(const Graph& graph, const std::vector<std::string>& flags, std::uint64_t seed,
                    std::vector<std::string>& generated) {
  TensorMap inputs;
  std::vector<std::string> names;
  for (const auto id : graph.inputs) names.push_back(graph.tensors[id].name);
  for (const std::string& flag : flags) {
    const std::size_t equals = flag.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == flag.size()) {
      throw Error(ErrorKind::kBadInput, Place{}, fmt::format("--input '{}': not NAME=FILE.npy", flag),
                  fmt::format("the inputs are {}", fmt::join(names, ", ")));
    }
    const std::string name = flag.substr(0, equals);
    const auto at = std::find(names.begin(), names.end(), name);
    if (at == names.end()) {
      const std::string nearest = nearest_name(name, names);
      throw Error(ErrorKind::kBadInput, Place{}, fmt::format("--input '{}': the graph has no input '{}'", flag, name),
                  nearest.empty() ? fmt::format("the inputs are {}", fmt::join(names, ", "))
                                  : fmt::format("did you mean '{}'?", nearest));
    }
    const auto id = graph.inputs[static_cast<std::size_t>(at - names.begin())];
    if (!inputs.emplace(name, load_input(graph.tensors[id], flag.substr(equals + 1))).second) {
      throw Error(ErrorKind::kBadInput, Place{}, fmt::format("--input '{}': '{}' is given twice", flag, name));
    }
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (inputs.contains(names[i])) continue;
    const auto& tensor = graph.tensors[graph.inputs[i]];
    inputs.emplace(names[i], workloads::random_tensor(tensor.type, tensor.shape, seed + i));
    generated.push_back(names[i]);
  }
  return inputs;
}

std::vector<OutputFile> unwritten(const TensorMap& outputs) {
  std::vector<OutputFile> files;
  for (const auto& [name, tensor] : outputs) files.push_back({name, ""});
  return files;
}

std::vector<OutputFile> save(const TensorMap& outputs, const std::string& dir) {
  std::vector<OutputFile> files;
  std::vector<reports::NamedWriter> writers;
  std::set<std::string> taken;
  for (const auto& [name, tensor] : outputs) {
    const std::string file = file_name(name, taken);
    writers.push_back({file, [&tensor = tensor](const std::string& path) { workloads::save_npy(path, tensor); }});
    files.push_back({name, (fs::path(dir) / file).string()});
  }
  reports::write_atomically(dir, writers);
  return files;
}

Summary summary_of(const HostTensor& tensor) {
  const std::vector<double> values = values_of(tensor);
  if (values.empty()) return {};
  Summary summary{values.front(), 0, values.front()};
  for (const double v : values) {
    summary.least = std::min(summary.least, v);
    summary.most = std::max(summary.most, v);
    summary.mean += v;
  }
  summary.mean /= static_cast<double>(values.size());
  return summary;
}

std::vector<Difference> differences_of(const TensorMap& outputs, const TensorMap& reference) {
  std::vector<Difference> differences;
  for (const auto& [name, expected] : reference) {
    const auto it = outputs.find(name);
    if (it == outputs.end() || it->second.shape != expected.shape) {
      internal_error("the Program and the reference executor have the same outputs");
    }
    const std::vector<double> ours = values_of(it->second), theirs = values_of(expected);
    Difference d{.tensor = name};
    double largest = 0, error_squares = 0, squares = 0;
    for (std::size_t i = 0; i < theirs.size(); ++i) {
      double error = std::abs(ours[i] - theirs[i]);
      // Not a number on either side alone is as wrong as can be.
      if (std::isnan(error))
        error = std::isnan(ours[i]) && std::isnan(theirs[i]) ? 0 : std::numeric_limits<double>::infinity();
      d.largest_error = std::max(d.largest_error, error);
      error_squares += error * error;
      if (!std::isnan(theirs[i])) {
        largest = std::max(largest, std::abs(theirs[i]));
        squares += theirs[i] * theirs[i];
      }
    }
    const auto relative = [](double value, double base) {
      if (value == 0) return 0.0;
      return base > 0 ? value / base : std::numeric_limits<double>::infinity();
    };
    d.relative_to_largest = relative(d.largest_error, largest);
    d.relative_l2 = relative(std::sqrt(error_squares), std::sqrt(squares));
    differences.push_back(d);
  }
  return differences;
}

}  // namespace spillway::cli
