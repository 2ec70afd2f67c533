#include "simulator/npu_system.h"

#include <ctime>
#include <memory>
#include <string>

#include "simulator/command_processor.h"
#include "simulator/dma_engine.h"
#include "simulator/engines.h"
#include "simulator/interconnect.h"
#include "simulator/memories.h"

namespace spillway::simulator {

namespace {

class NpuSystem {
 public:
  explicit NpuSystem(Machine& machine)
      : dram_("dram", machine.npu),
        scratchpad_("scratchpad", machine.npu, machine.program.queues.matrix + machine.program.queues.vector),
        interconnect_("interconnect", machine.npu.interconnect) {
    const partitioner::Queues& queues = machine.program.queues;
    interconnect_.to_dram.bind(dram_.socket);
    interconnect_.to_scratchpad.bind(scratchpad_.socket);
    for (int i = 0; i < queues.dma; ++i) {
      auto dma = std::make_unique<DmaEngine>(name("dma", i).c_str(), machine, i);
      dma->source.bind(interconnect_.from_dma);
      dma->destination.bind(interconnect_.from_dma);
      engines_.push_back(std::move(dma));
    }
    for (int i = 0; i < queues.matrix; ++i) {
      add(std::make_unique<MatrixEngine>(name("matrix", i).c_str(), machine, queues.first_matrix() + i, i));
    }
    for (int i = 0; i < queues.vector; ++i) {
      add(std::make_unique<VectorEngine>(name("vector", i).c_str(), machine, queues.first_vector() + i,
                                         queues.matrix + i));
    }
    std::vector<Engine*> engines;
    for (const auto& engine : engines_) engines.push_back(engine.get());
    machine.wake = [engines](int queue) { engines[static_cast<std::size_t>(queue)]->wake(); };
    processor_ = std::make_unique<CommandProcessor>("command_processor", machine, engines);
  }

  [[nodiscard]] DramUse dram_use() const { return dram_.use(); }

 private:
  static std::string name(const char* kind, int i) { return kind + std::to_string(i); }

  void add(std::unique_ptr<ComputeEngine> engine) {
    engine->socket.bind(scratchpad_.socket);
    engines_.push_back(std::move(engine));
  }

  Dram dram_;
  Scratchpad scratchpad_;
  Interconnect interconnect_;
  std::vector<std::unique_ptr<Engine>> engines_;  // by queue
  std::unique_ptr<CommandProcessor> processor_;
};

/// "command 17 (matrix, group 'conv_in') waits for 5 completions of queue 0, which completes 3".
[[noreturn]] void dead_lock(const Machine& machine) {
  const partitioner::Program& program = machine.program;
  std::vector<std::int32_t> seen(static_cast<std::size_t>(program.queues.count()), 0);
  for (std::size_t c = 0; c < program.commands.size(); ++c) {
    const partitioner::Command& command = program.commands[c];
    if (seen[static_cast<std::size_t>(command.queue)]++ < machine.tokens.completed(command.queue)) continue;
    const partitioner::Wait* wait = machine.tokens.first_unmet(program.waits(command));
    if (wait == nullptr) continue;
    throw Error(ErrorKind::kInternal, Place{},
                "the program dead-locks: command " + std::to_string(c) + " (" + std::string(name_of(command.kind)) +
                    " of group '" + program.group_names[static_cast<std::size_t>(command.group)] + "') waits for " +
                    std::to_string(wait->count) + " completions of queue " + std::to_string(wait->queue) +
                    ", which has completed " + std::to_string(machine.tokens.completed(wait->queue)));
  }
  internal_error("the simulation stopped before the program was complete");
}

double cpu_seconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

}  // namespace

RawRun run_npu(const partitioner::Program& program, const configs::NpuConfig& npu,
               const std::function<void(std::int32_t)>& completes) {
  const double started = cpu_seconds();
  // The library does not print: reports of severity error and above are thrown, others dropped.
  for (const auto severity : {sc_core::SC_INFO, sc_core::SC_WARNING}) {
    sc_core::sc_report_handler::set_actions(severity, sc_core::SC_DO_NOTHING);
  }
  for (const auto severity : {sc_core::SC_ERROR, sc_core::SC_FATAL}) {
    sc_core::sc_report_handler::set_actions(severity, sc_core::SC_THROW);
  }
  Machine machine(program, npu);
  machine.completes = completes;
  const NpuSystem system(machine);
  sc_core::sc_start();
  if (machine.failure) std::rethrow_exception(machine.failure);
  if (machine.completed != static_cast<std::int64_t>(program.commands.size())) dead_lock(machine);
  machine.run.dram = system.dram_use();
  machine.run.cpu_seconds = cpu_seconds() - started;
  return std::move(machine.run);
}

}  // namespace spillway::simulator

// libsystemc has a main() of its own that calls this. Ours never calls it: each simulation elaborates by itself.
int sc_main(int /*argc*/, char* /*argv*/[]) { return 1; }
