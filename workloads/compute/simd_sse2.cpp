#define SPILLWAY_SIMD_BYTES 16
#define SPILLWAY_SIMD_NAME "sse2"
#define SPILLWAY_SIMD_TABLE kSimdSse2
#include "workloads/compute/simd_kernels.h"
