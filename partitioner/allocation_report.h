// How well the addresses of a plan were found: what fragmentation cost, and what each algorithm made of it.
#pragma once

#include <string>
#include <vector>

#include "configs/configs.h"

namespace spillway::partitioner {

struct AllocationReport {
  struct Attempt {
    std::string algorithm;
    configs::Bytes packed_peak = 0;  ///< smallest scratchpad that its placement of the residents would do with
    int colliding_pairs = 0;         ///< of the groups' buffers; 0 where it does not fit
    bool fits = false;
  };
  std::string algorithm;             ///< whose addresses the plan has
  configs::Bytes peak_demand = 0;    ///< most bytes alive in any group: no placement needs less
  configs::Bytes packed_peak = 0;    ///< as in Attempt: buffers packed from the bottom
  configs::Bytes peak_address = 0;   ///< highest end address used: buffers are spread over what is free on purpose
  configs::Bytes fragmentation = 0;  ///< packed_peak - peak_demand
  int colliding_pairs = 0;           ///< neighbours g, g + 1 whose buffers share addresses: loads of g + 1 wait for g
  int unavoidable_pairs = 0;         ///< of them, those whose bytes exceed the scratchpad wherever they lie
  std::vector<Attempt> attempts;     ///< in the order tried
};

}  // namespace spillway::partitioner
