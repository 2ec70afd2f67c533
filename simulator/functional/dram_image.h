// The DRAM before and after a functional run: graph inputs and constants in, outputs back, by the storages' layouts.
#pragma once

#include "simulator/functional/memory.h"
#include "simulator/functional/storage_formats.h"
#include "simulator/simulator.h"

namespace spillway::simulator {

/// Throws Error(kBadInput) if an input is missing, unknown, or of another shape or kind, or if weights are missing.
/// Constants that are held in integers get their scales here.
void fill_dram(const partitioner::Program& program, const workloads::TensorMap& inputs, StorageFormats& formats,
               Memory& dram);

/// Throws Error(kInternal) naming an output that nothing has written.
[[nodiscard]] workloads::TensorMap read_outputs(const partitioner::Program& program, const StorageFormats& formats,
                                                const Memory& dram);

}  // namespace spillway::simulator
