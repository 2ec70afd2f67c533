// The closed forms that the partitioner's cost model and the simulator's engines share: pure functions of the config.
// They are tested against hand-derived cycles, never against each other.
#pragma once

#include <array>
#include <cstdint>

#include "configs/configs.h"

namespace spillway::configs {

/// One matrix command: `batch` independent products of [m, k] by [k, n] (groups of a convolution count as batch).
struct MatrixShape {
  std::int64_t m = 0;  ///< streamed rows
  std::int64_t n = 0;  ///< output columns
  std::int64_t k = 0;  ///< contraction
  std::int64_t batch = 1;
  [[nodiscard]] std::int64_t macs() const { return m * n * k * batch; }
};

/// What the cycles of one matrix command were: useful work, cells idle because a fold is ragged, array fill and drain.
struct MatrixCycles {
  Cycles ideal = 0;    ///< macs / cells, rounded up
  Cycles padding = 0;  ///< ragged folds: streamed cycles beyond ideal
  Cycles fill = 0;     ///< weight preload not hidden, fill and drain of the skew, issue
  [[nodiscard]] Cycles total() const { return ideal + padding + fill; }
};

/// Formats of a product's operands, whichever comes first.
struct ProductFormats {
  Format a = Format::kInt8, b = Format::kInt8;
  /// implicit: both alike.
  ProductFormats(Format both) : a(both), b(both) {}  // NOLINT(google-explicit-constructor)
  ProductFormats(Format first, Format second) : a(first), b(second) {}
};

/// Multiply-accumulates per cell and cycle. The area of a multiplier grows with the product of its operands' widths, so
/// operands of two formats run at the geometric mean of the rates of either (8 by 16 bits: twice the work of 8 by 8,
/// half of that of 16 by 16). 0 if the array does not take one of them.
[[nodiscard]] double product_rate(const MatrixConfig& matrix, ProductFormats operands);
/// Energy of one multiply-accumulate, by the same argument.
[[nodiscard]] double product_pj(const EnergyConfig& energy, ProductFormats operands);

/// Weight-stationary systolic array, R rows by C columns, M rows streamed. A fold costs M + 2R + C - 2 cycles when
/// nothing overlaps (R to preload, M + R + C - 2 to stream and drain; SCALE-Sim, Samajdar et al., ISPASS 2020).
/// With shadow weights the folds of a command follow each other every max(M, R) cycles; only the first preload (R)
/// and the last drain (R + C - 2) show. Formats of lower rate stretch the streamed cycles.
[[nodiscard]] MatrixCycles matrix_cycles(const MatrixConfig& matrix, const MatrixShape& shape, ProductFormats operands);

/// Operations of a vector command by class (one per element and primitive operation).
using VectorWork = std::array<std::int64_t, kVectorOpCount>;

/// issue + the sum over classes of ceil(ops / (lanes * rate)), and not below the scratchpad port's
/// (read + written bytes) / (banks * bank_port_bytes).
struct VectorCycles {
  Cycles compute = 0;
  Cycles port = 0;  ///< scratchpad-port cycles beyond compute
  Cycles issue = 0;
  [[nodiscard]] Cycles total() const { return compute + port + issue; }
};
[[nodiscard]] VectorCycles vector_cycles(const NpuConfig& npu, const VectorWork& work, Bytes scratchpad_bytes);

/// Cycles to move `bytes` over the interconnect without latency, rounded up.
[[nodiscard]] Cycles interconnect_cycles(const InterconnectConfig& interconnect, Bytes bytes);

/// DRAM bytes actually transferred for a run of `bytes` starting at `address`: whole bursts.
[[nodiscard]] Bytes dram_burst_bytes(const DramConfig& dram, std::int64_t address, Bytes bytes);

}  // namespace spillway::configs
