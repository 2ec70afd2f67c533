#include "tests/conformance/cases.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <set>

#include "configs/error.h"
#include "workloads/number_formats.h"

namespace spillway::workloads::test {

namespace {

namespace fs = std::filesystem;

constexpr double kRelative = 1e-3;  // onnx.backend.test.runner's defaults
constexpr double kAbsolute = 1e-7;

bool close(double found, double wanted) {
  if (std::isnan(wanted) || std::isnan(found)) return std::isnan(wanted) && std::isnan(found);
  if (std::isinf(wanted) || std::isinf(found)) return wanted == found;
  return std::abs(found - wanted) <= kAbsolute + kRelative * std::abs(wanted);
}

/// Empty if they agree.
std::string difference(const HostTensor& found, const HostTensor& wanted) {
  if (found.type != wanted.type)
    return fmt::format("is {} when {} is right", name_of(found.type), name_of(wanted.type));
  if (found.shape != wanted.shape) {
    return fmt::format("has shape {} when {} is right", to_string(found.shape), to_string(wanted.shape));
  }
  if (found.data.index() != wanted.data.index() || found.held() != wanted.held()) return "is held otherwise";
  const auto first_wrong = [&]<typename T>(const std::vector<T>& right) -> std::string {
    const auto& values = std::get<std::vector<T>>(found.data);
    for (std::size_t i = 0; i < right.size(); ++i) {
      bool same = values[i] == right[i];
      if constexpr (!std::is_same_v<T, std::int64_t>) same = close(values[i], right[i]);
      if (!same) return fmt::format("element {} is {} when {} is right", i, values[i], right[i]);
    }
    return {};
  };
  return std::visit(first_wrong, wanted.data);
}

/// NumPy has no bfloat16: where the model says it, the files hold the bits as uint16.
HostTensor as_declared(HostTensor tensor, DataType declared) {
  if (tensor.type != DataType::kUint16 || declared != DataType::kBFloat16) return tensor;
  HostTensor result{declared, tensor.shape, {}};
  for (const std::int64_t bits : tensor.ints()) {
    result.floats().push_back(float_from_bfloat16(static_cast<std::uint16_t>(bits)));
  }
  return result;
}

std::vector<NamedTensor> load_all(const fs::path& folder, const std::string& prefix) {
  std::vector<NamedTensor> tensors;
  for (int i = 0; fs::exists(folder / fmt::format("{}_{}.pb", prefix, i)); ++i) {
    tensors.push_back(load_pb((folder / fmt::format("{}_{}.pb", prefix, i)).string()));
  }
  return tensors;
}

std::string run_data_set(const Graph& graph, const fs::path& folder) {
  const auto given = load_all(folder, "input");
  const auto wanted = load_all(folder, "output");
  if (given.size() != graph.inputs.size() || wanted.size() != graph.outputs.size()) {
    return "has other inputs or outputs than its model";
  }
  TensorMap inputs;
  for (std::size_t i = 0; i < given.size(); ++i) {
    const Tensor& tensor = graph.tensors[graph.inputs[i]];
    inputs[tensor.name] = as_declared(given[i].tensor, tensor.type);
  }
  const TensorMap outputs = execute(graph, inputs);
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const auto& name = graph.tensors[graph.outputs[i]].name;
    const auto wrong =
        difference(outputs.at(name), as_declared(wanted[i].tensor, graph.tensors[graph.outputs[i]].type));
    if (!wrong.empty()) return fmt::format("output '{}' {}", name, wrong);
  }
  return {};
}

}  // namespace

std::vector<std::string> node_cases(const std::string& folder) {
  std::vector<std::string> names;
  if (!fs::is_directory(folder)) return names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

Outcome run_case(const std::string& folder, const std::string& name) {
  Outcome outcome;
  const fs::path place = fs::path(folder) / name;
  try {
    ShapeBindings bindings{.dynamic = true};
    for (const auto& input : load_all(place / "test_data_set_0", "input"))
      bindings.inputs[input.name] = input.tensor.shape;
    const Graph graph = import_onnx((place / "model.onnx").string(), bindings);
    std::set<std::string> ops;
    for (const Node& node : graph.nodes) ops.insert(node.op);
    outcome.ops.assign(ops.begin(), ops.end());
    int sets = 0;
    for (; fs::is_directory(place / fmt::format("test_data_set_{}", sets)); ++sets) {
      outcome.trouble = run_data_set(graph, place / fmt::format("test_data_set_{}", sets));
      if (!outcome.trouble.empty()) return outcome;
    }
    if (sets == 0) outcome.trouble = "has no data";
  } catch (const Error& error) {
    outcome.trouble = error.problem();
    if (error.kind() == ErrorKind::kInternal) outcome.trouble = "internal error: " + outcome.trouble;
  } catch (const std::exception& error) {
    outcome.trouble = std::string("internal error: ") + error.what();
  }
  return outcome;
}

std::map<std::string, std::string> not_run(const std::string& path) {
  std::map<std::string, std::string> reasons;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line.front() == '#') continue;
    const auto colon = line.find(": ");
    if (colon == std::string::npos)
      throw Error(ErrorKind::kBadInput, Place{.file = path}, "'" + line + "' gives no reason");
    if (!reasons.emplace(line.substr(0, colon), line.substr(colon + 2)).second) {
      throw Error(ErrorKind::kBadInput, Place{.file = path}, "'" + line + "' is there twice");
    }
  }
  return reasons;
}

}  // namespace spillway::workloads::test
