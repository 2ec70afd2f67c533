// Weights in integers: how large the values of each channel are, and the whole tensor encoded where it lies in a
// memory. A network has hundreds of millions of them, so both go through the values in the order they lie in, on all
// cores.
#pragma once

#include <span>
#include <vector>

#include "simulator/functional/memory.h"
#include "simulator/functional/tensor_access.h"
#include "workloads/quantiser.h"

namespace spillway::simulator {

/// A whole tensor's values, row-major, and the channel of each: its "address" under `channels`, below `count`.
struct ChannelValues {
  Box box;
  const float* data = nullptr;
  AddressMap channels;
  std::size_t count = 1;
};

/// A quantiser for each channel. Where all of a channel's values lie on an 8-bit grid already (a quantised export, or
/// weights trained with rounding), that grid (workloads/exact_grid.h); else the symmetric one of its largest magnitude.
/// NaN counts as nothing. `bits`: 8 or 16.
[[nodiscard]] std::vector<workloads::Quantiser> quantisers_by_channel(const ChannelValues& values, int bits);

/// Encodes into `memory` under `map`, in kInt8 or kInt16; returns quantisers_by_channel().
std::vector<workloads::Quantiser> write_by_channel(Memory& memory, const AddressMap& map, configs::Format format,
                                                   partitioner::StorageId storage, const ChannelValues& values);

}  // namespace spillway::simulator
