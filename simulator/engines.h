// The engines' shells: matrix and vector commands take what configs/timing.h says.
#pragma once

#include <tlm_utils/simple_initiator_socket.h>

#include "simulator/engine.h"
#include "simulator/transfer_info.h"

namespace spillway::simulator {

/// A command that runs for a time known at its start while it streams through the scratchpad port.
class ComputeEngine : public Engine {
 public:
  ~ComputeEngine() override;

  tlm_utils::simple_initiator_socket<ComputeEngine> socket;

 protected:
  /// `stream`: this engine's index among those that stream through the scratchpad port.
  ComputeEngine(const sc_core::sc_module_name& name, Machine& machine, int queue, int stream);

  [[nodiscard]] virtual Cycles duration(const partitioner::Command& command, const Traffic& traffic) const = 0;

 private:
  void begin(std::int32_t command) override;
  Step advance() override { return {end_, true}; }

  Cycles end_ = 0;
  tlm::tlm_generic_payload transaction_;
  TransferInfo info_;
};

class MatrixEngine : public ComputeEngine {
 public:
  MatrixEngine(const sc_core::sc_module_name& name, Machine& machine, int queue, int stream)
      : ComputeEngine(name, machine, queue, stream) {}

 private:
  [[nodiscard]] Cycles duration(const partitioner::Command& command, const Traffic& traffic) const override;
};

class VectorEngine : public ComputeEngine {
 public:
  VectorEngine(const sc_core::sc_module_name& name, Machine& machine, int queue, int stream)
      : ComputeEngine(name, machine, queue, stream) {}

 private:
  [[nodiscard]] Cycles duration(const partitioner::Command& command, const Traffic& traffic) const override;
};

}  // namespace spillway::simulator
