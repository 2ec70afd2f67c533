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

/// The scale of each channel by its largest magnitude, where NaN counts as nothing: symmetric.
[[nodiscard]] std::vector<workloads::Quantiser> measure_channels(const ChannelValues& values, int bits);

/// Encodes into `memory` under `map`, in kInt8 or kInt16, by the scales that it returns.
std::vector<workloads::Quantiser> write_by_channel(Memory& memory, const AddressMap& map, configs::Format format,
                                                   partitioner::StorageId storage, const ChannelValues& values);

}  // namespace spillway::simulator
