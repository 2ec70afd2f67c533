#include "partitioner/plan_proof.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

#include "configs/error.h"
#include "partitioner/region_set.h"
#include "partitioner/search.h"

namespace spillway::partitioner {

namespace {

/// A Program of more commands than this has no room in the memory of the machines that Spillway runs on; the largest
/// plans of the zoo come to a few hundred thousand.
constexpr std::int64_t kMostCommands = std::int64_t{1} << 24;
/// Residencies times groups: a plan of a thousand groups has about a thousand residencies.
constexpr std::int64_t kMostPairs = std::int64_t{1} << 28;

template <typename... Args>
[[noreturn]] void bad(const std::string& key, fmt::format_string<Args...> text, Args&&... args) {
  throw Error(ErrorKind::kBadInput, Place{.key = key}, fmt::format(text, std::forward<Args>(args)...));
}

std::string key_of(int group, const char* key) { return fmt::format("groups[{}].{}", group, key); }

/// Regions that the operators' maps have no answer for are our own bug in a plan that we made, and bad input in one
/// that we read.
template <typename Work>
auto guarded(int group, const char* key, Work work) {
  try {
    return work();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kInternal) throw;
    bad(key_of(group, key), "cannot be run so: {}", error.problem());
  }
}

/// The residency that lower() finds a storage in while a group runs: of several, the last.
const Residency* home_of(const std::vector<const Residency*>& live, StorageId storage) {
  const auto found = std::find_if(live.rbegin(), live.rend(), [&](const auto* r) { return r->storage == storage; });
  return found == live.rend() ? nullptr : *found;
}

std::vector<const Residency*> live_at(const Plan& plan, int group) {
  std::vector<const Residency*> live;
  for (const Residency& r : plan.residencies) {
    if (r.first_group <= group && group <= r.last_group) live.push_back(&r);
  }
  return live;
}

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
        bad(key_of(index_, "tile"), "the plan comes to more than {} commands", kMostCommands);
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
          bad(key_of(index_, "tile"), "channels of '{}' that are gathered together have seen {} and {} elements",
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
  if (plan.region.rank != root.rank || root.rank == 0 || plan.region.extent[0] != 1 ||
      plan.region.begin[0] >= root.extent[0] || !slice(group, plan.region.begin[0]) || !(group.region == plan.region)) {
    bad(key, "is neither all of '{}' nor one of its batch", root.name);
  }
}

void require_loop(const Group& plan, const GroupModel& group, int index) {
  const StageModel& root = group.stages[group.root_stage];
  for (int f = 0; f < plan.region.rank; ++f) {
    const std::int32_t extent = plan.region.extent[f];
    if (plan.tile[f] < 1 || plan.tile[f] > extent) {
      bad(key_of(index, "tile"), "entry {} is {} when the region's extent is {}", f, plan.tile[f], extent);
    }
    if (root.whole[f] && plan.tile[f] != extent) {
      bad(key_of(index, "tile"), "entry {} is {} when '{}' needs the axis whole: {}", f, plan.tile[f],
          group.model->graph.nodes[root.nodes[0].node].name, extent);
    }
  }
  std::vector<int> order = plan.loop_order;
  std::sort(order.begin(), order.end());
  std::vector<int> factors(plan.region.rank);
  std::iota(factors.begin(), factors.end(), 0);
  if (order != factors) bad(key_of(index, "loop_order"), "does not name each of {} factors once", plan.region.rank);
  const std::int64_t steps = steps_of(plan);
  if (steps > kMostCommands) bad(key_of(index, "tile"), "the loop takes more than {} steps", kMostCommands);
  if (steps != plan.steps) bad(key_of(index, "steps"), "is {} when the tile makes it {}", plan.steps, steps);
}

class Prover {
 public:
  Prover(const Plan& plan, const Model& model)
      : plan_(plan),
        model_(model),
        search_(model, plan.objective, plan.strategy == Strategy::kLayerByLayer),
        in_dram_(model.layout.storages.size()),
        whole_(model.graph.nodes.size(), 0),
        slices_(model.graph.nodes.size()) {}

  std::vector<GroupWork> run() {
    if (plan_.budget < 1 || plan_.budget > model_.npu.scratchpad.size) {
      bad("budget_bytes", "is {} when the scratchpad has {}", plan_.budget, model_.npu.scratchpad.size);
    }
    residencies();
    std::vector<GroupWork> works;
    Moves moves;
    Bytes peak = 0;
    std::int64_t commands = 0;
    for (int g = 0; g < static_cast<int>(plan_.groups.size()); ++g) {
      const GroupModel group = group_of(plan_, model_, g);
      live_ = live_at(plan_, g);
      guarded(g, "tile", [&] { everything(group, g); });
      works.push_back(guarded(g, "tile", [&] { return work_of(plan_, group, g, kMostCommands - commands); }));
      commands += works.back().commands;
      if (!(works.back().moves == plan_.groups[g].moves)) {
        bad(key_of(g, "moves"), "are {} bytes when the loop makes them {}", plan_.groups[g].moves.total(),
            works.back().moves.total());
      }
      moves += works.back().moves;
      buffers(group, g);
      peak = std::max(peak, addresses(g));
      flow(group, g);
      executed(group);
    }
    complete();
    if (!(moves == plan_.moves)) bad("totals.moves", "are not those of the groups");
    if (peak != plan_.peak_scratchpad) {
      bad("totals.peak_scratchpad_bytes", "is {} when it should be {}", plan_.peak_scratchpad, peak);
    }
    return works;
  }

 private:
  const Storage& storage(StorageId s) const { return model_.layout.storages[s]; }

  void residencies() const {
    if (static_cast<std::int64_t>(plan_.residencies.size()) * static_cast<std::int64_t>(plan_.groups.size()) >
        kMostPairs) {
      bad("residencies", "there are {} for {} groups", plan_.residencies.size(), plan_.groups.size());
    }
    for (std::size_t i = 0; i < plan_.residencies.size(); ++i) {
      const Residency& r = plan_.residencies[i];
      const auto key = [&](const char* what) { return fmt::format("residencies[{}].{}", i, what); };
      const Storage& s = storage(r.storage);
      if (r.first_group < 0 || r.last_group < r.first_group || r.last_group >= static_cast<int>(plan_.groups.size())) {
        bad(key("last_group"), "groups {} to {} of {}", r.first_group, r.last_group, plan_.groups.size());
      }
      if (r.part.rank != s.rank || r.part.empty() || !s.whole().contains(r.part)) {
        bad(key("part"), "lies outside '{}'", s.name);
      }
      if (r.bytes < r.part.elements() * s.element_bytes()) {
        bad(key("bytes"), "is {} when '{}' takes {}", r.bytes, s.name, r.part.elements() * s.element_bytes());
      }
    }
  }

  /// Operators are executed whole: if even one tile of everything leaves part of a result unmade (nobody in the group
  /// asks for it), no tile will do.
  void everything(const GroupModel& group, int g) const {
    std::vector<int> order(group.region.rank);
    std::iota(order.begin(), order.end(), 0);
    LoopWalk walk(plan_, group, g);
    static_cast<void>(walk.run(group.region.extent, order, kMostCommands));
    if (!walk.whole() || !walk.once()) bad(key_of(g, "stages"), "part of what these operators make is not asked for");
  }

  void buffers(const GroupModel& group, int g) {
    const Group& plan = plan_.groups[g];
    Residents residents(model_.layout.storages.size(), Home::kDram);
    for (const Local& local : group.locals) {
      const Residency* home = home_of(live_, local.storage);
      if (home != nullptr) residents[local.storage] = home->stored ? Home::kBoth : Home::kScratchpad;
    }
    Candidate candidate;
    candidate.tile = plan.tile;
    candidate.order = plan.loop_order;
    candidate.pipelining = plan.pipelining;
    const auto expected = guarded(g, "buffers", [&] { return search_.buffers(group, candidate, residents); });
    if (plan.buffers.size() != expected.size()) {
      bad(key_of(g, "buffers"), "there are {} when the loop has {}", plan.buffers.size(), expected.size());
    }
    for (std::size_t b = 0; b < expected.size(); ++b) {
      const Buffer& is = plan.buffers[b];
      const Buffer& should = expected[b];
      const int rank = storage(should.storage).rank;
      if (is.storage == should.storage && is.slots == should.slots && is.slot_bytes == should.slot_bytes &&
          is.accumulates == should.accumulates &&
          std::equal(is.extent.begin(), is.extent.begin() + rank, should.extent.begin())) {
        continue;
      }
      bad(fmt::format("groups[{}].buffers[{}]", g, b),
          "'{}' with {} slots of {} B is not what the loop has here: '{}', {} slots of {} B", storage(is.storage).name,
          is.slots, is.slot_bytes, storage(should.storage).name, should.slots, should.slot_bytes);
    }
    if (bytes_of(plan.buffers) != plan.scratchpad_bytes) {
      bad(key_of(g, "scratchpad_bytes"), "is {} when the buffers take {}", plan.scratchpad_bytes,
          bytes_of(plan.buffers));
    }
  }

  /// Everything in the scratchpad while the group runs lies apart and inside. Returns its bytes.
  Bytes addresses(int g) const {
    struct Range {
      Bytes begin = 0, bytes = 0;
      StorageId storage = kNone;
    };
    std::vector<Range> ranges;
    Bytes sum = 0;
    for (const Residency* r : live_) ranges.push_back({r->address, r->bytes, r->storage});
    for (const Buffer& b : plan_.groups[g].buffers) ranges.push_back({b.address, b.slots * b.slot_bytes, b.storage});
    for (const Range& r : ranges) {
      if (r.begin < 0 || r.bytes > plan_.budget || r.begin > plan_.budget - r.bytes) {
        bad(key_of(g, "buffers"), "'{}' takes {} B at address {} when the budget is {} B", storage(r.storage).name,
            r.bytes, r.begin, plan_.budget);
      }
      sum += r.bytes;
    }
    std::sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) { return a.begin < b.begin; });
    for (std::size_t i = 1; i < ranges.size(); ++i) {
      const Range& a = ranges[i - 1];
      const Range& b = ranges[i];
      if (a.begin + a.bytes <= b.begin) continue;
      bad(key_of(g, "buffers"), "'{}' at {} ({} B) and '{}' at {} overlap", storage(a.storage).name, a.begin, a.bytes,
          storage(b.storage).name, b.begin);
    }
    return sum;
  }

  /// What the group reads is there, and what it makes is new.
  void flow(const GroupModel& group, int g) {
    const auto key = fmt::format("groups[{}]", g);
    std::vector<std::pair<StorageId, Box>> stored;
    for (std::size_t l = 0; l < group.locals.size(); ++l) {
      const Local& local = group.locals[l];
      const Storage& s = storage(local.storage);
      const Box part = group.part_of(static_cast<int>(l));
      const Residency* home = home_of(live_, local.storage);
      if (local.producer == kNone) {
        if (home != nullptr && (home->first_group >= g || !home->part.contains(part))) {
          bad(key, "reads '{}' from the scratchpad, where it is not", s.name);
        }
        if (home == nullptr && !s.is_input && !in_dram_[local.storage].covers(part)) {
          bad(key, "reads '{}', which no group before it has left for it", s.name);
        }
        continue;
      }
      if (home != nullptr && (home->first_group != g || !(home->part == part) || !local.stored)) {
        bad(key, "makes '{}', whose place in the scratchpad is another's", s.name);
      }
      if (local.stored && (home == nullptr || home->stored || s.is_output)) {
        if (in_dram_[local.storage].intersects(part)) bad(key, "stores '{}', which has been stored before", s.name);
        stored.emplace_back(local.storage, part);
      }
    }
    for (const auto& [s, part] : stored) in_dram_[s].add(part);
    for (const Residency* r : live_) {
      if (r->first_group != g) continue;
      const int l = group.local_of(r->storage);
      if (l == kNone || group.locals[l].producer == kNone || home_of(live_, r->storage) != r) {
        bad(key, "does not make '{}', whose residency begins here", storage(r->storage).name);
      }
    }
  }

  void executed(const GroupModel& group) {
    for (const NodeId node : group.nodes) {
      const bool statistics = model_.op(node).op_class == workloads::OpClass::kStatistics;
      const std::int32_t part = group.slices() > 1 ? group.region.begin[0] : 0;
      const bool again =
          whole_[node] != 0 || slices_[node].count(part) > 0 || (group.slices() == 1 && !slices_[node].empty());
      if (statistics && again) {
        bad("groups", "'{}' gathers its statistics twice", model_.graph.nodes[node].name);
      }
      if (group.slices() == 1) {
        whole_[node] = 1;
      } else {
        slices_[node].insert(part);
        if (static_cast<int>(slices_[node].size()) == group.slices()) whole_[node] = 1;
      }
    }
  }

  void complete() const {
    for (const NodeId node : model_.executed) {
      if (whole_[node] != 0 || model_.is_virtual(node)) continue;
      bad("groups", "the operator '{}' {}", model_.graph.nodes[node].name,
          slices_[node].empty() ? "is in no group" : "is not run for the whole batch");
    }
    for (std::size_t s = 0; s < model_.layout.storages.size(); ++s) {
      const Storage& output = model_.layout.storages[s];
      if (!output.is_output || model_.producer[s] == kNone || in_dram_[s].covers(output.whole())) continue;
      bad("groups", "the graph's output '{}' is not stored", output.name);
    }
  }

  const Plan& plan_;
  const Model& model_;
  Search search_;
  std::vector<const Residency*> live_;          // while the group at hand runs
  std::vector<RegionSet> in_dram_;              // by storage: what groups have stored
  std::vector<char> whole_;                     // by node: executed over everything
  std::vector<std::set<std::int32_t>> slices_;  // by node: parts of the batch that it has been executed for
};

}  // namespace

GroupModel group_of(const Plan& plan, const Model& model, int index) {
  const Group& planned = plan.groups[index];
  std::vector<NodeId> nodes;
  for (const Stage& stage : planned.stages) nodes.insert(nodes.end(), stage.nodes.begin(), stage.nodes.end());
  std::sort(nodes.begin(), nodes.end());
  const auto key = key_of(index, "stages");
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const std::string& name = model.graph.nodes[nodes[i]].name;
    if (i > 0 && nodes[i] == nodes[i - 1]) bad(key, "the operator '{}' is there twice", name);
    if (model.layout.is_view_node[nodes[i]]) bad(key, "the operator '{}' is addressing, nothing runs it", name);
  }
  GroupModel group = make_group(model, nodes, planned.dropped);
  if (!group.ok()) bad(key, "these operators cannot run together: {}", group.why_not);
  const auto same = [](const Stage& a, const StageModel& b) {
    return std::equal(a.nodes.begin(), a.nodes.end(), b.nodes.begin(), b.nodes.end(),
                      [](NodeId node, const StageNode& in) { return node == in.node; });
  };
  if (!std::equal(planned.stages.begin(), planned.stages.end(), group.stages.begin(), group.stages.end(), same)) {
    bad(key, "these operators make other stages");
  }
  for (const StorageId s : planned.dropped) {
    if (model.producer[s] == kNone || !std::binary_search(nodes.begin(), nodes.end(), model.producer[s])) {
      bad(key_of(index, "dropped"), "'{}' is not made here", model.layout.storages[s].name);
    }
  }
  const auto& last = group.stages[group.root_stage].nodes;
  const bool useful = std::any_of(last.begin(), last.end(), [&](const StageNode& node) {
    return node.output != kNone && group.locals[node.output].stored;
  });
  if (!useful) bad(key, "nobody needs what the last stage makes");
  if (planned.root != group.root()) {
    bad(key_of(index, "root"), "is not '{}'", model.layout.storages[group.root()].name);
  }
  guarded(index, "region", [&] { require_region(planned, group, index); });
  require_loop(planned, group, index);
  return group;
}

GroupWork work_of(const Plan& plan, const GroupModel& group, int index, std::int64_t most) {
  LoopWalk walk(plan, group, index);
  GroupWork work = walk.run(plan.groups[index].tile, plan.groups[index].loop_order, most);
  if (!walk.once()) bad(key_of(index, "tile"), "makes a part of a result twice, or not at all");
  return work;
}

std::vector<GroupWork> prove(const Plan& plan, const Model& model) { return Prover(plan, model).run(); }

}  // namespace spillway::partitioner
