// Published figures, shown beside ours. Source of all rows: an NPU vendor's engineering article on on-device Stable
// Diffusion, "Considerations for accelerating on-device Stable Diffusion models"; it quotes its figures for 8 MB of
// SRAM and one byte per element and does not define how they are counted.
#include <fmt/format.h>

#include <array>

#include "reports/format.h"
#include "reports/reports.h"

namespace spillway::reports {

namespace {

struct Published {
  // What makes a graph this graph.
  std::int64_t parameters;
  std::int64_t macs;
  // What the article says; 0 where it says nothing.
  double weight_moves;
  double activation_moves;
  double working_buffer;
};

constexpr std::array<Published, 3> kPublished{{
    {123060480, 6649251840, 85.9e6, 0, 11.0e6},  // text encoder, 77 tokens
    {34163664, 558329233408, 0, 1.7e9, 78e6},    // VAE encoder, 512x512
    {49490199, 1257259466752, 0, 3.6e9, 133e6},  // VAE decoder, 512x512
}};

std::string beside(const char* what, double ours, double published, const char* unit) {
  return fmt::format("{}: ours {}, published {} ({:+.1f} %)", what, si(ours, unit), si(published, unit),
                     (ours - published) / published * 100);
}

}  // namespace

std::vector<std::string> published_notes(const GraphProfile& profile, const configs::NpuConfig& npu) {
  const bool setting = npu.scratchpad.size == configs::Bytes{8} << 20 && configs::bytes_of(npu.precision.weight) == 1 &&
                       configs::bytes_of(npu.precision.activation) == 1 &&
                       profile.plan.strategy == partitioner::Strategy::kLayerByLayer;
  if (!setting) return {};
  const auto& moves = profile.result.moves;
  for (const Published& row : kPublished) {
    if (row.parameters != profile.statistics.parameters || row.macs != profile.statistics.macs_total) continue;
    std::vector<std::string> notes;
    if (row.weight_moves > 0) {
      notes.push_back(beside("weight moves", static_cast<double>(moves.of(partitioner::StorageClass::kWeight)),
                             row.weight_moves, "B"));
      notes.emplace_back(
          "  the article counts the matrix weights; ours adds the embedding rows that are read and any weight re-read");
    }
    if (row.activation_moves > 0) {
      notes.push_back(beside("activation moves", static_cast<double>(moves.of(partitioner::StorageClass::kActivation)),
                             row.activation_moves, "B"));
      notes.emplace_back(
          "  the article defines neither its primitives nor what stays on chip; ours keeps a tensor that fits beside "
          "its");
      notes.emplace_back(
          "  consumer's output and buffers, joins normalisation with its activation (two reads, one write), and "
          "counts");
      notes.emplace_back("  statistics and parameters apart");
    }
    notes.push_back(fmt::format("working buffer: ours {}, published {}; the article does not define it (context only)",
                                si(static_cast<double>(profile.result.working_buffer), "B"),
                                si(row.working_buffer, "B")));
    return notes;
  }
  return {};
}

}  // namespace spillway::reports
