#include "cli/session.h"

#include <fmt/format.h>

#include "cli/plan_files.h"
#include "cli/sensitivity.h"
#include "reports/format.h"

namespace spillway::cli {

namespace {

void stage(Progress* progress, const std::string& model, const char* what) {
  if (progress != nullptr) progress->stage(fmt::format("{}: {}", model, what));
}

/// With next to no scratchpad a plan's tiles become so small that their commands fill the memory of this machine.
void require_lowerable(const std::string& model, const partitioner::Plan& plan) {
  const std::int64_t commands = partitioner::least_commands(plan);
  if (commands <= partitioner::kMostCommands) return;
  throw Error(ErrorKind::kDoesNotFit, Place{.file = model},
              fmt::format("in {} B of scratchpad the tiles are so small that the plan comes to more than {} commands; "
                          "{} are the most that are lowered",
                          reports::grouped(plan.budget), reports::grouped(commands),
                          reports::grouped(partitioner::kMostCommands)),
              fmt::format("--sram {} or more", 2 * plan.budget));
}

}  // namespace

Planned plan_and_lower(const std::string& model, const workloads::Graph& graph, const configs::NpuConfig& npu,
                       const partitioner::Options& options, Progress* progress, const std::string& plan_file) {
  Planned planned;
  if (plan_file.empty()) {
    stage(progress, model, "planning");
    auto outcome = partitioner::partition(graph, npu, options);
    if (auto* refused = std::get_if<partitioner::Infeasible>(&outcome)) throw DoesNotFit(model, std::move(*refused));
    planned.plan = std::move(std::get<partitioner::Plan>(outcome));
  } else {
    stage(progress, model, "reading the plan");
    planned.plan = partitioner::plan_from_json(read_plan_file(plan_file), graph, npu, Place{.file = plan_file});
  }
  require_lowerable(model, planned.plan);
  stage(progress, model, "lowering");
  planned.program = partitioner::lower(graph, npu, planned.plan);
  return planned;
}

reports::GraphProfile profile_graph(LoadedGraph loaded, const ProfileSettings& settings, Progress& progress,
                                    const std::string& plan_file) {
  reports::GraphProfile profile;
  profile.model = loaded.target.label;
  profile.exported = std::move(loaded.graph);
  profile.notes = std::move(loaded.notes);
  progress.stage(profile.model + ": reading the operators");
  profile.statistics = workloads::statistics_of(profile.exported);
  try {
    profile.executed = workloads::canonicalise(profile.exported);
  } catch (const Error& error) {
    throw error.within(Place{.file = profile.model});
  }
  {
    Planned planned =
        plan_and_lower(profile.model, profile.executed, settings.npu, settings.options, &progress, plan_file);
    profile.plan = std::move(planned.plan);
    progress.stage(profile.model + ": simulating");
    profile.result = simulator::simulate(planned.program, settings.npu, [&](std::int64_t done, std::int64_t all) {
      progress.update(done, all, "commands");
    });
    profile.operators = reports::operator_uses(planned.program, profile.plan, settings.npu, profile.result);
    profile.storages = reports::storage_moves(planned.program);
  }
  // A large graph has many commands, and no report lists them one by one.
  std::vector<simulator::CommandTimes>().swap(profile.result.commands);
  if (settings.sensitivity) {
    progress.stage(profile.model + ": sensitivity");
    profile.sensitivity = sensitivity_of(profile.model, profile.executed, settings, progress);
  }
  progress.finish();
  for (std::string& note : reports::published_notes(profile, settings.npu)) profile.notes.push_back(std::move(note));
  return profile;
}

Cost cost_of(const std::string& model, const workloads::Graph& graph, const configs::NpuConfig& npu,
             const partitioner::Options& options) {
  const Planned planned = plan_and_lower(model, graph, npu, options, nullptr);
  const simulator::Result result = simulator::simulate(planned.program, npu);
  return {result.cycles, result.moves, result.energy.total_pj()};
}

}  // namespace spillway::cli
