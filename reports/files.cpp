// The folder of a run: report.json, CSV tables, the resolved config.
#include <algorithm>
#include <set>

#include "reports/atomic_files.h"
#include "reports/reports.h"

namespace spillway::reports {

namespace {

/// Letters, digits, '.', '-' and '_' stay; anything else becomes '_'. Never empty, never starting with a dot.
std::string safe(const std::string& text) {
  std::string result;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                       c == '_' || (c == '.' && !result.empty());
    result += plain ? c : '_';
  }
  // Leaves room for ".operators.csv" below the usual limit of 255 bytes.
  constexpr std::size_t kLongest = 200;
  if (result.size() > kLongest) result.resize(kLongest);
  return result.empty() ? "graph" : result;
}

std::string without_extension(std::string name) {
  if (name.ends_with(".onnx")) name.resize(name.size() - 5);
  return name;
}

/// "sd15/unet" -> "unet"; "exports/unet/model.onnx" -> "unet"; "m.onnx" -> "m".
std::string stem_of(const std::string& model) {
  std::string path = model;
  if (path.ends_with("/model.onnx")) path.resize(path.size() - std::string("/model.onnx").size());
  const std::size_t slash = path.find_last_of('/');
  return safe(without_extension(slash == std::string::npos ? path : path.substr(slash + 1)));
}

}  // namespace

std::vector<std::string> file_stems(const Report& report) {
  std::vector<std::string> stems;
  std::set<std::string> taken;
  for (const GraphProfile& profile : report.graphs) {
    std::string stem = stem_of(profile.model);
    for (int n = 2; !taken.insert(stem).second; ++n) stem = stem_of(profile.model) + "_" + std::to_string(n);
    stems.push_back(stem);
  }
  return stems;
}

void write_files(const Report& report, const std::string& dir) {
  std::vector<NamedContent> files;
  const std::vector<std::string> stems = file_stems(report);
  for (std::size_t i = 0; i < report.graphs.size(); ++i) {
    files.push_back({stems[i] + ".groups.csv", groups_csv(report.graphs[i], report.npu)});
    files.push_back({stems[i] + ".operators.csv", operators_csv(report.graphs[i])});
    files.push_back({stems[i] + ".tensors.csv", tensors_csv(report.graphs[i])});
  }
  files.push_back({"resolved_config.yaml", configs::to_yaml(report.npu)});
  files.push_back({"report.json", to_json(report)});
  write_atomically(dir, files);
}

}  // namespace spillway::reports
