#define SPILLWAY_SIMD_BYTES 64
#define SPILLWAY_SIMD_NAME "avx512"
#define SPILLWAY_SIMD_TABLE kSimdAvx512
#include "workloads/cpu/simd_kernels.h"
