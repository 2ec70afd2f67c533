// Counter-based random numbers: element i of stream s without its neighbours, the same on every machine.
#pragma once

#include <cstdint>

namespace spillway::workloads {

/// The output function of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): a bijection that passes BigCrush on
/// counters.
[[nodiscard]] constexpr std::uint64_t mix64(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31);
}

/// Element `index` of the SplitMix64 stream that starts at a hash of `seed` (hashed, so that nearby seeds do not share
/// elements).
[[nodiscard]] constexpr std::uint64_t random_bits(std::uint64_t seed, std::uint64_t index) {
  constexpr std::uint64_t kGolden = 0x9E3779B97F4A7C15ULL;
  return mix64(mix64(seed + kGolden) + (index + 1) * kGolden);
}

/// Uniform in [0, 1), a multiple of 2^-24.
[[nodiscard]] constexpr float random_unit(std::uint64_t seed, std::uint64_t index) {
  return static_cast<float>(random_bits(seed, index) >> 40) * 0x1p-24F;
}

}  // namespace spillway::workloads
