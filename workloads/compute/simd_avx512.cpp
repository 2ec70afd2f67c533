#define SPILLWAY_SIMD_BYTES 64
#define SPILLWAY_SIMD_NAME "avx512"
#define SPILLWAY_SIMD_TABLE kSimdAvx512
#include "workloads/compute/simd_kernels.h"
