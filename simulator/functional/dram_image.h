// The DRAM before and after a functional run: graph inputs and constants in, outputs back, by the storages' layouts.
#pragma once

#include "simulator/functional/memory.h"
#include "simulator/functional/storage_formats.h"
#include "simulator/simulator.h"

namespace spillway::simulator {

/// Throws Error(kBadInput) if an input is missing, unknown, or of another shape or kind.
void put_inputs(const partitioner::Program& program, const workloads::TensorMap& inputs, const StorageFormats& formats,
                Memory& dram);
/// Each when it is first needed, if it must be brought into another form; integers get their scales then. If `kept`,
/// they are there again whenever `dram` restarts. All arguments must outlive `dram`'s use.
void put_constants(const partitioner::Program& program, bool kept, StorageFormats& formats, Memory& dram);

/// Throws Error(kInternal) naming an output that nothing has written.
[[nodiscard]] workloads::TensorMap read_outputs(const partitioner::Program& program, const StorageFormats& formats,
                                                const Memory& dram);

}  // namespace spillway::simulator
