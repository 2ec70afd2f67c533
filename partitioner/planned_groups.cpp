#include "partitioner/planned_groups.h"

#include <algorithm>

#include "configs/error.h"
#include "partitioner/held_input.h"
#include "partitioner/plan_group.h"

namespace spillway::partitioner {

namespace {

std::vector<NodeId> sorted_set(std::vector<NodeId> nodes) {
  std::sort(nodes.begin(), nodes.end());
  nodes.erase(std::unique(nodes.begin(), nodes.end()), nodes.end());
  return nodes;
}

/// Operators as one group that runs for the same part of the batch as `part`; why_not says so if they cannot.
GroupModel group_like(const Model& model, const std::vector<NodeId>& nodes, const std::vector<StorageId>& dropped,
                      StorageId root, const Box& part) {
  GroupModel group = make_group(model, nodes, dropped);
  const Box whole = model.layout.storages[root].whole();
  if (!group.ok() || part == whole) return group;
  const int count = whole.extent[0] / part.extent[0];
  if (!slice(group, part.begin[0] / part.extent[0], count)) {
    group.why_not = "an operator looks beyond its own slice of the batch";
  }
  return group;
}

}  // namespace

PlannedGroups::PlannedGroups(const Plan& plan, const Model& model) : plan_(plan), model_(model) {
  for (int g = 0; g < static_cast<int>(plan.groups.size()); ++g) {
    const Group& planned = plan.groups[g];
    std::vector<NodeId> nodes;
    for (const Stage& stage : planned.stages) nodes.insert(nodes.end(), stage.nodes.begin(), stage.nodes.end());
    GroupModel group = group_like(model, sorted_set(std::move(nodes)), planned.dropped, planned.root, planned.region);
    if (!group.ok()) internal_error("a planned group does not stand: " + group.why_not);
    groups_.push_back(placed(std::move(group), g, g));
  }
  in_dram_.assign(model.layout.storages.size(), 0);
  for (std::size_t s = 0; s < in_dram_.size(); ++s) in_dram_[s] = model.producer[s] == kNone ? 1 : 0;
  for (const PlannedGroup& g : groups_) {
    for (std::size_t l = 0; l < g.residents.size(); ++l) {
      if (g.group.locals[l].stored && g.residents[l] != Home::kScratchpad) in_dram_[g.group.locals[l].storage] = 1;
    }
  }
}

Home PlannedGroups::home(int g, StorageId storage) const {
  const Residency* r = home_of(live_at(plan_, g), storage);
  return r == nullptr ? Home::kDram : r->stored ? Home::kBoth : Home::kScratchpad;
}

Candidate PlannedGroups::loop(int g) const {
  const Group& planned = plan_.groups[g];
  Candidate c;
  c.tile.fill(1);
  std::copy_n(planned.tile.begin(), planned.region.rank, c.tile.begin());
  c.order = planned.loop_order;
  c.pipelining = planned.pipelining;
  return c;
}

PlannedGroup PlannedGroups::placed(GroupModel group, int first, int last) const {
  PlannedGroup result{std::move(group), {}, plan_.budget, {}};
  const GroupModel& model = result.group;
  result.residents.assign(model.locals.size(), Home::kDram);
  std::vector<char> inside(model_.layout.storages.size(), 0);  // between its own stages: no need to live anywhere
  for (std::size_t l = 0; l < model.locals.size(); ++l) {
    const Local& local = model.locals[l];
    if (local.producer != kNone && !local.stored) {
      inside[local.storage] = 1;
      continue;
    }
    for (int g = first; g <= last && result.residents[l] == Home::kDram; ++g) {
      result.residents[l] = home(g, local.storage);
    }
  }
  for (const Residency& r : plan_.residencies) {
    if (r.first_group <= last && first <= r.last_group && inside[r.storage] == 0) result.available -= r.bytes;
    if (first <= r.first_group && r.first_group <= last && is_loaded(model_, r)) {
      if (const int l = model.local_of(r.storage); l != kNone) result.loads.push_back(l);
    }
  }
  return result;
}

PlannedGroup PlannedGroups::joined(int first, int last) const {
  std::vector<NodeId> nodes;
  std::vector<StorageId> dropped;
  for (int g = first; g <= last; ++g) {
    const auto& own = groups_[g].group.nodes;
    nodes.insert(nodes.end(), own.begin(), own.end());
    dropped.insert(dropped.end(), plan_.groups[g].dropped.begin(), plan_.groups[g].dropped.end());
  }
  const Group& like = plan_.groups[last];
  return placed(group_like(model_, sorted_set(std::move(nodes)), dropped, like.root, like.region), first, last);
}

PlannedGroup PlannedGroups::with(int g, const std::vector<NodeId>& more, const std::vector<StorageId>& dropped) const {
  std::vector<NodeId> nodes = groups_[g].group.nodes;
  nodes.insert(nodes.end(), more.begin(), more.end());
  std::vector<StorageId> all = plan_.groups[g].dropped;
  all.insert(all.end(), dropped.begin(), dropped.end());
  const Group& like = plan_.groups[g];
  return placed(group_like(model_, with_virtual(model_, sorted_set(std::move(nodes))), all, like.root, like.region), g,
                g);
}

}  // namespace spillway::partitioner
