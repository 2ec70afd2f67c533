// Programs by hand: storages of one dimension, commands with explicit waits. What a test does not say is zero.
#pragma once

#include <string>
#include <vector>

#include "simulator/simulator.h"

namespace spillway::simulator::test {

using partitioner::Command;
using partitioner::CommandKind;
using partitioner::Operand;
using partitioner::Space;
using partitioner::StorageClass;
using partitioner::StorageId;
using partitioner::Wait;

/// Round numbers, so that cycles can be derived by hand: 16 DRAM bytes, 32 interconnect bytes, 64 scratchpad bytes a
/// cycle; one DRAM channel of 64-byte bursts (4 cycles each) and 1 KiB rows.
inline configs::NpuConfig small_npu() {
  configs::NpuConfig npu;
  npu.name = "small";
  npu.clock_hz = 1e9;
  npu.matrix.rows = npu.matrix.cols = 8;
  npu.matrix.shadow_weights = false;
  npu.matrix.accumulator_bytes = 4096;
  npu.matrix.rate.fill(1.0);
  npu.matrix.issue_cycles = 10;
  npu.vector.lanes = 16;
  npu.vector.rate.fill(1.0);
  npu.vector.issue_cycles = 5;
  npu.scratchpad = {.size = 1 << 20, .banks = 4, .bank_port_bytes = 16};
  npu.interconnect = {.bytes_per_cycle = 32, .latency_cycles = 20};
  npu.dma = {.channels = 2, .descriptor_cycles = 30, .max_burst = 256, .outstanding = 4};
  npu.dram.standard = "by hand";
  npu.dram.channels = 1;
  npu.dram.channel_bits = 64;
  npu.dram.data_rate_mtps = 2000;
  npu.dram.burst_length = 8;
  npu.dram.banks = 4;
  npu.dram.row_bytes = 1024;
  npu.dram.trcd_ns = npu.dram.trp_ns = npu.dram.tcl_ns = 10;
  npu.dram.tras_ns = 30;
  npu.dram.twtr_ns = 5;
  npu.dram.trtw_ns = 7;
  npu.dram.trfc_ns = 100;
  npu.dram.trefi_ns = 100000;
  npu.energy.mac_pj.fill(0.5);
  npu.energy.vector_op_pj.fill(0.25);
  return npu;
}

class ProgramBuilder {
 public:
  explicit ProgramBuilder(const configs::NpuConfig& npu) {
    program.name = "by hand";
    program.queues = {npu.dma.channels, npu.matrix.count, npu.vector.count};
    program.scratchpad_bytes = npu.scratchpad.size;
    program.accumulator_bytes = npu.matrix.accumulator_bytes;
    program.group_names = {"g0"};
    issued_.assign(static_cast<std::size_t>(program.queues.count()), 0);
  }

  partitioner::Program program;
  int group = 0;  ///< of the commands that follow

  /// `count` int8 elements in DRAM, starting at a new row of everything.
  StorageId storage(const std::string& name, std::int32_t count,
                    StorageClass storage_class = StorageClass::kActivation) {
    partitioner::Storage s;
    s.name = name;
    s.storage_class = storage_class;
    s.rank = 1;
    s.extent[0] = count;
    s.dram_address = program.dram_bytes;
    program.dram_bytes += (count + 4095) / 4096 * 4096;
    program.layout.storages.push_back(s);
    return static_cast<StorageId>(program.layout.storages.size()) - 1;
  }

  /// Elements [from, from + count) of a storage whose element 0 would lie at `origin`.
  Operand operand(Space space, StorageId s, std::int64_t origin, std::int32_t from, std::int32_t count) const {
    Operand o;
    o.storage = s;
    o.space = space;
    o.box.rank = 1;
    o.box.set(0, from, count);
    o.at.origin = origin;
    o.at.stride[0] = 1;
    return o;
  }
  Operand in_dram(StorageId s, std::int32_t from, std::int32_t count) const {
    return operand(Space::kDram, s, program.layout.storages[static_cast<std::size_t>(s)].dram_address, from, count);
  }
  Operand in_scratchpad(StorageId s, std::int64_t origin, std::int32_t from, std::int32_t count) const {
    return operand(Space::kScratchpad, s, origin, from, count);
  }

  int load(int queue, StorageId s, std::int64_t to, std::int32_t count, const std::vector<Wait>& waits = {},
           std::int32_t from = 0) {
    return add(CommandKind::kLoad, queue, {in_dram(s, from, count), in_scratchpad(s, to, from, count)}, waits);
  }
  int store(int queue, StorageId s, std::int64_t at, std::int32_t count, const std::vector<Wait>& waits = {}) {
    return add(CommandKind::kStore, queue, {in_scratchpad(s, at, 0, count), in_dram(s, 0, count)}, waits);
  }
  int matrix(const configs::MatrixShape& shape, const std::vector<Operand>& operands,
             const std::vector<Wait>& waits = {}, int engine = 0) {
    const int c = add(CommandKind::kMatrix, program.queues.first_matrix() + engine, operands, waits);
    program.commands.back().matrix = shape;
    return c;
  }
  int vector(const configs::VectorWork& work, const std::vector<Operand>& operands, const std::vector<Wait>& waits = {},
             int engine = 0) {
    const int c = add(CommandKind::kVector, program.queues.first_vector() + engine, operands, waits);
    program.commands.back().vector = work;
    return c;
  }

  int add(CommandKind kind, int queue, const std::vector<Operand>& operands, const std::vector<Wait>& waits) {
    Command c;
    c.kind = kind;
    c.queue = static_cast<std::int16_t>(queue);
    c.group = group;
    c.first_operand = static_cast<std::uint32_t>(program.operand_pool.size());
    c.operands = static_cast<std::uint16_t>(operands.size());
    program.operand_pool.insert(program.operand_pool.end(), operands.begin(), operands.end());
    c.first_wait = static_cast<std::uint32_t>(program.wait_pool.size());
    c.waits = static_cast<std::uint16_t>(waits.size());
    program.wait_pool.insert(program.wait_pool.end(), waits.begin(), waits.end());
    program.commands.push_back(c);
    place_.push_back(++issued_[static_cast<std::size_t>(queue)]);
    return static_cast<int>(program.commands.size()) - 1;
  }

  /// The token of an earlier command.
  Wait done(int command) const {
    return {program.commands[static_cast<std::size_t>(command)].queue, place_[static_cast<std::size_t>(command)]};
  }

 private:
  std::vector<std::int32_t> issued_, place_;
};

inline configs::VectorWork additions(std::int64_t n) {
  configs::VectorWork work{};
  work[0] = n;
  return work;
}

inline Cycles share(const Result& result, Cause cause) { return result.bound_by[static_cast<std::size_t>(cause)]; }
inline Cycles waiting(const EngineUse& engine, Cause cause) { return engine.waiting[static_cast<std::size_t>(cause)]; }

}  // namespace spillway::simulator::test
