#include "simulator/interconnect.h"

#include <algorithm>

#include "simulator/dma_transfer.h"

namespace spillway::simulator {

Interconnect::Interconnect(const sc_core::sc_module_name& name, const configs::InterconnectConfig& config)
    : sc_module(name), from_dma("from_dma"), to_dram("to_dram"), to_scratchpad("to_scratchpad"), config_(config) {
  from_dma.register_b_transport(this, &Interconnect::b_transport);
}

void Interconnect::b_transport(int /*id*/, tlm::tlm_generic_payload& transaction, sc_core::sc_time& delay) {
  const Cycles at = now() + cycles_of(delay) + config_.latency_cycles;
  Link& link = transaction.is_read() ? read_ : write_;
  const Cycles fabric_end = link.reserve(at, configs::interconnect_cycles(config_, transaction.get_data_length()));
  delay = ticks(at - now());
  const std::uint64_t address = transaction.get_address();
  if (address >= kScratchpadBase) {
    transaction.set_address(address - kScratchpadBase);
    to_scratchpad->b_transport(transaction, delay);
    transaction.set_address(address);
  } else {
    to_dram->b_transport(transaction, delay);
  }
  transaction.get_extension<TransferInfo>()->fabric_end = fabric_end;
  delay = ticks(std::max(fabric_end, now() + cycles_of(delay)) - now());
}

}  // namespace spillway::simulator
