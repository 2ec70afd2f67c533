#include "partitioner/plan_labels.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string_view>

#include "configs/configs.h"
#include "configs/fields.h"

namespace spillway::partitioner {

namespace {

/// What JSON keeps of a name: bytes that are not UTF-8 become U+FFFD.
std::string printable(const std::string& name) {
  const nlohmann::json json(name);
  return nlohmann::json::parse(json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)).get<std::string>();
}

/// FNV-1a, 64 bits (Fowler, Noll, Vo).
class Hash {
 public:
  void add(std::string_view text) {
    add(static_cast<std::int64_t>(text.size()));
    for (const char c : text) byte(static_cast<std::uint8_t>(c));
  }
  void add(std::int64_t value) {
    for (int i = 0; i < 8; ++i) byte(static_cast<std::uint8_t>(static_cast<std::uint64_t>(value) >> (8 * i)));
  }
  void add(float value) { add(std::int64_t{std::bit_cast<std::int32_t>(value)}); }
  template <typename T>
  void add_all(const std::vector<T>& values) {
    add(static_cast<std::int64_t>(values.size()));
    for (const T& value : values) {
      if constexpr (std::is_integral_v<T>) {
        add(static_cast<std::int64_t>(value));
      } else {
        add(value);
      }
    }
  }
  [[nodiscard]] std::string text() const { return fmt::format("{:016x}", hash_); }

 private:
  void byte(std::uint8_t b) { hash_ = (hash_ ^ b) * 1099511628211ULL; }
  std::uint64_t hash_ = 14695981039346656037ULL;
};

void add(Hash& hash, const workloads::Attribute& attribute) {
  hash.add(static_cast<std::int64_t>(attribute.index()));
  if (const auto* i = std::get_if<std::int64_t>(&attribute)) hash.add(*i);
  if (const auto* f = std::get_if<float>(&attribute)) hash.add(*f);
  if (const auto* s = std::get_if<std::string>(&attribute)) hash.add(std::string_view(*s));
  if (const auto* is = std::get_if<std::vector<std::int64_t>>(&attribute)) hash.add_all(*is);
  if (const auto* fs = std::get_if<std::vector<float>>(&attribute)) hash.add_all(*fs);
  if (const auto* ss = std::get_if<std::vector<std::string>>(&attribute)) {
    hash.add(static_cast<std::int64_t>(ss->size()));
    for (const std::string& s : *ss) hash.add(std::string_view(s));
  }
  if (const auto* tensor = std::get_if<std::shared_ptr<const workloads::HostTensor>>(&attribute)) {
    hash.add_all((*tensor)->shape);
    if ((*tensor)->holds_float()) {
      hash.add_all((*tensor)->floats());
    } else {
      hash.add_all((*tensor)->ints());
    }
  }
}

}  // namespace

Labels::Labels(const std::vector<std::string>& names) {
  std::map<std::string, int> times;
  labels_.reserve(names.size());
  for (const std::string& name : names) {
    labels_.push_back(printable(name));
    ++times[labels_.back()];
  }
  for (std::size_t i = 0; i < labels_.size(); ++i) {
    if (times[labels_[i]] > 1) {
      labels_[i] += fmt::format("#{}", i);
      // Only a graph that has such names itself gets here.
      while (times.count(labels_[i]) > 0 || ids_.count(labels_[i]) > 0) labels_[i] += '#';
    }
    ids_.emplace(labels_[i], static_cast<std::int32_t>(i));
  }
}

std::int32_t Labels::find(const std::string& label) const {
  const auto found = ids_.find(label);
  return found == ids_.end() ? kNone : found->second;
}

Labels node_labels(const Graph& graph) {
  std::vector<std::string> names;
  names.reserve(graph.nodes.size());
  for (const Node& node : graph.nodes) names.push_back(node.name);
  return Labels(names);
}

Labels storage_labels(const Layout& layout) {
  std::vector<std::string> names;
  names.reserve(layout.storages.size());
  for (const Storage& storage : layout.storages) names.push_back(storage.name);
  return Labels(names);
}

std::string fingerprint(const Graph& graph) {
  Hash hash;
  hash.add(static_cast<std::int64_t>(graph.tensors.size()));
  for (const workloads::Tensor& tensor : graph.tensors) {
    hash.add(static_cast<std::int64_t>(tensor.type));
    hash.add_all(tensor.shape);
    hash.add(std::int64_t{tensor.is_constant()});
  }
  hash.add(static_cast<std::int64_t>(graph.nodes.size()));
  for (const Node& node : graph.nodes) {
    hash.add(std::string_view(node.op));
    hash.add_all(node.inputs);
    hash.add_all(node.outputs);
    hash.add(static_cast<std::int64_t>(node.attributes.size()));
    for (const auto& [name, value] : node.attributes) {
      hash.add(std::string_view(name));
      add(hash, value);
    }
  }
  hash.add_all(graph.inputs);
  hash.add_all(graph.outputs);
  return hash.text();
}

std::vector<std::pair<std::string, std::string>> config_values(const configs::NpuConfig& npu) {
  constexpr std::string_view kWords[] = {"name", "description", "source", "energy.source"};
  std::vector<std::pair<std::string, std::string>> values;
  for (const configs::Field& field : configs::fields()) {
    if (std::find(std::begin(kWords), std::end(kWords), field.key) != std::end(kWords)) continue;
    values.emplace_back(field.key, configs::get_field(field, npu));
  }
  return values;
}

}  // namespace spillway::partitioner
