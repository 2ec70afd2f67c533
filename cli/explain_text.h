// Internal: what partitioner/explain.h found, in sentences.
#pragma once

#include <string>

#include "partitioner/explain.h"

namespace spillway::cli {

[[nodiscard]] std::string signed_number(std::int64_t n);  ///< "+1 234"
/// "+1 234 cycles, +5 678 B"
[[nodiscard]] std::string difference_text(const partitioner::Difference& difference);
/// Why a group ends: "with 12 ...".
[[nodiscard]] std::string boundary_text(const partitioner::Boundary& end);
/// Why a tensor is not made again.
[[nodiscard]] std::string remake_text(const partitioner::TensorExplanation& tensor);
/// "matrix 93.1 %, fill and drain 4.2 %": those of at least `least` of the cycles, largest first.
[[nodiscard]] std::string shares_text(const partitioner::CycleShares& shares, double least);

}  // namespace spillway::cli
