// What the modules of one simulation share: the Program, the tokens, what is recorded, and who hears of a failure.
#pragma once

#include <exception>
#include <functional>
#include <systemc>

#include "simulator/kernel_traffic.h"
#include "simulator/raw_run.h"
#include "simulator/token_board.h"

namespace spillway::simulator {

/// One simulated cycle is one tick of the SystemC kernel.
[[nodiscard]] inline sc_core::sc_time ticks(Cycles cycles) {
  return sc_core::sc_time::from_value(static_cast<sc_core::sc_time::value_type>(cycles));
}
[[nodiscard]] inline Cycles now() { return static_cast<Cycles>(sc_core::sc_time_stamp().value()); }
[[nodiscard]] inline Cycles cycles_of(const sc_core::sc_time& time) { return static_cast<Cycles>(time.value()); }

struct Machine {
  const partitioner::Program& program;
  const configs::NpuConfig& npu;
  KernelTraffic traffic;
  TokenBoard tokens;
  RawRun run;
  std::function<void(std::int32_t)> completes;  ///< told every command as it completes
  std::int64_t completed = 0;
  std::exception_ptr failure;
  std::function<void(int)> wake;  ///< wakes the engine of a queue

  void complete(int queue) {
    tokens.complete(queue, [this](int engine) { wake(engine); });
  }

  Machine(const partitioner::Program& p, const configs::NpuConfig& n)
      : program(p), npu(n), traffic(p), tokens(p.queues.count()) {
    run.commands.resize(p.commands.size());
    run.order.reserve(p.commands.size());
    run.fetch_cycles.resize(p.commands.size());
    run.dma.resize(p.commands.size());
    run.moves.resize(p.group_names.size());
  }

  /// Runs a process body. Exceptions may not cross the SystemC kernel: they end the simulation and surface after it.
  template <typename Body>
  void guarded(Body body) {
    try {
      body();
    } catch (...) {
      if (!failure) failure = std::current_exception();
      sc_core::sc_stop();
    }
  }
};

}  // namespace spillway::simulator
