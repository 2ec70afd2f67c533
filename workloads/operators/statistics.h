// Partial normalisation statistics and how they merge.
#pragma once

#include <cstdint>

namespace spillway::workloads {

/// Merges the mean and the sum of squared deviations of `count` more elements into those of `prior` elements:
/// M2 = M2a + M2b + (mean_b - mean_a)^2 na nb / (na + nb)   (Chan, Golub and LeVeque 1979).
/// Both point at {mean, M2}. With prior 0 the partial result is taken over; with count 0 nothing changes.
void merge_statistics(float* mean_m2, std::int64_t prior, const float* partial, std::int64_t count);

}  // namespace spillway::workloads
