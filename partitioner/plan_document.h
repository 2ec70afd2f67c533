// A saved Plan as a document: everything by name, so that it can be read, compared and printed without the graph or the
// NPU that it was made for. plan_io.h turns a Plan into one and back.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "partitioner/plan.h"

namespace spillway::partitioner {

/// Of the text; a reader refuses any other, and keys that it does not know: they might change what the plan does.
inline constexpr int kPlanSchemaVersion = 1;

/// Names are labels (plan_io.h): those of the graph, made unique and printable.
struct PlanDocument {
  struct Tensor {
    std::string name;
    StorageClass storage_class = StorageClass::kActivation;
    Bytes bytes = 0;
    bool is_input = false;   ///< graph input or constant
    bool is_output = false;  ///< must be in DRAM in the end
  };
  struct Buffer {
    std::string storage;
    std::vector<std::int64_t> extent;
    std::int64_t slots = 1;
    Bytes slot_bytes = 0, address = 0;
    bool accumulates = false;
    bool operator==(const Buffer&) const = default;
  };
  /// Bytes of one storage that a group moves over the DRAM interface.
  struct Traffic {
    std::string storage;
    Bytes read = 0, written = 0;
    bool operator==(const Traffic&) const = default;
  };
  struct Group {
    std::string name;
    std::vector<std::vector<std::string>> stages;  ///< operators of each, in execution order
    std::string root;
    std::vector<std::pair<std::int64_t, std::int64_t>> region;  ///< by factor of the root: begin, extent
    std::vector<std::int64_t> tile, loop_order;
    Pipelining pipelining = Pipelining::kNone;
    std::vector<Buffer> buffers;
    std::vector<std::string> dropped;
    Bytes scratchpad_bytes = 0;
    std::int64_t steps = 0;
    Moves moves;
    Cycles cycles = 0;
    std::vector<Traffic> traffic;  ///< adds up to `moves`
  };
  struct Residency {
    std::string storage;
    std::vector<std::pair<std::int64_t, std::int64_t>> part;  ///< by factor: begin, extent
    std::int64_t first_group = 0, last_group = 0;
    bool stored = false;
    Bytes bytes = 0, address = 0;
  };

  std::string graph;                                        ///< its name
  workloads::KeyBlocks key_blocks;                          ///< attentions cut before anything else (key_blocks.h)
  std::int64_t operators = 0;                               ///< nodes of the canonical graph, thus cut
  std::string graph_fingerprint;                            ///< of operators, shapes and attributes
  std::string npu;                                          ///< name of the config
  std::vector<std::pair<std::string, std::string>> config;  ///< every resolved value that matters, in config order
  double dram_bytes_per_cycle = 0;                          ///< peak
  Strategy strategy = Strategy::kFused;
  Objective objective = Objective::kLatency;
  Bytes budget = 0;
  std::vector<Tensor> tensors;  ///< every storage that the rest names
  std::vector<Group> groups;
  std::vector<Residency> residencies;
  Moves moves;
  Cycles cycles = 0;
  Bytes compulsory_bytes = 0, peak_scratchpad = 0;
  AllocationReport allocation;
};

/// One group in a few lines, one residency and one tensor a line: two texts diff cleanly.
[[nodiscard]] std::string to_json(const PlanDocument& document);

/// `place` names the file. Checks everything that needs neither graph nor NPU: types, ranges, that names refer to
/// `tensors`, that the parts add up to the totals. Throws Error(kBadInput) naming file and key.
[[nodiscard]] PlanDocument parse_plan_document(std::string_view text, const Place& place);

}  // namespace spillway::partitioner
