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
  workloads::Graph cut;
  if (plan_file.empty()) {
    stage(progress, model, "planning");
    auto [chosen, outcome] = partitioner::propose(graph, npu, options);
    if (auto* refused = std::get_if<partitioner::Infeasible>(&outcome)) throw DoesNotFit(model, std::move(*refused));
    planned.plan = std::move(std::get<partitioner::Plan>(outcome));
    cut = std::move(chosen);
  } else {
    stage(progress, model, "reading the plan");
    const std::string text = read_plan_file(plan_file);
    const Place place{.file = plan_file};
    cut = partitioner::graph_of_plan(text, graph, place);
    planned.plan = partitioner::plan_from_json(text, cut, npu, place);
  }
  require_lowerable(model, planned.plan);
  stage(progress, model, "lowering");
  planned.program = partitioner::lower(cut, npu, planned.plan);
  return planned;
}

std::string key_blocks_text(const workloads::Graph& graph) {
  constexpr std::size_t kNamed = 2;
  std::string text;
  std::size_t named = 0;
  for (const auto& [softmax, blocks] : graph.key_blocks) {
    if (++named > kNamed) return text + fmt::format(" and {} more", graph.key_blocks.size() - kNamed);
    text += fmt::format("{}{} in {} blocks of keys", named == 1 ? "" : ", ", softmax, blocks);
  }
  return text;
}

reports::GraphProfile profile_graph(LoadedGraph loaded, const ProfileSettings& settings, Progress& progress,
                                    const std::string& plan_file) {
  reports::GraphProfile profile;
  profile.model = loaded.target.label;
  profile.exported = std::move(loaded.graph);
  profile.notes = std::move(loaded.notes);
  progress.stage(profile.model + ": reading the operators");
  profile.statistics = workloads::statistics_of(profile.exported);
  workloads::Graph canonical;
  try {
    canonical = workloads::canonicalise(profile.exported);
  } catch (const Error& error) {
    throw error.within(Place{.file = profile.model});
  }
  {
    Planned planned = plan_and_lower(profile.model, canonical, settings.npu, settings.options, &progress, plan_file);
    profile.executed = planned.graph();
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
    profile.sensitivity = sensitivity_of(profile.model, canonical, settings, progress);
  }
  progress.finish();
  if (const std::string cut = key_blocks_text(profile.executed); !cut.empty()) {
    profile.notes.push_back("attention: " + cut + ", the softmax of a row put together from theirs (online softmax)");
  }
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
