#include "workloads/compute/narrow.h"

#include <array>

#include "workloads/compute/simd.h"
#include "workloads/number_formats.h"

namespace spillway::workloads::compute {

namespace {

std::array<float, 256> values_of(Float8 format) {
  std::array<float, 256> values{};
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = float_from_float8(format, static_cast<std::uint8_t>(i));
  return values;
}

}  // namespace

const Narrow& narrow_at(int i) { return i == 0 ? kNarrowSse2 : i == 1 ? kNarrowAvx2 : kNarrowAvx512; }

const Narrow& narrow() {
  static const Narrow& best = narrow_at(simd_count() - 1);
  return best;
}

const float* e4m3_values() {
  static const std::array<float, 256> values = values_of(kE4M3);
  return values.data();
}

const float* e5m2_values() {
  static const std::array<float, 256> values = values_of(kE5M2);
  return values.data();
}

}  // namespace spillway::workloads::compute
