#include "partitioner/loop_energy.h"

#include <algorithm>
#include <numeric>

namespace spillway::partitioner {

namespace {

/// Bytes of the whole bursts that the runs of a box touch, in a storage that begins at a burst.
double burst_bytes(const configs::NpuConfig& npu, const Storage& storage, const Box& box) {
  std::int64_t run = storage.element_bytes();
  std::int64_t stride = run;
  std::int64_t offset = 0;
  std::int64_t runs = 1;
  const Bytes burst = Bytes{npu.dram.channel_bits} / 8 * npu.dram.burst_length;
  Bytes grain = burst;  // runs begin a multiple of so many bytes apart
  for (int f = storage.rank - 1; f >= 0; --f) {
    offset += box.begin[f] * stride;
    if (box.extent[f] == 1 || stride == run) {
      run *= box.extent[f];
    } else {
      runs *= box.extent[f];
      grain = std::gcd(grain, stride);
    }
    stride *= storage.extent[f];
  }
  // A run goes out in requests of at most max_burst bytes, each of whole bursts.
  const Bytes limit = npu.dma.max_burst;
  std::int64_t bursts = 0;
  std::int64_t starts = 0;
  for (Bytes start = offset % grain; start < burst; start += grain, ++starts) {
    const auto touched = [&](Bytes begin, Bytes length) { return (begin % burst + length + burst - 1) / burst; };
    if (limit % burst == 0) {
      bursts += run / limit * touched(start, limit);
      if (run % limit != 0) bursts += touched(start, run % limit);
    } else {
      for (Bytes sent = 0; sent < run; sent += limit) bursts += touched(start + sent, std::min(limit, run - sent));
    }
  }
  return static_cast<double>(runs * burst) * static_cast<double>(bursts) / static_cast<double>(starts);
}

double folds(std::int64_t extent, int array) { return static_cast<double>((extent + array - 1) / array); }

}  // namespace

Energy LoopEnergy::total(const GroupModel& group, const Residents& residents, Cycles cycles) const {
  Energy sum = always;
  const auto add = [&](const Transfer& transfer) {
    sum.scratchpad_pj += transfer.scratchpad_pj;
    sum.dram_pj += transfer.dram_pj;
  };
  for (std::size_t l = 0; l < locals.size(); ++l) {
    add(residents[l] == Home::kDram ? locals[l].outside : locals[l].resident);
    const bool output = group.storage(static_cast<int>(l)).is_output;
    if (group.locals[l].stored && (residents[l] != Home::kScratchpad || output)) add(locals[l].store);
  }
  const configs::NpuConfig& npu = group.model->npu;
  // 1 mW for one second is 1e9 pJ.
  sum.static_pj += static_cast<double>(cycles) * npu.energy.static_mw * 1e9 / npu.clock_hz;
  return sum;
}

EnergyPricer::EnergyPricer(const GroupModel& group)
    : group_(group),
      model_(*group.model),
      npu_(group.model->npu),
      regions_(group.stages.size()),
      blocks_(group.stages.size()) {}

LoopEnergy EnergyPricer::price(const std::array<std::int32_t, kMaxRank>& tile, const std::vector<int>& order,
                               bool exactly) {
  Walker walker(group_, tile, order);
  LoopEnergy loop;
  loop.locals.resize(group_.locals.size());
  loop.exact = exactly || walker.steps() <= kShortLoop;
  if (loop.exact) {
    Step step;
    while (walker.next(step)) add(step, 1, loop);
  } else {
    sample_steps(group_, tile, order, [&](const Step& step, double times, std::int64_t) { add(step, times, loop); });
  }
  for (const StageModel& stage : group_.stages) {
    for (const StageNode& node : stage.nodes) {
      if (node.output == kNone || !node.statistics) continue;
      const Box part = group_.part_of(node.output);
      // Blocks add to statistics, all but the first of each part.
      loop.always.scratchpad_pj -= bytes(node.output, part) * npu_.energy.scratchpad_pj_per_byte;
      if (group_.locals[node.output].stored) loop.locals[node.output].store += dma(node.output, part);
    }
  }
  return loop;
}

double EnergyPricer::bytes(int local, const Box& box) const {
  return static_cast<double>(box.elements() * group_.storage(local).element_bytes());
}

LoopEnergy::Transfer EnergyPricer::dma(int local, const Box& box) const {
  return {bytes(local, box) * npu_.energy.scratchpad_pj_per_byte,
          burst_bytes(npu_, group_.storage(local), box) * npu_.energy.dram_pj_per_byte};
}

LoopEnergy::Transfer EnergyPricer::copy(int local, const Box& box) const {
  return {2 * bytes(local, box) * npu_.energy.scratchpad_pj_per_byte, 0};
}

void EnergyPricer::add(const Step& step, double times, LoopEnergy& loop) {
  const auto add_to = [&](LoopEnergy::Transfer& sum, const LoopEnergy::Transfer& one) {
    sum.scratchpad_pj += times * one.scratchpad_pj;
    sum.dram_pj += times * one.dram_pj;
  };
  for (int l = 0; l < static_cast<int>(step.loads.size()); ++l) {
    const Window& w = step.loads[l];
    if (!w.used) continue;
    if (!w.fresh.empty()) add_to(loop.locals[l].outside, dma(l, w.fresh));
    if (!w.overlap.empty()) add_to(loop.locals[l].outside, copy(l, w.overlap));
  }
  for (int s = 0; s < static_cast<int>(step.stages.size()); ++s) {
    const Window& w = step.stages[s];
    if (!w.used) continue;
    const StageModel& stage = group_.stages[s];
    for (const StageNode& node : stage.nodes) {
      if (w.overlap.empty() || node.output == kNone || node.statistics) continue;
      if (group_.locals[node.output].last_reader == kNone) continue;
      const Box kept = map_box(w.overlap, node.to_output, group_.storage(node.output).rank);
      add_to(loop.locals[node.output].outside, copy(node.output, kept));
    }
    if (w.fresh.empty()) continue;
    bring(stage, w.fresh, times, loop);
    if (stage.kind == StageKind::kMatrix || stage.kind == StageKind::kVector) {
      loop.always += stage_energy(s, w.fresh) * times;
    }
    for (const StageNode& node : stage.nodes) {
      if (node.output == kNone || node.statistics || !group_.locals[node.output].stored) continue;
      const Box made = map_box(w.fresh, node.to_output, group_.storage(node.output).rank);
      add_to(loop.locals[node.output].store, dma(node.output, made));
    }
  }
}

/// Concat and Gather fetch without a buffer of their own.
void EnergyPricer::bring(const StageModel& stage, const Box& fresh, double times, LoopEnergy& loop) const {
  const StageNode& node = stage.nodes[0];
  if (stage.kind == StageKind::kConcat) {
    for (int i = 0; i < static_cast<int>(node.inputs.size()); ++i) {
      const int l = node.inputs[i];
      if (l == kNone) continue;
      const Box piece = input_box(group_, stage, node, i, fresh);
      if (piece.empty()) continue;
      const LoopEnergy::Transfer moved = copy(l, piece);
      if (group_.locals[l].producer != kNone) {
        loop.always.scratchpad_pj += times * moved.scratchpad_pj;
        continue;
      }
      loop.locals[l].resident.scratchpad_pj += times * moved.scratchpad_pj;
      const LoopEnergy::Transfer loaded = dma(l, piece);
      loop.locals[l].outside.scratchpad_pj += times * loaded.scratchpad_pj;
      loop.locals[l].outside.dram_pj += times * loaded.dram_pj;
    }
  } else if (stage.kind == StageKind::kGather) {
    const Storage& table = group_.storage(node.inputs[0]);
    const Box indices = input_box(group_, stage, node, 1, fresh);
    const std::int64_t rows = std::max<std::int64_t>(1, indices.elements());
    const Bytes row = fresh.elements() / rows * table.element_bytes();
    const Bytes burst = Bytes{npu_.dram.channel_bits} / 8 * npu_.dram.burst_length;
    const double touched = static_cast<double>((row + burst - 1) / burst * burst * rows);
    const double moved = bytes(node.inputs[1], indices) + static_cast<double>(row * rows);
    loop.always.scratchpad_pj += times * moved * npu_.energy.scratchpad_pj_per_byte;
    loop.always.dram_pj += times * touched * npu_.energy.dram_pj_per_byte;
  }
}

EnergyPricer::Shape EnergyPricer::shape_of(int stage, const Box& box) const {
  const Storage& domain = model_.layout.storages[group_.stages[stage].domain];
  std::uint32_t borders = 0;
  for (int f = 0; f < domain.rank; ++f) {
    if (box.begin[f] == 0) borders |= 1U << (2 * f);
    if (box.end(f) == domain.extent[f]) borders |= 2U << (2 * f);
  }
  return {box.extent, borders};
}

const Energy& EnergyPricer::stage_energy(int s, const Box& fresh) {
  const auto [known, unseen] = regions_[s].try_emplace(shape_of(s, fresh));
  if (!unseen) return known->second;
  const StageModel& stage = group_.stages[s];
  for (const Box& block : blocks_of(group_, stage, fresh)) {
    const auto [one, fresh_block] = blocks_[s].try_emplace(shape_of(s, block));
    if (fresh_block) one->second = block_energy(stage, block);
    known->second += one->second;
  }
  return known->second;
}

Energy EnergyPricer::block_energy(const StageModel& stage, const Box& block) const {
  Energy energy;
  if (stage.kind == StageKind::kMatrix) add_product(stage, block, energy);
  add_chain(stage, block, energy);
  return energy;
}

/// The streamed operand is read once for every fold along the output columns, the stationary one once; sums are
/// written for every fold along the contraction and read back for all but the first, and once more as they drain.
void EnergyPricer::add_product(const StageModel& stage, const Box& block, Energy& energy) const {
  const configs::MatrixShape shape = matrix_of(group_, stage, block);
  const auto& e = npu_.energy;
  const StageNode& head = stage.nodes[0];
  const double streamed = bytes(head.inputs[0], input_box(group_, stage, head, 0, block));
  const double stationary = bytes(head.inputs[1], input_box(group_, stage, head, 1, block));
  const double sums = static_cast<double>(block.elements() * configs::bytes_of(npu_.precision.accumulator));
  energy.mac_pj += static_cast<double>(shape.macs()) * configs::product_pj(e, model_.operand_formats(head.node));
  energy.scratchpad_pj +=
      (streamed * std::max(1.0, folds(shape.n, npu_.matrix.cols)) + stationary) * e.scratchpad_pj_per_byte;
  energy.accumulator_pj +=
      sums * (std::max(1.0, 2 * folds(shape.k, npu_.matrix.rows) - 1) + 1) * e.accumulator_pj_per_byte;
}

/// Operands from the scratchpad are read once for every pass of their operator, results are written once.
void EnergyPricer::add_chain(const StageModel& stage, const Box& block, Energy& energy) const {
  const auto& e = npu_.energy;
  const configs::VectorWork work = vector_of(group_, stage, block);
  for (std::size_t op = 0; op < work.size(); ++op)
    energy.vector_pj += static_cast<double>(work[op]) * e.vector_op_pj[op];
  double moved = 0;
  for (std::size_t p = 0; p < stage.nodes.size(); ++p) {
    const StageNode& node = stage.nodes[p];
    const bool drains = p == 0 && stage.kind == StageKind::kMatrix;
    for (int i = drains ? 2 : 0; i < static_cast<int>(node.inputs.size()); ++i) {
      if (node.inputs[i] == kNone || node.chained[i] != kNone) continue;
      const Box box = input_box(group_, stage, node, i, block);
      const int passes = i == 0 ? std::max(1, static_cast<int>(model_.op(node.node).input_passes)) : 1;
      if (!box.empty()) moved += passes * bytes(node.inputs[i], box);
    }
    if (node.output == kNone) continue;
    if (node.statistics) {
      const Box region = logical_box(group_, stage, node, block);
      // (mean, M2) of each channel, read and written.
      moved += 2.0 * 2.0 * region.extent[0] * region.extent[1] *
               static_cast<double>(group_.storage(node.output).element_bytes());
    } else {
      moved += bytes(node.output, map_box(block, node.to_output, group_.storage(node.output).rank));
    }
  }
  energy.scratchpad_pj += moved * e.scratchpad_pj_per_byte;
}

}  // namespace spillway::partitioner
