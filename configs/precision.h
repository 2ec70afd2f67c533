// Number formats of stored elements, and which class of tensor is stored in which.
#pragma once

#include <cstdint>
#include <string_view>

namespace spillway::configs {

/// A storage format in DRAM, scratchpad or accumulators.
enum class Format : std::uint8_t { kInt8, kInt16, kInt32, kFp16, kBf16, kFp8E4M3, kFp8E5M2, kFp32 };
inline constexpr int kFormatCount = 8;

[[nodiscard]] std::int64_t bytes_of(Format format);
[[nodiscard]] std::string_view name_of(Format format);
/// Throws Error(kBadInput) naming the known formats.
[[nodiscard]] Format format_from_name(std::string_view name);

/// The format of each tensor class. Part of the config and of every Program made under it.
struct Precision {
  Format weight = Format::kInt8;        ///< matrix weights and embedding tables
  Format activation = Format::kInt8;    ///< everything an operator produces
  Format accumulator = Format::kInt32;  ///< partial sums
  Format parameter = Format::kFp32;     ///< biases, scales, per-channel constants, normalisation statistics
  Format vector = Format::kFp16;        ///< arithmetic inside the vector engine
  bool operator==(const Precision&) const = default;
};

/// All classes at one format, as `--precision fp32` asks: weights, activations, accumulators and vector arithmetic
/// ("int8": int32 accumulators, fp16 vector; "fp16": fp32 accumulators, fp16 vector; "fp32": fp32 throughout).
[[nodiscard]] Precision uniform_precision(std::string_view name);

}  // namespace spillway::configs
