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

/// The tensor as the graph's input holds it: floats of any width for each other, integers where the values fit.
HostTensor as_input(const workloads::Tensor& wanted, GivenInput given) {
  const Place place{.file = given.file, .tensor = wanted.name};
  HostTensor& tensor = given.tensor;
  if (tensor.shape != wanted.shape) {
    throw Error(ErrorKind::kBadInput, place,
                fmt::format("shape is {} when the graph's input is {}", workloads::to_string(tensor.shape),
                            workloads::to_string(wanted.shape)));
  }
  if (workloads::is_float(tensor.type) != workloads::is_float(wanted.type)) {
    throw Error(ErrorKind::kBadInput, place,
                fmt::format("elements are {} when the graph's input is {}", workloads::name_of(tensor.type),
                            workloads::name_of(wanted.type)));
  }
  if (!tensor.holds_integer()) return workloads::held_as(std::move(tensor), wanted.type);
  if (tensor.type == wanted.type) return std::move(tensor);
  const auto& values = tensor.ints();
  const auto wrong = std::find_if(values.begin(), values.end(),
                                  [&](std::int64_t v) { return workloads::narrowed(wanted.type, v) != v; });
  if (wrong != values.end()) {
    throw Error(ErrorKind::kBadInput, place,
                fmt::format("elements are {} when the graph's input is {}, which cannot hold {}",
                            workloads::name_of(tensor.type), workloads::name_of(wanted.type), *wrong));
  }
  tensor.type = wanted.type;
  return std::move(tensor);
}

/// One tensor of a file by its ending.
HostTensor load_one(const std::string& name, const std::string& file) {
  const std::string ending = fs::path(file).extension().string();
  if (ending == ".pb") return workloads::load_pb(file).tensor;
  if (ending != ".npz") return workloads::load_npy(file);
  workloads::TensorMap arrays = workloads::load_npz(file);
  if (const auto found = arrays.find(name); found != arrays.end()) return std::move(found->second);
  if (arrays.size() == 1) return std::move(arrays.begin()->second);
  std::vector<std::string> names;
  for (const auto& [array, tensor] : arrays) names.push_back(array);
  throw Error(ErrorKind::kBadInput, Place{.file = file},
              fmt::format("has no array '{}'; its arrays are {}", name, fmt::join(names, ", ")));
}

/// A file name of an output, without its ending: "/out/sample" -> "_out_sample".
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
  return unique;
}

}  // namespace

std::vector<GivenInput> read_inputs(const std::vector<std::string>& flags) {
  std::vector<GivenInput> given;
  for (const std::string& flag : flags) {
    const std::size_t equals = flag.find('=');
    if (equals == std::string::npos && fs::path(flag).extension() == ".npz") {
      for (auto& [name, tensor] : workloads::load_npz(flag)) given.push_back({flag, name, flag, std::move(tensor), {}});
      continue;
    }
    if (equals == std::string::npos || equals == 0 || equals + 1 == flag.size()) {
      throw Error(ErrorKind::kBadInput, Place{}, fmt::format("--input '{}': not NAME=FILE.npy", flag),
                  "NAME=FILE takes .npy, .npz and .pb; FILE.npz alone gives every array in it");
    }
    const std::string name = flag.substr(0, equals);
    const std::string file = flag.substr(equals + 1);
    GivenInput& input = given.emplace_back(GivenInput{flag, name, file});
    try {
      input.tensor = load_one(name, file);
    } catch (const Error&) {
      input.trouble = std::current_exception();
    }
  }
  return given;
}

TensorMap inputs_of(const Graph& graph, std::vector<GivenInput> given, std::uint64_t seed,
                    std::vector<std::string>& generated) {
  TensorMap inputs;
  std::vector<std::string> names;
  std::vector<std::string> wanted;
  for (const auto id : graph.inputs) {
    const workloads::Tensor& tensor = graph.tensors[id];
    names.push_back(tensor.name);
    wanted.push_back(
        fmt::format("{} ({} {})", tensor.name, workloads::name_of(tensor.type), workloads::to_string(tensor.shape)));
  }
  for (GivenInput& input : given) {
    const auto at = std::find(names.begin(), names.end(), input.name);
    if (at == names.end()) {
      const std::string nearest = nearest_name(input.name, names);
      throw Error(ErrorKind::kBadInput, Place{},
                  fmt::format("--input '{}': the graph has no input '{}'", input.flag, input.name),
                  nearest.empty() ? fmt::format("the inputs are {}", fmt::join(wanted, ", "))
                                  : fmt::format("did you mean '{}'?", nearest));
    }
    if (input.trouble) std::rethrow_exception(input.trouble);
    const auto id = graph.inputs[static_cast<std::size_t>(at - names.begin())];
    const std::string flag = input.flag;
    if (!inputs.emplace(*at, as_input(graph.tensors[id], std::move(input))).second) {
      throw Error(ErrorKind::kBadInput, Place{}, fmt::format("--input '{}': '{}' is given twice", flag, *at));
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

std::vector<OutputFile> save(const TensorMap& outputs, const std::string& dir, const std::string& format) {
  std::vector<OutputFile> files;
  std::vector<reports::NamedWriter> writers;
  std::set<std::string> taken;
  if (format == OutputFormat::kNpz) {
    writers.push_back({"outputs.npz", [&](const std::string& path) { workloads::save_npz(path, outputs); }});
  }
  for (const auto& [name, tensor] : outputs) {
    if (format == OutputFormat::kNpz) {
      files.push_back({name, (fs::path(dir) / writers.front().name).string()});
      continue;
    }
    const std::string file = file_name(name, taken) + "." + format;
    writers.push_back({file, [&, &name = name, &tensor = tensor](const std::string& path) {
                         if (format == OutputFormat::kPb) {
                           workloads::save_pb(path, {name, tensor});
                         } else {
                           workloads::save_npy(path, tensor);
                         }
                       }});
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
