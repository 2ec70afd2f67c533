#include "partitioner/fates.h"

#include <algorithm>
#include <map>
#include <set>

#include "configs/error.h"
#include "partitioner/energy.h"
#include "partitioner/group_model.h"
#include "partitioner/order.h"
#include "partitioner/schedule.h"
#include "partitioner/walk.h"

namespace spillway::partitioner {

namespace {

GroupModel model_of(const Model& model, const Group& group) {
  std::vector<NodeId> nodes;
  for (const Stage& stage : group.stages) nodes.insert(nodes.end(), stage.nodes.begin(), stage.nodes.end());
  std::sort(nodes.begin(), nodes.end());
  GroupModel result = make_group(model, nodes, group.dropped);
  result.region = group.region;
  return result;
}

/// Bytes of each storage that a group moves: its loop, walked.
void add_traffic(const GroupModel& group, const Group& plan, const std::vector<char>& resident,
                 const std::vector<char>& leaves, std::vector<TensorFate*>& by_storage) {
  Walker walker(group, plan.tile, plan.loop_order);
  Step step;
  while (walker.next(step)) {
    for (std::size_t l = 0; l < step.loads.size(); ++l) {
      TensorFate* fate = by_storage[group.locals[l].storage];
      const Window& w = step.loads[l];
      if (fate == nullptr || !w.used || resident[l] != 0 || w.fresh.empty()) continue;
      fate->read += w.fresh.elements() * group.storage(static_cast<int>(l)).element_bytes();
    }
    for (std::size_t s = 0; s < step.stages.size(); ++s) {
      const Window& w = step.stages[s];
      if (!w.used || w.fresh.empty()) continue;
      const StageModel& stage = group.stages[s];
      for (const StageNode& node : stage.nodes) {
        if (stage.kind == StageKind::kConcat) {
          for (int i = 0; i < static_cast<int>(node.inputs.size()); ++i) {
            const int l = node.inputs[i];
            if (l == kNone || group.locals[l].producer != kNone || resident[l] != 0) continue;
            TensorFate* fate = by_storage[group.locals[l].storage];
            if (fate == nullptr) continue;
            fate->read += input_box(group, stage, node, i, w.fresh).elements() * group.storage(l).element_bytes();
          }
        }
        if (node.output == kNone || node.statistics || leaves[node.output] == 0) continue;
        TensorFate* fate = by_storage[group.locals[node.output].storage];
        if (fate == nullptr) continue;
        const Storage& storage = group.storage(node.output);
        fate->written += map_box(w.fresh, node.to_output, storage.rank).elements() * storage.element_bytes();
      }
    }
  }
}

}  // namespace

std::string_view name_of(Fate fate) {
  switch (fate) {
    case Fate::kHold:
      return "hold";
    case Fate::kHoldFirst:
      return "hold, then spill";
    case Fate::kSpill:
      return "spill";
    case Fate::kRecompute:
      return "recompute";
  }
  internal_error("unknown fate");
}

std::vector<TensorFate> fates_of(const Graph& graph, const configs::NpuConfig& npu, const Plan& plan) {
  const Model model(graph, npu, plan.layout);
  const Sequence order = sequence(model, true);
  const auto groups = static_cast<int>(plan.groups.size());
  std::vector<GroupModel> models;
  for (const Group& group : plan.groups) models.push_back(model_of(model, group));
  std::map<StorageId, TensorFate> found;
  std::set<StorageId> dropped;
  for (int g = 0; g < groups; ++g) {
    const auto see = [&](StorageId s) {
      const Storage& storage = plan.layout.storages[s];
      if (model.producer[s] == kNone || storage.bytes() <= kTiny) return;
      const auto [it, fresh] = found.try_emplace(s);
      TensorFate& fate = it->second;
      if (fresh) {
        fate.storage = s;
        fate.name = storage.name;
        fate.skip = order.skip[s];
        fate.bytes = storage.bytes();
        fate.first_group = g;
      }
      fate.last_group = g;
    };
    for (const Local& local : models[g].locals) see(local.storage);
    // What is dropped may never have had a place of its own.
    dropped.insert(plan.groups[g].dropped.begin(), plan.groups[g].dropped.end());
    for (const StorageId s : plan.groups[g].dropped) see(s);
  }
  std::erase_if(found, [](const auto& entry) { return entry.second.first_group == entry.second.last_group; });
  std::vector<TensorFate*> by_storage(plan.layout.storages.size(), nullptr);
  for (auto& [storage, fate] : found) by_storage[storage] = &fate;
  for (int g = 0; g < groups; ++g) {
    std::vector<char> resident(models[g].locals.size(), 0);
    std::vector<char> leaves(models[g].locals.size(), 0);
    for (std::size_t l = 0; l < resident.size(); ++l) {
      const Local& local = models[g].locals[l];
      bool stored = true;
      for (const Residency& r : plan.residencies) {
        if (r.storage != local.storage || g < r.first_group || g > r.last_group) continue;
        resident[l] = 1;
        stored = r.stored || plan.layout.storages[r.storage].is_output;
      }
      leaves[l] = local.stored && stored ? 1 : 0;
    }
    add_traffic(models[g], plan.groups[g], resident, leaves, by_storage);
  }
  for (auto& [storage, fate] : found) {
    for (int g = fate.first_group; g <= fate.last_group; ++g) fate.lifetime += plan.groups[g].cycles;
    const bool held = std::any_of(plan.residencies.begin(), plan.residencies.end(),
                                  [&](const Residency& r) { return r.storage == storage; });
    const bool stored = fate.written > 0;
    fate.fate = dropped.count(storage) != 0 && !stored && !held ? Fate::kRecompute
                : held && stored                                ? Fate::kHoldFirst
                : held                                          ? Fate::kHold
                                                                : Fate::kSpill;
  }
  std::vector<TensorFate> fates;
  for (auto& [storage, fate] : found) fates.push_back(std::move(fate));
  std::stable_sort(fates.begin(), fates.end(), [](const TensorFate& a, const TensorFate& b) {
    return a.bytes != b.bytes ? a.bytes > b.bytes : a.first_group < b.first_group;
  });
  return fates;
}

std::int64_t macs_of(const Graph& graph, const configs::NpuConfig& npu, const Plan& plan) {
  const Model model(graph, npu, plan.layout);
  std::int64_t macs = 0;
  for (const Group& group : plan.groups) {
    const Storage& root = plan.layout.storages[group.root];
    const std::int64_t share = root.elements() / std::max<std::int64_t>(1, group.region.elements());
    for (const Stage& stage : group.stages) {
      if (!stage.matrix) continue;
      macs += model.macs(stage.nodes[0]) / share;
    }
  }
  return macs;
}

std::vector<Alternative> alternatives_of(const Graph& graph, const configs::NpuConfig& npu, const Options& options,
                                         const Plan& plan, const TensorFate& tensor) {
  std::vector<Alternative> result;
  const std::int64_t macs = macs_of(graph, npu, plan);
  const double energy_pj = energy_of(graph, npu, plan).total_pj();
  for (const Wish wish : {Wish::kHold, Wish::kSpill, Wish::kRecompute}) {
    Alternative a;
    a.wish = wish;
    Options other = options;
    other.tensors[tensor.name] = wish;
    try {
      const auto planned = partition(graph, npu, other);
      if (const auto* better = std::get_if<Plan>(&planned)) {
        a.possible = true;
        a.moved = better->moves.total() - plan.moves.total();
        a.weight_moves = better->moves.of(StorageClass::kWeight) - plan.moves.of(StorageClass::kWeight);
        a.macs = macs_of(graph, npu, *better) - macs;
        a.cycles = better->cycles - plan.cycles;
        a.energy_pj = energy_of(graph, npu, *better).total_pj() - energy_pj;
      } else {
        a.why_not = "does not fit";
      }
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kDoesNotFit) throw;
      a.why_not = error.problem();
    }
    result.push_back(std::move(a));
  }
  return result;
}

}  // namespace spillway::partitioner
