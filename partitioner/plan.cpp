#include "partitioner/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "configs/error.h"
#include "partitioner/partitioner.h"

namespace spillway::partitioner {

std::string_view name_of(Wish wish) {
  switch (wish) {
    case Wish::kAuto:
      return "auto";
    case Wish::kHold:
      return "hold";
    case Wish::kSpill:
      return "spill";
    case Wish::kRecompute:
      return "recompute";
  }
  internal_error("unknown wish");
}
std::string_view name_of(Strategy strategy) { return strategy == Strategy::kLayerByLayer ? "layer-by-layer" : "fused"; }

std::string_view name_of(Objective objective) {
  switch (objective) {
    case Objective::kLatency:
      return "latency";
    case Objective::kMoves:
      return "moves";
    case Objective::kEnergy:
      return "energy";
    case Objective::kEdp:
      return "edp";
  }
  internal_error("unknown objective");
}

std::string_view name_of(Pipelining pipelining) {
  switch (pipelining) {
    case Pipelining::kNone:
      return "single-buffered";
    case Pipelining::kDouble:
      return "double-buffered";
    case Pipelining::kSoftware:
      return "software-pipelined";
  }
  internal_error("unknown pipelining");
}

Bytes Moves::total() const {
  return std::accumulate(read.begin(), read.end(), Bytes{0}) +
         std::accumulate(written.begin(), written.end(), Bytes{0});
}

Moves& Moves::operator+=(const Moves& other) {
  for (int c = 0; c < kStorageClassCount; ++c) {
    read[c] += other.read[c];
    written[c] += other.written[c];
    read_elements[c] += other.read_elements[c];
    written_elements[c] += other.written_elements[c];
  }
  return *this;
}

std::int64_t least_commands(const Plan& plan) {
  std::int64_t commands = 0;
  for (const Group& group : plan.groups) {
    for (const Stage& stage : group.stages) commands += group.steps * (stage.matrix ? 2 : 1);
  }
  return commands;
}

std::vector<Infeasible::Term> terms_of(const Layout& layout, const std::vector<Buffer>& buffers) {
  std::vector<Infeasible::Term> terms;
  for (const Buffer& buffer : buffers) {
    const Storage& s = layout.storages[buffer.storage];
    std::string window;
    for (int f = 0; f < s.rank; ++f) window += fmt::format("{}{}", f == 0 ? "" : "x", buffer.extent[f]);
    terms.push_back({s.name, buffer.slots * buffer.slot_bytes,
                     fmt::format("{}: {} elements of {} in all", name_of(s.storage_class), window, s.elements())});
  }
  std::stable_sort(terms.begin(), terms.end(), [](const auto& a, const auto& b) { return a.bytes > b.bytes; });
  return terms;
}

}  // namespace spillway::partitioner
