#include "partitioner/loop_cost.h"

#include <algorithm>
#include <cmath>

#include "configs/error.h"
#include "configs/timing.h"

namespace spillway::partitioner {

namespace {

/// Whether a local goes to DRAM when it is made.
bool leaves(const GroupModel& group, int l, const Residents& residents) {
  const Local& local = group.locals[l];
  return local.stored && (residents[l] != Home::kScratchpad || group.storage(l).is_output);
}

/// Loads and stores that share the DRAM bus. A controller collects requests of one direction (the DMA engines send
/// max_burst bytes at a time) and then turns the bus around.
Cycles shared_bus(const configs::NpuConfig& npu, Cycles load, Cycles store) {
  const double batch = static_cast<double>(npu.dma.max_burst) / npu.dram_bytes_per_cycle();
  const double turns = static_cast<double>(std::min(load, store)) / batch;
  const double turn = (npu.dram.twtr_ns + npu.dram.trtw_ns) * 1e-9 * npu.clock_hz;
  return load + store + static_cast<Cycles>(turns * turn);
}

}  // namespace

Whereabouts::Whereabouts(const GroupModel& group, const Residents& residents)
    : resident(group.locals.size()), stored(group.locals.size()) {
  for (int l = 0; l < static_cast<int>(group.locals.size()); ++l) {
    resident[l] = residents[l] != Home::kDram ? 1 : 0;
    stored[l] = leaves(group, l, residents) ? 1 : 0;
  }
}

StepCost::Transfer StepCost::load_with(const Whereabouts& where) const {
  Transfer sum = load;
  for (const ByLocal& l : locals) sum += where.resident[l.local] ? l.resident : l.outside;
  return sum;
}

ByPipelining StepCost::cycles(const configs::NpuConfig& npu, const Whereabouts& where) const {
  const Transfer in = load_with(where);
  Transfer out;
  Cycles kept = 0;
  for (const ByLocal& l : locals) {
    if (where.stored[l.local]) out += l.store;
    if (!where.resident[l.local]) kept += l.kept;
  }
  Cycles dma = in.channel + out.channel;
  if (npu.dma.channels > 1) dma = std::max({in.channel, out.channel, shared_bus(npu, in.bus, out.bus)});
  ByPipelining cycles{};
  cycles[static_cast<std::size_t>(Pipelining::kNone)] = in.channel + compute + out.channel;
  // Between stages there is one slot: what is kept is copied before they go on.
  cycles[static_cast<std::size_t>(Pipelining::kDouble)] = std::max(dma, compute + kept);
  cycles[static_cast<std::size_t>(Pipelining::kSoftware)] = std::max({dma, matrix, vector});
  return cycles;
}

LoopTotal LoopCost::total(const GroupModel& group, const Whereabouts& where) const {
  LoopTotal sum;
  sum.moves = always;
  Cycles last = 0;
  for (int l = 0; l < static_cast<int>(group.locals.size()); ++l) {
    const Storage& storage = group.storage(l);
    const int c = static_cast<int>(storage.storage_class);
    if (!where.resident[l]) {
      const auto elements = std::llround(read[l]);
      sum.moves.read[c] += elements * storage.element_bytes();
      sum.moves.read_elements[c] += elements;
    }
    if (where.stored[l]) {
      const auto elements = std::llround(written[l]);
      sum.moves.written[c] += elements * storage.element_bytes();
      sum.moves.written_elements[c] += elements;
      last += after[l].channel;
    }
  }
  std::array<double, 3> cycles{};
  for (std::size_t k = 0; k < kinds.size(); ++k) {
    const ByPipelining one = kinds[k].cycles(group.model->npu, where);
    for (std::size_t p = 0; p < one.size(); ++p) cycles[p] += times[k] * static_cast<double>(one[p]);
  }
  for (std::size_t p = 0; p < cycles.size(); ++p) sum.cycles[p] = std::llround(cycles[p]) + last;
  if (kinds.empty()) return sum;
  const StepCost& first = kinds.front();
  const Cycles fill = first.load_with(where).channel;
  sum.cycles[static_cast<std::size_t>(Pipelining::kDouble)] += fill;
  // Until the pipeline is full the busier engine waits for the other.
  sum.cycles[static_cast<std::size_t>(Pipelining::kSoftware)] +=
      fill + first.compute - std::max(first.matrix, first.vector);
  return sum;
}

LoopPricer::LoopPricer(const GroupModel& group)
    : group_(group), model_(*group.model), npu_(group.model->npu), priced_(group.stages.size()) {}

LoopCost LoopPricer::start(std::int64_t steps) const {
  LoopCost loop;
  loop.stages.resize(group_.stages.size());
  loop.loads.resize(group_.locals.size());
  loop.read.assign(group_.locals.size(), 0);
  loop.written.assign(group_.locals.size(), 0);
  loop.after.assign(group_.locals.size(), {});
  loop.steps = steps;
  return loop;
}

LoopCost LoopPricer::walk(const std::array<std::int32_t, kMaxRank>& tile, const std::vector<int>& order) {
  Walker walker(group_, tile, order);
  LoopCost loop = start(walker.steps());
  loop.exact = true;
  std::vector<std::int64_t> made(group_.stages.size(), 0);
  Step step;
  constexpr std::int64_t kLook = 64;  // steps between looks
  std::vector<std::int64_t> since(group_.stages.size() + group_.locals.size(), 0);
  for (std::int64_t walked = 0; walker.next(step);) {
    for (std::int64_t& s : since) ++s;
    add(step, 1, since, loop, made);
    for (std::size_t s = 0; s < since.size(); ++s) {
      const std::size_t l = s - group_.stages.size();
      if (s < group_.stages.size() ? step.stages[s].advance : step.loads[l].advance) since[s] = 0;
    }
    if (++walked % kLook == 0 && twice(made)) {
      loop.legal = false;
      return loop;
    }
  }
  finish(loop, made);
  return loop;
}

void LoopPricer::see_windows(const Step& step, LoopCost& loop) {
  for (std::size_t l = 0; l < step.loads.size(); ++l) {
    if (step.loads[l].used) loop.loads[l].see(step.loads[l].have, true, 1, 1);
  }
  for (std::size_t s = 0; s < step.stages.size(); ++s) {
    if (step.stages[s].used) loop.stages[s].see(step.stages[s].have, true, 1, 1);
  }
}

LoopCost LoopPricer::first_windows(const std::array<std::int32_t, kMaxRank>& tile, const std::vector<int>& order) {
  Walker walker(group_, tile, order);
  LoopCost loop = start(walker.steps());
  Step step;
  walker.next(step);
  see_windows(step, loop);
  return loop;
}

LoopCost LoopPricer::windows(const std::array<std::int32_t, kMaxRank>& tile, const std::vector<int>& order) {
  constexpr int kInARow = 16;
  Walker walker(group_, tile, order);
  LoopCost loop = start(walker.steps());
  Step step;
  const auto see_some = [&] {
    for (int i = 0; i < kInARow && walker.next(step); ++i) see_windows(step, loop);
  };
  see_some();
  std::array<std::int64_t, kMaxRank> at{};
  for (const int f : order) at[f] = (group_.region.extent[f] + tile[f] - 1) / tile[f] / 2;
  walker.jump_to(at);
  see_some();
  sample_steps(group_, tile, order, [&](const Step& seen, double, std::int64_t) { see_windows(seen, loop); });
  return loop;
}

LoopCost LoopPricer::sample(const std::array<std::int32_t, kMaxRank>& tile, const std::vector<int>& order) {
  const std::int64_t steps = Walker(group_, tile, order).steps();
  if (steps <= kShortLoop) return walk(tile, order);
  LoopCost loop = start(steps);
  std::vector<std::int64_t> made(group_.stages.size(), 0);
  std::vector<std::int64_t> since(group_.stages.size() + group_.locals.size(), 0);
  sample_steps(group_, tile, order, [&](const Step& step, double times, std::int64_t period) {
    std::fill(since.begin(), since.end(), period);
    add(step, times, since, loop, made);
  });
  return loop;
}

StepCost::Transfer LoopPricer::dma(const Storage& storage, const Box& box) const {
  // Runs of the box in the dense storage; each run touches whole bursts, which the DRAM channels take in turn.
  std::int64_t run = storage.element_bytes();
  std::int64_t runs = 1;
  std::int64_t apart = 0;  // bytes from one run to the next
  std::int64_t stride = storage.element_bytes();
  bool dense = true;
  for (int f = storage.rank - 1; f >= 0; --f) {
    if (!dense && apart == 0 && box.extent[f] > 1) apart = stride;
    (dense ? run : runs) *= box.extent[f];
    if (box.extent[f] != storage.extent[f]) dense = false;
    stride *= storage.extent[f];
  }
  const auto& dram = npu_.dram;
  const Bytes burst = Bytes{dram.channel_bits} / 8 * dram.burst_length;
  const std::int64_t bursts = (run + burst - 1) / burst;
  // Runs that start a multiple of all channels' bursts apart always begin in the same channel: of a run that does not
  // fill them all, the others go idle.
  const bool aligned = runs > 1 && apart % (burst * dram.channels) == 0;
  const std::int64_t in_turn = aligned ? (bursts + dram.channels - 1) / dram.channels * dram.channels : bursts;
  const auto touched = static_cast<double>(runs * in_turn * burst);
  // Refresh takes its share of the bus.
  const double refresh = 1 - dram.trfc_ns / dram.trefi_ns;
  const auto bus = static_cast<Cycles>(std::ceil(touched / npu_.dram_bytes_per_cycle() / refresh));
  // So many requests are under way at once, each as long as the interconnect and the first word take (Little's law):
  // short runs cannot fill the bus.
  const std::int64_t requests = runs * ((run + npu_.dma.max_burst - 1) / npu_.dma.max_burst);
  const double round_trip =
      static_cast<double>(npu_.interconnect.latency_cycles) + (dram.tcl_ns + dram.trcd_ns) * 1e-9 * npu_.clock_hz;
  const auto window = static_cast<Cycles>(static_cast<double>(requests) * round_trip / npu_.dma.outstanding);
  const Cycles wires = configs::interconnect_cycles(npu_.interconnect, runs * run);
  return {npu_.dma.descriptor_cycles + std::max({bus, wires, window}), bus};
}

StepCost::Transfer LoopPricer::copy(const Storage& storage, const Box& box) const {
  return {npu_.dma.descriptor_cycles +
              2 * configs::interconnect_cycles(npu_.interconnect, box.elements() * storage.element_bytes()),
          0};
}

LoopPricer::Engines LoopPricer::engines(int s, const Box& fresh) {
  const StageModel& stage = group_.stages[s];
  const auto [known, unseen] = priced_[s].try_emplace(fresh.extent);
  if (!unseen) return known->second;
  Engines cost;
  if (stage.kind == StageKind::kMatrix || stage.kind == StageKind::kVector) {
    // Engines of a kind take the blocks in turn; the one with most to do counts. Blocks of equal extents cost the same.
    std::vector<Cycles> matrix(npu_.matrix.count, 0);
    std::vector<Cycles> vector(npu_.vector.count, 0);
    std::size_t turn = 0;
    std::vector<std::pair<std::array<std::int32_t, kMaxRank>, Engines>> seen;
    for (const Box& block : blocks_of(group_, stage, fresh)) {
      const auto like = std::find_if(seen.begin(), seen.end(), [&](const auto& e) { return e.first == block.extent; });
      Engines one;
      if (like != seen.end()) {
        one = like->second;
      } else {
        if (stage.kind == StageKind::kMatrix) {
          const configs::MatrixShape shape = matrix_of(group_, stage, block);
          one.matrix = configs::matrix_cycles(npu_.matrix, shape, model_.operand_formats(stage.nodes[0].node)).total();
          one.macs = shape.macs();
        }
        one.vector = configs::vector_cycles(npu_, vector_of(group_, stage, block), block.elements() * 2).total();
        seen.emplace_back(block.extent, one);
      }
      matrix[turn % matrix.size()] += one.matrix;
      vector[turn % vector.size()] += one.vector;
      cost.macs += one.macs;
      ++turn;
    }
    cost.matrix = *std::max_element(matrix.begin(), matrix.end());
    cost.vector = *std::max_element(vector.begin(), vector.end());
  }
  known->second = cost;
  return cost;
}

void LoopPricer::add(const Step& step, double times, const std::vector<std::int64_t>& since, LoopCost& loop,
                     std::vector<std::int64_t>& made) {
  StepCost cost;
  by_local_.assign(group_.locals.size(), {});
  for (std::size_t l = 0; l < step.loads.size(); ++l) {
    const Window& w = step.loads[l];
    if (!w.used) continue;
    loop.loads[l].see(w.have, w.advance, times, since[step.stages.size() + l]);
    const Storage& storage = group_.storage(static_cast<int>(l));
    if (!w.fresh.empty()) {
      loop.read[l] += times * static_cast<double>(w.fresh.elements());
      by_local_[l].outside += dma(storage, w.fresh);
    }
    if (!w.overlap.empty()) by_local_[l].outside += copy(storage, w.overlap);
  }
  for (std::size_t s = 0; s < step.stages.size(); ++s) {
    const Window& w = step.stages[s];
    if (!w.used) continue;
    const StageModel& stage = group_.stages[s];
    loop.stages[s].see(w.have, w.advance, times, since[s]);
    if (!w.overlap.empty()) {
      for (const StageNode& node : stage.nodes) {
        if (node.output == kNone || node.statistics || group_.locals[node.output].last_reader == kNone) continue;
        const StepCost::Transfer kept = copy(group_.storage(node.output), w.overlap);
        by_local_[node.output].outside += kept;
        by_local_[node.output].kept += kept.channel;
      }
    }
    if (w.fresh.empty()) continue;
    made[s] += w.fresh.elements();
    bring(stage, w.fresh, times, loop, cost);
    const Engines engine = engines(static_cast<int>(s), w.fresh);
    cost.matrix += engine.matrix;
    loop.macs += times * static_cast<double>(engine.macs);
    cost.vector += engine.vector;
    cost.compute += std::max(engine.matrix, engine.vector);
    for (const StageNode& node : stage.nodes) {
      if (node.output == kNone || node.statistics || !group_.locals[node.output].stored) continue;
      const Storage& storage = group_.storage(node.output);
      const Box box = map_box(w.fresh, node.to_output, storage.rank);
      loop.written[node.output] += times * static_cast<double>(box.elements());
      by_local_[node.output].store += dma(storage, box);
    }
  }
  for (int l = 0; l < static_cast<int>(by_local_.size()); ++l) {
    if (by_local_[l] == StepCost::ByLocal{}) continue;
    by_local_[l].local = l;
    cost.locals.push_back(by_local_[l]);
  }
  // Loops repeat: what a step costs has most often been seen a few steps ago.
  for (std::size_t k = loop.kinds.size(); k-- > 0;) {
    if (loop.kinds[k] == cost) {
      loop.times[k] += times;
      return;
    }
  }
  loop.kinds.push_back(std::move(cost));
  loop.times.push_back(times);
}

/// Concat and Gather fetch without a buffer of their own.
void LoopPricer::bring(const StageModel& stage, const Box& fresh, double times, LoopCost& loop, StepCost& cost) {
  if (stage.kind == StageKind::kConcat) {
    const StageNode& node = stage.nodes[0];
    for (int i = 0; i < static_cast<int>(node.inputs.size()); ++i) {
      const int l = node.inputs[i];
      if (l == kNone) continue;
      const Box piece = input_box(group_, stage, node, i, fresh);
      if (piece.empty()) continue;
      const Storage& storage = group_.storage(l);
      if (group_.locals[l].producer != kNone) {
        cost.load += copy(storage, piece);
        continue;
      }
      loop.read[l] += times * static_cast<double>(piece.elements());
      by_local_[l].outside += dma(storage, piece);
      by_local_[l].resident += copy(storage, piece);
    }
  } else if (stage.kind == StageKind::kGather) {
    const Storage& table = group_.storage(stage.nodes[0].inputs[0]);
    const int c = static_cast<int>(table.storage_class);
    const auto elements = std::llround(times * static_cast<double>(fresh.elements()));
    loop.always.read[c] += elements * table.element_bytes();
    loop.always.read_elements[c] += elements;
    const auto bus = static_cast<Cycles>(static_cast<double>(fresh.elements() * table.element_bytes()) /
                                         npu_.dram_bytes_per_cycle());
    cost.load += {npu_.dma.descriptor_cycles + bus, bus};
  }
}

bool LoopPricer::made_once(const StageModel& stage) const {
  return std::any_of(stage.nodes.begin(), stage.nodes.end(), [&](const StageNode& node) {
    return node.statistics || (node.output != kNone && group_.locals[node.output].stored);
  });
}

bool LoopPricer::twice(const std::vector<std::int64_t>& made) const {
  for (std::size_t s = 0; s < made.size(); ++s) {
    const std::int64_t all = model_.layout.storages[group_.stages[s].domain].elements() / group_.slices();
    if (made[s] > all && made_once(group_.stages[s])) return true;
  }
  return false;
}

void LoopPricer::finish(LoopCost& loop, const std::vector<std::int64_t>& made) const {
  for (std::size_t s = 0; s < group_.stages.size(); ++s) {
    const StageModel& stage = group_.stages[s];
    const std::int64_t all = model_.layout.storages[stage.domain].elements() / group_.slices();
    if (made_once(stage) && made[s] != all) loop.legal = false;
    if (made[s] < all && stage.kind != StageKind::kConcat) loop.whole = false;
    for (const StageNode& node : stage.nodes) {
      if (node.output == kNone || !node.statistics || !group_.locals[node.output].stored) continue;
      const Box part = group_.part_of(node.output);
      loop.written[node.output] += static_cast<double>(part.elements());
      loop.after[node.output] += dma(group_.storage(node.output), part);
    }
  }
}

}  // namespace spillway::partitioner
