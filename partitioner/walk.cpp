#include "partitioner/walk.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "configs/error.h"

namespace spillway::partitioner {

Walker::Walker(const GroupModel& group, const std::array<std::int32_t, kMaxRank>& tile, std::vector<int> order)
    : group_(group),
      region_(group.region),
      tile_(tile),
      order_(std::move(order)),
      stage_cache_(group.stages.size()),
      load_cache_(group.locals.size()),
      keeps_(group.stages.size(), false) {
  for (int f = 0; f < region_.rank; ++f) {
    steps_ *= (region_.extent[f] + tile_[f] - 1) / tile_[f];
    at_[f] = region_.begin[f];
  }
  for (const Local& local : group.locals) {
    if (local.producer != kNone && local.last_reader != kNone) keeps_[local.producer] = true;
  }
}

Window Walker::move_window(Cache& cache, const Box& need) {
  Window w;
  w.used = true;
  w.have = need;
  w.fresh = need;
  w.overlap = need;
  for (int f = 0; f < need.rank; ++f) w.overlap.extent[f] = 0;
  if (cache.valid && cache.have.contains(need)) {
    w.have = cache.have;
    for (int f = 0; f < need.rank; ++f) w.fresh.extent[f] = 0;
    return w;
  }
  w.advance = true;
  if (cache.valid) {
    // Worth keeping if the old window reaches into the new one from its lower end in one dimension: then the kept part
    // moves down in the buffer, and a copy in ascending order may pass over itself.
    int differs = 0;
    int dim = kNone;
    for (int f = 0; f < need.rank; ++f) {
      if (cache.have.begin[f] > need.begin[f] || cache.have.end(f) < need.end(f)) ++differs, dim = f;
    }
    if (differs == 1) {
      const std::int32_t lo = std::max(cache.have.begin[dim], need.begin[dim]);
      const std::int32_t hi = std::min(cache.have.end(dim), need.end(dim));
      if (hi > lo && lo == need.begin[dim]) {
        w.overlap = w.fresh = need;
        w.overlap.set(dim, lo, hi - lo);
        w.fresh.set(dim, hi, need.end(dim) - hi);
      }
    }
  }
  cache.valid = true;
  cache.have = need;
  return w;
}

void Walker::jump_to(const std::array<std::int64_t, kMaxRank>& tiles) {
  for (int f = 0; f < region_.rank; ++f) {
    at_[f] = static_cast<std::int32_t>(region_.begin[f] + tiles[f] * tile_[f]);
  }
  for (Cache& cache : stage_cache_) cache.valid = false;
  for (Cache& cache : load_cache_) cache.valid = false;
  done_ = false;
}

namespace {

/// As new, without writing every box of what is most often filled in again.
void forget(std::vector<Window>& windows, std::size_t count) {
  windows.resize(count);
  for (Window& w : windows) {
    w.used = w.advance = false;
    w.have.rank = w.overlap.rank = w.fresh.rank = 0;
  }
}

}  // namespace

bool Walker::next(Step& step) {
  if (done_) return false;
  forget(step.stages, group_.stages.size());
  forget(step.loads, group_.locals.size());
  need_.resize(group_.locals.size());
  needed_.assign(group_.locals.size(), 0);
  Box tile;
  tile.rank = region_.rank;
  for (int f = 0; f < region_.rank; ++f) tile.set(f, at_[f], std::min(tile_[f], region_.end(f) - at_[f]));

  for (int s = group_.root_stage; s >= 0; --s) {
    const StageModel& stage = group_.stages[s];
    const Storage& domain = group_.model->layout.storages[stage.domain];
    Box region;
    bool used = s == group_.root_stage;
    if (used) {
      region = tile;
    } else {
      for (const StageNode& node : stage.nodes) {
        if (node.output == kNone || node.statistics || !needed_[node.output]) continue;
        const Box box = unmap_box(need_[node.output], node.to_output, domain);
        region = used ? bounding(region, box) : box;
        used = true;
      }
    }
    if (!used) continue;
    for (int f = 0; f < domain.rank; ++f) {
      if (stage.whole[f]) region.set(f, 0, domain.extent[f]);
    }
    Window& w = step.stages[s];
    if (keeps_[s]) {
      w = move_window(stage_cache_[s], region);
    } else {
      w.used = w.advance = true;
      w.have = w.fresh = region;
      w.overlap = region;
      for (int f = 0; f < region.rank; ++f) w.overlap.extent[f] = 0;
    }
    if (w.fresh.empty()) continue;
    for (const StageNode& node : stage.nodes) {
      Box made;  // by the node, once somebody asks
      for (int i = 0; i < static_cast<int>(node.inputs.size()); ++i) {
        const int l = node.inputs[i];
        if (l == kNone || group_.locals[l].direct_only) continue;
        if (stage.kind == StageKind::kConcat && group_.locals[l].producer == kNone) continue;
        if (stage.kind == StageKind::kGather && i == 0) continue;
        if (made.rank == 0) made = logical_box(group_, stage, node, w.fresh);
        const Box box = input_box_of(*group_.model, node, i, made);
        if (box.empty()) continue;
        need_[l] = needed_[l] ? bounding(need_[l], box) : box;
        needed_[l] = 1;
      }
    }
  }
  for (std::size_t l = 0; l < group_.locals.size(); ++l) {
    if (needed_[l] && group_.locals[l].producer == kNone) step.loads[l] = move_window(load_cache_[l], need_[l]);
  }
  // The innermost loop is the last of order_.
  int i = static_cast<int>(order_.size()) - 1;
  while (i >= 0 && (at_[order_[i]] += tile_[order_[i]]) >= region_.end(order_[i])) {
    at_[order_[i]] = region_.begin[order_[i]];
    --i;
  }
  done_ = i < 0;
  return true;
}

namespace {

/// Where a loop stands while inner ones are looked at: in the middle, at a whole tile if there is one.
std::int64_t middle(std::int64_t trips) { return trips == 2 ? 0 : trips / 2; }

/// Takes the steps right before the one in which the loop `order[level]` advances to its tile `to`: the last ones of
/// the inner loops or, where there are none, of this one. They fill the windows.
void jump_before(Walker& walker, const std::vector<int>& order, const std::array<std::int64_t, kMaxRank>& trips,
                 std::size_t level, std::int64_t to) {
  std::array<std::int64_t, kMaxRank> at{};
  for (std::size_t outer = 0; outer < level; ++outer) at[order[outer]] = middle(trips[order[outer]]);
  at[order[level]] = to - 1;
  std::size_t innermost = level;
  for (std::size_t i = level + 1; i < order.size(); ++i) {
    at[order[i]] = trips[order[i]] - 1;
    if (trips[order[i]] > 1) innermost = i;
  }
  int warm = 1;
  if (at[order[innermost]] > 0) --at[order[innermost]], ++warm;
  walker.jump_to(at);
  Step step;
  for (int i = 0; i < warm; ++i) walker.next(step);
}

}  // namespace

void sample_steps(const GroupModel& group, const std::array<std::int32_t, kMaxRank>& tile,
                  const std::vector<int>& order,
                  const std::function<void(const Step& step, double times, std::int64_t period)>& visit) {
  Walker walker(group, tile, order);
  Step step;
  walker.next(step);
  visit(step, 1, 1);
  std::array<std::int64_t, kMaxRank> trips{};
  for (const int f : order) trips[f] = (group.region.extent[f] + tile[f] - 1) / tile[f];
  // Ragged tiles count for what they hold.
  const auto tiles = [&](int f, std::int32_t elements, std::int64_t at) {
    const auto held = std::min<std::int64_t>(tile[f], group.region.extent[f] - at * tile[f]);
    return static_cast<double>(elements) / static_cast<double>(held);
  };
  double rounds = 1;  // of the loops outside
  for (std::size_t level = 0; level < order.size(); ++level) {
    const int advances = order[level];
    if (trips[advances] == 1) continue;
    const std::int32_t extent = group.region.extent[advances];
    // A window that advances with this loop stays for as long as the inner ones take.
    std::int64_t period = 1;
    for (std::size_t i = level + 1; i < order.size(); ++i) period *= trips[order[i]];
    // Long loops are looked at twice, at an even and an odd tile: a Concat's pieces are not all read in the middle, and
    // of what a Resize repeats only every other tile is new.
    std::vector<std::int64_t> looks{std::max<std::int64_t>(1, trips[advances] / 2)};
    if (trips[advances] >= 4) looks = {trips[advances] / 4, trips[advances] * 3 / 4};
    if (looks.size() == 2 && (looks[0] - looks[1]) % 2 == 0) --looks[1];
    for (const std::int64_t to : looks) {
      jump_before(walker, order, trips, level, to);
      if (!walker.next(step)) internal_error("a sampled loop ends before its middle");
      const double times = tiles(advances, extent - tile[advances], to) / static_cast<double>(looks.size());
      visit(step, rounds * times, period);
    }
    rounds *= tiles(advances, extent, middle(trips[advances]));
  }
}

bool slice(GroupModel& group, int index, int count) {
  const Model& model = *group.model;
  const Storage& root = group.root_storage();
  if (root.rank == 0 || root.extent[0] % count != 0) return false;
  // The batch must be outermost in every view: a slice of a storage is then a slice of each tensor.
  const auto outermost = [&](TensorId tensor) {
    const TensorView& view = model.layout.views[tensor];
    const Storage& storage = model.layout.storages[view.storage];
    return storage.rank > 0 && storage.extent[0] % count == 0 && !view.dims.empty() && !view.dims[0].empty() &&
           view.dims[0][0] == FactorRef{0, 0, storage.extent[0]};
  };
  for (const StageModel& stage : group.stages) {
    for (const StageNode& node : stage.nodes) {
      const Node& n = model.graph.nodes[node.node];
      if (!outermost(n.outputs[0])) return false;
      for (const TensorId t : n.inputs) {
        if (t != kNone && !is_constant(model.graph, model.layout, t) && !outermost(t)) return false;
      }
    }
  }
  const Box before = group.region;
  group.region = root.whole();
  group.region.set(0, root.extent[0] / count * index, root.extent[0] / count);
  // One step that does all the work of the slice shows what every operator looks at.
  std::vector<int> order(root.rank);
  std::iota(order.begin(), order.end(), 0);
  Step step;
  bool apart = Walker(group, group.region.extent, order).next(step);
  const auto keeps_apart = [&](const Storage& storage, const Box& box) {
    return box.begin[0] == storage.extent[0] / count * index && box.extent[0] == storage.extent[0] / count;
  };
  for (std::size_t s = 0; s < step.stages.size() && apart; ++s) {
    if (!step.stages[s].used) continue;
    const StageModel& stage = group.stages[s];
    const Box& all = step.stages[s].have;
    apart = keeps_apart(model.layout.storages[stage.domain], all);
    for (const StageNode& node : stage.nodes) {
      for (int i = 0; i < static_cast<int>(node.inputs.size()) && apart; ++i) {
        const int l = node.inputs[i];
        if (l == kNone || is_constant(model.graph, model.layout, model.graph.nodes[node.node].inputs[i])) continue;
        const Box box = input_box(group, stage, node, i, all);
        apart = box.empty() || keeps_apart(group.storage(l), box);
      }
    }
  }
  if (!apart) group.region = before;
  return apart;
}

}  // namespace spillway::partitioner
