#include "reports/derived.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

namespace spillway::reports {

using configs::NpuConfig;
using simulator::Cause;

std::string precision_name(const configs::Precision& precision) {
  if (precision.weight == precision.activation) return std::string(configs::name_of(precision.weight));
  return fmt::format("{} weights, {} activations", configs::name_of(precision.weight),
                     configs::name_of(precision.activation));
}

std::int64_t batch_of(const workloads::Graph& graph) {
  if (graph.inputs.empty()) return 1;
  const auto& shape = graph.tensors[graph.inputs.front()].shape;
  return shape.empty() ? 1 : shape.front();
}

double seconds_of(configs::Cycles cycles, const NpuConfig& npu) { return static_cast<double>(cycles) / npu.clock_hz; }

double peak_macs_per_cycle(const NpuConfig& npu) {
  // Of weights with activations or of two activations, whichever is faster: nothing runs at more.
  const configs::Format weight = npu.precision.weight;
  const configs::Format activation = npu.precision.activation;
  const double rate =
      std::max(configs::product_rate(npu.matrix, {weight, activation}), configs::product_rate(npu.matrix, activation));
  return static_cast<double>(npu.mac_cells()) * rate;
}

double utilisation(std::int64_t macs, configs::Cycles cycles, const NpuConfig& npu) {
  const double possible = static_cast<double>(cycles) * peak_macs_per_cycle(npu);
  return possible > 0 ? static_cast<double>(macs) / possible : 0;
}

std::int64_t useful_macs(const GraphProfile& profile) {
  return std::min(profile.result.macs, profile.statistics.macs_total);
}

double utilisation(const GraphProfile& profile, const NpuConfig& npu) {
  return utilisation(useful_macs(profile), profile.result.cycles, npu);
}

double utilisation(const simulator::GroupUse& group, const NpuConfig& npu) {
  const configs::Cycles busy = (group.matrix_busy + npu.matrix.count - 1) / npu.matrix.count;
  return utilisation(group.macs, std::max(group.critical, busy), npu);
}

std::int64_t total_vector_ops(const configs::VectorWork& ops) {
  return std::accumulate(ops.begin(), ops.end(), std::int64_t{0});
}

LowerBound lower_bound(const GraphProfile& profile, const NpuConfig& npu) {
  LowerBound bound;
  if (const double peak = peak_macs_per_cycle(npu); peak > 0) {
    bound.macs = static_cast<double>(useful_macs(profile)) / peak;
  }
  bound.moves = static_cast<double>(profile.plan.compulsory_bytes) / npu.dram_bytes_per_cycle();
  for (int c = 0; c < configs::kVectorOpCount; ++c) {
    const double rate = npu.vector.rate[c] * npu.vector.lanes * npu.vector.count;
    if (rate > 0) bound.vector += static_cast<double>(profile.result.vector_ops[c]) / rate;
  }
  bound.cycles = std::max({bound.macs, bound.moves, bound.vector});
  bound.kind = bound.cycles == bound.macs    ? LowerBound::Kind::kMacs
               : bound.cycles == bound.moves ? LowerBound::Kind::kMoves
                                             : LowerBound::Kind::kVector;
  return bound;
}

std::string_view name_of(LowerBound::Kind kind) {
  switch (kind) {
    case LowerBound::Kind::kMacs:
      return "ideal MAC cycles";
    case LowerBound::Kind::kMoves:
      return "compulsory bytes at peak bandwidth";
    case LowerBound::Kind::kVector:
      return "vector operations at lane rate";
  }
  internal_error("a lower bound has a name");
}

Loss loss(const GraphProfile& profile, const NpuConfig& npu) {
  const simulator::Result& result = profile.result;
  const auto critical = [&](Cause cause) {
    return static_cast<double>(result.bound_by[static_cast<std::size_t>(cause)]);
  };
  const LowerBound bound = lower_bound(profile, npu);
  Loss loss;
  loss.total = std::max(0.0, static_cast<double>(result.cycles) - bound.cycles);
  loss.vector = critical(Cause::kVector);
  loss.dram = critical(Cause::kDram);
  loss.port = critical(Cause::kPort);
  loss.descriptor = critical(Cause::kDescriptor);
  loss.dependency = critical(Cause::kDependency) + critical(Cause::kIdle);

  // The matrix engines' critical cycles are ideal, padding and fill as their commands were.
  const auto& matrix = result.matrix_cycles;
  if (matrix.total() > 0) {
    const double per_cycle = critical(Cause::kMatrix) / static_cast<double>(matrix.total());
    loss.padding = static_cast<double>(matrix.padding) * per_cycle;
    loss.fill = static_cast<double>(matrix.fill) * per_cycle;
    loss.matrix = static_cast<double>(matrix.ideal) * per_cycle;
  }
  // Ideal work of the bounding resource is no loss.
  switch (bound.kind) {
    case LowerBound::Kind::kMacs:
      loss.matrix = 0;
      break;
    case LowerBound::Kind::kMoves:
      loss.dram = std::max(0.0, loss.dram - bound.cycles);
      break;
    case LowerBound::Kind::kVector:
      loss.vector = std::max(0.0, loss.vector - bound.cycles);
      break;
  }
  const double sum =
      loss.padding + loss.fill + loss.matrix + loss.vector + loss.dram + loss.port + loss.descriptor + loss.dependency;
  const double scale = sum > 0 ? loss.total / sum : 0;
  for (double* part : {&loss.padding, &loss.fill, &loss.matrix, &loss.vector, &loss.dram, &loss.port, &loss.descriptor,
                       &loss.dependency}) {
    *part *= scale;
  }
  return loss;
}

std::vector<ExportedRow> exported_mix(const workloads::Statistics& statistics) {
  std::vector<ExportedRow> rows;
  for (const auto& [op, count] : statistics.ops) {
    ExportedRow row{op, count, 0, 0};
    // MAC classes are the operator with its kind: "Conv_3x3", "MatMul_weight", "Gemm".
    for (const auto& [name, macs] : statistics.macs) {
      if (name == op || name.starts_with(op + "_")) row.macs += macs;
    }
    if (const auto it = statistics.output_elements.find(op); it != statistics.output_elements.end()) {
      row.output_elements = it->second;
    }
    rows.push_back(row);
  }
  std::stable_sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.count > b.count; });
  return rows;
}

MacSplit mac_split(const workloads::Statistics& statistics) {
  MacSplit split;
  for (const auto& [name, macs] : statistics.macs) {
    (name.ends_with("_act_x_act") ? split.activations : split.constant) += macs;
  }
  return split;
}

double matrix_share_of_operations(const workloads::Statistics& statistics) {
  const double matrix = 2.0 * static_cast<double>(statistics.macs_total);
  double others = 0;
  for (const ExportedRow& row : exported_mix(statistics)) {
    if (row.macs == 0) others += static_cast<double>(row.output_elements);
  }
  return matrix + others > 0 ? matrix / (matrix + others) : 0;
}

std::int64_t matrix_nodes(const workloads::Statistics& statistics) {
  std::int64_t nodes = 0;
  for (const ExportedRow& row : exported_mix(statistics)) {
    if (row.macs > 0) nodes += row.count;
  }
  return nodes;
}

std::vector<ExecutedRow> executed_mix(const GraphProfile& profile) {
  std::map<std::string, ExecutedRow> by_op;
  for (const OperatorUse& use : profile.operators) {
    const std::string op = use.node == workloads::kNone ? "(none)" : profile.executed.nodes[use.node].op;
    ExecutedRow& row = by_op[op];
    row.op = op;
    ++row.count;
    row.commands += use.commands;
    row.macs += use.macs;
    row.vector_ops += use.vector_ops;
    row.moved += use.moves.total();
    row.matrix_cycles += use.matrix_cycles;
    row.vector_cycles += use.vector_cycles;
    row.dma_cycles += use.dma_cycles;
  }
  std::vector<ExecutedRow> rows;
  rows.reserve(by_op.size());
  for (auto& [op, row] : by_op) rows.push_back(std::move(row));
  std::stable_sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.cycles() > b.cycles(); });
  return rows;
}

std::optional<Cause> bound_of(const simulator::GroupUse& group) {
  const auto most = std::max_element(group.bound.begin(), group.bound.end());
  if (*most == 0) return std::nullopt;
  return static_cast<Cause>(most - group.bound.begin());
}

std::vector<int> slowest_groups(const simulator::Result& result) {
  std::vector<int> order(result.groups.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int a, int b) { return result.groups[a].critical > result.groups[b].critical; });
  return order;
}

std::string_view name_of(StorageUse::Home home) {
  switch (home) {
    case StorageUse::Home::kDram:
      return "dram";
    case StorageUse::Home::kResident:
      return "resident";
    case StorageUse::Home::kBoth:
      return "both";
    case StorageUse::Home::kGroup:
      return "group";
  }
  internal_error("a storage's home has a name");
}

std::vector<StorageUse> storage_uses(const GraphProfile& profile) {
  const auto& plan = profile.plan;
  const auto& layout = plan.layout;
  std::vector<StorageUse> uses(layout.storages.size());
  const auto storage_of = [&](workloads::TensorId tensor) {
    return tensor == workloads::kNone ? workloads::kNone : layout.views[tensor].storage;
  };
  for (int g = 0; g < static_cast<int>(plan.groups.size()); ++g) {
    for (const auto& stage : plan.groups[g].stages) {
      for (const workloads::NodeId id : stage.nodes) {
        const workloads::Node& node = profile.executed.nodes[id];
        for (const auto tensor : node.outputs) {
          const auto storage = storage_of(tensor);
          if (storage != workloads::kNone && uses[storage].produced < 0) uses[storage].produced = g;
        }
        for (const auto tensor : node.inputs) {
          if (const auto storage = storage_of(tensor); storage != workloads::kNone) uses[storage].last_read = g;
        }
      }
    }
  }
  for (std::size_t s = 0; s < uses.size(); ++s) {
    const auto& storage = layout.storages[s];
    const bool moved = s < profile.storages.size() && (profile.storages[s].read > 0 || profile.storages[s].written > 0);
    if (!storage.is_input && !storage.is_output && !moved) uses[s].home = StorageUse::Home::kGroup;
  }
  for (const auto& residency : plan.residencies) {
    uses[residency.storage].home = residency.stored ? StorageUse::Home::kBoth : StorageUse::Home::kResident;
  }
  return uses;
}

configs::Bytes constant_bytes(const GraphProfile& profile) {
  configs::Bytes bytes = 0;
  for (const auto& storage : profile.plan.layout.storages) {
    if (!storage.is_input || storage.root == workloads::kNone) continue;
    if (profile.executed.tensors[storage.root].is_constant()) bytes += storage.bytes();
  }
  return bytes;
}

Verdict verdict(const GraphProfile& profile) {
  Verdict verdict;
  const auto base = static_cast<double>(profile.result.cycles);
  if (base <= 0) return verdict;
  for (int i = 0; i < static_cast<int>(profile.sensitivity.size()); ++i) {
    const SensitivityRow& row = profile.sensitivity[i];
    if (!row.fits || row.factor <= 1) continue;
    const double gain = (base - static_cast<double>(row.cycles)) / base;
    if (gain >= kSpentBelow && gain > verdict.best_gain) verdict.best = i, verdict.best_gain = gain;
    if (gain < kSpentBelow) verdict.spent.push_back(i);
  }
  return verdict;
}

}  // namespace spillway::reports
