// CSV tables: one row per group, per executed node, per storage. Columns: docs/report-schema.md.
#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "reports/derived.h"

namespace spillway::reports {

namespace {

/// RFC 4180: a field with a separator, quote or line break is quoted, quotes in it doubled.
std::string field(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

class Row {
 public:
  Row& add(std::string_view text) {
    if (!first_) text_ += ',';
    first_ = false;
    text_ += field(text);
    return *this;
  }
  Row& add(std::int64_t n) { return add(std::string_view(std::to_string(n))); }
  /// Empty for kNone, as "no such group".
  Row& add_index(std::int64_t n) { return n < 0 ? add("") : add(n); }
  Row& add(double value, int decimals) { return add(std::string_view(fmt::format("{:.{}f}", value, decimals))); }
  [[nodiscard]] std::string line() const { return text_ + '\n'; }

 private:
  std::string text_;
  bool first_ = true;
};

void add_moves(Row& row, const partitioner::Moves& moves) {
  for (int c = 0; c < partitioner::kStorageClassCount; ++c) {
    row.add(moves.read[c]).add(moves.written[c]);
  }
}

std::string moves_header() {
  std::string header;
  for (int c = 0; c < partitioner::kStorageClassCount; ++c) {
    const auto name = partitioner::name_of(static_cast<partitioner::StorageClass>(c));
    header += fmt::format(",{0}_read_bytes,{0}_written_bytes", name);
  }
  return header;
}

template <typename Range, typename Text>
std::string joined(const Range& range, const char* separator, Text text) {
  std::string result;
  for (const auto& item : range) {
    if (!result.empty()) result += separator;
    result += text(item);
  }
  return result;
}

}  // namespace

std::string groups_csv(const GraphProfile& profile, const configs::NpuConfig& npu) {
  std::string csv =
      "group,name,operators,bound_by,critical_cycles,critical_share_percent,first_start_cycle,last_end_cycle,"
      "matrix_busy_cycles,vector_busy_cycles,dma_busy_cycles,commands,macs,utilisation_percent" +
      moves_header() + ",moved_bytes,scratchpad_bytes,steps,tile,pipelining,predicted_cycles,energy_pj\n";
  const auto& result = profile.result;
  for (std::size_t g = 0; g < profile.plan.groups.size(); ++g) {
    const auto& group = profile.plan.groups[g];
    const simulator::GroupUse use = g < result.groups.size() ? result.groups[g] : simulator::GroupUse{};
    std::vector<workloads::NodeId> nodes;
    for (const auto& stage : group.stages) nodes.insert(nodes.end(), stage.nodes.begin(), stage.nodes.end());
    const auto cause = bound_of(use);
    int rank = 0;
    if (group.root != workloads::kNone) rank = profile.plan.layout.storages[group.root].rank;
    Row row;
    row.add(static_cast<std::int64_t>(g)).add(group.name);
    row.add(joined(nodes, ";", [&](workloads::NodeId id) { return profile.executed.nodes[id].op; }));
    row.add(cause ? simulator::name_of(*cause) : std::string_view("hidden"));
    row.add(use.critical);
    row.add(result.cycles > 0 ? 100.0 * static_cast<double>(use.critical) / static_cast<double>(result.cycles) : 0, 4);
    row.add(use.first_start).add(use.last_end);
    row.add(use.matrix_busy).add(use.vector_busy).add(use.dma_busy).add(use.commands).add(use.macs);
    row.add(100.0 * utilisation(use, npu), 4);
    add_moves(row, use.moves);
    row.add(use.moves.total()).add(group.scratchpad_bytes).add(group.steps);
    row.add(joined(std::vector<std::int32_t>(group.tile.begin(), group.tile.begin() + rank), "x",
                   [](std::int32_t extent) { return std::to_string(extent); }));
    row.add(partitioner::name_of(group.pipelining)).add(group.cycles).add(use.energy_pj, 1);
    csv += row.line();
  }
  return csv;
}

std::string operators_csv(const GraphProfile& profile) {
  std::string csv =
      "node,name,operator,executed_as,groups,exported_operators,exported_names,commands,macs,operations,vector_ops,"
      "matrix_busy_cycles,vector_busy_cycles,dma_busy_cycles" +
      moves_header() + ",moved_bytes\n";
  for (const OperatorUse& use : profile.operators) {
    if (use.node == workloads::kNone) continue;
    const workloads::Node& node = profile.executed.nodes[use.node];
    const bool view = static_cast<std::size_t>(use.node) < profile.plan.layout.is_view_node.size() &&
                      profile.plan.layout.is_view_node[use.node];
    const char* executed_as = view ? "addressing" : use.macs > 0 ? "matrix" : use.vector_ops > 0 ? "vector" : "dma";
    Row row;
    row.add(use.node).add(node.name).add(node.op).add(executed_as);
    row.add(joined(use.groups, ";", [](int g) { return std::to_string(g); }));
    row.add(joined(node.origins, ";", [&](workloads::NodeId id) { return profile.exported.nodes[id].op; }));
    row.add(joined(node.origins, ";", [&](workloads::NodeId id) { return profile.exported.nodes[id].name; }));
    row.add(use.commands).add(use.macs).add(2 * use.macs).add(use.vector_ops);
    row.add(use.matrix_cycles).add(use.vector_cycles).add(use.dma_cycles);
    add_moves(row, use.moves);
    row.add(use.moves.total());
    csv += row.line();
  }
  return csv;
}

std::string tensors_csv(const GraphProfile& profile) {
  std::string csv =
      "storage,name,class,format,layout,elements,bytes,input,output,produced_in_group,last_read_in_group,home,"
      "read_bytes,written_bytes\n";
  const auto& storages = profile.plan.layout.storages;
  const std::vector<StorageUse> uses = storage_uses(profile);
  for (std::size_t s = 0; s < storages.size(); ++s) {
    const auto& storage = storages[s];
    const StorageMoves moved = s < profile.storages.size() ? profile.storages[s] : StorageMoves{};
    Row row;
    row.add(static_cast<std::int64_t>(s)).add(storage.name).add(partitioner::name_of(storage.storage_class));
    row.add(configs::name_of(storage.format));
    row.add(joined(std::vector<std::int32_t>(storage.extent.begin(), storage.extent.begin() + storage.rank), "x",
                   [](std::int32_t extent) { return std::to_string(extent); }));
    row.add(storage.elements()).add(storage.bytes());
    row.add(storage.is_input ? "yes" : "no").add(storage.is_output ? "yes" : "no");
    row.add_index(uses[s].produced).add_index(uses[s].last_read).add(name_of(uses[s].home));
    row.add(moved.read).add(moved.written);
    csv += row.line();
  }
  return csv;
}

}  // namespace spillway::reports
