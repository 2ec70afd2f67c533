// The TLM targets: DRAM and scratchpad. Thin shells around DramTiming and ScratchpadPort.
//
// Loosely timed, blocking transport: the caller's `delay` says when the request leaves it, and comes back as when it is
// complete. A memory keeps its own timeline; requests are served in the order of the calls, which is their order in
// time (DmaEngine).
#pragma once

#include <tlm_utils/multi_passthrough_target_socket.h>
#include <tlm_utils/simple_target_socket.h>

#include "simulator/dram_timing.h"
#include "simulator/machine.h"
#include "simulator/scratchpad_port.h"
#include "simulator/transfer_info.h"

namespace spillway::simulator {

class Dram : public sc_core::sc_module {
 public:
  Dram(const sc_core::sc_module_name& name, const configs::NpuConfig& npu);

  tlm_utils::simple_target_socket<Dram> socket;
  [[nodiscard]] DramUse use() const { return timing_.use(); }

 private:
  void b_transport(tlm::tlm_generic_payload& transaction, sc_core::sc_time& delay);

  DramTiming timing_;
  std::uint64_t size_ = 0;
};

class Scratchpad : public sc_core::sc_module {
 public:
  Scratchpad(const sc_core::sc_module_name& name, const configs::NpuConfig& npu, int engines);

  /// The interconnect and every matrix and vector engine.
  tlm_utils::multi_passthrough_target_socket<Scratchpad> socket;

 private:
  void b_transport(int id, tlm::tlm_generic_payload& transaction, sc_core::sc_time& delay);

  ScratchpadPort port_;
  std::uint64_t size_ = 0;
};

}  // namespace spillway::simulator
