// spillway run: the Program on real data.
#include <fmt/format.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "cli/calibration_flags.h"
#include "cli/context.h"
#include "cli/dry_run.h"
#include "cli/fidelity_table.h"
#include "cli/flags.h"
#include "cli/functional.h"
#include "cli/reference_run.h"
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
  std::vector<std::string> dump;
  std::string out;
  std::string out_format = OutputFormat::kNpy;
  CalibrationFlags calibration;
  bool fidelity = false;
  bool detail = false;
  bool reference = false;
  bool check = false;
  bool nan_is_error = false;
  bool double_sums = false;
  bool dry_run = false;
};

/// What a run gave, whoever ran it.
struct Outcome {
  const configs::NpuConfig* npu = nullptr;  ///< null: the reference executor
  configs::Cycles cycles = 0;
  std::int64_t moved = 0;
  TensorMap outputs;  ///< dumped tensors included
  std::vector<OutputFile> files{};
  std::vector<Difference> differences{};
  bool on_numbers = false;                 ///< they are of the numbers that quantised operators stand for
  std::vector<OutputFidelity> fidelity{};  ///< where asked for
  std::vector<simulator::LayerFidelity> layers{};
};

std::string scientific(double value) { return fmt::format("{:.3g}", value); }

/// Whether the NPU computes as the reference does, so that both must agree.
bool exact(const configs::NpuConfig& npu) { return npu.precision == configs::uniform_precision("fp32"); }

void print_table(const std::string& model, const Outcome& run, bool check) {
  if (run.npu == nullptr) {
    std::cout << fmt::format("{} (fp32, reference executor)\n", model);
  } else {
    const configs::NpuConfig& npu = *run.npu;
    std::cout << fmt::format("{} ({}, executed on real data) on {} @ {:g} MHz, {} scratchpad\n", model,
                             reports::precision_name(npu.precision), npu.name, npu.clock_hz / 1e6,
                             reports::binary_bytes(npu.scratchpad.size));
    std::cout << fmt::format("  latency      {}   {} cycles   {} B moved\n",
                             reports::milliseconds(reports::seconds_of(run.cycles, npu)), grouped(run.cycles),
                             grouped(run.moved));
  }
  std::cout << "  outputs\n";
  Table table({{"name", Align::kLeft}, {"shape", Align::kLeft}, {"least"}, {"mean"}, {"most"}, {"file", Align::kLeft}});
  for (const OutputFile& file : run.files) {
    const Summary summary = summary_of(run.outputs.at(file.tensor));
    table.add({file.tensor, workloads::to_string(run.outputs.at(file.tensor).shape), scientific(summary.least),
               scientific(summary.mean), scientific(summary.most), file.path.empty() ? "-" : file.path});
  }
  table.print(std::cout, 4);
  if (!check) return;
  std::cout << fmt::format("  against the reference executor{}\n",
                           run.on_numbers ? ", on the numbers that quantised operators stand for" : "");
  Table compared(
      {{"name", Align::kLeft}, {"largest error"}, {"of largest value"}, {"relative L2"}, {"", Align::kLeft}});
  for (const Difference& d : run.differences) {
    compared.add({d.tensor, scientific(d.largest_error), scientific(d.relative_to_largest), scientific(d.relative_l2),
                  d.ok()            ? "ok"
                  : exact(*run.npu) ? "differs"
                                    : ""});
  }
  compared.print(std::cout, 4);
}

Json json_of(const std::string& model, const Outcome& run) {
  Json outputs = Json::array();
  for (const OutputFile& file : run.files) {
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
  for (const Difference& d : run.differences) {
    compared.push_back({{"name", d.tensor},
                        {"largest_error", d.largest_error},
                        {"relative_to_largest", d.relative_to_largest},
                        {"relative_l2", d.relative_l2},
                        {"ok", d.ok()}});
  }
  const bool reference = run.npu == nullptr;
  Json json{{"schema_version", reports::kSchemaVersion},
            {"model", model},
            {"npu", reference ? Json(nullptr) : Json(run.npu->name)},
            {"precision", reference ? "fp32" : reports::precision_name(run.npu->precision)},
            {"latency_cycles", reference ? Json(nullptr) : Json(run.cycles)},
            {"moved_bytes", reference ? Json(nullptr) : Json(run.moved)},
            {"outputs", outputs},
            {"reference", compared}};
  if (!run.fidelity.empty()) json["fidelity"] = fidelity_json(run.fidelity, run.layers);
  return json;
}

/// Plans, lowers and simulates; compares with the reference executor, or asks it for what only it has, where needed.
Outcome run_on_npu(const LoadedGraph& loaded, const TensorMap& inputs, const configs::NpuConfig& npu,
                   const RunFlags& flags, Context& context, Progress& progress) {
  const std::string& model = loaded.target.label;
  const Planned planned =
      plan_and_lower(model, workloads::canonicalise(loaded.graph), npu, flags.plan.options(), &progress);
  const auto calibration =
      flags.calibration.calibration(loaded.graph, planned.graph(), npu, flags.model.seed, progress);
  progress.stage(model + ": executing");
  auto run =
      simulator::simulate_functional(planned.program, npu, inputs,
                                     {.progress = [&](auto done, auto all) { progress.update(done, all, "commands"); },
                                      .calibration = calibration ? &*calibration : nullptr,
                                      .fidelity = flags.fidelity});
  Outcome outcome{
      .npu = &npu, .cycles = run.result.cycles, .moved = run.result.moves.total(), .outputs = std::move(run.outputs)};
  // The Program has no names for what lies between its operators; where its outputs are not finite, the reference
  // executor tells which operator began it.
  outcome.layers = std::move(run.layers);
  if (!flags.check && !flags.fidelity && flags.dump.empty() && !has_non_finite(outcome.outputs)) return outcome;
  TensorMap reference = run_reference(loaded.graph, inputs, {model, flags.dump, flags.nan_is_error, flags.double_sums},
                                      context, progress);
  if (has_non_finite(outcome.outputs) && !has_non_finite(reference)) {
    const std::string what = "numbers beyond the number formats' range make NaN or infinity, which fp32 does not";
    const std::string help = "--fidelity names the tensors; bf16 and fp32 have a wider range";
    if (flags.nan_is_error) throw Error(ErrorKind::kBadInput, Place{.file = model}, what, help);
    context.warn({fmt::format("{}: {} ({})", model, what, help)});
  }
  for (const std::string& name : flags.dump) {
    if (outcome.outputs.contains(name)) continue;
    outcome.outputs[name] = std::move(reference.at(name));
    reference.erase(name);
  }
  if (flags.check && exact(npu) && workloads::has_integer_operators(loaded.graph)) {
    // Integer arithmetic may round to the other of two steps than the numbers that it stands for.
    outcome.on_numbers = true;
    outcome.differences = differences_of(
        outcome.outputs,
        run_reference(planned.graph(), inputs, {model, {}, false, flags.double_sums}, context, progress));
  } else if (flags.check) {
    outcome.differences = differences_of(outcome.outputs, reference);
  }
  if (flags.fidelity) outcome.fidelity = fidelity_of(outcome.outputs, reference);
  return outcome;
}

void check_flags(const RunFlags& flags) {
  flags.format.check();
  check_choice("--output-format", flags.out_format, {OutputFormat::kNpy, OutputFormat::kNpz, OutputFormat::kPb});
  const auto refuse = [](const std::string& problem, const std::string& help) {
    throw Error(ErrorKind::kBadInput, Place{}, problem, help);
  };
  if (!flags.dump.empty() && flags.out.empty()) refuse("--dump needs a folder to write to", "add --output DIR");
  if (flags.reference && flags.check)
    refuse("--check compares an NPU with the reference: --reference runs none", "leave one out");
  if (flags.reference && flags.fidelity)
    refuse("--fidelity compares an NPU with the reference: --reference runs none", "leave one out");
  flags.calibration.check();
  if (flags.reference && flags.dry_run) refuse("--dry-run shows a plan: --reference makes none", "leave one out");
}

/// Inputs that no flag gives are worth a word where others were given.
void tell_generated(const std::vector<std::string>& generated, const std::string& model, const RunFlags& flags,
                    Context& context) {
  if (flags.inputs.empty()) return;
  std::vector<std::string> messages;
  messages.reserve(generated.size());
  for (const std::string& name : generated) {
    messages.push_back(
        fmt::format("{}: input '{}' was not given: generated from seed {}", model, name, flags.model.seed));
  }
  context.warn(messages);
}

void check_differences(const std::string& model, const std::vector<Difference>& differences) {
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

void run_verb(Context& context, const RunFlags& flags) {
  check_flags(flags);
  NpuFlags npu_flags = flags.npu;
  // What computes as the reference executor does, unless another precision is asked for.
  if (npu_flags.precision.empty()) npu_flags.precision = "fp32";
  const configs::NpuConfig npu = npu_flags.load();
  const partitioner::Options options = flags.plan.options();
  const Target target = resolve_target(flags.model.target);
  if (!flags.out.empty() && !flags.dry_run) reports::check_writable(flags.out);
  std::vector<GivenInput> given = read_inputs(flags.inputs);
  ModelFlags model_flags = flags.model;
  model_flags.dynamic = flags.reference;
  for (const GivenInput& input : given) {
    if (input.trouble) continue;
    model_flags.offered[input.name] = input.tensor.shape;
    constexpr std::size_t kSmall = 64;  // what conditions are made of
    if (input.tensor.holds_integer() && input.tensor.held() <= kSmall) model_flags.values[input.name] = input.tensor;
  }
  const std::vector<LoadedGraph> graphs{load_single(target, model_flags, "spillway run")};
  context.warn_of(graphs);
  Progress progress = context.progress();
  if (flags.dry_run) return print_dry_run(graphs, {context.command, npu, options, flags.format.json()}, progress);
  const LoadedGraph& loaded = graphs.front();
  const std::string& model = loaded.target.label;
  if (flags.reference || flags.check) check_memory(loaded.graph, model);
  std::vector<std::string> generated;
  const TensorMap inputs = inputs_of(loaded.graph, std::move(given), flags.model.seed, generated);
  tell_generated(generated, model, flags, context);

  Outcome run;
  if (flags.reference) {
    run.outputs = run_reference(loaded.graph, inputs, {model, flags.dump, flags.nan_is_error, flags.double_sums},
                                context, progress);
  } else {
    run = run_on_npu(loaded, inputs, npu, flags, context, progress);
  }
  progress.finish();
  run.files = flags.out.empty() ? unwritten(run.outputs) : save(run.outputs, flags.out, flags.out_format);
  if (flags.format.json()) {
    std::cout << json_of(model, run).dump(1, ' ', false, Json::error_handler_t::replace) << '\n';
  } else {
    print_table(model, run, flags.check);
    if (!run.fidelity.empty()) print_fidelity(std::cout, run.fidelity, run.layers, flags.detail);
    if (!generated.empty() && flags.inputs.empty()) {
      reports::print_labelled(
          std::cout, "note",
          fmt::format("inputs generated from seed {} (--input NAME=FILE.npy gives one)", flags.model.seed));
    }
    if (!flags.reference && !flags.dump.empty()) {
      reports::print_labelled(std::cout, "note", "dumped tensors are the reference executor's");
    }
  }
  if (exact(npu)) check_differences(model, run.differences);
}

}  // namespace

void add_run(CLI::App& app, Context& context) {
  CLI::App* verb = app.add_subcommand(
      "run", "execute one graph on real data, on the NPU (--precision, default fp32) or by the reference");
  const auto flags = std::make_shared<RunFlags>();
  flags->model.add_to(*verb);
  add_values(*verb, "--input", flags->inputs, "NAME=FILE (.npy, .npz or ONNX .pb), or FILE.npz for all arrays in it",
             "generated from --seed", "sample=latent.npy");
  add_value(*verb, "--output", flags->out, "folder for the outputs, a file each", "not written", "results");
  verb->add_option("--out", flags->out)->group("");  // what it was called; not listed
  add_value(*verb, "--output-format", flags->out_format, "npy, npz (all in outputs.npz) or pb (ONNX tensors)", "npy",
            "npz");
  add_values(*verb, "--dump", flags->dump, "write this tensor too, as the reference executor has it", "outputs only",
             "/mid/Add_output_0");
  add_switch(*verb, "--reference", flags->reference,
             "run the reference executor alone: takes graphs that the NPU refuses");
  add_switch(*verb, "--double-sums", flags->double_sums, "the reference executor sums products in double");
  add_switch(*verb, "--nan-is-error", flags->nan_is_error, "stop where NaN or infinity first appears");
  add_switch(*verb, "--check", flags->check, "compare with the reference executor; in fp32 both must agree");
  add_switch(*verb, "--fidelity", flags->fidelity,
             "what the number formats lose against fp32, end to end and by layer: SQNR, errors, cosine");
  add_switch(*verb, "--detail", flags->detail, "with --fidelity: every layer, in order");
  flags->calibration.add_to(*verb);
  add_switch(*verb, "--dry-run", flags->dry_run, "print the resolved config and the size of the plan, and stop");
  flags->npu.add_to(*verb);
  flags->plan.add_to(*verb);
  flags->format.add_to(*verb);
  verb->footer(
      "Examples:\n  spillway run sd-tiny/unet --npu edge-8mb --check\n"
      "  spillway run sd-tiny/unet --precision int8 --fidelity");
  verb->callback([&context, flags] { context.action = [&context, flags] { run_verb(context, *flags); }; });
}

}  // namespace spillway::cli
