#include "configs/timing.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace spillway::configs {
namespace {

/// Rates are whole multiples of 1/kRateUnit, so that cycles are exact integers: every decimal of four digits, halves
/// down to 1/64, thirds, sevenths and ninths are represented exactly.
constexpr std::int64_t kRateUnit = 2'520'000;

using Wide = __int128;  // macs * kRateUnit passes 2^63

std::int64_t units_of(double rate, const char* what) {
  const std::int64_t units = std::llround(rate * static_cast<double>(kRateUnit));
  if (units <= 0) internal_error(std::string(what) + " has no rate for the work it was given");
  return units;
}

/// ceil(work / (cells * rate)) without rounding error.
std::int64_t cycles_at_rate(Wide work, Wide cells, std::int64_t rate_units) {
  const Wide numerator = work * kRateUnit;
  const Wide denominator = cells * rate_units;
  constexpr Wide kNarrow = INT64_MAX;
  if (numerator <= kNarrow - denominator) {  // the common case spares the slow 128-bit division
    const auto n = static_cast<std::int64_t>(numerator);
    const auto d = static_cast<std::int64_t>(denominator);
    return (n + d - 1) / d;
  }
  return static_cast<std::int64_t>((numerator + denominator - 1) / denominator);
}

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return a / b + (a % b != 0 ? 1 : 0); }

}  // namespace

namespace {

double mean_of(const std::array<double, kFormatCount>& by_format, ProductFormats operands) {
  const double a = by_format[static_cast<std::size_t>(operands.a)];
  const double b = by_format[static_cast<std::size_t>(operands.b)];
  return a == b ? a : std::sqrt(a * b);
}

}  // namespace

double product_rate(const MatrixConfig& matrix, ProductFormats operands) { return mean_of(matrix.rate, operands); }

double product_pj(const EnergyConfig& energy, ProductFormats operands) { return mean_of(energy.mac_pj, operands); }

MatrixCycles matrix_cycles(const MatrixConfig& matrix, const MatrixShape& shape, ProductFormats operands) {
  MatrixCycles cycles;
  cycles.fill = matrix.issue_cycles;
  if (shape.m <= 0 || shape.n <= 0 || shape.k <= 0 || shape.batch <= 0) return cycles;

  const std::int64_t rows = matrix.rows;
  const std::int64_t cols = matrix.cols;
  const std::int64_t rate = units_of(product_rate(matrix, operands), "the matrix engine");
  const std::int64_t folds = ceil_div(shape.k, rows) * ceil_div(shape.n, cols) * shape.batch;
  const Cycles stream = cycles_at_rate(shape.m, 1, rate);  // of one fold
  const Cycles streamed = folds * stream;

  const Cycles preload = rows;
  const Cycles drain = rows + cols - 2;
  const Cycles total =
      matrix.shadow_weights ? preload + folds * std::max(stream, preload) + drain : folds * (preload + stream + drain);

  cycles.ideal = cycles_at_rate(Wide{shape.m} * shape.n * shape.k * shape.batch, Wide{rows} * cols, rate);
  cycles.padding = streamed - cycles.ideal;
  cycles.fill += total - streamed;
  return cycles;
}

VectorCycles vector_cycles(const NpuConfig& npu, const VectorWork& work, Bytes scratchpad_bytes) {
  VectorCycles cycles;
  cycles.issue = npu.vector.issue_cycles;
  for (std::size_t op = 0; op < work.size(); ++op) {
    if (work[op] <= 0) continue;
    cycles.compute += cycles_at_rate(work[op], npu.vector.lanes, units_of(npu.vector.rate[op], "the vector engine"));
  }
  const Bytes port_bytes = npu.scratchpad.banks * npu.scratchpad.bank_port_bytes;
  cycles.port = std::max<Cycles>(0, ceil_div(std::max<Bytes>(0, scratchpad_bytes), port_bytes) - cycles.compute);
  return cycles;
}

Cycles interconnect_cycles(const InterconnectConfig& interconnect, Bytes bytes) {
  return bytes <= 0 ? 0 : ceil_div(bytes, interconnect.bytes_per_cycle);
}

Bytes dram_burst_bytes(const DramConfig& dram, std::int64_t address, Bytes bytes) {
  if (bytes <= 0) return 0;
  const Bytes burst = Bytes{dram.channel_bits} / 8 * dram.burst_length;
  const std::int64_t first = address / burst;
  const std::int64_t last = (address + bytes - 1) / burst;
  return (last - first + 1) * burst;
}

}  // namespace spillway::configs
