// spillway run: the Program on real data.
#include <fmt/format.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "cli/context.h"
#include "cli/dry_run.h"
#include "cli/flags.h"
#include "cli/functional.h"
#include "cli/session.h"
#include "reports/atomic_files.h"
#include "reports/derived.h"
#include "reports/format.h"

namespace spillway::cli {

namespace {

using Json = nlohmann::ordered_json;
using reports::grouped;
using reports::Table;
using Align = Table::Align;
using workloads::Graph;
using workloads::HostTensor;
using workloads::TensorMap;

struct RunFlags {
  ModelFlags model;
  NpuFlags npu;
  PlanFlags plan;
  FormatFlag format;
  std::vector<std::string> inputs;
  std::string out;
  bool check = false;
  bool dry_run = false;
};

std::string scientific(double value) { return fmt::format("{:.3g}", value); }

void print_table(const std::string& model, const configs::NpuConfig& npu, const simulator::FunctionalResult& run,
                 const std::vector<OutputFile>& files, const std::vector<Difference>& differences, bool check) {
  std::cout << fmt::format("{} ({}, executed on real data) on {} @ {:g} MHz, {} scratchpad\n", model,
                           reports::precision_name(npu.precision), npu.name, npu.clock_hz / 1e6,
                           reports::binary_bytes(npu.scratchpad.size));
  std::cout << fmt::format("  latency      {}   {} cycles   {} B moved\n",
                           reports::milliseconds(reports::seconds_of(run.result.cycles, npu)),
                           grouped(run.result.cycles), grouped(run.result.moves.total()));
  std::cout << "  outputs\n";
  Table table({{"name", Align::kLeft}, {"shape", Align::kLeft}, {"least"}, {"mean"}, {"most"}, {"file", Align::kLeft}});
  for (const OutputFile& file : files) {
    const Summary summary = summary_of(run.outputs.at(file.tensor));
    table.add({file.tensor, workloads::to_string(run.outputs.at(file.tensor).shape), scientific(summary.least),
               scientific(summary.mean), scientific(summary.most), file.path.empty() ? "-" : file.path});
  }
  table.print(std::cout, 4);
  if (!check) return;
  std::cout << "  against the reference executor\n";
  Table compared(
      {{"name", Align::kLeft}, {"largest error"}, {"of largest value"}, {"relative L2"}, {"", Align::kLeft}});
  for (const Difference& d : differences) {
    compared.add({d.tensor, scientific(d.largest_error), scientific(d.relative_to_largest), scientific(d.relative_l2),
                  d.ok() ? "ok" : "differs"});
  }
  compared.print(std::cout, 4);
}

Json json_of(const std::string& model, const configs::NpuConfig& npu, const simulator::FunctionalResult& run,
             const std::vector<OutputFile>& files, const std::vector<Difference>& differences) {
  Json outputs = Json::array();
  for (const OutputFile& file : files) {
    const HostTensor& tensor = run.outputs.at(file.tensor);
    const Summary summary = summary_of(tensor);
    outputs.push_back({{"name", file.tensor},
                       {"shape", tensor.shape},
                       {"least", summary.least},
                       {"mean", summary.mean},
                       {"most", summary.most},
                       {"file", file.path.empty() ? Json(nullptr) : Json(file.path)}});
  }
  Json compared = Json::array();
  for (const Difference& d : differences) {
    compared.push_back({{"name", d.tensor},
                        {"largest_error", d.largest_error},
                        {"relative_to_largest", d.relative_to_largest},
                        {"relative_l2", d.relative_l2},
                        {"ok", d.ok()}});
  }
  return {{"schema_version", reports::kSchemaVersion},
          {"model", model},
          {"npu", npu.name},
          {"precision", reports::precision_name(npu.precision)},
          {"latency_cycles", run.result.cycles},
          {"moved_bytes", run.result.moves.total()},
          {"outputs", outputs},
          {"reference", compared}};
}

void run_verb(Context& context, const RunFlags& flags) {
  flags.format.check();
  NpuFlags npu_flags = flags.npu;
  // Only float32 storage can be executed yet; the header says which precision it was.
  if (npu_flags.precision.empty()) npu_flags.precision = "fp32";
  const configs::NpuConfig npu = npu_flags.load();
  const partitioner::Options options = flags.plan.options();
  const Target target = resolve_target(flags.model.target);
  if (!flags.out.empty() && !flags.dry_run) reports::check_writable(flags.out);
  const std::vector<LoadedGraph> graphs{load_single(target, flags.model, "spillway run")};
  context.warn_of(graphs);
  Progress progress = context.progress();
  if (flags.dry_run) return print_dry_run(graphs, {context.command, npu, options, flags.format.json()}, progress);
  const LoadedGraph& loaded = graphs.front();
  const std::string& model = loaded.target.label;
  std::vector<std::string> generated;
  const TensorMap inputs = inputs_of(loaded.graph, flags.inputs, flags.model.seed, generated);
  if (!flags.inputs.empty()) {
    std::vector<std::string> messages;
    messages.reserve(generated.size());
    for (const std::string& name : generated) {
      messages.push_back(
          fmt::format("{}: input '{}' was not given: generated from seed {}", model, name, flags.model.seed));
    }
    context.warn(messages);
  }

  const Graph executed = workloads::canonicalise(loaded.graph);
  const Planned planned = plan_and_lower(model, executed, npu, options, &progress);
  progress.stage(model + ": executing");
  const auto run = simulator::simulate_functional(
      planned.program, npu, inputs,
      {.progress = [&](auto done, auto all) { progress.update(done, all, "commands"); }});
  std::vector<Difference> differences;
  if (flags.check) {
    progress.stage(model + ": reference executor");
    differences = differences_of(run.outputs, workloads::execute(loaded.graph, inputs));
  }
  progress.finish();
  const std::vector<OutputFile> files = flags.out.empty() ? unwritten(run.outputs) : save(run.outputs, flags.out);
  if (flags.format.json()) {
    std::cout << json_of(model, npu, run, files, differences).dump(1, ' ', false, Json::error_handler_t::replace)
              << '\n';
  } else {
    print_table(model, npu, run, files, differences, flags.check);
    if (!generated.empty() && flags.inputs.empty()) {
      reports::print_labelled(
          std::cout, "note",
          fmt::format("inputs generated from seed {} (--input NAME=FILE.npy gives one)", flags.model.seed));
    }
  }
  for (const Difference& d : differences) {
    if (d.ok()) continue;
    std::cout.flush();
    throw Error(
        ErrorKind::kInternal, Place{.file = model, .tensor = d.tensor},
        fmt::format("the Program's output differs from the reference: {:.3g} of the largest value, limit {:.3g}; "
                    "relative L2 {:.3g}, limit {:.3g}",
                    d.relative_to_largest, kLargestErrorLimit, d.relative_l2, kRelativeL2Limit),
        "please report this with the command");
  }
}

}  // namespace

void add_run(CLI::App& app, Context& context) {
  CLI::App* verb = app.add_subcommand("run", "execute one graph's command stream on real data (fp32)");
  const auto flags = std::make_shared<RunFlags>();
  flags->model.add_to(*verb);
  add_values(*verb, "--input", flags->inputs, "NAME=FILE.npy", "generated from --seed", "sample=latent.npy");
  add_value(*verb, "--out", flags->out, "folder for the outputs as NAME.npy", "not written", "results");
  add_switch(*verb, "--check", flags->check, "compare with the reference executor");
  add_switch(*verb, "--dry-run", flags->dry_run, "print the resolved config and the size of the plan, and stop");
  flags->npu.add_to(*verb);
  flags->plan.add_to(*verb);
  flags->format.add_to(*verb);
  verb->footer("Example:\n  spillway run sd-tiny/unet --npu edge-8mb --check");
  verb->callback([&context, flags] { context.action = [&context, flags] { run_verb(context, *flags); }; });
}

}  // namespace spillway::cli
