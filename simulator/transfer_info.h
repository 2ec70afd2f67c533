// What travels with a TLM transaction besides address and length. No payload does: time is modelled apart from data.
#pragma once

#include <tlm>

#include "configs/configs.h"

namespace spillway::simulator {

struct TransferInfo : tlm::tlm_extension<TransferInfo> {
  // in: a matrix or vector command streaming through the scratchpad port (else a DMA request)
  int engine = -1;
  configs::Cycles duration = 0;
  // out: when the target and the interconnect were done with the request, absolute
  configs::Cycles memory_end = 0;
  configs::Cycles fabric_end = 0;

  [[nodiscard]] tlm_extension_base* clone() const override { return new TransferInfo(*this); }
  void copy_from(const tlm_extension_base& other) override { *this = static_cast<const TransferInfo&>(other); }
};

}  // namespace spillway::simulator
