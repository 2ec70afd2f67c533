#include "simulator/dma_engine.h"

#include <algorithm>
#include <limits>

namespace spillway::simulator {

using partitioner::CommandKind;
using partitioner::Operand;

DmaEngine::DmaEngine(const sc_core::sc_module_name& name, Machine& machine, int queue)
    : Engine(name, machine, queue), source("source"), destination("destination"), window_(machine.npu.dma.outstanding) {
  transaction_.set_extension(&info_);
}

DmaEngine::~DmaEngine() { transaction_.clear_extension(&info_); }

void DmaEngine::begin(std::int32_t command) {
  command_ = command;
  transfer_ = DmaTransfer(machine_.program, machine_.program.commands[static_cast<std::size_t>(command)],
                          machine_.npu.dma.max_burst);
  window_.begin(now(), machine_.npu.dma.descriptor_cycles, machine_.npu.interconnect.latency_cycles);
}

Engine::Step DmaEngine::advance() {
  const Cycles here = now();
  constexpr auto kNever = static_cast<std::uint64_t>(std::numeric_limits<Cycles>::max() / 2);
  const std::uint64_t quiet = sc_core::sc_time_to_pending_activity(sc_core::sc_get_curr_simcontext()).value();
  const Cycles horizon = here + static_cast<Cycles>(std::min(quiet, kNever));
  while (!transfer_.done()) {
    const Cycles at = window_.next_issue();
    if (at > here && at >= horizon) return {at, false};
    // Short runs go out together, as much as one long request would: a memory controller collects requests of one
    // direction before it turns the bus around.
    for (Bytes sent = 0; sent < machine_.npu.dma.max_burst && !transfer_.done();) {
      const DmaTransfer::Request request = transfer_.next();
      send(request);
      sent += request.bytes;
    }
  }
  return {window_.end(), true};
}

/// Both sides at once: data go to the destination as they come from the source.
void DmaEngine::send(const DmaTransfer::Request& request) {
  const Cycles at = window_.next_issue() - now();
  Cycles end = 0, dram = 0;
  for (const bool write : {false, true}) {
    const std::uint64_t address = write ? request.destination : request.source;
    transaction_.set_command(write ? tlm::TLM_WRITE_COMMAND : tlm::TLM_READ_COMMAND);
    transaction_.set_address(address);
    transaction_.set_data_length(static_cast<unsigned>(request.bytes));
    transaction_.set_response_status(tlm::TLM_INCOMPLETE_RESPONSE);
    sc_core::sc_time delay = ticks(at);
    auto& socket = write ? destination : source;
    socket->b_transport(transaction_, delay);
    if (!transaction_.is_response_ok()) {
      internal_error("command " + std::to_string(command_) + ": address " + std::to_string(address) +
                     " is in no memory");
    }
    end = std::max(end, now() + cycles_of(delay));
    if (address < kScratchpadBase) {
      dram = info_.memory_end;
      machine_.run.dma[static_cast<std::size_t>(command_)].burst_bytes +=
          configs::dram_burst_bytes(machine_.npu.dram, static_cast<std::int64_t>(address), request.bytes);
    }
  }
  window_.retire(end, dram >= end);
}

void DmaEngine::end() {
  DmaRecord& record = machine_.run.dma[static_cast<std::size_t>(command_)];
  const Bytes burst_bytes = record.burst_bytes;
  record = window_.record();
  record.burst_bytes = burst_bytes;
  count_moves(machine_.program.commands[static_cast<std::size_t>(command_)]);
}

/// Elements and their bytes, not rounded to bursts: what the Plan predicts.
void DmaEngine::count_moves(const partitioner::Command& command) {
  if (command.kind == CommandKind::kCopy) return;
  const auto operands = machine_.program.operands(command);
  const bool gather = command.kind == CommandKind::kGather;
  const bool store = command.kind == CommandKind::kStore;
  const Operand& in_dram = operands[gather || store ? 1 : 0];
  const std::int64_t elements = gather ? operands[2].box.elements() : in_dram.box.elements();
  const auto& storage = machine_.program.layout.storages[static_cast<std::size_t>(in_dram.storage)];
  const auto c = static_cast<std::size_t>(storage.storage_class);
  partitioner::Moves& moves = machine_.run.moves[static_cast<std::size_t>(command.group)];
  (store ? moves.written : moves.read)[c] += elements * in_dram.element_bytes();
  (store ? moves.written_elements : moves.read_elements)[c] += elements;
}

}  // namespace spillway::simulator
