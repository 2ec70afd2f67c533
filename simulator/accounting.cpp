#include "simulator/accounting.h"

#include <algorithm>
#include <string>

namespace spillway::simulator {

using partitioner::Command;
using partitioner::CommandKind;
using partitioner::kNone;
using partitioner::Program;

std::string_view name_of(Cause cause) {
  switch (cause) {
    case Cause::kMatrix:
      return "matrix";
    case Cause::kVector:
      return "vector";
    case Cause::kDram:
      return "dram";
    case Cause::kPort:
      return "port";
    case Cause::kDescriptor:
      return "descriptor";
    case Cause::kDependency:
      return "dependency";
    case Cause::kIdle:
      return "idle";
  }
  internal_error("unknown cause");
}

namespace {

std::size_t at(std::int32_t id) { return static_cast<std::size_t>(id); }
std::size_t at(Cause cause) { return static_cast<std::size_t>(cause); }

Cycles& of(std::array<Cycles, kCauseCount>& causes, Cause cause) { return causes[at(cause)]; }

/// What waiting for a command of this kind is called. A DMA command is waited for because of what it spent most on.
Cause waiting_for(const Program& program, const RawRun& run, std::int32_t command) {
  switch (program.commands[at(command)].kind) {
    case CommandKind::kMatrix:
      return Cause::kMatrix;
    case CommandKind::kVector:
      return Cause::kVector;
    default:
      break;
  }
  const DmaRecord& record = run.dma[at(command)];
  if (record.dram >= record.port && record.dram >= record.descriptor) return Cause::kDram;
  return record.port >= record.descriptor ? Cause::kPort : Cause::kDescriptor;
}

class Accountant {
 public:
  Accountant(const Program& program, const configs::NpuConfig& npu, RawRun run)
      : program_(program), npu_(npu), run_(std::move(run)), traffic_(program), order_(queue_order(program)) {
    place_.resize(program.commands.size());
    for (const auto& queue : order_) {
      for (std::size_t i = 0; i < queue.size(); ++i) place_[at(queue[i])] = static_cast<std::int32_t>(i);
    }
  }

  Result account() {
    for (const CommandTimes& times : run_.commands) result_.cycles = std::max(result_.cycles, times.end);
    result_.groups.resize(program_.group_names.size());
    name_waits();
    engines();
    activity();
    critical_path();
    moves_and_energy();
    result_.dram = run_.dram;
    result_.commands = std::move(run_.commands);
    account_occupancy(program_, traffic_, result_);
    return std::move(result_);
  }

 private:
  std::int32_t predecessor(std::int32_t c) const {
    return binding_predecessor(program_, order_, run_.commands, place_, c);
  }

  void name_waits() {
    for (std::size_t c = 0; c < run_.commands.size(); ++c) {
      CommandTimes& times = run_.commands[c];
      if (times.start == times.issue) continue;
      const std::int32_t cause = predecessor(static_cast<std::int32_t>(c));
      times.wait = cause == kNone ? Cause::kDependency : waiting_for(program_, run_, cause);
    }
  }

  /// Cycles that a command was not there yet: fetching it, and before that, a full queue in its way.
  void add_fetch_wait(std::array<Cycles, kCauseCount>& causes, std::size_t c, Cycles cycles) const {
    const Cycles fetching = std::min(cycles, Cycles{run_.fetch_cycles[c]});
    of(causes, Cause::kDescriptor) += fetching;
    of(causes, Cause::kDependency) += cycles - fetching;
  }

  void engines() {
    for (int q = 0; q < program_.queues.count(); ++q) {
      EngineUse use;
      const auto& queues = program_.queues;
      const int first = q < queues.dma ? 0 : q < queues.first_vector() ? queues.first_matrix() : queues.first_vector();
      use.name = (q < queues.dma ? "dma" : q < queues.first_vector() ? "matrix" : "vector") + std::to_string(q - first);
      Cycles last = 0;
      for (const std::int32_t c : order_[at(q)]) {
        const CommandTimes& times = run_.commands[at(c)];
        add_fetch_wait(use.waiting, at(c), times.issue - last);
        of(use.waiting, times.wait) += times.start - times.issue;
        use.busy += times.end - times.start;
        last = times.end;
        ++use.commands;
      }
      of(use.waiting, Cause::kIdle) += result_.cycles - last;
      result_.engines.push_back(std::move(use));
    }
  }

  void activity() {
    std::vector<bool> seen(result_.groups.size(), false);
    for (std::size_t c = 0; c < program_.commands.size(); ++c) {
      const Command& command = program_.commands[c];
      const CommandTimes& times = run_.commands[c];
      GroupUse& group = result_.groups[at(command.group)];
      group.first_start = seen[at(command.group)] ? std::min(group.first_start, times.start) : times.start;
      seen[at(command.group)] = true;
      group.last_end = std::max(group.last_end, times.end);
      ++group.commands;
      const Cycles busy = times.end - times.start;
      if (command.kind == CommandKind::kMatrix) {
        group.matrix_busy += busy;
        const std::int64_t macs = command.matrix.macs();
        group.macs += macs;
        result_.macs += macs;
        const auto cycles =
            configs::matrix_cycles(npu_.matrix, command.matrix, partitioner::operand_formats(program_, command));
        result_.matrix_cycles.ideal += cycles.ideal;
        result_.matrix_cycles.padding += cycles.padding;
        result_.matrix_cycles.fill += cycles.fill;
      } else if (command.kind == CommandKind::kVector) {
        group.vector_busy += busy;
        for (std::size_t op = 0; op < command.vector.size(); ++op) result_.vector_ops[op] += command.vector[op];
      } else {
        group.dma_busy += busy;
      }
    }
  }

  // From the command that finishes last back to the start; the segments tile [0, cycles].
  void critical_path() {
    std::int32_t c = kNone;
    for (std::size_t i = 0; i < run_.commands.size(); ++i) {
      if (c == kNone || run_.commands[i].end > run_.commands[at(c)].end) c = static_cast<std::int32_t>(i);
    }
    while (c != kNone) {
      const std::int32_t before = predecessor(c);
      std::array<Cycles, kCauseCount> causes = causes_of(program_, npu_, traffic_, run_, c);
      add_fetch_wait(causes, at(c), run_.commands[at(c)].start - (before == kNone ? 0 : run_.commands[at(before)].end));
      GroupUse& group = result_.groups[at(program_.commands[at(c)].group)];
      for (std::size_t k = 0; k < causes.size(); ++k) {
        result_.bound_by[k] += causes[k];
        group.bound[k] += causes[k];
        group.critical += causes[k];
      }
      c = before;
    }
  }

  void moves_and_energy() {
    const configs::EnergyConfig& energy = npu_.energy;
    // 1 mW for one second is 1e9 pJ.
    const double static_pj_per_cycle = energy.static_mw * 1e9 / npu_.clock_hz;
    std::vector<Energy> by_group(result_.groups.size());
    for (std::size_t c = 0; c < program_.commands.size(); ++c) {
      const Command& command = program_.commands[c];
      Energy& e = by_group[at(command.group)];
      const Traffic traffic = traffic_.of(command, npu_.matrix);
      result_.scratchpad_read += traffic.scratchpad_read;
      result_.scratchpad_written += traffic.scratchpad_written;
      e.scratchpad_pj += static_cast<double>(traffic.scratchpad()) * energy.scratchpad_pj_per_byte;
      e.accumulator_pj += static_cast<double>(traffic.accumulator) * energy.accumulator_pj_per_byte;
      e.dram_pj += static_cast<double>(run_.dma[c].burst_bytes) * energy.dram_pj_per_byte;
      if (command.kind == CommandKind::kMatrix) {
        e.mac_pj += static_cast<double>(command.matrix.macs()) *
                    configs::product_pj(energy, partitioner::operand_formats(program_, command));
      } else if (command.kind == CommandKind::kVector) {
        for (std::size_t op = 0; op < command.vector.size(); ++op) {
          e.vector_pj += static_cast<double>(command.vector[op]) * energy.vector_op_pj[op];
        }
      }
    }
    for (std::size_t g = 0; g < by_group.size(); ++g) {
      GroupUse& group = result_.groups[g];
      group.moves = run_.moves[g];
      result_.moves += group.moves;
      Energy& e = by_group[g];
      e.static_pj = static_cast<double>(group.critical) * static_pj_per_cycle;
      group.energy_pj = e.total_pj();
      result_.energy.mac_pj += e.mac_pj;
      result_.energy.vector_pj += e.vector_pj;
      result_.energy.scratchpad_pj += e.scratchpad_pj;
      result_.energy.accumulator_pj += e.accumulator_pj;
      result_.energy.dram_pj += e.dram_pj;
      result_.energy.static_pj += e.static_pj;
    }
  }

  const Program& program_;
  const configs::NpuConfig& npu_;
  RawRun run_;
  KernelTraffic traffic_;
  QueueOrder order_;
  std::vector<std::int32_t> place_;  // of each command in its queue
  Result result_;
};

}  // namespace

QueueOrder queue_order(const Program& program) {
  QueueOrder order(at(program.queues.count()));
  for (std::size_t c = 0; c < program.commands.size(); ++c) {
    order[at(program.commands[c].queue)].push_back(static_cast<std::int32_t>(c));
  }
  return order;
}

std::int32_t binding_predecessor(const Program& program, const QueueOrder& order,
                                 const std::vector<CommandTimes>& times,
                                 const std::vector<std::int32_t>& place_in_queue, std::int32_t command) {
  std::int32_t best = kNone;
  const auto consider = [&](std::int32_t other) {
    if (best == kNone || times[at(other)].end > times[at(best)].end ||
        (times[at(other)].end == times[at(best)].end && other < best)) {
      best = other;
    }
  };
  const Command& c = program.commands[at(command)];
  const std::int32_t place = place_in_queue[at(command)];
  if (place > 0) consider(order[at(c.queue)][at(place - 1)]);
  for (const partitioner::Wait& wait : program.waits(c)) {
    if (wait.count > 0) consider(order[at(wait.queue)][at(wait.count - 1)]);
  }
  return best;
}

std::array<Cycles, kCauseCount> causes_of(const Program& program, const configs::NpuConfig& npu,
                                          const KernelTraffic& traffic, const RawRun& run, std::int32_t command) {
  std::array<Cycles, kCauseCount> causes{};
  const Command& c = program.commands[at(command)];
  const CommandTimes& times = run.commands[at(command)];
  switch (c.kind) {
    case CommandKind::kMatrix:
      of(causes, Cause::kMatrix) = times.end - times.start;
      break;
    case CommandKind::kVector: {
      const Bytes bytes = traffic.of(c, npu.matrix).scratchpad();
      of(causes, Cause::kPort) = configs::vector_cycles(npu, c.vector, bytes).port;
      of(causes, Cause::kVector) = times.end - times.start - of(causes, Cause::kPort);
      break;
    }
    default:
      of(causes, Cause::kDram) = run.dma[at(command)].dram;
      of(causes, Cause::kPort) = run.dma[at(command)].port;
      of(causes, Cause::kDescriptor) = run.dma[at(command)].descriptor;
  }
  return causes;
}

Result account(const Program& program, const configs::NpuConfig& npu, RawRun run) {
  return Accountant(program, npu, std::move(run)).account();
}

}  // namespace spillway::simulator
