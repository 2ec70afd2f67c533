// The .npy format in memory, for .npy files and the archives of them.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "workloads/graph.h"

namespace spillway::workloads {

/// Throws Error(kBadInput) without a place.
[[nodiscard]] HostTensor parse_npy(std::span<const std::byte> bytes);
/// Header and elements; 16-bit floats are widened.
[[nodiscard]] std::string npy_bytes(const HostTensor& tensor);

}  // namespace spillway::workloads
