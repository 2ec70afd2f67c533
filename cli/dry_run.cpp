#include "cli/dry_run.h"

#include <fmt/format.h>

#include <iostream>
#include <nlohmann/json.hpp>

#include "reports/derived.h"
#include "reports/format.h"

namespace spillway::cli {

namespace {

using Json = nlohmann::ordered_json;
using reports::grouped;

struct PlanSize {
  std::string model;
  partitioner::Strategy strategy{};
  partitioner::Objective objective{};
  std::int64_t groups = 0, held = 0, commands = 0;
  configs::Cycles cycles = 0;
  configs::Bytes moved = 0, peak = 0;
};

PlanSize size_of(const LoadedGraph& loaded, const DryRun& run, Progress& progress, const std::string& plan_file) {
  const std::string& model = loaded.target.label;
  const Planned planned =
      plan_and_lower(model, workloads::canonicalise(loaded.graph), run.npu, run.options, &progress, plan_file);
  const partitioner::Plan& plan = planned.plan;
  return {.model = model,
          .strategy = plan.strategy,
          .objective = plan.objective,
          .groups = static_cast<std::int64_t>(plan.groups.size()),
          .held = static_cast<std::int64_t>(plan.residencies.size()),
          .commands = static_cast<std::int64_t>(planned.program.commands.size()),
          .cycles = plan.cycles,
          .moved = plan.moves.total(),
          .peak = plan.peak_scratchpad};
}

Json json_of(const PlanSize& size) {
  return {{"model", size.model},
          {"groups", size.groups},
          {"residencies", size.held},
          {"commands", size.commands},
          {"predicted_cycles", size.cycles},
          {"moved_bytes", size.moved},
          {"peak_scratchpad_bytes", size.peak}};
}

void print_text(const std::vector<PlanSize>& sizes, const DryRun& run) {
  std::cout << configs::to_yaml(run.npu) << "\n# Dry run: planned, not simulated; nothing was written.\n";
  for (const PlanSize& size : sizes) {
    std::cout << fmt::format("# {} ({}, for {})\n", size.model, partitioner::name_of(size.strategy),
                             partitioner::name_of(size.objective));
    std::cout << fmt::format("#   plan       {} groups, {} storages held between groups, {} commands\n",
                             grouped(size.groups), grouped(size.held), grouped(size.commands));
    std::cout << fmt::format("#   predicted  {} cycles, {} B moved, scratchpad peak {} of {} B\n", grouped(size.cycles),
                             grouped(size.moved), grouped(size.peak), grouped(run.npu.scratchpad.size));
  }
}

}  // namespace

void print_dry_run(const std::vector<LoadedGraph>& graphs, const DryRun& run, Progress& progress) {
  std::vector<PlanSize> sizes;
  sizes.reserve(graphs.size());
  for (std::size_t i = 0; i < graphs.size(); ++i) {
    sizes.push_back(size_of(graphs[i], run, progress, run.plan_files.empty() ? "" : run.plan_files[i]));
  }
  progress.finish();
  if (!run.json) return print_text(sizes, run);
  Json json = {{"schema_version", reports::kSchemaVersion},
               {"dry_run", true},
               {"command", run.command},
               {"resolved_config", configs::to_yaml(run.npu)},
               {"plans", Json::array()}};
  for (const PlanSize& size : sizes) json["plans"].push_back(json_of(size));
  std::cout << json.dump(1, ' ', false, Json::error_handler_t::replace) << '\n';
}

}  // namespace spillway::cli
