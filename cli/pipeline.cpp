#include "cli/pipeline.h"

#include <fmt/format.h>

#include "cli/sampler.h"
#include "reports/format.h"

namespace spillway::cli {

namespace {

using reports::GraphProfile;
using reports::PipelineTotal;

std::int64_t batch_of(const GraphProfile& profile) {
  if (profile.exported.inputs.empty()) return 1;
  const auto& shape = profile.exported.tensors[profile.exported.inputs.front()].shape;
  return shape.empty() ? 1 : shape.front();
}

/// Runs of a graph of `batch` rows for `rows` rows.
int runs_for(std::int64_t rows, std::int64_t batch) { return static_cast<int>((rows + batch - 1) / batch); }

PipelineTotal::Line line_of(const GraphProfile& profile, int times) {
  const auto& result = profile.result;
  return {fmt::format("{} (batch {})", profile.model, batch_of(profile)), times, result.cycles, result.moves,
          result.energy.total_pj()};
}

}  // namespace

std::optional<PipelineTotal> pipeline_total(const Target& target, const std::vector<GraphProfile>& profiles,
                                            const PipelineSettings& pipeline, const ProfileSettings& settings) {
  std::vector<const GraphProfile*> encoders;
  const GraphProfile* unet = nullptr;
  const GraphProfile* decoder = nullptr;
  for (std::size_t i = 0; i < profiles.size(); ++i) {
    const std::string& part = target.graphs[i].part;
    if (part.starts_with("text_encoder")) encoders.push_back(&profiles[i]);
    if (part == "unet") unet = &profiles[i];
    if (part == "vae_decoder") decoder = &profiles[i];
  }
  if (!target.several || encoders.empty() || unet == nullptr || decoder == nullptr) return std::nullopt;

  const std::int64_t images = batch_of(*decoder);
  const std::int64_t rows = images * (pipeline.guidance ? 2 : 1);
  PipelineTotal total;
  total.steps = pipeline.steps;
  total.guidance = pipeline.guidance;
  for (const GraphProfile* encoder : encoders) {
    total.lines.push_back(line_of(*encoder, runs_for(rows, batch_of(*encoder))));
  }
  const int unet_runs = runs_for(rows, batch_of(*unet));
  total.lines.push_back(line_of(*unet, pipeline.steps * unet_runs));

  workloads::Shape latent = unet->exported.tensors[unet->exported.outputs.front()].shape;
  latent.front() = images;
  const workloads::Graph step = workloads::canonicalise(sampler_step(latent, pipeline.guidance));
  const Cost cost = cost_of("sampler step", step, settings.npu, settings.options);
  total.lines.push_back({"sampler arithmetic", pipeline.steps, cost.cycles, cost.moves, cost.energy_pj});
  total.lines.push_back(line_of(*decoder, 1));

  auto& assumes = total.assumptions;
  assumes.push_back(fmt::format("{} {}, {} steps; guidance {}", images, images == 1 ? "image" : "images",
                                pipeline.steps,
                                pipeline.guidance ? "on: prompt and negative prompt are encoded, and the U-Net sees "
                                                    "conditional and unconditional rows (--no-guidance: neither)"
                                                  : "off: one prompt, one row an image"));
  assumes.push_back(
      fmt::format("sampler: one DDIM step on {} latent elements{}, planned and simulated as a graph of "
                  "its own; other samplers cost about the same",
                  workloads::elements_of(latent), pipeline.guidance ? " with guidance" : ""));
  assumes.emplace_back("graphs run one after another; no weight stays in the scratchpad from one run to the next");
  assumes.emplace_back(
      "not counted: tokenizer, sampler coefficients and safety checker (host), VAE encoder (image-to-image only)");
  return total;
}

}  // namespace spillway::cli
