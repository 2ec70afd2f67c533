#define SPILLWAY_NARROW_NAME "avx2"
#define SPILLWAY_NARROW_TABLE kNarrowAvx2
#include "workloads/compute/narrow_kernels.h"
