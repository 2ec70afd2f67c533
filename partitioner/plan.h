// The Plan: what runs together, in which tiles, and where every tensor lives and when.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "partitioner/allocation_report.h"
#include "partitioner/layout.h"

namespace spillway::partitioner {

using configs::Bytes;
using configs::Cycles;

enum class Strategy : std::uint8_t { kLayerByLayer, kFused };
enum class Objective : std::uint8_t {
  kLatency,
  kMoves,   ///< all DRAM bytes
  kEnergy,  ///< of everything, static power included
  kEdp,     ///< energy times delay
};
inline constexpr std::array kObjectives = {Objective::kLatency, Objective::kMoves, Objective::kEnergy, Objective::kEdp};
[[nodiscard]] std::string_view name_of(Strategy strategy);
[[nodiscard]] std::string_view name_of(Objective objective);

/// Bytes and elements crossing the DRAM interface, by class of storage.
struct Moves {
  std::array<Bytes, kStorageClassCount> read{}, written{};
  std::array<std::int64_t, kStorageClassCount> read_elements{}, written_elements{};
  [[nodiscard]] Bytes of(StorageClass c) const { return read[static_cast<int>(c)] + written[static_cast<int>(c)]; }
  [[nodiscard]] std::int64_t elements_of(StorageClass c) const {
    return read_elements[static_cast<int>(c)] + written_elements[static_cast<int>(c)];
  }
  [[nodiscard]] Bytes total() const;
  Moves& operator+=(const Moves& other);
  bool operator==(const Moves&) const = default;
};

/// One command per tile: a matrix operator with its drain chain, or a chain of vector operators.
struct Stage {
  std::vector<NodeId> nodes;  ///< in execution order; a matrix stage starts with its matrix node
  bool matrix = false;
};

/// A storage's window in the scratchpad while a group runs.
struct Buffer {
  StorageId storage = kNone;
  std::array<std::int32_t, kMaxRank> extent{};  ///< largest region of any tile
  int slots = 1;                                ///< 2: double-buffered
  Bytes slot_bytes = 0;
  Bytes address = 0;
  bool accumulates = false;  ///< statistics: one slot for the group's whole loop
};

/// How a group's commands are interleaved.
enum class Pipelining : std::uint8_t {
  kNone,      ///< single buffers: load, compute, store in turn
  kDouble,    ///< loads and stores of neighbouring tiles overlap with compute
  kSoftware,  ///< as kDouble, and the stages of neighbouring tiles overlap each other
};
[[nodiscard]] std::string_view name_of(Pipelining pipelining);

struct Group {
  std::string name;
  std::vector<Stage> stages;
  StorageId root = kNone;                     ///< the storage whose box the tile loop cuts
  Box region;                                 ///< all of the root; or one of its batch, if the group runs once for each
  std::array<std::int32_t, kMaxRank> tile{};  ///< tile extents over the root's factors
  std::vector<int> loop_order;                ///< factors of the root, outermost loop first
  Pipelining pipelining = Pipelining::kNone;
  std::vector<Buffer> buffers;
  std::vector<StorageId> dropped;  ///< made here and not kept: groups that read them later make them again
  Bytes scratchpad_bytes = 0;      ///< its buffers
  std::int64_t steps = 0;
  Moves moves;        ///< predicted, exact
  Cycles cycles = 0;  ///< predicted by the cost model
};

/// A storage kept in the scratchpad from the group that fills it to the last that reads it there.
struct Residency {
  StorageId storage = kNone;
  Box part;  ///< all of it, or that of the batch which these groups run for
  int first_group = 0, last_group = 0;
  bool stored = false;  ///< goes to DRAM as well, for groups after last_group
  Bytes bytes = 0, address = 0;
};

struct Plan {
  std::string graph;
  Strategy strategy = Strategy::kFused;
  Objective objective = Objective::kLatency;
  Bytes budget = 0;
  Layout layout;
  std::vector<Group> groups;
  std::vector<Residency> residencies;
  Moves moves;
  Cycles cycles = 0;
  Bytes compulsory_bytes = 0;  ///< lower bound of moves, all plans: inputs, outputs and weights once
  Bytes peak_scratchpad = 0;
  AllocationReport allocation;
};

/// A Program of more commands than this has no room in the memory of the machines that Spillway runs on; the largest
/// plans of the zoo come to less than a million.
inline constexpr std::int64_t kMostCommands = std::int64_t{1} << 24;
/// How many it takes at the least: in each step one for each stage, and one that drains a product.
[[nodiscard]] std::int64_t least_commands(const Plan& plan);

/// A graph that cannot run under the budget: a result, not a crash.
struct Infeasible {
  std::string group;             ///< the operator that does not fit
  Bytes demand = 0, budget = 0;  ///< of its smallest tile
  Bytes smallest_budget = 0;     ///< that the whole graph would run under
  struct Term {
    std::string tensor;
    Bytes bytes = 0;
    std::string what;
  };
  std::vector<Term> terms;  ///< the buffers that make up the demand; their bytes add up to it
  std::vector<std::string> levers;
};

/// Buffers as the terms of a demand, largest first.
[[nodiscard]] std::vector<Infeasible::Term> terms_of(const Layout& layout, const std::vector<Buffer>& buffers);

}  // namespace spillway::partitioner
