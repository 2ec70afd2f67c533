#include "partitioner/search.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>

#include "configs/error.h"

namespace spillway::partitioner {

using workloads::OpClass;

namespace {

constexpr Bytes kAlignment = 64;  // of every buffer: one interconnect beat

Bytes aligned(Bytes bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

/// Extents and movement of each window over a whole walk.
struct WindowUse {
  std::array<std::int32_t, kMaxRank> extent{};
  std::int64_t windows = 0;
  void see(const Box& box, bool advance) {
    for (int f = 0; f < box.rank; ++f) extent[f] = std::max(extent[f], box.extent[f]);
    windows += advance ? 1 : 0;
  }
};

/// What a walk of a candidate adds up to, whatever the buffering.
struct Totals {
  std::vector<WindowUse> stages;  // domain coordinates
  std::vector<WindowUse> loads;
  Moves moves;
  bool legal = true;  // everything stored is made exactly once
  bool whole = true;   // every stage makes all of its results
  Cycles first_load = 0, last_store = 0;
  Cycles sequential = 0, doubled = 0, pipelined = 0, first_compute = 0;
  std::int64_t steps = 0, walked = 0;

  /// From `walked` steps, the first of which cost `first`, to all of them.
  void extrapolate(const Totals& first) {
    const double factor = static_cast<double>(steps - 1) / static_cast<double>(walked - 1);
    const auto scale = [&](std::int64_t& value, std::int64_t base) {
      value = base + static_cast<std::int64_t>(static_cast<double>(value - base) * factor);
    };
    for (int c = 0; c < kStorageClassCount; ++c) {
      scale(moves.read[c], first.moves.read[c]);
      scale(moves.written[c], first.moves.written[c]);
    }
    scale(sequential, first.sequential);
    scale(doubled, first.doubled);
    scale(pipelined, first.pipelined);
  }
};

Cycles cycles_of(const Totals& t, Pipelining pipelining) {
  switch (pipelining) {
    case Pipelining::kNone: return t.sequential;
    case Pipelining::kDouble: return t.doubled + t.first_load + t.last_store;
    case Pipelining::kSoftware: return t.pipelined + t.first_load + t.first_compute + t.last_store;
  }
  internal_error("unknown pipelining");
}

/// Bytes of a buffer whose largest window has these extents.
Bytes slot_bytes(const Storage& storage, const std::array<std::int32_t, kMaxRank>& extent) {
  std::int64_t n = storage.element_bytes();
  for (int f = 0; f < storage.rank; ++f) n *= std::max<std::int32_t>(1, extent[f]);
  return aligned(n);
}

bool has_buffer(const GroupModel& group, int l, const Residents& residents) {
  const Local& local = group.locals[l];
  return !local.direct_only && !residents[local.storage];
}

int slots_for(const GroupModel& group, const Local& local, Pipelining pipelining) {
  if (local.accumulates || pipelining == Pipelining::kNone) return 1;
  if (local.producer == kNone) {
    return pipelining == Pipelining::kDouble ? 2 : local.last_reader - local.first_reader + 2;
  }
  const bool ahead = prefetched(group, group.stages[local.producer], pipelining);
  const int stored = local.stored || ahead ? 2 : 1;
  if (pipelining == Pipelining::kDouble || local.last_reader == kNone) return stored;
  return std::max(stored, local.last_reader - local.producer + 1);
}

/// Visits every buffer: (local, extents, windows).
template <typename Visit>
void for_each_buffer(const GroupModel& group, const Totals& totals, const Residents& residents, Visit visit) {
  for (std::size_t l = 0; l < group.locals.size(); ++l) {
    const Local& local = group.locals[l];
    if (!has_buffer(group, static_cast<int>(l), residents)) continue;
    const Storage& storage = group.storage(static_cast<int>(l));
    if (local.accumulates) {
      visit(static_cast<int>(l), storage.extent, std::int64_t{1});
      continue;
    }
    if (local.producer == kNone) {
      visit(static_cast<int>(l), totals.loads[l].extent, totals.loads[l].windows);
      continue;
    }
    const StageModel& stage = group.stages[local.producer];
    for (const StageNode& node : stage.nodes) {
      if (node.output != static_cast<int>(l)) continue;
      std::array<std::int32_t, kMaxRank> extent{};
      extent.fill(1);
      for (int f = 0; f < kMaxRank; ++f) {
        if (node.to_output[f] != kNone) extent[node.to_output[f]] = totals.stages[local.producer].extent[f];
      }
      visit(static_cast<int>(l), extent, totals.stages[local.producer].windows);
    }
  }
}

Bytes scratchpad_of(const GroupModel& group, const Totals& totals, const Residents& residents, Pipelining pipelining) {
  Bytes sum = 0;
  for_each_buffer(group, totals, residents, [&](int l, const auto& extent, std::int64_t windows) {
    const std::int64_t slots =
        std::min<std::int64_t>(slots_for(group, group.locals[l], pipelining), std::max<std::int64_t>(1, windows));
    sum += slots * slot_bytes(group.storage(l), extent);
  });
  return sum;
}

class Pricer {
 public:
  Pricer(const GroupModel& group, const Residents& residents)
      : group_(group), residents_(residents), model_(*group.model), npu_(group.model->npu), priced_(group.stages.size()) {}

  /// Walks the whole loop; gives up when `hopeless` says so of the totals so far.
  template <typename Hopeless>
  std::optional<Totals> walk(const Candidate& candidate, Hopeless hopeless) {
    Totals totals;
    totals.stages.resize(group_.stages.size());
    totals.loads.resize(group_.locals.size());
    std::vector<std::int64_t> made(group_.stages.size(), 0);
    Walker walker(group_, candidate.tile, candidate.order);
    totals.steps = walker.steps();
    Step step;
    constexpr std::int64_t kLook = 64;  // steps between looks
    for (; walker.next(step); ++totals.walked) {
      price(step, totals, made, totals.walked == 0);
      if (totals.walked % kLook == kLook - 1 && (hopeless(totals) || twice(made))) return std::nullopt;
    }
    finish(totals, made);
    return totals;
  }

  /// Window extents and prices from a few steps at the first corner or in the middle, prices extrapolated to the whole
  /// loop: the first step as it is, the rest at the average of those seen.
  Totals sample(const Candidate& candidate, bool middle) {
    constexpr int kSteps = 24;
    Totals totals;
    totals.stages.resize(group_.stages.size());
    totals.loads.resize(group_.locals.size());
    Walker walker(group_, candidate.tile, candidate.order);
    totals.steps = walker.steps();
    if (middle) walker.jump_to_middle();
    Step step;
    std::vector<std::int64_t> made(group_.stages.size(), 0);
    Totals first;
    for (; totals.walked < kSteps && walker.next(step); ++totals.walked) {
      price(step, totals, made, totals.walked == 0);
      if (totals.walked == 0) first = totals;
    }
    if (totals.walked > 1) totals.extrapolate(first);
    return totals;
  }

 private:
  Cycles dma_cycles(const Storage& storage, const Box& box) const {
    // Runs of the box in the dense storage; each run touches whole bursts.
    std::int64_t run = storage.element_bytes();
    std::int64_t runs = 1;
    bool dense = true;
    for (int f = storage.rank - 1; f >= 0; --f) {
      (dense ? run : runs) *= box.extent[f];
      if (box.extent[f] != storage.extent[f]) dense = false;
    }
    const Bytes burst = Bytes{npu_.dram.channel_bits} / 8 * npu_.dram.burst_length;
    const auto touched = static_cast<double>(runs) * static_cast<double>((run + burst - 1) / burst * burst);
    const auto bus = static_cast<Cycles>(std::ceil(touched / npu_.dram_bytes_per_cycle()));
    return npu_.dma.descriptor_cycles + std::max(bus, configs::interconnect_cycles(npu_.interconnect, runs * run));
  }

  Cycles copy_cycles(const Storage& storage, const Box& box) const {
    return npu_.dma.descriptor_cycles +
           2 * configs::interconnect_cycles(npu_.interconnect, box.elements() * storage.element_bytes());
  }

  void count_read(Moves& moves, const Storage& storage, std::int64_t elements) const {
    const int c = static_cast<int>(storage.storage_class);
    moves.read[c] += elements * storage.element_bytes();
    moves.read_elements[c] += elements;
  }
  void count_write(Moves& moves, const Storage& storage, std::int64_t elements) const {
    const int c = static_cast<int>(storage.storage_class);
    moves.written[c] += elements * storage.element_bytes();
    moves.written_elements[c] += elements;
  }

  struct StageCost {
    Cycles matrix = 0, vector = 0;
  };

  /// Blocks of a region are nearly alike: price the first and scale by how many there are, exactly by elements.
  StageCost stage_cost(int s, const Box& fresh) {
    const StageModel& stage = group_.stages[s];
    const auto [known, unseen] = priced_[s].try_emplace(fresh.extent);
    if (!unseen) return known->second;
    StageCost cost;
    if (stage.kind == StageKind::kMatrix || stage.kind == StageKind::kVector) {
      const auto blocks = blocks_of(group_, stage, fresh);
      std::vector<std::pair<std::array<std::int32_t, kMaxRank>, StageCost>> seen;
      for (const Box& block : blocks) {
        const auto like =
            std::find_if(seen.begin(), seen.end(), [&](const auto& e) { return e.first == block.extent; });
        StageCost one;
        if (like != seen.end()) {
          one = like->second;
        } else {
          if (stage.kind == StageKind::kMatrix) {
            one.matrix =
                configs::matrix_cycles(npu_.matrix, matrix_of(group_, stage, block), npu_.precision.weight).total();
          }
          one.vector = configs::vector_cycles(npu_, vector_of(group_, stage, block), block.elements() * 2).total();
          seen.emplace_back(block.extent, one);
        }
        cost.matrix += one.matrix;
        cost.vector += one.vector;
      }
      cost.matrix /= npu_.matrix.count;
      cost.vector /= npu_.vector.count;
    }
    known->second = cost;
    return cost;
  }

  void price(const Step& step, Totals& totals, std::vector<std::int64_t>& made, bool first) {
    Cycles load = 0;
    Cycles store = 0;
    Cycles matrix = 0;
    Cycles vector = 0;
    Cycles compute = 0;
    for (std::size_t l = 0; l < step.loads.size(); ++l) {
      const Window& w = step.loads[l];
      if (!w.used) continue;
      totals.loads[l].see(w.have, w.advance);
      if (residents_[group_.locals[l].storage]) continue;
      const Storage& storage = group_.storage(static_cast<int>(l));
      if (!w.fresh.empty()) {
        count_read(totals.moves, storage, w.fresh.elements());
        load += dma_cycles(storage, w.fresh);
      }
      if (!w.overlap.empty()) load += copy_cycles(storage, w.overlap);
    }
    for (std::size_t s = 0; s < step.stages.size(); ++s) {
      const Window& w = step.stages[s];
      if (!w.used) continue;
      const StageModel& stage = group_.stages[s];
      totals.stages[s].see(w.have, w.advance);
      if (!w.overlap.empty()) {
        for (const StageNode& node : stage.nodes) {
          if (node.output == kNone || node.statistics || residents_[group_.locals[node.output].storage]) continue;
          if (group_.locals[node.output].last_reader == kNone) continue;
          load += copy_cycles(group_.storage(node.output), w.overlap);
        }
      }
      if (w.fresh.empty()) continue;
      made[s] += w.fresh.elements();
      load += direct(stage, w.fresh, totals.moves);
      const StageCost cost = stage_cost(static_cast<int>(s), w.fresh);
      matrix += cost.matrix;
      vector += cost.vector;
      compute += std::max(cost.matrix, cost.vector);
      for (const StageNode& node : stage.nodes) {
        if (node.output == kNone || node.statistics) continue;
        const Local& local = group_.locals[node.output];
        const Storage& storage = group_.storage(node.output);
        if (!local.stored || (residents_[local.storage] && !storage.is_output)) continue;
        const Box box = map_box(w.fresh, node.to_output, storage.rank);
        count_write(totals.moves, storage, box.elements());
        store += dma_cycles(storage, box);
      }
    }
    const Cycles dma = npu_.dma.channels > 1 ? std::max(load, store) : load + store;
    totals.sequential += load + compute + store;
    totals.doubled += std::max(dma, compute);
    totals.pipelined += std::max({dma, matrix, vector});
    if (first) totals.first_load = load, totals.first_compute = compute;
    totals.last_store = store;
  }

  /// Concat and Gather fetch without a buffer of their own. Cycles; moves are added.
  Cycles direct(const StageModel& stage, const Box& fresh, Moves& moves) {
    Cycles cycles = 0;
    if (stage.kind == StageKind::kConcat) {
      const StageNode& node = stage.nodes[0];
      for (int i = 0; i < static_cast<int>(node.inputs.size()); ++i) {
        if (node.inputs[i] == kNone) continue;
        const Box piece = input_box(group_, stage, node, i, fresh);
        if (piece.empty()) continue;
        const Local& local = group_.locals[node.inputs[i]];
        const Storage& storage = group_.storage(node.inputs[i]);
        if (local.producer == kNone && !residents_[local.storage]) {
          count_read(moves, storage, piece.elements());
          cycles += dma_cycles(storage, piece);
        } else {
          cycles += copy_cycles(storage, piece);
        }
      }
    } else if (stage.kind == StageKind::kGather) {
      const Storage& table = group_.storage(stage.nodes[0].inputs[0]);
      count_read(moves, table, fresh.elements());
      cycles += npu_.dma.descriptor_cycles +
                static_cast<Cycles>(static_cast<double>(fresh.elements() * table.element_bytes()) /
                                    npu_.dram_bytes_per_cycle());
    }
    return cycles;
  }

  /// Something that is stored has been made more often than once already.
  bool twice(const std::vector<std::int64_t>& made) const {
    for (std::size_t s = 0; s < made.size(); ++s) {
      if (made[s] > model_.layout.storages[group_.stages[s].domain].elements() && made_once(group_.stages[s])) return true;
    }
    return false;
  }

  bool made_once(const StageModel& stage) const {
    return std::any_of(stage.nodes.begin(), stage.nodes.end(), [&](const StageNode& node) {
      return node.statistics || (node.output != kNone && group_.locals[node.output].stored);
    });
  }

  void finish(Totals& totals, const std::vector<std::int64_t>& made) {
    for (std::size_t s = 0; s < group_.stages.size(); ++s) {
      const StageModel& stage = group_.stages[s];
      const std::int64_t all = model_.layout.storages[stage.domain].elements();
      if (made_once(stage) && made[s] != all) totals.legal = false;
      if (made[s] < all && stage.kind != StageKind::kConcat) totals.whole = false;
      for (const StageNode& node : stage.nodes) {
        if (node.output == kNone) continue;
        const Local& local = group_.locals[node.output];
        if (node.statistics && local.stored) {
          const Storage& storage = group_.storage(node.output);
          if (!residents_[local.storage] || storage.is_output) {
            count_write(totals.moves, storage, storage.elements());
            totals.last_store += dma_cycles(storage, storage.whole());
          }
        }
      }
    }
  }

  const GroupModel& group_;
  const Residents& residents_;
  const Model& model_;
  const configs::NpuConfig& npu_;
  std::vector<std::map<std::array<std::int32_t, kMaxRank>, StageCost>> priced_;  // by stage
};

/// Which of the root's factors are output channels, rows, and batch, innermost first within each.
struct Roles {
  std::vector<int> channels, rows, batch;
};

Roles roles_of(const GroupModel& group) {
  const Model& model = *group.model;
  const StageModel& root = group.stages[group.root_stage];
  const Storage& domain = model.layout.storages[root.domain];
  const TensorView& view = model.layout.views[root.domain_tensor];
  const int rank = static_cast<int>(view.dims.size());
  std::vector<int> dim_of(domain.rank, -1);
  for (int d = 0; d < rank; ++d) {
    for (const FactorRef& ref : view.dims[d]) dim_of[ref.factor] = d;
  }
  const bool product = model.graph.nodes[root.nodes[0].node].op == "MatMul";
  // Channels are the innermost dimension of the layout; a product's batch is everything before its rows.
  const int channel = rank == 0 ? -1 : (product ? rank - 1 : std::max(0, dim_of[domain.rank - 1]));
  Roles roles;
  for (int f = domain.rank - 1; f >= 0; --f) {
    const int d = dim_of[f];
    if (d == channel) {
      roles.channels.push_back(f);
    } else if (rank >= 3 && (product ? d < rank - 2 : d == 0)) {
      roles.batch.push_back(f);
    } else {
      roles.rows.push_back(f);
    }
  }
  return roles;
}

using Tile = std::array<std::int32_t, kMaxRank>;

/// Tiles that are contiguous in the given factors (innermost first): inner ones whole, one partly, outer ones single.
/// From all to a single element.
std::vector<Tile> contiguous(const Storage& domain, const std::vector<int>& factors, const std::vector<bool>& whole,
                             std::int32_t multiple) {
  std::vector<Tile> tiles;
  Tile tile{};
  tile.fill(1);
  for (const int f : factors) tile[f] = domain.extent[f];
  tiles.push_back(tile);
  for (auto it = factors.rbegin(); it != factors.rend(); ++it) {
    const int f = *it;
    if (whole[f]) continue;
    std::int32_t parts = 1;
    while (tile[f] > 1) {
      parts *= 2;
      std::int32_t extent = std::max(1, (domain.extent[f] + parts - 1) / parts);
      if (multiple > 1 && extent > multiple) extent = (extent + multiple - 1) / multiple * multiple;
      if (extent >= tile[f]) {
        if (extent == 1 || parts > domain.extent[f]) break;
        continue;
      }
      tile[f] = extent;
      tiles.push_back(tile);
    }
  }
  return tiles;
}

}  // namespace

double Search::score(const Moves& moves, Cycles cycles) const {
  // Bytes cost a little even where compute hides them (they compete with neighbours), cycles a little even where only
  // moves count: near ties go to the other objective.
  const double transfer = static_cast<double>(moves.total()) / model_.npu.dram_bytes_per_cycle();
  if (bytes_first_ || objective_ == Objective::kMoves) return transfer + 0.002 * static_cast<double>(cycles);
  return static_cast<double>(cycles) + 0.25 * transfer;
}

std::string Search::signature(const GroupModel& group, const Residents& residents, Bytes budget) const {
  std::string key = fmt::format("{}|", budget);
  for (const Local& local : group.locals) {
    const Storage& s = model_.layout.storages[local.storage];
    key += fmt::format("S{},{},{},{}{}{}{}:", static_cast<int>(s.storage_class), static_cast<int>(s.format),
                       local.producer, local.stored ? 1 : 0, residents[local.storage] ? 1 : 0, s.is_output ? 1 : 0,
                       local.direct_only ? 1 : 0);
    for (int f = 0; f < s.rank; ++f) key += fmt::format("{}x", s.extent[f]);
  }
  const auto view = [&](TensorId t) {
    for (const auto& dim : model_.layout.views[t].dims) {
      for (const FactorRef& r : dim) key += fmt::format("{}.{}.{},", r.factor, r.offset, r.extent);
      key += '/';
    }
  };
  for (const StageModel& stage : group.stages) {
    key += fmt::format("|{}", static_cast<int>(stage.kind));
    for (const StageNode& node : stage.nodes) {
      const Node& n = model_.graph.nodes[node.node];
      key += "|" + n.op;
      for (const auto& [name, value] : n.attributes) {
        key += "," + name + "=";
        if (const auto* i = std::get_if<std::int64_t>(&value)) key += fmt::format("{}", *i);
        if (const auto* f = std::get_if<float>(&value)) key += fmt::format("{}", *f);
        if (const auto* t = std::get_if<std::string>(&value)) key += *t;
        if (const auto* v = std::get_if<std::vector<std::int64_t>>(&value)) {
          for (const auto x : *v) key += fmt::format("{}_", x);
        }
        if (const auto* v = std::get_if<std::vector<float>>(&value)) {
          for (const auto x : *v) key += fmt::format("{}_", x);
        }
      }
      for (std::size_t i = 0; i < n.inputs.size(); ++i) {
        key += fmt::format(";{},{}:", node.inputs[i], node.chained[i]);
        if (n.inputs[i] == kNone) continue;
        view(n.inputs[i]);
        // Small integer inputs (axes, pads, starts) are part of what the operator is.
        const workloads::Tensor& t = model_.graph.tensors[n.inputs[i]];
        if (t.is_constant() && !t.constant->missing() && !workloads::is_float(t.type) && t.elements() <= 16) {
          const workloads::HostTensor value = workloads::materialise(t);
          for (const auto x : value.ints()) key += fmt::format("{}_", x);
        }
      }
      key += fmt::format(">{}", node.output);
      view(n.outputs[0]);
    }
  }
  return key;
}

const Candidate* Search::best(const GroupModel& group, const Residents& residents, Bytes budget) {
  const auto [known, fresh] = known_.try_emplace(signature(group, residents, budget));
  if (fresh) known->second = search(group, residents, budget);
  return known->second ? &*known->second : nullptr;
}

std::optional<Candidate> Search::search(const GroupModel& group, const Residents& residents, Bytes budget) const {
  const StageModel& root = group.stages[group.root_stage];
  const Storage& domain = model_.layout.storages[root.domain];
  const Roles roles = roles_of(group);
  const auto cols = static_cast<std::int32_t>(std::min(model_.npu.matrix.cols, 1 << 20));
  std::vector<Tile> channel_tiles = contiguous(domain, roles.channels, root.whole, cols);
  std::vector<Tile> row_tiles = contiguous(domain, roles.rows, root.whole, 1);
  std::vector<Tile> batch_tiles;
  {
    Tile tile{};
    tile.fill(1);
    for (const int f : roles.batch) tile[f] = domain.extent[f];
    batch_tiles.push_back(tile);
    for (auto it = roles.batch.rbegin(); it != roles.batch.rend(); ++it) {
      if (root.whole[*it] || tile[*it] == 1) continue;
      tile[*it] = 1;
      batch_tiles.push_back(tile);
    }
  }
  Pricer pricer(group, residents);
  {
    // If even one tile of everything leaves part of a result unmade (nobody in the group asks for it), no tile will do:
    // operators are executed whole, as everywhere else.
    Candidate everything;
    everything.tile = domain.extent;
    for (int f = 0; f < domain.rank; ++f) everything.order.push_back(f);
    const auto totals = pricer.walk(everything, [](const Totals&) { return false; });
    if (!totals->legal || !totals->whole) return std::nullopt;
  }
  const auto merged = [&](const Tile& b, const Tile& r, const Tile& c) {
    Tile tile{};
    for (int f = 0; f < kMaxRank; ++f) tile[f] = std::max({b[f], r[f], c[f]});
    return tile;
  };
  const auto loop_orders = [&](const Tile& tile) {
    const auto trips = [&](const std::vector<int>& fs) {
      return std::any_of(fs.begin(), fs.end(), [&](int f) { return tile[f] < domain.extent[f]; });
    };
    const std::vector<int> batch(roles.batch.rbegin(), roles.batch.rend());
    const std::vector<int> rows(roles.rows.rbegin(), roles.rows.rend());
    const std::vector<int> channels(roles.channels.rbegin(), roles.channels.rend());
    const auto join = [](std::initializer_list<const std::vector<int>*> lists) {
      std::vector<int> order;
      for (const auto* list : lists) order.insert(order.end(), list->begin(), list->end());
      return order;
    };
    std::vector<std::vector<int>> orders{join({&batch, &rows, &channels})};
    if (trips(roles.channels) && (trips(roles.rows) || trips(roles.batch))) {
      orders.push_back(join({&channels, &batch, &rows}));
    }
    return orders;
  };
  // The best buffering of a loop whose totals are known.
  const auto buffered = [&](Candidate candidate, const Totals& totals) {
    std::optional<Candidate> best;
    candidate.moves = totals.moves;
    candidate.steps = totals.steps;
    for (const Pipelining p : {Pipelining::kNone, Pipelining::kDouble, Pipelining::kSoftware}) {
      if (p == Pipelining::kSoftware && group.stages.size() < 2) continue;
      candidate.pipelining = p;
      candidate.scratchpad = scratchpad_of(group, totals, residents, p);
      if (candidate.scratchpad > budget) continue;
      candidate.cycles = cycles_of(totals, p);
      candidate.score = score(candidate.moves, candidate.cycles);
      if (!best || candidate.score < best->score) best = candidate;
    }
    return best;
  };

  // First every tile that fits is estimated from a few steps; then the best are walked to the end.
  std::vector<Candidate> estimates;
  constexpr int kSmaller = 3;   // tiles below the largest that fits: more steps overlap better
  constexpr int kPatience = 2;  // channel tiles in a row that may bring nothing
  int stale = 0;
  double least = std::numeric_limits<double>::infinity();
  for (const Tile& c : channel_tiles) {
    if (!estimates.empty() && ++stale > kPatience) break;
    for (const Tile& b : batch_tiles) {
      int kept = 0;
      for (std::size_t r = 0; r < row_tiles.size() && kept <= kSmaller; ++r) {
        Candidate candidate;
        candidate.tile = merged(b, row_tiles[r], c);
        bool fits = false;
        for (const auto& order : loop_orders(candidate.tile)) {
          candidate.order = order;
          const auto estimate = buffered(candidate, pricer.sample(candidate, true));
          if (!estimate) continue;
          fits = true;
          estimates.push_back(*estimate);
          if (estimate->score < least) least = estimate->score, stale = 0;
        }
        kept += fits ? 1 : 0;
      }
    }
  }
  std::stable_sort(estimates.begin(), estimates.end(), [](const Candidate& x, const Candidate& y) { return x.score < y.score; });
  std::optional<Candidate> winner;
  constexpr int kWalks = 16;                  // estimates are near enough for the best to be among the first
  constexpr std::int64_t kManySteps = 20000;  // walking longer loops only pays when there is nothing else
  int walks = 0;
  for (const Candidate& estimate : estimates) {
    if (winner && (++walks > kWalks || estimate.steps > kManySteps)) break;
    const auto hopeless = [&](const Totals& t) { return winner && score(t.moves, t.pipelined) > winner->score; };
    const std::optional<Totals> totals = pricer.walk(estimate, hopeless);
    if (!totals || !totals->legal) continue;
    const auto exact = buffered(estimate, *totals);
    if (exact && (!winner || exact->score < winner->score)) winner = exact;
  }
  return winner;
}

Bytes Search::smallest(const GroupModel& group) {
  const Residents none(model_.layout.storages.size(), 0);
  const StageModel& root = group.stages[group.root_stage];
  const Storage& domain = model_.layout.storages[root.domain];
  const Roles roles = roles_of(group);
  Candidate candidate;
  candidate.tile.fill(1);
  for (int f = 0; f < domain.rank; ++f) {
    if (root.whole[f]) candidate.tile[f] = domain.extent[f];
  }
  for (const auto* list : {&roles.batch, &roles.rows, &roles.channels}) {
    candidate.order.insert(candidate.order.end(), list->rbegin(), list->rend());
  }
  Pricer pricer(group, none);
  return std::max(scratchpad_of(group, pricer.sample(candidate, false), none, Pipelining::kNone),
                  scratchpad_of(group, pricer.sample(candidate, true), none, Pipelining::kNone));
}

std::vector<Buffer> buffers_of(const GroupModel& group, const Candidate& candidate, const Residents& residents) {
  Pricer pricer(group, residents);
  const std::optional<Totals> totals = pricer.walk(candidate, [](const Totals&) { return false; });
  std::vector<Buffer> buffers;
  for_each_buffer(group, *totals, residents, [&](int l, const auto& extent, std::int64_t windows) {
    Buffer buffer;
    buffer.storage = group.locals[l].storage;
    buffer.extent = extent;
    buffer.slots = static_cast<int>(std::min<std::int64_t>(slots_for(group, group.locals[l], candidate.pipelining),
                                                           std::max<std::int64_t>(1, windows)));
    buffer.slot_bytes = slot_bytes(group.storage(l), extent);
    buffer.accumulates = group.locals[l].accumulates;
    buffers.push_back(buffer);
  });
  return buffers;
}

}  // namespace spillway::partitioner
