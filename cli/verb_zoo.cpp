// spillway zoo: the built-in models.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <iostream>
#include <memory>

#include "cli/context.h"
#include "cli/flags.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "workloads/workloads.h"

namespace spillway::cli {

namespace {

struct ExportFlags {
  std::string model;
  std::string out;
  bool with_weights = false;
  std::int64_t batch = 0, image = 0, sequence = 0;
  std::uint64_t seed = 1;
  std::string precision = "fp32";
};

void list_models() {
  for (const std::string& model : workloads::zoo_models()) {
    std::cout << fmt::format("{:<8}  {}\n", model, fmt::join(workloads::zoo_graphs(model), " "));
  }
}

void export_model(const Context& context, const ExportFlags& flags) {
  check_choice("MODEL", flags.model, workloads::zoo_models());
  check_choice("--precision", flags.precision, {"fp32", "fp16"});
  std::vector<std::string> unfinished;
  for (const std::string& graph : workloads::zoo_graphs(flags.model)) {
    for (const char* file : {"model.onnx", "weights.bin"}) {
      unfinished.push_back(fmt::format("{}/{}/{}.{}.partial", flags.out, graph, file, ::getpid()));
    }
  }
  remove_when_interrupted(unfinished);
  Progress progress(context.quiet, context.verbose);
  progress.stage(fmt::format("exporting {}", flags.model));
  workloads::zoo_export(flags.model, flags.out,
                        {.batch = flags.batch,
                         .image = flags.image,
                         .sequence = flags.sequence,
                         .seed = flags.seed,
                         .precision = flags.precision},
                        flags.with_weights);
  progress.finish();
  remove_when_interrupted({});
  for (const std::string& graph : workloads::zoo_graphs(flags.model)) {
    std::cout << fmt::format("{}/{}/model.onnx\n", flags.out, graph);
    if (flags.with_weights) std::cout << fmt::format("{}/{}/weights.bin\n", flags.out, graph);
  }
}

}  // namespace

void add_zoo(CLI::App& app, Context& context) {
  CLI::App* verb = app.add_subcommand("zoo", "the built-in models: list, export");
  verb->require_subcommand(1);
  verb->footer("Example:\n  spillway zoo export sd15 --out sd15");
  CLI::App* list = verb->add_subcommand("list", "models and their graphs");
  list->footer("Example:\n  spillway zoo list");
  list->callback([&context] { context.action = list_models; });

  CLI::App* write = verb->add_subcommand("export", "write a model as ONNX files: DIR/GRAPH/model.onnx");
  write->footer("Example:\n  spillway zoo export sd-tiny --out sd-tiny --with-weights");
  const auto flags = std::make_shared<ExportFlags>();
  add_argument(*write, "MODEL", flags->model, "as `spillway zoo list` names it", "sd-tiny");
  add_value(*write, "--out", flags->out, "folder, created if missing; must be given", "none", "exported")->required();
  add_switch(
      *write, "--with-weights", flags->with_weights,
      "write weights.bin beside each model (gigabytes for sd15); without it only tensors of less than 1024 bytes "
      "have values");
  add_value(*write, "--batch", flags->batch, "of every graph", "1, the U-Net's 2", "4");
  add_value(*write, "--image", flags->image, "pixels per side", "the model's", "768");
  add_value(*write, "--sequence", flags->sequence, "tokens", "77", "32");
  add_value(*write, "--seed", flags->seed, "of the generated weights", std::to_string(flags->seed), "7");
  add_value(*write, "--precision", flags->precision, "element type of weights and activations: fp32 or fp16",
            flags->precision, "fp16");
  write->callback([&context, flags] { context.action = [&context, flags] { export_model(context, *flags); }; });
}

}  // namespace spillway::cli
