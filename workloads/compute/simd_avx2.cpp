#define SPILLWAY_SIMD_BYTES 32
#define SPILLWAY_SIMD_NAME "avx2"
#define SPILLWAY_SIMD_TABLE kSimdAvx2
#include "workloads/compute/simd_kernels.h"
