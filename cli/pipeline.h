// Prompt to image: how often each graph of a target runs.
#pragma once

#include <optional>
#include <vector>

#include "cli/session.h"

namespace spillway::cli {

struct PipelineSettings {
  int steps = 20;
  bool guidance = true;
};

/// Nothing unless the target has a text encoder, a U-Net and a VAE decoder. `profiles` answer `target.graphs`.
/// Plans and simulates the sampler's arithmetic. A graph of a larger batch runs the fewer times.
[[nodiscard]] std::optional<reports::PipelineTotal> pipeline_total(const Target& target,
                                                                   const std::vector<reports::GraphProfile>& profiles,
                                                                   const PipelineSettings& pipeline,
                                                                   const ProfileSettings& settings);

}  // namespace spillway::cli
