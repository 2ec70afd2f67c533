// One DMA channel: descriptors become requests on its two sockets.
//
// Requests of all channels reach the interconnect in the order of their time. A channel therefore sends one only when
// nothing else in the simulation can happen before it: it runs ahead of the kernel up to the next pending event
// (temporal decoupling whose quantum is exact), which costs one process activation for many requests.
#pragma once

#include <tlm_utils/simple_initiator_socket.h>

#include "simulator/dma_transfer.h"
#include "simulator/engine.h"
#include "simulator/transfer_info.h"

namespace spillway::simulator {

class DmaEngine : public Engine {
 public:
  DmaEngine(const sc_core::sc_module_name& name, Machine& machine, int queue);
  ~DmaEngine() override;

  /// Both sides of a transfer lead into the interconnect, as the read and write channels of a bus do.
  tlm_utils::simple_initiator_socket<DmaEngine> source, destination;

 private:
  void begin(std::int32_t command) override;
  Step advance() override;
  void end() override;

  void send(const DmaTransfer::Request& request);
  void count_moves(const partitioner::Command& command);

  std::int32_t command_ = partitioner::kNone;
  DmaTransfer transfer_;
  RequestWindow window_;
  tlm::tlm_generic_payload transaction_;
  TransferInfo info_;
};

}  // namespace spillway::simulator
