// spillway profile: how fast, what limits it, does it fit, which knob helps.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <thread>

#include "cli/context.h"
#include "cli/dry_run.h"
#include "cli/flags.h"
#include "cli/pipeline.h"
#include "cli/plan_files.h"
#include "cli/session.h"
#include "reports/atomic_files.h"

namespace spillway::cli {

namespace {

struct ProfileFlags {
  ModelFlags model;
  NpuFlags npu;
  PlanFlags plan;
  PlanFileFlags files;
  FormatFlag format;
  std::int64_t steps = 20;
  bool no_guidance = false;
  bool no_sensitivity = false;
  bool detail = false;
  bool dry_run = false;
  std::int64_t jobs = 0;
  std::string out;
};

bool colour_wanted() {
  const char* no_colour = std::getenv("NO_COLOR");
  return ::isatty(STDOUT_FILENO) == 1 && (no_colour == nullptr || *no_colour == '\0');
}

int jobs_of(std::int64_t flag) {
  if (flag > 0) return static_cast<int>(std::min<std::int64_t>(flag, 64));
  return static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1U, 8U));
}

void check(const ProfileFlags& flags) {
  constexpr std::int64_t kMostSteps = 1000000;
  flags.format.check();
  if (flags.steps < 1 || flags.steps > kMostSteps) {
    throw Error(ErrorKind::kBadInput, Place{},
                fmt::format("--steps is {}, should be in 1..{}", flags.steps, kMostSteps));
  }
  if (flags.dry_run && !flags.files.save.empty()) {
    throw Error(ErrorKind::kBadInput, Place{}, "--dry-run writes nothing, and --save-plan asks for a file",
                "leave one of them out; `spillway partition` plans and saves without simulating");
  }
  if (flags.jobs < 0)
    throw Error(ErrorKind::kBadInput, Place{}, fmt::format("--jobs is {}, should be at least 1", flags.jobs));
}

std::vector<LoadedGraph> load(Context& context, const ProfileFlags& flags, const Target& target, Progress& progress) {
  progress.stage(flags.model.target + ": loading");
  std::vector<LoadedGraph> loaded = load_graphs(target, flags.model, !flags.no_guidance);
  progress.finish();
  context.warn_of(loaded);
  return loaded;
}

void profile(Context& context, const ProfileFlags& flags) {
  check(flags);
  ProfileSettings settings{.npu_flags = flags.npu,
                           .npu = flags.npu.load(),
                           .options = flags.plan.options(),
                           .sensitivity = !flags.no_sensitivity && flags.files.load.empty(),
                           .jobs = jobs_of(flags.jobs)};
  const Target target = resolve_target(flags.model.target);
  flags.files.check(target);
  const std::vector<std::string> saved = flags.files.loaded(target);
  if (flags.dry_run) {
    Progress progress = context.progress();
    return print_dry_run(load(context, flags, target, progress),
                         {context.command, settings.npu, settings.options, flags.format.json(), saved}, progress);
  }
  const std::string directory = flags.out.empty() ? "out/" + target.name : flags.out;
  reports::check_writable(directory);
  reports::Report report{.command = context.command, .npu = settings.npu, .graphs = {}, .pipeline = std::nullopt};
  {
    Progress progress = context.progress();
    for (LoadedGraph& graph : load(context, flags, target, progress)) {
      report.graphs.push_back(
          profile_graph(std::move(graph), settings, progress, saved.empty() ? "" : saved[report.graphs.size()]));
    }
    if (target.several) progress.stage("pipeline: sampler arithmetic");
    report.pipeline = pipeline_total(
        target, report.graphs, {.steps = static_cast<int>(flags.steps), .guidance = !flags.no_guidance}, settings);
  }
  std::vector<std::string> texts;
  for (const auto& graph : report.graphs) {
    if (!flags.files.save.empty()) texts.push_back(partitioner::plan_to_json(graph.plan, graph.executed, settings.npu));
  }
  flags.files.write(target, texts);
  reports::write_files(report, directory);
  if (flags.format.json()) {
    std::cout << reports::to_json(report);
  } else {
    reports::write_text(report, {.detail = flags.detail, .colour = colour_wanted(), .directory = directory}, std::cout);
  }
}

}  // namespace

void add_profile(CLI::App& app, Context& context) {
  CLI::App* verb = app.add_subcommand("profile", "plan and simulate: latency, bottleneck, moves, which knob helps");
  const auto flags = std::make_shared<ProfileFlags>();
  flags->model.add_to(*verb);
  flags->npu.add_to(*verb);
  flags->plan.add_to(*verb);
  flags->files.add_to(*verb);
  add_value(*verb, "--steps", flags->steps, "denoising steps of the pipeline total", std::to_string(flags->steps),
            "50");
  add_switch(*verb, "--no-guidance", flags->no_guidance,
             "no classifier-free guidance: U-Net batch 1, one text encoding");
  add_switch(*verb, "--no-sensitivity", flags->no_sensitivity,
             "skip the sensitivity table (8 more runs a graph), as with --plan");
  add_value(*verb, "--jobs", flags->jobs, "sensitivity runs at once", "one a processor, at most 8", "2");
  add_value(*verb, "--out", flags->out, "folder for the reports", "out/NAME", "results");
  flags->format.add_to(*verb);
  add_switch(*verb, "--detail", flags->detail, "all tables in full");
  add_switch(*verb, "--dry-run", flags->dry_run, "print the resolved config and the size of each plan, and stop");
  verb->footer(
      "Examples:\n  spillway profile sd15 --sram 8MiB\n  spillway profile unet/model.onnx --npu edge-8mb-slow "
      "--set dram.channels=2\n  spillway profile sd15/vae_decoder --strategy layer-by-layer --detail");
  verb->callback([&context, flags] { context.action = [&context, flags] { profile(context, *flags); }; });
}

}  // namespace spillway::cli
