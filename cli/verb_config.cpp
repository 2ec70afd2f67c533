// spillway config: the modelled NPUs.
#include <fmt/format.h>

#include <iostream>
#include <memory>

#include "cli/context.h"
#include "cli/flags.h"
#include "cli/options.h"
#include "reports/format.h"

namespace spillway::cli {

namespace {

void list_presets() {
  using Align = reports::Table::Align;
  reports::Table table(
      {{"name", Align::kLeft}, {"MAC cells"}, {"clock"}, {"scratchpad"}, {"DRAM peak"}, {"description", Align::kText}});
  for (const std::string& name : configs::preset_names()) {
    const configs::NpuConfig npu = configs::load_config(name);
    table.add({name, reports::grouped(npu.mac_cells()), reports::si(npu.clock_hz, "Hz"),
               reports::binary_bytes(npu.scratchpad.size), reports::si(npu.dram.peak_bytes_per_second(), "B/s"),
               npu.description});
  }
  table.print(std::cout, 0);
}

}  // namespace

void add_config(CLI::App& app, Context& context) {
  CLI::App* verb = app.add_subcommand("config", "the modelled NPUs: list, show");
  verb->require_subcommand(1);
  verb->footer("Example:\n  spillway config show edge-8mb --set scratchpad.size=4MiB > my.yaml");
  CLI::App* list = verb->add_subcommand("list", "built-in presets");
  list->footer("Example:\n  spillway config list");
  list->callback([&context] { context.action = list_presets; });

  CLI::App* show = verb->add_subcommand("show", "a preset or file, resolved, as YAML");
  show->footer("Example:\n  spillway config show edge-8mb --set scratchpad.size=4MiB");
  const auto flags = std::make_shared<NpuFlags>();
  add_argument(*show, "NAME", flags->npu, "preset name, or a YAML file", "edge-8mb");
  flags->add_overrides_to(*show);
  show->callback([&context, flags] { context.action = [flags] { std::cout << configs::to_yaml(flags->load()); }; });
}

}  // namespace spillway::cli
