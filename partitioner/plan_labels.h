// Internal: how a saved plan names operators and storages, and what it says of the graph and the NPU it was made for.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "partitioner/plan.h"

namespace spillway::partitioner {

/// Names made unique ("name#17" where several share one) and valid UTF-8. The same for equal graphs.
class Labels {
 public:
  explicit Labels(const std::vector<std::string>& names);
  [[nodiscard]] const std::string& of(std::int32_t id) const { return labels_[static_cast<std::size_t>(id)]; }
  /// kNone if there is none.
  [[nodiscard]] std::int32_t find(const std::string& label) const;
  [[nodiscard]] const std::vector<std::string>& all() const { return labels_; }

 private:
  std::vector<std::string> labels_;
  std::map<std::string, std::int32_t> ids_;
};

[[nodiscard]] Labels node_labels(const Graph& graph);
[[nodiscard]] Labels storage_labels(const Layout& layout);

/// 16 hexadecimal digits over operators, attributes, links, types and shapes; not over names and not over weights.
[[nodiscard]] std::string fingerprint(const Graph& graph);

/// Every resolved value as the resolved YAML has it; not the config's name and where it comes from.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> config_values(const configs::NpuConfig& npu);

}  // namespace spillway::partitioner
