#include "partitioner/search.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>

#include "configs/error.h"
#include "partitioner/held_input.h"

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

/// Windows of which some step is under way while stages that are `steps` apart overlap: few, where each stays for long.
std::int64_t alive(std::int64_t steps, const WindowUse& use) { return steps == 0 ? 1 : (steps - 1) / use.dwell + 2; }

int slots_for(const GroupModel& group, const Local& local, Pipelining pipelining, const WindowUse& use) {
  if (local.accumulates || pipelining == Pipelining::kNone) return 1;
  const bool outside = local.producer == kNone;
  std::int64_t wanted = 2;
  if (!outside) wanted = local.stored || prefetched(group, group.stages[local.producer], pipelining) ? 2 : 1;
  if (pipelining == Pipelining::kSoftware && local.last_reader != kNone) {
    // A load comes a step early, whoever is first to read it.
    wanted = std::max(wanted, outside ? alive(local.last_reader - local.first_reader + 1, use)
                                      : alive(local.last_reader - local.producer, use));
  }
  return static_cast<int>(std::min(wanted, std::max<std::int64_t>(1, use.windows)));
}

/// Visits every buffer: (local, extents, use).
template <typename Visit>
void for_each_buffer(const GroupModel& group, const LoopCost& loop, const Residents& residents, Visit visit) {
  for (std::size_t l = 0; l < group.locals.size(); ++l) {
    const Local& local = group.locals[l];
    if (!has_buffer(group, static_cast<int>(l), residents)) continue;
    const Storage& storage = group.storage(static_cast<int>(l));
    if (local.accumulates) {
      visit(static_cast<int>(l), storage.extent, WindowUse{.windows = 1});
      continue;
    }
    if (local.producer == kNone) {
      visit(static_cast<int>(l), loop.loads[l].extent, loop.loads[l]);
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
      visit(static_cast<int>(l), extent, loop.stages[local.producer]);
    }
  }
}

std::vector<Buffer> buffers_of(const GroupModel& group, const LoopCost& loop, const Residents& residents,
                               Pipelining pipelining) {
  std::vector<Buffer> buffers;
  for_each_buffer(group, loop, residents, [&](int l, const auto& extent, const WindowUse& use) {
    Buffer buffer;
    buffer.storage = group.locals[l].storage;
    buffer.extent = extent;
    buffer.slots = slots_for(group, group.locals[l], pipelining, use);
    buffer.slot_bytes = slot_bytes(group.storage(l), extent);
    buffer.accumulates = group.locals[l].accumulates;
    buffers.push_back(buffer);
  });
  return buffers;
}

/// Fills in what every buffer takes, so that a loop's scratchpad is a sum.
void measure_buffers(const GroupModel& group, LoopCost& loop) {
  loop.needs.assign(group.locals.size(), {});
  const Residents nowhere(group.locals.size(), Home::kDram);
  for_each_buffer(group, loop, nowhere, [&](int l, const auto& extent, const WindowUse& use) {
    const Bytes slot = slot_bytes(group.storage(l), extent);
    for (const Pipelining p : {Pipelining::kNone, Pipelining::kDouble, Pipelining::kSoftware}) {
      loop.needs[l][static_cast<std::size_t>(p)] = slot * slots_for(group, group.locals[l], p, use);
    }
  });
}

Bytes scratchpad_of(const LoopCost& loop, const Residents& residents, Pipelining pipelining) {
  Bytes sum = 0;
  for (std::size_t l = 0; l < residents.size(); ++l) {
    if (residents[l] == Home::kDram) sum += loop.needs[l][static_cast<std::size_t>(pipelining)];
  }
  return sum;
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

/// Whether they do the same: of a single step there is no order, and nothing overlaps it.
bool same_loop(const Candidate& a, const Tile& tile, const std::vector<int>& order, Pipelining pipelining) {
  return a.tile == tile && (a.steps == 1 || (a.order == order && a.pipelining == pipelining));
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

void Search::weigh_bytes(double times) {
  if (times == bytes_weigh_) return;
  bytes_weigh_ = times;
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
    // Cycles that weigh less buy next to nothing: the U-Net in 2 MiB moves 0.4 % less with a quarter of that, and takes
    // 40 % longer. A tile that makes things again is not the way to move less: that is what recomputing whole tensors
    // is for, which has its limit.
    const auto& matrix = model_.npu.matrix;
    const double again = candidate.extra_macs / (static_cast<double>(matrix.rows) * matrix.cols * matrix.count);
    return transfer + 0.002 * cycles + again;
  }
  // The scheduler expects a score in which a byte that moves costs its transfer: it adds those still to come.
  if (objective_ == Objective::kLatency) return cycles / bytes_weigh_ + transfer;
  const auto& energy = model_.npu.energy;
  const double byte_pj = energy.dram_pj_per_byte + energy.scratchpad_pj_per_byte;
  if (objective_ == Objective::kEnergy) {
    return byte_pj > 0 ? candidate.energy_pj / (byte_pj * bytes_per_cycle) : candidate.energy_pj;
  }
  return (cycles + transfer + cycles_per_pj_ * candidate.energy_pj) / (1 + cycles_per_pj_ * byte_pj * bytes_per_cycle);
}

double Search::load_score(const GroupModel& group, int local) const {
  const WholeLoad load = whole_load(group, local);
  Candidate alone;
  alone.moves = load.moves;
  alone.cycles = load.cycles;
  alone.energy_pj = load.energy.total_pj();
  return score(alone);
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
  const std::string_view question(reinterpret_cast<const char*>(residents.data()), residents.size());
  auto asked = structure.answers.find(question);
  if (asked == structure.answers.end()) asked = structure.answers.try_emplace(std::string(question)).first;
  auto& answers = asked->second[static_cast<std::size_t>(care)];
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

/// MACs if nothing is made twice.
double Search::macs_once(const GroupModel& group) const {
  double once = 0;
  for (const StageModel& stage : group.stages) {
    if (stage.kind != StageKind::kMatrix) continue;
    once += static_cast<double>(model_.macs(stage.nodes[0].node)) / group.slices();
  }
  return once;
}

void Search::sample(Loop& loop, LoopPricer& pricer, const GroupModel& group) {
  if (loop.priced) return;
  loop.cost = pricer.sample(loop.tile, loop.order);
  loop.priced = true;
  measure_buffers(group, loop.cost);
}

void Search::walk(Loop& loop, LoopPricer& pricer, const GroupModel& group) {
  loop.cost = pricer.walk(loop.tile, loop.order);
  loop.priced = true;
  measure_buffers(group, loop.cost);
}

Search::Tile Search::Structure::tile_of(std::size_t spot) const {
  const std::size_t at = spot / orders.size();
  const Tile& row = rows[at % rows.size()];
  const Tile& batch = batches[at / rows.size() % batches.size()];
  const Tile& channel = channels[at / rows.size() / batches.size()];
  Tile tile{};
  for (int f = 0; f < kMaxRank; ++f) tile[f] = std::max({batch[f], row[f], channel[f]});
  return tile;
}

Search::Loop& Search::loop_at(Structure& structure, std::size_t spot, LoopPricer& pricer, const GroupModel& group) {
  Spot& at = structure.spots[spot];
  if (at.loop == nullptr) {
    const Tile tile = structure.tile_of(spot);
    const auto& order = structure.orders[spot % structure.orders.size()];
    at.loop = &structure.loops[{tile, order}];
    at.loop->tile = tile;
    at.loop->order = order;
    at.least = {};
  }
  sample(*at.loop, pricer, group);
  return *at.loop;
}

/// Whether at least the first step fits: most loops that do not are found so, before they are priced.
bool Search::fits_at_least(Structure& structure, std::size_t spot, LoopPricer& pricer, const GroupModel& group,
                           const Residents& residents, Bytes budget) {
  Spot& at = structure.spots[spot];
  if (at.loop != nullptr) return scratchpad_of(at.loop->cost, residents, Pipelining::kNone) <= budget;
  if (at.least.empty()) {
    LoopCost first = pricer.first_windows(structure.tile_of(spot), structure.orders[spot % structure.orders.size()]);
    measure_buffers(group, first);
    at.least.reserve(first.needs.size());
    for (const auto& needs : first.needs) at.least.push_back(needs[static_cast<std::size_t>(Pipelining::kNone)]);
  }
  Bytes sum = 0;
  for (std::size_t l = 0; l < residents.size(); ++l) sum += residents[l] == Home::kDram ? at.least[l] : 0;
  return sum <= budget;
}

void Search::lay_out(Structure& structure, const GroupModel& group) const {
  const StageModel& root = group.stages[group.root_stage];
  const Box& domain = group.region;
  const Roles roles = roles_of(group);
  const auto cols = static_cast<std::int32_t>(std::min(model_.npu.matrix.cols, 1 << 20));
  structure.channels = contiguous(domain, roles.channels, root.whole, cols);
  structure.rows = contiguous(domain, roles.rows, root.whole, 1);
  structure.batches = batches(domain, roles.batch, root.whole);
  if (attention_ == Attention::kSliced && attends(group)) {
    structure.rows.resize(1);
    structure.batches = {structure.batches.back()};
  }
  for (const auto* list : {&roles.batch, &roles.rows, &roles.channels}) {
    structure.orders[0].insert(structure.orders[0].end(), list->rbegin(), list->rend());
  }
  for (const auto* list : {&roles.channels, &roles.batch, &roles.rows}) {
    structure.orders[1].insert(structure.orders[1].end(), list->rbegin(), list->rend());
  }
  structure.spots.resize(structure.spot(structure.channels.size(), 0, 0));
  structure.macs = macs_once(group);
  // If even one tile of everything leaves part of a result unmade (nobody in the group asks for it), no tile will do:
  // operators are executed whole, as everywhere else.
  std::vector<int> order(domain.rank);
  std::iota(order.begin(), order.end(), 0);
  const LoopCost everything = LoopPricer(group).walk(domain.extent, order);
  structure.possible = everything.legal && everything.whole;
}

std::optional<Candidate> Search::search(Structure& structure, const GroupModel& group, const Residents& residents,
                                        Bytes budget, Care care, const Candidate* except) const {
  if (structure.spots.empty()) lay_out(structure, group);
  if (!structure.possible) return std::nullopt;
  LoopPricer pricer(group);
  EnergyPricer energy_pricer(group);
  const auto energy_of = [&](const Candidate& candidate, Loop& loop) {
    if (loop.energy.locals.empty() || (loop.cost.exact && !loop.energy.exact)) {
      loop.energy = energy_pricer.price(loop.tile, loop.order, loop.cost.exact);
    }
    return loop.energy.total(group, residents, candidate.cycles).total_pj();
  };
  // The best buffering of a loop, tile and order left out; the score is infinite if none fits.
  constexpr double kNever = std::numeric_limits<double>::infinity();
  const Whereabouts where(group, residents);
  const auto buffered = [&](Loop& loop) {
    Candidate best;
    best.score = kNever;
    std::optional<LoopTotal> total;
    Candidate b;
    b.steps = loop.cost.steps;
    b.extra_macs = std::max(0.0, loop.cost.macs - structure.macs);
    for (const Pipelining p : {Pipelining::kNone, Pipelining::kDouble, Pipelining::kSoftware}) {
      if (p == Pipelining::kSoftware && group.stages.size() < 2) continue;
      if (except != nullptr && same_loop(*except, loop.tile, loop.order, p)) continue;
      b.pipelining = p;
      b.scratchpad = scratchpad_of(loop.cost, residents, p);
      if (b.scratchpad > budget) continue;
      if (!total) total = loop.cost.total(group, where);
      b.moves = total->moves;
      b.cycles = total->cycles[static_cast<std::size_t>(p)];
      if (weighs_energy() && loop.cost.legal) b.energy_pj = energy_of(b, loop);
      b.score = score(b);
      if (b.score < best.score) best = b;
    }
    return best;
  };

  // First every tile that fits is estimated from a few steps.
  struct Choice {
    double score = 0;
    Loop* loop = nullptr;
  };
  std::vector<Choice> choices;
  const bool wide = care != Care::kEstimate;
  const int smaller = wide ? 3 : 2;   // tiles below the largest that fits: more steps overlap better
  const int patience = wide ? 2 : 1;  // channel tiles in a row that may bring nothing
  int stale = 0;
  double least = kNever;
  for (std::size_t channel = 0; channel < structure.channels.size(); ++channel) {
    if (!choices.empty() && ++stale > patience) break;
    for (std::size_t batch = 0; batch < structure.batches.size(); ++batch) {
      int kept = 0;
      // Rows from all of them to a single element: the first that fit are found by halving.
      std::size_t row = 0;
      for (std::size_t none = structure.rows.size(); row < none;) {
        const std::size_t half = (row + none) / 2;
        const bool fits =
            fits_at_least(structure, structure.spot(channel, batch, half), pricer, group, residents, budget);
        (fits ? none : row) = fits ? half : half + 1;
      }
      for (; row < structure.rows.size() && kept <= smaller; ++row) {
        bool fits = false;
        const std::size_t spot = structure.spot(channel, batch, row);
        for (std::size_t order = 0; order < structure.orders_of(channel, batch, row); ++order) {
          if (!fits_at_least(structure, spot + order, pricer, group, residents, budget)) continue;
          Loop& loop = loop_at(structure, spot + order, pricer, group);
          const Candidate estimate = buffered(loop);
          if (estimate.score == kNever) continue;
          fits = true;
          if (!loop.cost.legal) continue;
          choices.push_back({estimate.score, &loop});
          if (estimate.score < least) least = estimate.score, stale = 0;
        }
        kept += fits ? 1 : 0;
      }
    }
  }
  // Then those that look best are walked to the end, until the best that is known exactly is clear of the estimates.
  std::stable_sort(choices.begin(), choices.end(), [](const Choice& x, const Choice& y) { return x.score < y.score; });
  // An estimate this much worse is believed; where only the best counts, any worse one.
  const double kClear = wide ? 1.03 : 1.0;
  constexpr int kWalks = 16;
  constexpr std::int64_t kBelieved = 32;      // of longer loops the estimate is good enough to choose groups by
  constexpr std::int64_t kManySteps = 20000;  // walking longer loops only pays when there is nothing else
  Candidate winner;
  winner.score = kNever;
  const Loop* winning = nullptr;
  int walks = 0;
  for (const Choice& choice : choices) {
    if (winning != nullptr && choice.score > kClear * winner.score) break;
    Loop& loop = *choice.loop;
    if (!loop.cost.exact && (wide || loop.cost.steps <= kBelieved)) {
      if (winning != nullptr && (++walks > kWalks || loop.cost.steps > kManySteps)) continue;
      walk(loop, pricer, group);
      ++structure.walked;
    }
    if (!loop.cost.legal) continue;
    const Candidate exact = buffered(loop);
    if (exact.score < winner.score) winner = exact, winning = &loop;
  }
  if (winning == nullptr) return std::nullopt;
  winner.tile = winning->tile;
  winner.order = winning->order;
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
    see(pricer.windows(candidate.tile, candidate.order));
  }
  return most;
}

std::optional<Candidate> Search::next_best(const GroupModel& group, const Residents& residents, Bytes budget,
                                           const Candidate& chosen) {
  return search(structure_of(group), group, residents, budget, Care::kExact, &chosen);
}

Candidate Search::priced(const GroupModel& group, const Residents& residents, Candidate candidate) {
  const LoopCost& loop = loop_of(group, candidate);
  const LoopTotal total = loop.total(group, Whereabouts(group, residents));
  candidate.steps = loop.steps;
  candidate.scratchpad = scratchpad_of(loop, residents, candidate.pipelining);
  candidate.moves = total.moves;
  candidate.cycles = total.cycles[static_cast<std::size_t>(candidate.pipelining)];
  candidate.extra_macs = std::max(0.0, loop.macs - macs_once(group));
  if (weighs_energy()) {
    candidate.energy_pj = EnergyPricer(group)
                              .price(candidate.tile, candidate.order, true)
                              .total(group, residents, candidate.cycles)
                              .total_pj();
  }
  candidate.score = score(candidate);
  return candidate;
}

const LoopCost& Search::loop_of(const GroupModel& group, const Candidate& candidate) {
  Loop& loop = structure_of(group).loops[{candidate.tile, candidate.order}];
  if (!loop.cost.exact) {
    loop.tile = candidate.tile;
    loop.order = candidate.order;
    LoopPricer pricer(group);
    walk(loop, pricer, group);
  }
  return loop.cost;
}

std::vector<Buffer> Search::least(const GroupModel& group, const Residents& residents) {
  Structure& structure = structure_of(group);
  if (structure.spots.empty()) lay_out(structure, group);
  LoopPricer pricer(group);
  std::vector<Buffer> least;
  for (std::size_t channel = 0; channel < structure.channels.size(); ++channel) {
    for (std::size_t batch = 0; batch < structure.batches.size(); ++batch) {
      for (std::size_t row = 0; row < structure.rows.size(); ++row) {
        const std::size_t spot = structure.spot(channel, batch, row);
        for (std::size_t order = 0; order < structure.orders_of(channel, batch, row); ++order) {
          const Loop& loop = loop_at(structure, spot + order, pricer, group);
          auto buffers = buffers_of(group, loop.cost, residents, Pipelining::kNone);
          if (least.empty() || bytes_of(buffers) < bytes_of(least)) least = std::move(buffers);
        }
      }
    }
  }
  return least;
}

std::vector<Buffer> Search::buffers(const GroupModel& group, const Candidate& candidate, const Residents& residents) {
  return buffers_of(group, loop_of(group, candidate), residents, candidate.pipelining);
}

}  // namespace spillway::partitioner
