#include "partitioner/search.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>

#include "configs/error.h"

namespace spillway::partitioner {

namespace {

/// Bytes of a buffer whose largest window has these extents.
Bytes slot_bytes(const Storage& storage, const std::array<std::int32_t, kMaxRank>& extent) {
  std::int64_t n = storage.element_bytes();
  for (int f = 0; f < storage.rank; ++f) n *= std::max<std::int32_t>(1, extent[f]);
  return aligned(n);
}

bool has_buffer(const GroupModel& group, int l, const Residents& residents) {
  const Local& local = group.locals[l];
  return !local.direct_only && residents[l] == Home::kDram;
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
void for_each_buffer(const GroupModel& group, const LoopCost& loop, const Residents& residents, Visit visit) {
  for (std::size_t l = 0; l < group.locals.size(); ++l) {
    const Local& local = group.locals[l];
    if (!has_buffer(group, static_cast<int>(l), residents)) continue;
    const Storage& storage = group.storage(static_cast<int>(l));
    if (local.accumulates) {
      visit(static_cast<int>(l), storage.extent, std::int64_t{1});
      continue;
    }
    if (local.producer == kNone) {
      visit(static_cast<int>(l), loop.loads[l].extent, loop.loads[l].windows);
      continue;
    }
    const StageModel& stage = group.stages[local.producer];
    for (const StageNode& node : stage.nodes) {
      if (node.output != static_cast<int>(l)) continue;
      std::array<std::int32_t, kMaxRank> extent{};
      extent.fill(1);
      for (int f = 0; f < kMaxRank; ++f) {
        if (node.to_output[f] != kNone) extent[node.to_output[f]] = loop.stages[local.producer].extent[f];
      }
      visit(static_cast<int>(l), extent, loop.stages[local.producer].windows);
    }
  }
}

std::vector<Buffer> buffers_of(const GroupModel& group, const LoopCost& loop, const Residents& residents,
                               Pipelining pipelining) {
  std::vector<Buffer> buffers;
  for_each_buffer(group, loop, residents, [&](int l, const auto& extent, std::int64_t windows) {
    Buffer buffer;
    buffer.storage = group.locals[l].storage;
    buffer.extent = extent;
    buffer.slots = static_cast<int>(
        std::min<std::int64_t>(slots_for(group, group.locals[l], pipelining), std::max<std::int64_t>(1, windows)));
    buffer.slot_bytes = slot_bytes(group.storage(l), extent);
    buffer.accumulates = group.locals[l].accumulates;
    buffers.push_back(buffer);
  });
  return buffers;
}

Bytes scratchpad_of(const GroupModel& group, const LoopCost& loop, const Residents& residents, Pipelining pipelining) {
  return bytes_of(buffers_of(group, loop, residents, pipelining));
}

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

/// Whether one buffer serves two operands that look at its storage differently: its window must hold both, and how far
/// apart they lie differs from step to step.
bool reads_twice(const GroupModel& group) {
  std::vector<TensorId> seen(group.locals.size(), kNone);
  for (const StageModel& stage : group.stages) {
    for (const StageNode& node : stage.nodes) {
      const Node& n = group.model->graph.nodes[node.node];
      for (std::size_t i = 0; i < node.inputs.size(); ++i) {
        if (node.inputs[i] == kNone || n.inputs[i] == kNone) continue;
        TensorId& before = seen[node.inputs[i]];
        if (before != kNone && before != n.inputs[i]) return true;
        before = n.inputs[i];
      }
    }
  }
  return false;
}

using Tile = std::array<std::int32_t, kMaxRank>;

/// Tiles that are contiguous in the given factors (innermost first): inner ones whole, one partly, outer ones single.
/// From all to a single element.
std::vector<Tile> contiguous(const Box& domain, const std::vector<int>& factors, const std::vector<bool>& whole,
                             std::int32_t multiple) {
  std::vector<Tile> tiles;
  Tile tile{};
  tile.fill(1);
  for (const int f : factors) tile[f] = domain.extent[f];
  tiles.push_back(tile);
  for (const int f : std::vector<int>(factors.rbegin(), factors.rend())) {
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

std::vector<Tile> batches(const Box& domain, const std::vector<int>& factors, const std::vector<bool>& whole) {
  Tile tile{};
  tile.fill(1);
  for (const int f : factors) tile[f] = domain.extent[f];
  std::vector<Tile> tiles{tile};
  for (const int f : std::vector<int>(factors.rbegin(), factors.rend())) {
    if (whole[f] || tile[f] == 1) continue;
    tile[f] = 1;
    tiles.push_back(tile);
  }
  return tiles;
}

}  // namespace

Bytes bytes_of(const std::vector<Buffer>& buffers) {
  Bytes sum = 0;
  for (const Buffer& buffer : buffers) sum += buffer.slots * buffer.slot_bytes;
  return sum;
}

void Search::aim(Objective objective, const Expense& near) {
  objective_ = objective;
  cycles_per_pj_ = near.energy_pj > 0 ? near.cycles / near.energy_pj : 0;
  for (auto& [key, structure] : structures_) structure.answers.clear();
}

double Search::objective(const Candidate& candidate) const {
  switch (objective_) {
    case Objective::kLatency:
      return static_cast<double>(candidate.cycles);
    case Objective::kMoves:
      return static_cast<double>(candidate.moves.total());
    case Objective::kEnergy:
      return candidate.energy_pj;
    case Objective::kEdp:
      return static_cast<double>(candidate.cycles) + cycles_per_pj_ * candidate.energy_pj;
  }
  internal_error("unknown objective");
}

double Search::score(const Candidate& candidate) const {
  // Bytes cost a little even where compute hides them (they compete with neighbours), cycles a little even where only
  // moves count: near ties go to the other objective.
  const double bytes_per_cycle = model_.npu.dram_bytes_per_cycle();
  const double transfer = static_cast<double>(candidate.moves.total()) / bytes_per_cycle;
  const auto cycles = static_cast<double>(candidate.cycles);
  if (bytes_first_ || objective_ == Objective::kMoves) {
    // A tile that makes things again is not the way to move less: that is what recomputing whole tensors is for, which
    // has its limit.
    const auto& matrix = model_.npu.matrix;
    const double again = candidate.extra_macs / (static_cast<double>(matrix.rows) * matrix.cols * matrix.count);
    return transfer + 0.002 * cycles + again;
  }
  if (objective_ == Objective::kLatency) return cycles + transfer;
  // The scheduler expects a score in which a byte that moves costs its transfer: it adds those still to come.
  const auto& energy = model_.npu.energy;
  const double byte_pj = energy.dram_pj_per_byte + energy.scratchpad_pj_per_byte;
  if (objective_ == Objective::kEnergy) {
    return byte_pj > 0 ? candidate.energy_pj / (byte_pj * bytes_per_cycle) : candidate.energy_pj;
  }
  return (cycles + transfer + cycles_per_pj_ * candidate.energy_pj) / (1 + cycles_per_pj_ * byte_pj * bytes_per_cycle);
}

std::string Search::key_of(const GroupModel& group) const {
  std::string key = fmt::format("{}/", group.slices());
  for (const Local& local : group.locals) {
    const Storage& s = model_.layout.storages[local.storage];
    key += fmt::format("S{},{},{},{}{}{}:", static_cast<int>(s.storage_class), static_cast<int>(s.format),
                       local.producer, local.stored ? 1 : 0, s.is_output ? 1 : 0, local.direct_only ? 1 : 0);
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

Search::Structure& Search::structure_of(const GroupModel& group) { return structures_[key_of(group)]; }

const Candidate* Search::best(Structure& structure, const GroupModel& group, const Residents& residents, Bytes budget,
                              Care care) {
  std::string question(residents.size(), '0');
  for (std::size_t l = 0; l < residents.size(); ++l)
    question[l] = static_cast<char>('0' + static_cast<char>(residents[l]));
  auto& answers = structure.answers[question][static_cast<std::size_t>(care)];
  for (const Structure::Answer& known : answers) {
    if (known.least <= budget && budget <= known.most) return known.candidate ? &*known.candidate : nullptr;
  }
  auto found = search(structure, group, residents, budget, care);
  // Where walks found that what seemed to fit does not, smaller tiles have their turn.
  for (std::size_t known = 0; !found && known != structure.walked;) {
    known = structure.walked;
    found = search(structure, group, residents, budget, care);
  }
  if (care != Care::kEstimate) {
    // What has now been walked may be other than it was judged.
    for (auto& [residents_known, both] : structure.answers) both[static_cast<std::size_t>(Care::kEstimate)].clear();
  }
  answers.push_back({found ? found->scratchpad : 0, budget, std::move(found)});
  return answers.back().candidate ? &*answers.back().candidate : nullptr;
}

std::optional<Candidate> Search::search(Structure& structure, const GroupModel& group, const Residents& residents,
                                        Bytes budget, Care care) const {
  const StageModel& root = group.stages[group.root_stage];
  const Box& domain = group.region;
  const Roles roles = roles_of(group);
  const auto cols = static_cast<std::int32_t>(std::min(model_.npu.matrix.cols, 1 << 20));
  std::vector<Tile> channel_tiles = contiguous(domain, roles.channels, root.whole, cols);
  std::vector<Tile> row_tiles = contiguous(domain, roles.rows, root.whole, 1);
  const std::vector<Tile> batch_tiles = batches(domain, roles.batch, root.whole);
  LoopPricer pricer(group);
  if (structure.loops.empty()) {
    // If even one tile of everything leaves part of a result unmade (nobody in the group asks for it), no tile will do:
    // operators are executed whole, as everywhere else.
    std::vector<int> order(domain.rank);
    std::iota(order.begin(), order.end(), 0);
    const LoopCost& everything = structure.loops[{domain.extent, order}] = pricer.walk(domain.extent, order);
    structure.possible = everything.legal && everything.whole;
  }
  if (!structure.possible) return std::nullopt;
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
  double once = 0;  // MACs if nothing is made twice
  for (const StageModel& stage : group.stages) {
    if (stage.kind != StageKind::kMatrix) continue;
    once += static_cast<double>(model_.macs(stage.nodes[0].node)) / group.slices();
  }
  EnergyPricer energy_pricer(group);
  const auto energy_of = [&](const Candidate& candidate, const LoopCost& loop) {
    LoopEnergy& energy = structure.energies[{candidate.tile, candidate.order}];
    if (energy.locals.empty() || (loop.exact && !energy.exact)) {
      energy = energy_pricer.price(candidate.tile, candidate.order, loop.exact);
    }
    return energy.total(group, residents, candidate.cycles).total_pj();
  };
  // The best buffering of a loop; nullopt if none fits.
  const auto buffered = [&](Candidate candidate, const LoopCost& loop) {
    std::optional<Candidate> best;
    candidate.steps = loop.steps;
    for (const Pipelining p : {Pipelining::kNone, Pipelining::kDouble, Pipelining::kSoftware}) {
      if (p == Pipelining::kSoftware && group.stages.size() < 2) continue;
      candidate.pipelining = p;
      candidate.scratchpad = scratchpad_of(group, loop, residents, p);
      if (candidate.scratchpad > budget) continue;
      const LoopTotal total = loop.total(group, residents, p);
      candidate.moves = total.moves;
      candidate.cycles = total.cycles;
      candidate.extra_macs = std::max(0.0, loop.macs - once);
      if (weighs_energy() && loop.legal) candidate.energy_pj = energy_of(candidate, loop);
      candidate.score = score(candidate);
      if (!best || candidate.score < best->score) best = candidate;
    }
    return best;
  };

  // First every tile that fits is estimated from a few steps.
  struct Choice {
    Candidate candidate;
    LoopCost* loop = nullptr;
  };
  std::vector<Choice> choices;
  const bool wide = care != Care::kEstimate;
  const int smaller = wide ? 3 : 2;   // tiles below the largest that fits: more steps overlap better
  const int patience = wide ? 2 : 1;  // channel tiles in a row that may bring nothing
  int stale = 0;
  double least = std::numeric_limits<double>::infinity();
  for (const Tile& c : channel_tiles) {
    if (!choices.empty() && ++stale > patience) break;
    for (const Tile& b : batch_tiles) {
      int kept = 0;

      for (std::size_t r = 0; r < row_tiles.size() && kept <= smaller; ++r) {
        Candidate candidate;
        candidate.tile = merged(b, row_tiles[r], c);
        bool fits = false;
        for (const auto& order : loop_orders(candidate.tile)) {
          candidate.order = order;
          const auto [known, fresh] = structure.loops.try_emplace({candidate.tile, order});
          LoopCost& loop = known->second;
          if (fresh) loop = pricer.sample(candidate.tile, order, LoopPricer::From::kMiddle);
          const auto estimate = buffered(candidate, loop);
          if (!estimate) continue;
          fits = true;
          if (!loop.legal) continue;
          choices.push_back({*estimate, &loop});
          if (estimate->score < least) least = estimate->score, stale = 0;
        }
        kept += fits ? 1 : 0;
      }
    }
  }
  // Then those that look best are walked to the end, until the best that is known exactly is clear of the estimates.
  std::stable_sort(choices.begin(), choices.end(),
                   [](const Choice& x, const Choice& y) { return x.candidate.score < y.candidate.score; });
  // An estimate this much worse is believed; where only the best counts, any worse one.
  const double kClear = wide ? 1.03 : 1.0;
  constexpr int kWalks = 16;
  constexpr std::int64_t kBelieved = 512;     // of longer loops the estimate is good enough to choose groups by
  constexpr std::int64_t kManySteps = 20000;  // walking longer loops only pays when there is nothing else
  std::optional<Candidate> winner;
  int walks = 0;
  for (const Choice& choice : choices) {
    if (winner && choice.candidate.score > kClear * winner->score) break;
    LoopCost& loop = *choice.loop;
    if (!loop.exact && (wide || loop.steps <= kBelieved)) {
      if (winner && (++walks > kWalks || loop.steps > kManySteps)) continue;
      loop = pricer.walk(choice.candidate.tile, choice.candidate.order);
      ++structure.walked;
    }
    if (!loop.legal) continue;
    const auto exact = buffered(choice.candidate, loop);
    if (exact && (!winner || exact->score < winner->score)) winner = exact;
  }
  return winner;
}

std::vector<Buffer> Search::smallest(const GroupModel& group, bool exactly) const {
  return smallest(group, Residents(group.locals.size(), Home::kDram), exactly);
}

std::vector<Buffer> Search::smallest(const GroupModel& group, const Residents& residents, bool exactly) const {
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
  LoopPricer pricer(group);
  std::vector<Buffer> most;
  const auto see = [&](const LoopCost& loop) {
    auto buffers = buffers_of(group, loop, residents, Pipelining::kNone);
    if (bytes_of(buffers) > bytes_of(most)) most = std::move(buffers);
  };
  if (exactly || reads_twice(group)) {
    see(pricer.walk(candidate.tile, candidate.order));
  } else {
    see(pricer.sample(candidate.tile, candidate.order, LoopPricer::From::kStart));
    see(pricer.sample(candidate.tile, candidate.order, LoopPricer::From::kMiddle));
  }
  return most;
}

std::vector<Buffer> Search::buffers(const GroupModel& group, const Candidate& candidate, const Residents& residents) {
  LoopCost& loop = structure_of(group).loops[{candidate.tile, candidate.order}];
  if (!loop.exact) loop = LoopPricer(group).walk(candidate.tile, candidate.order);
  return buffers_of(group, loop, residents, candidate.pipelining);
}

}  // namespace spillway::partitioner
