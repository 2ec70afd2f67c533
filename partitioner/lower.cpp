// lower(): a Plan becomes a Program. The walk that priced a group is walked again; every window becomes commands.

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <tuple>

#include "configs/error.h"
#include "configs/timing.h"
#include "partitioner/hazards.h"
#include "partitioner/held_input.h"
#include "partitioner/partitioner.h"
#include "partitioner/walk.h"

namespace spillway::partitioner {

namespace {

constexpr std::int64_t kDramAlignment = 4096;

Placement dense(const std::array<std::int32_t, kMaxRank>& extent, int rank, std::int64_t element_bytes,
                std::int64_t base, const Box& window) {
  Placement at;
  std::int64_t stride = element_bytes;
  for (int f = rank - 1; f >= 0; --f) {
    at.stride[f] = stride;
    stride *= extent[f];
  }
  at.origin = base;
  for (int f = 0; f < rank; ++f) at.origin -= at.stride[f] * window.begin[f];
  return at;
}

/// Where a storage is at some moment of a group's loop.
struct Spot {
  Placement at;
  AllocationId allocation = kNone;
  std::int64_t window = 0;
};

/// A command before it has its place in the stream.
struct Draft {
  Command command;
  std::vector<Access> accesses;  // in operand order
  std::vector<Box> boxes;
};

class Lowering {
 public:
  Lowering(const Graph& graph, const configs::NpuConfig& npu, const Plan& plan)
      : npu_(npu),
        plan_(plan),
        model_(graph, npu, plan.layout),
        queues_{npu.dma.channels, npu.matrix.count, npu.vector.count},
        hazards_(queues_.count()) {
    program_.name = plan.graph;
    program_.graph = graph;
    program_.layout = plan.layout;
    program_.precision = npu.precision;
    program_.queues = queues_;
    program_.scratchpad_bytes = npu.scratchpad.size;
    program_.accumulator_bytes = npu.matrix.accumulator_bytes;
  }

  Program lower() {
    place_dram();
    place_residents();
    for (int e = 0; e < npu_.matrix.count; ++e) {
      const Bytes half = npu_.matrix.accumulator_bytes / 2;
      for (int h = 0; h < 2; ++h) halves_.push_back(hazards_.allocate(2 + e, h * half, (h + 1) * half));
    }
    half_.assign(npu_.matrix.count, 1);
    undrained_.resize(npu_.matrix.count);
    for (std::size_t g = 0; g < plan_.groups.size(); ++g) lower_group(static_cast<int>(g));
    return std::move(program_);
  }

 private:
  /// Stage, what the command does in it, and which inputs it goes without (a Concat's pieces outside the block).
  using Role = std::tuple<int, int, std::uint64_t>;
  enum : int { kProduct = -2, kChain = -1 };  // else: which piece of a Concat

  enum Memory { kScratchpadMemory = 0, kDramMemory = 1 };

  /// A buffer while its group runs.
  struct Live {
    const Buffer* buffer = nullptr;
    std::vector<AllocationId> slots;
    std::int64_t windows = 0;  // how often it moved
    Spot now, before;
  };

  struct Event {
    std::int64_t time = 0;
    // 0 halo copies, 1 loads, 2 stage commands, 3 stores. A copy is for this step's compute, a load for the next one's,
    // and waits for room that this step leaves: behind it in a queue the copy would keep both from overlapping.
    int phase = 1;
    int stage = kNone;
    std::vector<Draft> drafts{};  // of a matrix stage: each product and then its drain
  };

  /// Inputs, constants and outputs have their place from the start; what is computed gets one when it first leaves the
  /// scratchpad, so that what never does takes no DRAM.
  void place_dram() {
    dram_.resize(program_.layout.storages.size());
    for (std::size_t s = 0; s < program_.layout.storages.size(); ++s) {
      const Storage& storage = program_.layout.storages[s];
      if (storage.is_input || storage.is_output) place_in_dram(static_cast<StorageId>(s));
    }
  }

  void place_in_dram(StorageId s) {
    Storage& storage = program_.layout.storages[s];
    storage.dram_address = program_.dram_bytes;
    const Box none = Box{.rank = storage.rank};
    dram_[s].at = dense(storage.extent, storage.rank, storage.element_bytes(), storage.dram_address, none);
    dram_[s].allocation =
        hazards_.allocate(kDramMemory, storage.dram_address, storage.dram_address + storage.bytes(), true);
    program_.dram_bytes += (storage.bytes() + kDramAlignment - 1) / kDramAlignment * kDramAlignment;
  }

  void place_residents() {
    resident_at_.assign(plan_.groups.size(), {});
    for (const Residency& r : plan_.residencies) {
      for (int g = r.first_group; g <= r.last_group; ++g) resident_at_[g].push_back(&r);
    }
  }

  const Storage& storage(StorageId s) const { return program_.layout.storages[s]; }

  Operand operand(StorageId s, Space space, const Placement& at, const Box& box) const {
    Operand o;
    o.storage = s;
    o.space = space;
    o.format = storage(s).format;
    o.box = box;
    o.at = at;
    return o;
  }

  // --- one group ---

  void lower_group(int g) {
    group_ = g;
    const Group& plan = plan_.groups[g];
    program_.group_names.push_back(plan.name);
    std::vector<NodeId> nodes;
    for (const Stage& stage : plan.stages) nodes.insert(nodes.end(), stage.nodes.begin(), stage.nodes.end());
    std::sort(nodes.begin(), nodes.end());
    model_group_ = make_group(model_, nodes, plan.dropped);
    model_group_.region = plan.region;
    begin_group(plan);
    std::vector<Event> events;
    Walker walker(model_group_, plan.tile, plan.loop_order);
    Step step;
    const std::int64_t steps = walker.steps();
    for (std::int64_t s = 0; walker.next(step); ++s) lower_step(step, s, events);
    store_statistics(steps, events);
    std::stable_sort(events.begin(), events.end(), [](const Event& a, const Event& b) {
      return std::tie(a.time, a.phase) < std::tie(b.time, b.phase);
    });
    for (std::size_t i = 0; i < events.size();) {
      std::size_t j = i;
      while (j < events.size() && events[j].time == events[i].time && events[j].phase == events[i].phase) ++j;
      if (events[i].phase == 2 && plan.pipelining == Pipelining::kSoftware) {
        interleave(events, i, j);
      } else {
        for (std::size_t k = i; k < j; ++k) {
          for (Draft& draft : events[k].drafts) emit(draft);
        }
      }
      i = j;
    }
  }

  /// Stages of different tiles share the engines, whose queues run in order: a drain that is queued before its product
  /// has ended holds up whatever else the vector engine could do meanwhile. So the commands are listed as they could
  /// start (list scheduling, by the closed forms). Of those that could start at once a drain goes first, since a
  /// product waits for its room; else the newer tile's, since more stages are still to come for it.
  void interleave(std::vector<Event>& events, std::size_t from, std::size_t to) {
    struct Stream {
      std::size_t next = 0;                               ///< draft to come, drains left out
      std::deque<std::pair<std::size_t, double>> drains;  ///< drafts whose product ends then
      double ready = 0;
    };
    std::vector<Stream> streams(to - from);
    for (std::size_t k = 0; k < streams.size(); ++k) {
      for (int s = 0; s < events[from + k].stage; ++s) streams[k].ready = std::max(streams[k].ready, finished_[s]);
    }
    std::vector<double> finish = finished_;
    while (true) {
      Stream* best = nullptr;
      std::size_t best_event = 0;
      bool best_drains = false;
      double least = 0;
      const auto consider = [&](std::size_t k, double ready, const Draft& d, bool drains) {
        const double start = std::max(ready, engine_free_[d.command.queue]);
        const bool frees =
            best != nullptr && start == least && drains && !best_drains &&
            events[best_event].drafts[streams[best_event - from].next].command.kind == CommandKind::kVector;
        if (best != nullptr && start >= least && !frees) return;
        best = &streams[k], best_event = from + k, best_drains = drains, least = start;
      };
      for (std::size_t k = streams.size(); k-- > 0;) {
        const Stream& stream = streams[k];
        const auto& drafts = events[from + k].drafts;
        if (!stream.drains.empty()) {
          consider(k, stream.drains.front().second, drafts[stream.drains.front().first], true);
        }
        if (stream.next >= drafts.size()) continue;
        const Draft& d = drafts[stream.next];
        if (d.command.kind == CommandKind::kMatrix) {
          const int engine = d.command.queue - queues_.first_matrix();
          if (undrained_[engine].size() == 2) continue;
          consider(k, std::max(stream.ready, half_free_[engine * 2 + 1 - half_[engine]]), d, false);
        } else {
          consider(k, stream.ready, d, false);
        }
      }
      if (best == nullptr) break;
      Event& event = events[best_event];
      const std::size_t index = best_drains ? best->drains.front().first : best->next;
      Draft& d = event.drafts[index];
      const double end = least + static_cast<double>(cycles_of(d));
      engine_free_[d.command.queue] = end;
      finish[event.stage] = std::max(finish[event.stage], end);
      emit(d);
      if (best_drains) {
        best->drains.pop_front();
        const Access& sums = d.accesses.front();
        half_free_[sums.operand.engine * 2 + (sums.allocation == halves_[sums.operand.engine * 2] ? 0 : 1)] = end;
      } else if (d.command.kind == CommandKind::kMatrix) {
        best->drains.emplace_back(index + 1, end);
        best->next += 2;
      } else {
        ++best->next;
      }
    }
    finished_ = finish;
  }

  Cycles cycles_of(const Draft& d) const {
    if (d.command.kind == CommandKind::kMatrix) {
      const configs::ProductFormats operands{d.accesses[0].operand.format, d.accesses[1].operand.format};
      return configs::matrix_cycles(npu_.matrix, d.command.matrix, operands).total();
    }
    if (d.command.kind != CommandKind::kVector) return 0;
    Bytes touched = 0;
    for (const Access& a : d.accesses) touched += a.operand.space == Space::kScratchpad ? a.operand.bytes() : 0;
    return configs::vector_cycles(npu_, d.command.vector, touched).total();
  }

  void begin_group(const Group& plan) {
    live_.assign(model_group_.locals.size(), {});
    resident_.assign(model_group_.locals.size(), {});
    is_resident_.assign(model_group_.locals.size(), false);
    is_stored_.assign(model_group_.locals.size(), false);
    std::vector<std::pair<int, const Residency*>> loads;  // inputs that stay from here on
    for (const Residency* r : resident_at_[group_]) {
      const int l = model_group_.local_of(r->storage);
      auto [it, fresh] = residences_.try_emplace(r);
      if (fresh) {
        const Storage& s = storage(r->storage);
        it->second.at = dense(r->part.extent, s.rank, s.element_bytes(), r->address, r->part);
        it->second.allocation = hazards_.allocate(kScratchpadMemory, r->address, r->address + r->bytes);
      }
      if (l == kNone) continue;
      is_resident_[l] = true;
      is_stored_[l] = r->stored;
      resident_[l] = it->second;
      if (fresh && is_loaded(model_, *r)) loads.emplace_back(l, r);
    }
    for (const Buffer& buffer : plan.buffers) {
      const int l = model_group_.local_of(buffer.storage);
      if (l == kNone) internal_error("a planned buffer belongs to no operator of its group");
      Live& live = live_[l];
      live.buffer = &buffer;
      for (int k = 0; k < buffer.slots; ++k) {
        const Bytes begin = buffer.address + k * buffer.slot_bytes;
        live.slots.push_back(hazards_.allocate(kScratchpadMemory, begin, begin + buffer.slot_bytes));
      }
      if (buffer.accumulates) {
        const Storage& s = storage(buffer.storage);
        live.now = {dense(s.extent, s.rank, s.element_bytes(), buffer.address, Box{.rank = s.rank}), live.slots[0]};
      }
    }
    kernels_.clear();
    accumulated_.clear();
    engine_free_.assign(queues_.count(), 0);
    half_free_.assign(halves_.size(), 0);
    finished_.assign(model_group_.stages.size(), 0);
    for (const auto& [l, r] : loads) {
      Draft whole = load(l, r->part);
      emit(whole);
    }
  }

  int level(int stage) const { return plan_.groups[group_].pipelining == Pipelining::kSoftware ? stage : 0; }

  /// Moves a buffer's window to hold `have` (coordinates of its storage).
  void advance(int l, const Box& have) {
    Live& live = live_[l];
    if (live.buffer == nullptr) internal_error("a window without a buffer");
    const int slot = static_cast<int>(live.windows % live.buffer->slots);
    ++live.windows;
    live.before = live.now;
    const Storage& s = storage(live.buffer->storage);
    live.now.at = dense(live.buffer->extent, s.rank, s.element_bytes(),
                        live.buffer->address + slot * live.buffer->slot_bytes, have);
    live.now.allocation = live.slots[slot];
    live.now.window = live.windows;
  }

  /// Where a local is now, for compute.
  const Spot& spot(int l) const { return is_resident_[l] ? resident_[l] : live_[l].now; }

  void lower_step(const Step& step, std::int64_t index, std::vector<Event>& events) {
    const Pipelining pipelining = plan_.groups[group_].pipelining;
    for (std::size_t l = 0; l < step.loads.size(); ++l) {
      const Window& w = step.loads[l];
      if (!w.used || is_resident_[l] || !w.advance) continue;
      const Local& local = model_group_.locals[l];
      advance(static_cast<int>(l), w.have);
      Event event;
      event.time = pipelining == Pipelining::kNone ? index : index + level(local.first_reader) - 1;
      if (!w.overlap.empty()) copy_within(static_cast<int>(l), w.overlap, event.drafts);
      if (!w.fresh.empty()) event.drafts.push_back(load(static_cast<int>(l), w.fresh));
      events.push_back(std::move(event));
    }
    for (std::size_t s = 0; s < step.stages.size(); ++s) {
      const Window& w = step.stages[s];
      if (!w.used || !w.advance) continue;
      lower_stage(static_cast<int>(s), w, index, events);
    }
  }

  void lower_stage(int s, const Window& w, std::int64_t index, std::vector<Event>& events) {
    const StageModel& stage = model_group_.stages[s];
    const bool early = prefetched(model_group_, stage, plan_.groups[group_].pipelining);
    const std::int64_t time = index + level(s) - (early ? 1 : 0);
    Event copies{.time = time, .phase = 0};
    for (const StageNode& node : stage.nodes) {
      if (node.output == kNone || node.statistics || is_resident_[node.output]) continue;
      const Storage& out = model_group_.storage(node.output);
      advance(node.output, map_box(w.have, node.to_output, out.rank));
      if (!w.overlap.empty() && model_group_.locals[node.output].last_reader != kNone) {
        copy_within(node.output, map_box(w.overlap, node.to_output, out.rank), copies.drafts);
      }
    }
    if (!copies.drafts.empty()) events.push_back(std::move(copies));
    if (w.fresh.empty()) return;

    Event compute{.time = time, .phase = 2, .stage = s};
    switch (stage.kind) {
      case StageKind::kConcat:
        concat(s, w.fresh, compute.drafts);
        break;
      case StageKind::kGather:
        gather(s, w.fresh, compute.drafts);
        break;
      case StageKind::kMatrix:
      case StageKind::kVector:
        for (const Box& block : blocks_of(model_group_, stage, w.fresh)) compute_block(s, block, compute.drafts);
        break;
    }
    events.push_back(std::move(compute));

    Event stores{.time = time, .phase = 3};
    for (const StageNode& node : stage.nodes) {
      if (node.statistics || !leaves(node)) continue;
      const Storage& out = model_group_.storage(node.output);
      stores.drafts.push_back(store(node.output, map_box(w.fresh, node.to_output, out.rank)));
    }
    if (!stores.drafts.empty()) events.push_back(std::move(stores));
  }

  /// Whether a result goes to DRAM.
  bool leaves(const StageNode& node) const {
    if (node.output == kNone || !model_group_.locals[node.output].stored) return false;
    return !is_resident_[node.output] || is_stored_[node.output] || model_group_.storage(node.output).is_output;
  }

  /// Statistics are complete, and stored, after the last tile.
  void store_statistics(std::int64_t steps, std::vector<Event>& events) {
    Event stores{.time = steps + static_cast<std::int64_t>(model_group_.stages.size()), .phase = 3};
    for (const StageModel& stage : model_group_.stages) {
      for (const StageNode& node : stage.nodes) {
        if (!node.statistics || !leaves(node)) continue;
        stores.drafts.push_back(store(node.output, model_group_.part_of(node.output)));
      }
    }
    if (!stores.drafts.empty()) events.push_back(std::move(stores));
  }

  // --- commands ---

  Draft draft(CommandKind kind, int queue) const {
    Draft d;
    d.command.kind = kind;
    d.command.queue = static_cast<std::int16_t>(queue);
    d.command.group = group_;
    return d;
  }

  /// Loads take turns over all channels but the last, which stores; a single channel does both.
  int load_queue() {
    const int channels = std::max(1, queues_.dma - 1);
    return static_cast<int>(loads_++ % channels);
  }
  int store_queue() const { return queues_.dma - 1; }

  Access access(bool write, AllocationId allocation, const Operand& operand, std::int64_t window = 0) const {
    return {allocation, write, operand, window};
  }
  Access in_scratchpad(bool write, int l, const Box& box) const { return in_scratchpad(write, l, spot(l), box); }
  Access in_scratchpad(bool write, int l, const Spot& at, const Box& box) const {
    return access(write, at.allocation, operand(model_group_.locals[l].storage, Space::kScratchpad, at.at, box),
                  at.window);
  }
  Access in_dram(bool write, StorageId s, const Box& box) {
    if (dram_[s].allocation == kNone) place_in_dram(s);
    return access(write, dram_[s].allocation, operand(s, Space::kDram, dram_[s].at, box));
  }

  Draft load(int l, const Box& box) {
    Draft d = draft(CommandKind::kLoad, load_queue());
    d.accesses = {in_dram(false, model_group_.locals[l].storage, box), in_scratchpad(true, l, box)};
    return d;
  }

  Draft store(int l, const Box& box) {
    Draft d = draft(CommandKind::kStore, store_queue());
    d.accesses = {in_scratchpad(false, l, box), in_dram(true, model_group_.locals[l].storage, box)};
    return d;
  }

  /// The part of the old window that the new one keeps. Nothing to do where it stays in its place, as at the first
  /// border, whose window is clipped.
  void copy_within(int l, const Box& box, std::vector<Draft>& out) {
    if (live_[l].before.at == live_[l].now.at) return;
    Draft d = draft(CommandKind::kCopy, load_queue());
    d.accesses = {in_scratchpad(false, l, live_[l].before, box), in_scratchpad(true, l, box)};
    out.push_back(std::move(d));
  }

  void concat(int s, const Box& fresh, std::vector<Draft>& out) {
    const StageModel& stage = model_group_.stages[s];
    const StageNode& node = stage.nodes[0];
    const Node& n = model_.graph.nodes[node.node];
    const Box whole_box = logical_box(model_group_, stage, node, fresh);
    const int rank = whole_box.rank;
    const auto axis = static_cast<int>((n.integer("axis", 0) + rank) % rank);
    std::int32_t offset = 0;
    for (int i = 0; i < static_cast<int>(node.inputs.size()); ++i) {
      const auto extent = static_cast<std::int32_t>(model_.graph.input(n, i).shape[axis]);
      Box piece = model_.op(node.node).region(model_.graph, n, i, whole_box);
      const std::int32_t begin = offset;
      offset += extent;
      if (piece.empty()) continue;
      const int l = node.inputs[i];
      const Box source = model_.layout.to_storage(n.inputs[i], piece);
      Box target = piece;
      target.begin[axis] += begin;
      const Box destination = model_.layout.to_storage(n.outputs[0], target);
      const bool outside = model_group_.locals[l].producer == kNone && !is_resident_[l];
      Draft d = draft(outside ? CommandKind::kLoad : CommandKind::kCopy, load_queue());
      d.accesses = {outside ? in_dram(false, model_group_.locals[l].storage, source) : in_scratchpad(false, l, source),
                    in_scratchpad(true, node.output, destination)};
      d.command.kernel = kernel({s, i, 0}, [&] {
        Kernel k;
        KernelStep step{.node = node.node, .inputs = std::vector<KernelInput>(n.inputs.size())};
        step.inputs[i] = {KernelInput::From::kOperand, 0, n.inputs[i]};
        k.steps = {step};
        k.outputs = {{0, 1}};
        return k;
      });
      d.boxes = {target};
      out.push_back(std::move(d));
    }
  }

  void gather(int s, const Box& fresh, std::vector<Draft>& out) {
    const StageModel& stage = model_group_.stages[s];
    const StageNode& node = stage.nodes[0];
    const Node& n = model_.graph.nodes[node.node];
    for (const Box& block : blocks_of(model_group_, stage, fresh)) {
      Draft d = draft(CommandKind::kGather, load_queue());
      const StorageId table = model_.storage_of(n.inputs[0]);
      d.accesses = {
          in_scratchpad(false, node.inputs[1], input_box(model_group_, stage, node, 1, block)),
          in_dram(false, table, input_box(model_group_, stage, node, 0, block)),
          in_scratchpad(true, node.output, map_box(block, node.to_output, model_group_.storage(node.output).rank))};
      d.command.kernel = kernel({s, kChain, 0}, [&] {
        Kernel k;
        k.steps = {KernelStep{
            .node = node.node,
            .inputs = {{KernelInput::From::kOperand, 1, n.inputs[0]}, {KernelInput::From::kOperand, 0, n.inputs[1]}}}};
        k.outputs = {{0, 2}};
        return k;
      });
      d.boxes = {logical_box(model_group_, stage, node, block)};
      out.push_back(std::move(d));
    }
  }

  void compute_block(int s, const Box& block, std::vector<Draft>& out) {
    const StageModel& stage = model_group_.stages[s];
    std::optional<Access> sums;
    int engine = 0;
    if (stage.kind == StageKind::kMatrix) {
      engine = static_cast<int>(matrix_turn_++ % queues_.matrix);
      sums = matrix_block(s, block, engine, out);
    }
    out.push_back(vector_block(s, block, sums));
  }

  /// The product, into the next half of the engine's accumulators; returns where the sums lie.
  Access matrix_block(int s, const Box& block, int engine, std::vector<Draft>& out) {
    const StageModel& stage = model_group_.stages[s];
    const StageNode& head = stage.nodes[0];
    const Node& n = model_.graph.nodes[head.node];
    Draft d = draft(CommandKind::kMatrix, queues_.first_matrix() + engine);
    for (int i = 0; i < 2; ++i) {
      d.accesses.push_back(in_scratchpad(false, head.inputs[i], input_box(model_group_, stage, head, i, block)));
    }
    Operand sums;
    sums.storage = stage.domain;
    sums.space = Space::kAccumulator;
    sums.engine = static_cast<std::int8_t>(engine);
    sums.format = npu_.precision.accumulator;
    sums.box = block;
    sums.at = dense(block.extent, block.rank, sums.element_bytes(), 0, block);
    d.accesses.push_back(access(true, kNone, sums));  // which half is known when it is emitted
    d.command.matrix = matrix_of(model_group_, stage, block);
    d.command.kernel = kernel({s, kProduct, 0}, [&] {
      Kernel k;
      KernelStep step{.node = head.node, .inputs = std::vector<KernelInput>(n.inputs.size())};
      for (int i = 0; i < 2; ++i) step.inputs[i] = {KernelInput::From::kOperand, i, n.inputs[i]};
      k.steps = {step};
      k.outputs = {{0, 2}};
      return k;
    });
    d.boxes = {logical_box(model_group_, stage, head, block)};
    out.push_back(d);
    Access read = d.accesses.back();
    read.write = false;
    return read;
  }

  /// The vector chain of one block: drains the sums of a matrix stage, or runs on its own.
  Draft vector_block(int s, const Box& block, const std::optional<Access>& sums) {
    const StageModel& stage = model_group_.stages[s];
    Draft d = draft(CommandKind::kVector, queues_.first_vector() + static_cast<int>(vector_turn_++ % queues_.vector));
    Kernel k;
    k.drain = sums.has_value();
    std::uint64_t omitted = 0;
    if (sums) d.accesses.push_back(*sums);
    for (std::size_t p = 0; p < stage.nodes.size(); ++p) {
      const StageNode& node = stage.nodes[p];
      const Node& n = model_.graph.nodes[node.node];
      KernelStep step{.node = node.node, .inputs = {}};
      if (sums && p == 0) {
        step.inputs.push_back({KernelInput::From::kOperand, 0, n.outputs[0]});
        step.inputs.push_back({});
        if (n.inputs.size() > 2 && n.inputs[2] != kNone) {
          step.inputs[1] = {KernelInput::From::kOperand, static_cast<int>(d.accesses.size()), n.inputs[2]};
          d.accesses.push_back(in_scratchpad(false, node.inputs[2], input_box(model_group_, stage, node, 2, block)));
        }
      } else {
        for (int i = 0; i < static_cast<int>(n.inputs.size()); ++i) {
          KernelInput input;
          if (node.chained[i] != kNone) {
            input = {KernelInput::From::kStep, node.chained[i], n.inputs[i]};
          } else if (node.inputs[i] != kNone) {
            const Box box = input_box(model_group_, stage, node, i, block);
            if (box.empty()) {
              omitted |= std::uint64_t{1} << (i % 64);
            } else {
              input = {KernelInput::From::kOperand, static_cast<int>(d.accesses.size()), n.inputs[i]};
              d.accesses.push_back(in_scratchpad(false, node.inputs[i], box));
            }
          }
          step.inputs.push_back(input);
        }
      }
      k.steps.push_back(std::move(step));
      d.boxes.push_back(logical_box(model_group_, stage, node, block));
    }
    for (std::size_t p = 0; p < stage.nodes.size(); ++p) {
      const StageNode& node = stage.nodes[p];
      if (node.output == kNone) continue;
      k.outputs.push_back({static_cast<int>(p), static_cast<int>(d.accesses.size())});
      if (node.statistics) {
        d.accesses.push_back(statistics_output(node, d.boxes[p], &d.command.prior));
      } else {
        const Box box = map_box(block, node.to_output, model_group_.storage(node.output).rank);
        d.accesses.push_back(in_scratchpad(true, node.output, box));
      }
    }
    d.command.vector = vector_of(model_group_, stage, block);
    d.command.kernel = kernel({s, kChain, omitted}, [&] { return k; });
    return d;
  }

  /// [n, c, (mean, M2)] of the channels of an input region, and how many elements of each came before.
  Access statistics_output(const StageNode& node, const Box& region, std::int64_t* prior) {
    const Node& n = model_.graph.nodes[node.node];
    const workloads::Shape& shape = model_.graph.input(n, 0).shape;
    std::int64_t here = 1;
    for (int d = 2; d < region.rank; ++d) here *= region.extent[d];
    auto& counts = accumulated_[node.node];
    counts.resize(static_cast<std::size_t>(shape[0] * shape[1]), 0);
    bool first = true;
    for (std::int32_t b = region.begin[0]; b < region.end(0); ++b) {
      for (std::int32_t c = region.begin[1]; c < region.end(1); ++c) {
        std::int64_t& count = counts[static_cast<std::size_t>(b * shape[1] + c)];
        if (!first && count != *prior) internal_error("channels of one block have seen different numbers of elements");
        *prior = count;
        first = false;
        count += here;
      }
    }
    Box out;
    out.rank = 3;
    out.set(0, region.begin[0], region.extent[0]);
    out.set(1, region.begin[1], region.extent[1]);
    out.set(2, 0, 2);
    return in_scratchpad(true, node.output, model_.layout.to_storage(n.outputs[0], out));
  }

  /// Kernels are the same for all commands of a stage and role.
  template <typename Make>
  std::int32_t kernel(const Role& role, Make make) {
    const auto [it, fresh] = kernels_.try_emplace(role, static_cast<std::int32_t>(program_.kernels.size()));
    if (fresh) program_.kernels.push_back(make());
    return it->second;
  }

  /// A product takes the half of the accumulators that the one before it left; drains follow in the products' order.
  void place_sums(Access& a) {
    const int engine = +a.operand.engine;
    auto& undrained = undrained_[engine];
    if (a.write) {
      half_[engine] = 1 - half_[engine];
      undrained.emplace_back(half_[engine], ++sums_);
    }
    const auto [half, window] = a.write ? undrained.back() : undrained.front();
    if (!a.write) undrained.pop_front();
    a.window = window;
    a.allocation = halves_[engine * 2 + half];
    a.operand.at.origin += half * (npu_.matrix.accumulator_bytes / 2);
  }

  void emit(Draft& d) {
    Command& c = d.command;
    for (Access& a : d.accesses) {
      if (a.operand.space == Space::kAccumulator) place_sums(a);
    }
    c.first_operand = static_cast<std::uint32_t>(program_.operand_pool.size());
    c.operands = static_cast<std::uint16_t>(d.accesses.size());
    for (const Access& a : d.accesses) program_.operand_pool.push_back(a.operand);
    const auto waits = hazards_.issue(c.queue, d.accesses);
    c.first_wait = static_cast<std::uint32_t>(program_.wait_pool.size());
    c.waits = static_cast<std::uint16_t>(waits.size());
    program_.wait_pool.insert(program_.wait_pool.end(), waits.begin(), waits.end());
    c.first_box = static_cast<std::uint32_t>(program_.box_pool.size());
    c.boxes = static_cast<std::uint16_t>(d.boxes.size());
    program_.box_pool.insert(program_.box_pool.end(), d.boxes.begin(), d.boxes.end());
    program_.commands.push_back(c);
  }

  const configs::NpuConfig& npu_;
  const Plan& plan_;
  Model model_;
  Queues queues_;
  Hazards hazards_;
  Program program_;
  std::vector<Spot> dram_;  // by storage
  std::vector<std::vector<const Residency*>> resident_at_;
  std::map<const Residency*, Spot> residences_;
  std::vector<AllocationId> halves_;
  std::vector<int> half_;                                            // by matrix engine: the one last filled
  std::vector<std::deque<std::pair<int, std::int64_t>>> undrained_;  // by matrix engine: half and window, oldest first
  // of the group being lowered
  int group_ = 0;
  GroupModel model_group_;
  std::vector<Live> live_;
  std::vector<Spot> resident_;
  std::vector<bool> is_resident_;
  std::vector<bool> is_stored_;  // resident, and in DRAM as well
  std::map<Role, std::int32_t> kernels_;
  std::map<NodeId, std::vector<std::int64_t>> accumulated_;
  std::vector<double> engine_free_, half_free_, finished_;  // list scheduling: by queue, by half, by stage
  std::int64_t loads_ = 0, matrix_turn_ = 0, vector_turn_ = 0, sums_ = 0;
};

}  // namespace

Program lower(const Graph& graph, const configs::NpuConfig& npu, const Plan& plan) {
  return Lowering(graph, npu, plan).lower();
}

}  // namespace spillway::partitioner
