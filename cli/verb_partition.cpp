// spillway partition: the plan, before it is simulated.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <sstream>

#include "cli/context.h"
#include "cli/curve_table.h"
#include "cli/explain_tables.h"
#include "cli/fate_tables.h"
#include "cli/flags.h"
#include "cli/plan_files.h"
#include "cli/session.h"
#include "cli/tile_text.h"
#include "partitioner/bounds.h"
#include "partitioner/energy.h"
#include "partitioner/occupancy.h"
#include "reports/allocation_map.h"
#include "reports/atomic_files.h"
#include "reports/derived.h"
#include "reports/format.h"

namespace spillway::cli {

namespace {

using Json = nlohmann::ordered_json;
using partitioner::Group;
using partitioner::Plan;
using partitioner::Program;
using reports::grouped;
using reports::Table;
using Align = Table::Align;

struct PartitionFlags {
  ModelFlags model;
  NpuFlags npu;
  PlanFlags plan;
  PlanFileFlags files;
  FormatFlag format;
  bool detail = false;
  bool fates = false;
  bool curve = false;
  bool explain = false;
  std::string explain_group;
  int alternatives = 0;
  bool check = false;
  bool map = false;
  std::string dump;
};

std::string operators_of(const Group& group, const workloads::Graph& graph) {
  std::string text;
  for (const auto& stage : group.stages) {
    for (const auto id : stage.nodes) text += (text.empty() ? "" : " ") + graph.nodes[id].op;
  }
  return text;
}

std::string tile_of(const Group& group, const Plan& plan) {
  return group.root == workloads::kNone ? "-" : tile_text(group.tile, plan.layout.storages[group.root]);
}

/// Whether the plan is of the class that the bound holds for.
bool holds_for(const partitioner::LowerBound& bound, const Plan& plan) {
  return bound.with_recompute ||
         std::all_of(plan.groups.begin(), plan.groups.end(), [](const Group& g) { return g.dropped.empty(); });
}

/// A plan's moves over a bound.
double times(partitioner::Bytes moves, partitioner::Bytes bound) {
  return bound > 0 ? static_cast<double>(moves) / static_cast<double>(bound) : 1;
}

void print_plan(const std::string& model, const workloads::Graph& graph, const Planned& planned,
                const configs::NpuConfig& npu, bool detail) {
  const Plan& plan = planned.plan;
  std::cout << fmt::format("{} ({}, {}, for {}) on {}, {} scratchpad\n", model, reports::precision_name(npu.precision),
                           partitioner::name_of(plan.strategy), partitioner::name_of(plan.objective), npu.name,
                           reports::binary_bytes(plan.budget));
  const auto line = [](const char* label, const std::string& text) { reports::print_labelled(std::cout, label, text); };
  line("predicted", fmt::format("{}   {} cycles", reports::milliseconds(reports::seconds_of(plan.cycles, npu)),
                                grouped(plan.cycles)));
  if (plan.objective == partitioner::Objective::kEnergy || plan.objective == partitioner::Objective::kEdp) {
    const double joules = partitioner::energy_of(graph, npu, plan).total_pj() * 1e-12;
    line("energy", fmt::format("{}, predicted; times delay {}", reports::si(joules, "J"),
                               reports::si(joules * reports::seconds_of(plan.cycles, npu), "J s")));
  }
  line("moves", fmt::format("{} B: weights {}, activations {}, parameters {}, statistics {}",
                            grouped(plan.moves.total()), grouped(plan.moves.of(partitioner::StorageClass::kWeight)),
                            grouped(plan.moves.of(partitioner::StorageClass::kActivation)),
                            grouped(plan.moves.of(partitioner::StorageClass::kParameter)),
                            grouped(plan.moves.of(partitioner::StorageClass::kStatistics))));
  std::string bounds;
  for (const auto& bound : partitioner::lower_bounds(graph, npu, plan.layout)) {
    bounds += fmt::format("{}{} {} B ({}{}): {:.3f} x", bounds.empty() ? "" : "; ", bound.name, grouped(bound.moves),
                          bound.holds_for, holds_for(bound, plan) ? "" : "; this one makes some again",
                          times(plan.moves.total(), bound.moves));
  }
  line("lower bounds", bounds);
  const auto& allocation = plan.allocation;
  line("scratchpad",
       fmt::format("peak {} of {} B; addresses: {}, {} B lost to fragmentation; {} neighbours' buffers "
                   "collide, {} of them in any case",
                   grouped(plan.peak_scratchpad), grouped(plan.budget), allocation.algorithm,
                   grouped(allocation.fragmentation), allocation.colliding_pairs, allocation.unavoidable_pairs));
  line("plan", fmt::format("{} groups, {} storages held between groups, {} commands",
                           grouped(static_cast<std::int64_t>(plan.groups.size())),
                           grouped(static_cast<std::int64_t>(plan.residencies.size())),
                           grouped(static_cast<std::int64_t>(planned.program.commands.size()))));
  if (const std::string cut = key_blocks_text(graph); !cut.empty()) line("attention", cut);
  std::vector<std::size_t> order(plan.groups.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  constexpr std::size_t kShown = 12;
  if (!detail) {
    std::stable_sort(order.begin(), order.end(),
                     [&](auto a, auto b) { return plan.groups[a].cycles > plan.groups[b].cycles; });
    order.resize(std::min(order.size(), kShown));
  }
  std::cout << (detail ? "  groups in execution order; tile: extent/whole\n"
                       : "  groups with most predicted cycles (--detail: all); tile: extent/whole\n");
  Table table({{"#"},
               {"name", Align::kLeft},
               {"operators", Align::kLeft},
               {"tile", Align::kLeft},
               {"steps"},
               {"overlap", Align::kLeft},
               {"scratchpad B"},
               {"moves B"},
               {"cycles"}});
  for (const std::size_t g : order) {
    const Group& group = plan.groups[g];
    table.add({std::to_string(g), reports::shortened(group.name, 40),
               reports::shortened(operators_of(group, graph), detail ? 120 : 32), tile_of(group, plan),
               grouped(group.steps), std::string(partitioner::name_of(group.pipelining)),
               grouped(group.scratchpad_bytes), grouped(group.moves.total()), grouped(group.cycles)});
  }
  table.print(std::cout, 4);
  if (!detail || plan.residencies.empty()) return;
  std::cout << "  held in the scratchpad between groups\n";
  Table held({{"storage", Align::kLeft}, {"groups"}, {"bytes"}, {"address"}, {"in DRAM too", Align::kLeft}});
  for (const auto& residency : plan.residencies) {
    held.add({reports::shortened(plan.layout.storages[residency.storage].name, 60),
              fmt::format("{}..{}", residency.first_group, residency.last_group), grouped(residency.bytes),
              fmt::format("{:#x}", residency.address), residency.stored ? "for later groups" : "no"});
  }
  held.print(std::cout, 4);
}

Json allocation_json(const Plan& plan) {
  const auto& report = plan.allocation;
  Json attempts = Json::array();
  for (const auto& attempt : report.attempts) {
    attempts.push_back({{"algorithm", attempt.algorithm},
                        {"fits", attempt.fits},
                        {"packed_peak_bytes", attempt.packed_peak},
                        {"colliding_pairs", attempt.fits ? Json(attempt.colliding_pairs) : Json(nullptr)}});
  }
  return {{"algorithm", report.algorithm},
          {"peak_demand_bytes", report.peak_demand},
          {"packed_peak_bytes", report.packed_peak},
          {"peak_address", report.peak_address},
          {"fragmentation_bytes", report.fragmentation},
          {"colliding_pairs", report.colliding_pairs},
          {"unavoidable_pairs", report.unavoidable_pairs},
          {"attempts", attempts}};
}

Json occupancy_json(const Plan& plan) {
  Json series = Json::array();
  for (const auto& use : partitioner::occupancy_of(plan)) {
    series.push_back({{"resident_bytes", use.residents}, {"buffer_bytes", use.buffers}});
  }
  return series;
}

Json bounds_json(const workloads::Graph& graph, const configs::NpuConfig& npu, const Plan& plan) {
  Json bounds = Json::array();
  for (const auto& bound : partitioner::lower_bounds(graph, npu, plan.layout)) {
    bounds.push_back({{"name", bound.name},
                      {"moved_bytes", bound.moves},
                      {"plan_over_bound", times(plan.moves.total(), bound.moves)},
                      {"holds_for", bound.holds_for},
                      {"holds_for_this_plan", holds_for(bound, plan)},
                      {"because", bound.because}});
  }
  return bounds;
}

Json json_of(const std::string& model, const workloads::Graph& graph, const configs::NpuConfig& npu,
             const Planned& planned) {
  const Plan& plan = planned.plan;
  Json groups = Json::array();
  for (std::size_t g = 0; g < plan.groups.size(); ++g) {
    const Group& group = plan.groups[g];
    Json buffers = Json::array();
    for (const auto& buffer : group.buffers) {
      buffers.push_back({{"storage", plan.layout.storages[buffer.storage].name},
                         {"slots", buffer.slots},
                         {"slot_bytes", buffer.slot_bytes},
                         {"bytes", buffer.slots * buffer.slot_bytes},
                         {"address", buffer.address},
                         {"first_group", g},
                         {"last_group", g}});
    }
    groups.push_back({{"name", group.name},
                      {"operators", operators_of(group, graph)},
                      {"tile", tile_of(group, plan)},
                      {"steps", group.steps},
                      {"pipelining", partitioner::name_of(group.pipelining)},
                      {"scratchpad_bytes", group.scratchpad_bytes},
                      {"moved_bytes", group.moves.total()},
                      {"predicted_cycles", group.cycles},
                      {"buffers", buffers}});
  }
  Json held = Json::array();
  for (const auto& residency : plan.residencies) {
    held.push_back({{"storage", plan.layout.storages[residency.storage].name},
                    {"first_group", residency.first_group},
                    {"last_group", residency.last_group},
                    {"bytes", residency.bytes},
                    {"address", residency.address},
                    {"stored", residency.stored}});
  }
  return {{"model", model},
          {"strategy", partitioner::name_of(plan.strategy)},
          {"objective", partitioner::name_of(plan.objective)},
          {"budget_bytes", plan.budget},
          {"key_blocks", graph.key_blocks},
          {"predicted_cycles", plan.cycles},
          {"predicted_energy_pj", partitioner::energy_of(graph, npu, plan).total_pj()},
          {"moved_bytes", plan.moves.total()},
          {"compulsory_bytes", plan.compulsory_bytes},
          {"lower_bounds", bounds_json(graph, npu, plan)},
          {"peak_scratchpad_bytes", plan.peak_scratchpad},
          {"commands", planned.program.commands.size()},
          {"groups", groups},
          {"residencies", held},
          {"allocation", allocation_json(plan)},
          {"occupancy", occupancy_json(plan)}};
}

/// The checker's verdict as a line; throws when the Program is wrong, because then the tool is.
std::string proof_of(const std::string& model, const Program& program) {
  const auto violations = partitioner::check(program);
  if (violations.empty()) {
    return fmt::format("proven: {} commands", grouped(static_cast<std::int64_t>(program.commands.size())));
  }
  std::string text = fmt::format("{}: the checker refuses the Program:", model);
  for (const auto& violation : violations) text += "\n    " + violation.what;
  throw Error(ErrorKind::kInternal, Place{}, text, "please report this with the command");
}

/// `group`: only these, and nothing planned anew.
Explained explained_plan(const std::string& model, const workloads::Graph& graph, const configs::NpuConfig& npu,
                         const partitioner::Options& options, const Plan& plan, const std::string& group,
                         Progress& progress) {
  Explained explained;
  if (!group.empty()) explained.groups = groups_named(group, plan);
  progress.stage(model + ": explaining");
  explained.explanation = partitioner::explain(graph, npu, options, plan);
  if (group.empty()) {
    progress.stage(model + ": planning with more scratchpad");
    explained.more = partitioner::plan_with_more(graph, npu, options, plan, explained.explanation.more);
  }
  progress.finish();
  return explained;
}

void dump(const std::string& file, const std::string& text) {
  const std::filesystem::path path(file);
  const std::string folder = path.parent_path().string();
  reports::write_atomically(folder.empty() ? "." : folder, {{path.filename().string(), text}});
}

void partition(Context& context, const PartitionFlags& flags) {
  flags.format.check();
  if (flags.alternatives < 0) {
    throw Error(ErrorKind::kBadInput, Place{.key = "--alternatives"},
                fmt::format("{} is not a number of tensors", flags.alternatives), "--alternatives 4");
  }
  const configs::NpuConfig npu = flags.npu.load();
  const partitioner::Options options = flags.plan.options();
  const Target target = resolve_target(flags.model.target);
  flags.files.check(target);
  const std::vector<std::string> saved = flags.files.loaded(target);
  std::vector<std::string> texts;
  Progress progress = context.progress();
  Json all = Json::array();
  std::string listing;
  const std::vector<LoadedGraph> graphs = load_graphs(target, flags.model, true);
  context.warn_of(graphs);
  for (const LoadedGraph& loaded : graphs) {
    const std::string& model = loaded.target.label;
    const Planned planned =
        plan_and_lower(model, workloads::canonicalise(loaded.graph), npu, options, &progress,
                       saved.empty() ? "" : saved[static_cast<std::size_t>(&loaded - graphs.data())]);
    const workloads::Graph& executed = planned.graph();
    if (!flags.files.save.empty()) texts.push_back(partitioner::plan_to_json(planned.plan, executed, npu));
    std::string proof;
    if (flags.check) {
      progress.stage(model + ": checking");
      proof = proof_of(model, planned.program);
    }
    progress.finish();
    if (!flags.dump.empty()) {
      std::ostringstream text;
      partitioner::disassemble(planned.program, text);
      listing += text.str();
    }
    std::vector<FateRow> fates;
    if (flags.fates || flags.alternatives > 0) {
      const bool fused = planned.plan.strategy == partitioner::Strategy::kFused;
      fates = fate_rows(executed, npu, options, planned.plan,
                        fused ? static_cast<std::size_t>(flags.alternatives) : std::size_t{0});
    }
    std::vector<partitioner::CurvePoint> curve;
    if (flags.curve) {
      progress.stage(model + ": planning with more operations");
      curve = partitioner::recompute_curve(executed, npu, options);
      progress.finish();
    }
    std::optional<Explained> explained;
    if (flags.explain || !flags.explain_group.empty()) {
      explained = explained_plan(model, executed, npu, options, planned.plan, flags.explain_group, progress);
    }
    if (flags.format.json()) {
      all.push_back(json_of(model, executed, npu, planned));
      if (!fates.empty()) all.back()["fates"] = fates_json(fates);
      if (flags.curve) all.back()["curve"] = curve_json(curve);
      if (explained) all.back()["explanation"] = explanation_json(*explained, planned.plan);
      if (flags.check) all.back()["checker"] = proof;
    } else {
      if (&loaded != &graphs.front()) std::cout << '\n';
      print_plan(model, executed, planned, npu, flags.detail);
      if (!fates.empty()) print_fates(std::cout, fates, flags.detail);
      if (flags.curve) print_curve(std::cout, curve);
      if (explained) print_explanation(std::cout, *explained, planned.plan);
      if (flags.map) reports::print_allocation_map(planned.plan, std::cout);
      if (flags.check) reports::print_labelled(std::cout, "checker", proof);
    }
  }
  if (!flags.dump.empty()) dump(flags.dump, listing);
  flags.files.write(target, texts);
  if (flags.format.json()) {
    const Json json = {{"schema_version", reports::kSchemaVersion}, {"graphs", all}};
    std::cout << json.dump(1, ' ', false, Json::error_handler_t::replace) << '\n';
  }
}

}  // namespace

void add_partition(CLI::App& app, Context& context) {
  CLI::App* verb = app.add_subcommand("partition", "the plan: groups, tiles, scratchpad, predicted moves");
  const auto flags = std::make_shared<PartitionFlags>();
  flags->model.add_to(*verb);
  flags->npu.add_to(*verb);
  flags->plan.add_to(*verb);
  flags->files.add_to(*verb);
  flags->format.add_to(*verb);
  add_switch(*verb, "--detail", flags->detail, "every group, and what is held between groups");
  add_switch(*verb, "--map", flags->map, "draw the scratchpad group by group: held tensors, buffers, free space");
  add_switch(*verb, "--fates", flags->fates,
             "what became of each tensor that later groups read: hold, spill, recompute");
  add_value(*verb, "--alternatives", flags->alternatives,
            "of so many of those tensors, the largest, also what each other fate would have cost (plans anew for each)",
            "0", "4");
  add_switch(*verb, "--curve", flags->curve,
             "what moves as recomputing may add from nothing to all of the graph's MACs (plans anew for each share)");
  add_switch(
      *verb, "--explain", flags->explain,
      "why each group ends where it does, what bounds it, what came second, what 1 MiB more would buy (plans anew "
      "for that), and why what goes through DRAM is not recomputed");
  add_value(*verb, "--explain-group", flags->explain_group,
            "the same of one group in depth, by its number or a part of its name", "none", "12");
  add_switch(*verb, "--check", flags->check, "prove the Program with the checker");
  add_value(*verb, "--dump-program", flags->dump, "write the command stream as text to this file", "not written",
            "commands.txt");
  verb->footer(
      "Examples:\n  spillway partition sd15/vae_decoder --sram 8MiB --check\n"
      "  spillway partition sd15/vae_encoder --objective moves --skips spill --fates\n"
      "  spillway partition sd15/vae_encoder --objective moves --curve\n"
      "  spillway partition sd15/unet --save-plan unet.plan.json\n"
      "  spillway partition sd15/unet --explain\n"
      "  spillway partition sd15/unet --plan unet.plan.json --detail");
  verb->callback([&context, flags] { context.action = [&context, flags] { partition(context, *flags); }; });
}

}  // namespace spillway::cli
