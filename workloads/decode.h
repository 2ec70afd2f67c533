// Elements in a file (little-endian, densely packed) to the representations of HostTensor and back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "workloads/graph.h"

namespace spillway::workloads {

/// Zero-filled, with the representation that `type` is held in.
[[nodiscard]] HostTensor make_host_tensor(DataType type, const Shape& shape);

/// Decodes count = bytes.size() / bytes_of(tensor.type) elements into tensor.data from element `first` on.
void decode_elements(std::span<const std::byte> bytes, HostTensor& tensor, std::int64_t first);

/// The elements as a file has them, in the tensor's own type.
[[nodiscard]] std::string encode_elements(const HostTensor& tensor);

}  // namespace spillway::workloads
