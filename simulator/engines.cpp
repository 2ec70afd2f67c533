#include "simulator/engines.h"

#include <algorithm>
#include <limits>

namespace spillway::simulator {

ComputeEngine::ComputeEngine(const sc_core::sc_module_name& name, Machine& machine, int queue, int stream)
    : Engine(name, machine, queue), socket("socket") {
  info_.engine = stream;
  transaction_.set_extension(&info_);
  transaction_.set_read();
}

ComputeEngine::~ComputeEngine() { transaction_.clear_extension(&info_); }

void ComputeEngine::begin(std::int32_t command) {
  const partitioner::Command& c = machine_.program.commands[static_cast<std::size_t>(command)];
  const Traffic traffic = machine_.traffic.of(c, machine_.npu.matrix);
  info_.duration = duration(c, traffic);
  end_ = now() + info_.duration;
  constexpr Bytes kLongest = std::numeric_limits<unsigned>::max();  // of a TLM transaction
  transaction_.set_data_length(static_cast<unsigned>(std::min(kLongest, traffic.scratchpad())));
  sc_core::sc_time delay = sc_core::SC_ZERO_TIME;
  socket->b_transport(transaction_, delay);
}

Cycles MatrixEngine::duration(const partitioner::Command& command, const Traffic& /*traffic*/) const {
  return configs::matrix_cycles(machine_.npu.matrix, command.matrix,
                                partitioner::operand_formats(machine_.program, command))
      .total();
}

Cycles VectorEngine::duration(const partitioner::Command& command, const Traffic& traffic) const {
  return configs::vector_cycles(machine_.npu, command.vector, traffic.scratchpad()).total();
}

}  // namespace spillway::simulator
