#include "partitioner/plan_group.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "partitioner/held_input.h"
#include "partitioner/walk.h"

namespace spillway::partitioner {

std::vector<const Residency*> live_at(const Plan& plan, int group) {
  std::vector<const Residency*> live;
  for (const Residency& r : plan.residencies) {
    if (r.first_group <= group && group <= r.last_group) live.push_back(&r);
  }
  return live;
}

const Residency* home_of(const std::vector<const Residency*>& live, StorageId storage) {
  const auto found = std::find_if(live.rbegin(), live.rend(), [&](const auto* r) { return r->storage == storage; });
  return found == live.rend() ? nullptr : *found;
}

namespace {

/// Walks a loop and counts.
class LoopWalk {
 public:
  LoopWalk(const Plan& plan, const GroupModel& group, int index)
      : group_(group),
        model_(*group.model),
        index_(index),
        read_(group.locals.size(), 0),
        written_(group.locals.size(), 0),
        made_(group.stages.size(), 0),
        blocks_(group.stages.size()) {
    const auto live = live_at(plan, index);
    for (const Local& local : group.locals) home_.push_back(home_of(live, local.storage));
  }

  GroupWork run(const std::array<std::int32_t, kMaxRank>& tile, const std::vector<int>& order, std::int64_t most) {
    Walker walker(group_, tile, order);
    Step step;
    while (walker.next(step)) {
      add(step);
      if (work_.commands > most) {
        bad_plan(key_of(index_, "tile"), "the plan comes to more than {} commands", kMostCommands);
      }
    }
    finish();
    return std::move(work_);
  }

  /// Whether every stage has made all of its results.
  [[nodiscard]] bool whole() const {
    for (std::size_t s = 0; s < made_.size(); ++s) {
      if (made_[s] < all(s) && group_.stages[s].kind != StageKind::kConcat) return false;
    }
    return true;
  }
  /// Whether whatever must be made once has been.
  [[nodiscard]] bool once() const {
    for (std::size_t s = 0; s < made_.size(); ++s) {
      const auto& nodes = group_.stages[s].nodes;
      const bool must = std::any_of(nodes.begin(), nodes.end(), [&](const StageNode& node) {
        return node.statistics || (node.output != kNone && group_.locals[node.output].stored);
      });
      if (must && made_[s] != all(s)) return false;
    }
    return true;
  }

 private:
  [[nodiscard]] std::int64_t all(std::size_t s) const {
    return model_.layout.storages[group_.stages[s].domain].elements() / group_.slices();
  }
  [[nodiscard]] bool leaves(int l) const {
    return group_.locals[l].stored && (home_[l] == nullptr || home_[l]->stored || group_.storage(l).is_output);
  }

  void add(const Step& step) {
    ++work_.commands;
    for (std::size_t l = 0; l < step.loads.size(); ++l) {
      const Window& w = step.loads[l];
      if (!w.used || home_[l] != nullptr) continue;
      read_[l] += w.fresh.empty() ? 0 : w.fresh.elements();
      work_.commands += w.advance ? 1 : 0;
    }
    for (std::size_t s = 0; s < step.stages.size(); ++s) {
      const Window& w = step.stages[s];
      if (w.used && !w.fresh.empty()) compute(static_cast<int>(s), w.fresh);
    }
  }

  void compute(int s, const Box& fresh) {
    const StageModel& stage = group_.stages[s];
    const StageNode& head = stage.nodes[0];
    made_[s] += fresh.elements();
    if (stage.kind == StageKind::kConcat) {
      for (int i = 0; i < static_cast<int>(head.inputs.size()); ++i) {
        const int l = head.inputs[i];
        if (l == kNone) continue;
        const Box piece = input_box(group_, stage, head, i, fresh);
        if (piece.empty()) continue;
        ++work_.commands;
        if (group_.locals[l].producer == kNone && home_[l] == nullptr) read_[l] += piece.elements();
      }
    } else {
      if (stage.kind == StageKind::kGather) read_[head.inputs[0]] += fresh.elements();
      work_.commands += blocks(s, fresh) * (stage.kind == StageKind::kMatrix ? 2 : 1);
    }
    for (const StageNode& node : stage.nodes) {
      if (node.statistics || node.output == kNone || !leaves(node.output)) continue;
      written_[node.output] += map_box(fresh, node.to_output, group_.storage(node.output).rank).elements();
      ++work_.commands;
    }
  }

  /// How many commands a region takes; those that gather statistics are looked at one by one.
  std::int64_t blocks(int s, const Box& fresh) {
    const StageModel& stage = group_.stages[s];
    const bool gathers =
        std::any_of(stage.nodes.begin(), stage.nodes.end(), [](const auto& n) { return n.statistics; });
    const auto [known, unseen] = blocks_[s].try_emplace(fresh.extent, 0);
    if (!unseen && !gathers) return known->second;
    const std::vector<Box> boxes = blocks_of(group_, stage, fresh);
    known->second = static_cast<std::int64_t>(boxes.size());
    if (!gathers) return known->second;
    for (const StageNode& node : stage.nodes) {
      if (!node.statistics) continue;
      for (const Box& block : boxes) count(node, logical_box(group_, stage, node, block));
    }
    return known->second;
  }

  /// Partial statistics are merged by how many elements each has seen, one number for all channels of a command.
  void count(const StageNode& node, const Box& region) {
    const workloads::Shape& shape = model_.graph.input(model_.graph.nodes[node.node], 0).shape;
    std::int64_t here = 1;
    for (int d = 2; d < region.rank; ++d) here *= region.extent[d];
    auto& counts = counts_[node.node];
    counts.resize(static_cast<std::size_t>(shape[0] * shape[1]), 0);
    const std::int64_t prior = counts[static_cast<std::size_t>(region.begin[0] * shape[1] + region.begin[1])];
    for (std::int32_t b = region.begin[0]; b < region.end(0); ++b) {
      for (std::int32_t c = region.begin[1]; c < region.end(1); ++c) {
        std::int64_t& seen = counts[static_cast<std::size_t>(b * shape[1] + c)];
        if (seen != prior) {
          bad_plan(key_of(index_, "tile"), "channels of '{}' that are gathered together have seen {} and {} elements",
                   model_.graph.nodes[node.node].name, prior, seen);
        }
        seen += here;
      }
    }
  }

  void finish() {
    for (const StageModel& stage : group_.stages) {
      for (const StageNode& node : stage.nodes) {
        if (!node.statistics || !leaves(node.output)) continue;
        written_[node.output] += group_.part_of(node.output).elements();
        ++work_.commands;
      }
    }
    for (std::size_t l = 0; l < group_.locals.size(); ++l) {
      if (home_[l] != nullptr && home_[l]->first_group == index_ && is_loaded(model_, *home_[l])) {
        read_[l] += home_[l]->part.elements();
        ++work_.commands;
      }
      if (read_[l] == 0 && written_[l] == 0) continue;
      const Storage& storage = group_.storage(static_cast<int>(l));
      const auto c = static_cast<std::size_t>(storage.storage_class);
      const Bytes size = storage.element_bytes();
      work_.traffic.push_back({group_.locals[l].storage, read_[l] * size, written_[l] * size});
      work_.moves.read[c] += read_[l] * size;
      work_.moves.written[c] += written_[l] * size;
      work_.moves.read_elements[c] += read_[l];
      work_.moves.written_elements[c] += written_[l];
    }
  }

  const GroupModel& group_;
  const Model& model_;
  int index_;
  std::vector<const Residency*> home_;  // by local
  std::vector<std::int64_t> read_, written_, made_;
  std::vector<std::map<std::array<std::int32_t, kMaxRank>, std::int64_t>> blocks_;  // by stage
  std::map<NodeId, std::vector<std::int64_t>> counts_;  // elements that each channel's statistics have seen
  GroupWork work_;
};

/// Steps of the loop; stops at kMostCommands + 1.
std::int64_t steps_of(const Group& group) {
  std::int64_t steps = 1;
  for (int f = 0; f < group.region.rank; ++f) {
    const std::int64_t trips = (std::int64_t{group.region.extent[f]} + group.tile[f] - 1) / group.tile[f];
    if (trips > kMostCommands / steps) return kMostCommands + 1;
    steps *= trips;
  }
  return steps;
}

void require_region(const Group& plan, GroupModel& group, int index) {
  if (plan.region == group.region) return;
  const auto key = key_of(index, "region");
  const Storage& root = group.root_storage();
  const bool within = plan.region.rank == root.rank && root.rank > 0 && plan.region.extent[0] > 0 &&
                      plan.region.begin[0] >= 0 && plan.region.begin[0] < root.extent[0] &&
                      root.extent[0] % plan.region.extent[0] == 0 && plan.region.begin[0] % plan.region.extent[0] == 0;
  if (!within || !slice(group, plan.region.begin[0] / plan.region.extent[0], root.extent[0] / plan.region.extent[0]) ||
      !(group.region == plan.region)) {
    bad_plan(key, "is neither all of '{}' nor one of its batch", root.name);
  }
}

void require_loop(const Group& plan, const GroupModel& group, int index) {
  const StageModel& root = group.stages[group.root_stage];
  for (int f = 0; f < plan.region.rank; ++f) {
    const std::int32_t extent = plan.region.extent[f];
    if (plan.tile[f] < 1 || plan.tile[f] > extent) {
      bad_plan(key_of(index, "tile"), "entry {} is {} when the region's extent is {}", f, plan.tile[f], extent);
    }
    if (root.whole[f] && plan.tile[f] != extent) {
      bad_plan(key_of(index, "tile"), "entry {} is {} when '{}' needs the axis whole: {}", f, plan.tile[f],
               group.model->graph.nodes[root.nodes[0].node].name, extent);
    }
  }
  std::vector<int> order = plan.loop_order;
  std::sort(order.begin(), order.end());
  std::vector<int> factors(plan.region.rank);
  std::iota(factors.begin(), factors.end(), 0);
  if (order != factors)
    bad_plan(key_of(index, "loop_order"), "does not name each of {} factors once", plan.region.rank);
  const std::int64_t steps = steps_of(plan);
  if (steps > kMostCommands) bad_plan(key_of(index, "tile"), "the loop takes more than {} steps", kMostCommands);
  if (steps != plan.steps) bad_plan(key_of(index, "steps"), "is {} when the tile makes it {}", plan.steps, steps);
}

}  // namespace

GroupModel group_of(const Plan& plan, const Model& model, int index) {
  const Group& planned = plan.groups[index];
  std::vector<NodeId> nodes;
  for (const Stage& stage : planned.stages) nodes.insert(nodes.end(), stage.nodes.begin(), stage.nodes.end());
  std::sort(nodes.begin(), nodes.end());
  const auto key = key_of(index, "stages");
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const std::string& name = model.graph.nodes[nodes[i]].name;
    if (i > 0 && nodes[i] == nodes[i - 1]) bad_plan(key, "the operator '{}' is there twice", name);
    if (model.layout.is_view_node[nodes[i]]) bad_plan(key, "the operator '{}' is addressing, nothing runs it", name);
  }
  GroupModel group = make_group(model, nodes, planned.dropped);
  if (!group.ok()) bad_plan(key, "these operators cannot run together: {}", group.why_not);
  const auto same = [](const Stage& a, const StageModel& b) {
    return std::equal(a.nodes.begin(), a.nodes.end(), b.nodes.begin(), b.nodes.end(),
                      [](NodeId node, const StageNode& in) { return node == in.node; });
  };
  if (!std::equal(planned.stages.begin(), planned.stages.end(), group.stages.begin(), group.stages.end(), same)) {
    bad_plan(key, "these operators make other stages");
  }
  for (const StorageId s : planned.dropped) {
    if (model.producer[s] == kNone || !std::binary_search(nodes.begin(), nodes.end(), model.producer[s])) {
      bad_plan(key_of(index, "dropped"), "'{}' is not made here", model.layout.storages[s].name);
    }
  }
  const auto& last = group.stages[group.root_stage].nodes;
  const bool useful = std::any_of(last.begin(), last.end(), [&](const StageNode& node) {
    return node.output != kNone && group.locals[node.output].stored;
  });
  if (!useful) bad_plan(key, "nobody needs what the last stage makes");
  if (planned.root != group.root()) {
    bad_plan(key_of(index, "root"), "is not '{}'", model.layout.storages[group.root()].name);
  }
  guarded(index, "region", [&] { require_region(planned, group, index); });
  require_loop(planned, group, index);
  return group;
}

GroupWork work_of(const Plan& plan, const GroupModel& group, int index, std::int64_t most) {
  LoopWalk walk(plan, group, index);
  GroupWork work = walk.run(plan.groups[index].tile, plan.groups[index].loop_order, most);
  if (!walk.once()) bad_plan(key_of(index, "tile"), "makes a part of a result twice, or not at all");
  return work;
}

void require_everything(const Plan& plan, const GroupModel& group, int index) {
  std::vector<int> order(group.region.rank);
  std::iota(order.begin(), order.end(), 0);
  LoopWalk walk(plan, group, index);
  static_cast<void>(walk.run(group.region.extent, order, kMostCommands));
  if (!walk.whole() || !walk.once()) {
    bad_plan(key_of(index, "stages"), "part of what these operators make is not asked for");
  }
}

}  // namespace spillway::partitioner
