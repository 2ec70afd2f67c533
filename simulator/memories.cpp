#include "simulator/memories.h"

#include <algorithm>
#include <cmath>

namespace spillway::simulator {

namespace {

bool in_bounds(tlm::tlm_generic_payload& transaction, std::uint64_t size) {
  const std::uint64_t address = transaction.get_address();
  const bool inside = address <= size && transaction.get_data_length() <= size - address;
  transaction.set_response_status(inside ? tlm::TLM_OK_RESPONSE : tlm::TLM_ADDRESS_ERROR_RESPONSE);
  return inside;
}

/// A fraction of a cycle left over delays to the next edge; what rounding made of an exact cycle does not.
Cycles next_edge(double time) { return static_cast<Cycles>(std::ceil(time - 1e-6)); }

}  // namespace

Dram::Dram(const sc_core::sc_module_name& name, const configs::NpuConfig& npu)
    : sc_module(name),
      socket("socket"),
      timing_(npu.dram, npu.clock_hz),
      size_(static_cast<std::uint64_t>(npu.dram.size)) {
  socket.register_b_transport(this, &Dram::b_transport);
}

void Dram::b_transport(tlm::tlm_generic_payload& transaction, sc_core::sc_time& delay) {
  if (!in_bounds(transaction, size_)) return;
  const Cycles arrival = now() + cycles_of(delay);
  const double end = timing_.serve(static_cast<double>(arrival), static_cast<std::int64_t>(transaction.get_address()),
                                   transaction.get_data_length(), transaction.is_write());
  const Cycles done = std::max(arrival, next_edge(end));
  transaction.get_extension<TransferInfo>()->memory_end = done;
  delay = ticks(done - now());
}

Scratchpad::Scratchpad(const sc_core::sc_module_name& name, const configs::NpuConfig& npu, int engines)
    : sc_module(name),
      socket("socket"),
      port_(npu.scratchpad, engines),
      size_(static_cast<std::uint64_t>(npu.scratchpad.size)) {
  socket.register_b_transport(this, &Scratchpad::b_transport);
}

void Scratchpad::b_transport(int /*id*/, tlm::tlm_generic_payload& transaction, sc_core::sc_time& delay) {
  auto& info = *transaction.get_extension<TransferInfo>();
  const Cycles at = now() + cycles_of(delay);
  if (info.engine >= 0) {
    port_.stream(info.engine, at, at + info.duration, transaction.get_data_length());
    transaction.set_response_status(tlm::TLM_OK_RESPONSE);
    return;
  }
  if (!in_bounds(transaction, size_)) return;
  info.memory_end = port_.access(at, transaction.get_data_length());
  delay = ticks(info.memory_end - now());
}

}  // namespace spillway::simulator
