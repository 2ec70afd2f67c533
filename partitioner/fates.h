// What became of every tensor that later groups read, and what the alternatives would have cost.
#pragma once

#include <string>
#include <vector>

#include "partitioner/partitioner.h"

namespace spillway::partitioner {

enum class Fate : std::uint8_t {
  kHold,       ///< in the scratchpad until its last reader; never in DRAM
  kHoldFirst,  ///< in the scratchpad for the readers close by, in DRAM for the others
  kSpill,      ///< stored, and loaded by each group that reads it
  kRecompute,  ///< dropped, and made again by those who read it
};
[[nodiscard]] std::string_view name_of(Fate fate);

/// A computed tensor of more than 16 KiB whose life spans groups.
struct TensorFate {
  StorageId storage = kNone;
  std::string name;
  bool skip = false;  ///< read again after operators that depend on it have run
  Bytes bytes = 0;
  int first_group = 0, last_group = 0;
  Cycles lifetime = 0;  ///< predicted, from the start of the first group to the end of the last
  Fate fate = Fate::kSpill;
  Bytes read = 0, written = 0;  ///< over the DRAM interface, of this tensor
};

/// Largest first; of equal ones the earlier.
[[nodiscard]] std::vector<TensorFate> fates_of(const Graph& graph, const configs::NpuConfig& npu, const Plan& plan);

/// A plan with one tensor's fate wished otherwise and everything else chosen anew, against the plan as it is.
struct Alternative {
  Wish wish = Wish::kAuto;
  bool possible = false;
  std::string why_not;
  Bytes moved = 0;  ///< the differences may be negative
  Bytes weight_moves = 0;
  std::int64_t macs = 0;
  Cycles cycles = 0;
  double energy_pj = 0;  ///< predicted (energy.h)
};

/// Hold, spill and recompute, each tried by planning anew.
[[nodiscard]] std::vector<Alternative> alternatives_of(const Graph& graph, const configs::NpuConfig& npu,
                                                       const Options& options, const Plan& plan,
                                                       const TensorFate& tensor);

/// Multiply-accumulates of the plan's groups, recomputed ones included.
[[nodiscard]] std::int64_t macs_of(const Graph& graph, const configs::NpuConfig& npu, const Plan& plan);

}  // namespace spillway::partitioner
