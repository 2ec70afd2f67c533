#define SPILLWAY_NARROW_NAME "sse2"
#define SPILLWAY_NARROW_TABLE kNarrowSse2
#include "workloads/compute/narrow_kernels.h"
