#define SPILLWAY_NARROW_NAME "avx512"
#define SPILLWAY_NARROW_TABLE kNarrowAvx512
#include "workloads/compute/narrow_kernels.h"
