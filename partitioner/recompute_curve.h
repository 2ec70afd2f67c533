// What moves once operators may run again: the curve of moves against extra operations.
#pragma once

#include <vector>

#include "partitioner/partitioner.h"

namespace spillway::partitioner {

struct CurvePoint {
  double limit = 0;       ///< share of the graph's MACs that recomputing whole tensors might have added
  int recomputed = 0;     ///< tensors dropped and made again
  std::int64_t macs = 0;  ///< executed: those of overlapping tiles (halos) too
  Moves moves;
  Cycles cycles = 0;     ///< predicted
  double energy_pj = 0;  ///< predicted
};

/// One plan for each limit, by `options` otherwise. A plan for a lower limit is one for a higher, too: where the search
/// finds nothing better for the higher it stands again. Empty where nothing fits.
[[nodiscard]] std::vector<CurvePoint> recompute_curve(const Graph& graph, const configs::NpuConfig& npu,
                                                      const Options& options);

}  // namespace spillway::partitioner
