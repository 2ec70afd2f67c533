// Between the DMA channels and the memories: one read path and one write path of bytes_per_cycle each, shared by all
// channels in the order of their requests, and a latency that every request spends once. A transfer takes both paths
// at the same time (the DMA cuts through): a load reads from the DRAM while it writes to the scratchpad.
#pragma once

#include <tlm_utils/multi_passthrough_target_socket.h>
#include <tlm_utils/simple_initiator_socket.h>

#include "simulator/link.h"
#include "simulator/machine.h"
#include "simulator/transfer_info.h"

namespace spillway::simulator {

class Interconnect : public sc_core::sc_module {
 public:
  Interconnect(const sc_core::sc_module_name& name, const configs::InterconnectConfig& config);

  tlm_utils::multi_passthrough_target_socket<Interconnect> from_dma;
  tlm_utils::simple_initiator_socket<Interconnect> to_dram, to_scratchpad;

 private:
  void b_transport(int id, tlm::tlm_generic_payload& transaction, sc_core::sc_time& delay);

  configs::InterconnectConfig config_;
  Link read_, write_;
};

}  // namespace spillway::simulator
