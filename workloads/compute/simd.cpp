#include "workloads/compute/simd.h"

namespace spillway::workloads::compute {

int simd_count() {
  if (__builtin_cpu_supports("avx2") == 0 || __builtin_cpu_supports("fma") == 0) return 1;
  return __builtin_cpu_supports("avx512f") != 0 ? 3 : 2;
}

const Simd& simd_at(int i) { return i == 0 ? kSimdSse2 : i == 1 ? kSimdAvx2 : kSimdAvx512; }

const Simd& simd() {
  static const Simd& best = simd_at(simd_count() - 1);
  return best;
}

}  // namespace spillway::workloads::compute
