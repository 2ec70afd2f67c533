// spillway inspect: what is in a graph, before any NPU comes into it.
#include <fmt/format.h>

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/context.h"
#include "cli/flags.h"
#include "cli/target.h"
#include "reports/derived.h"
#include "reports/format.h"

namespace spillway::cli {

namespace {

using Json = nlohmann::ordered_json;
using reports::grouped;
using reports::Table;
using Align = Table::Align;
using workloads::Graph;
using workloads::Statistics;

struct InspectFlags {
  ModelFlags model;
  FormatFlag format;
  bool detail = false;
};

std::string signature(const Graph& graph, const std::vector<workloads::TensorId>& ids) {
  std::string text;
  for (const auto id : ids) {
    const auto& tensor = graph.tensors[id];
    text += fmt::format("{}{} {} {}", text.empty() ? "" : ", ", tensor.name, workloads::name_of(tensor.type),
                        workloads::to_string(tensor.shape));
  }
  return text;
}

void print(const LoadedGraph& loaded, bool detail) {
  const Graph& graph = loaded.graph;
  const Statistics statistics = workloads::statistics_of(graph);
  const auto split = reports::mac_split(statistics);
  const double macs = static_cast<double>(std::max<std::int64_t>(statistics.macs_total, 1));
  std::cout << fmt::format("{}  (opset {}, {} nodes, {} without Constant)\n", loaded.target.label, graph.opset,
                           grouped(statistics.nodes), grouped(statistics.nodes_without_constant));
  const auto line = [](const char* label, const std::string& text) { reports::print_labelled(std::cout, label, text); };
  line("inputs", signature(graph, graph.inputs));
  line("outputs", signature(graph, graph.outputs));
  line("parameters", fmt::format("{} ({} in weights of rank 2 and more)", grouped(statistics.parameters),
                                 grouped(statistics.parameters_weights_only)));
  line("MACs", fmt::format("{} = {}; {:.1f} % with a constant operand, {:.1f} % of two activations",
                           grouped(statistics.macs_total),
                           reports::si(2.0 * static_cast<double>(statistics.macs_total), "operations"),
                           100 * static_cast<double>(split.constant) / macs,
                           100 * static_cast<double>(split.activations) / macs));
  for (const std::string& note : loaded.notes) line("note", note);

  std::cout << "  MACs by class\n";
  Table classes({{"", Align::kLeft}, {"MACs"}, {"share"}});
  for (const auto& [name, n] : statistics.macs) {
    classes.add({name, grouped(n), reports::percent(static_cast<double>(n) / macs)});
  }
  classes.print(std::cout, 4);

  std::cout << "  operators\n";
  Table operators({{"", Align::kLeft}, {"count"}, {"MACs"}, {"output elements"}});
  const auto rows = reports::exported_mix(statistics);
  constexpr std::size_t kShown = 10;
  std::int64_t rest = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (!detail && i >= kShown) {
      rest += rows[i].count;
      continue;
    }
    operators.add({rows[i].op, grouped(rows[i].count), grouped(rows[i].macs), grouped(rows[i].output_elements)});
  }
  if (rest > 0) operators.add({fmt::format("{} more types", rows.size() - kShown), grouped(rest), "", ""});
  operators.print(std::cout, 4);

  std::cout << "  largest activations\n";
  Table largest({{"elements"}, {"shape", Align::kLeft}, {"operator", Align::kLeft}, {"name", Align::kLeft}});
  for (const auto& tensor : statistics.largest) {
    largest.add({grouped(tensor.elements), workloads::to_string(tensor.shape), tensor.op, tensor.name});
  }
  largest.print(std::cout, 4);
}

Json json_of(const Graph& graph, const std::vector<workloads::TensorId>& ids) {
  Json json = Json::array();
  for (const auto id : ids) {
    const auto& tensor = graph.tensors[id];
    json.push_back({{"name", tensor.name}, {"type", workloads::name_of(tensor.type)}, {"shape", tensor.shape}});
  }
  return json;
}

Json json_of(const LoadedGraph& loaded) {
  const Statistics s = workloads::statistics_of(loaded.graph);
  Json largest = Json::array();
  for (const auto& tensor : s.largest) {
    largest.push_back(
        {{"name", tensor.name}, {"operator", tensor.op}, {"shape", tensor.shape}, {"elements", tensor.elements}});
  }
  return {{"model", loaded.target.label},
          {"opset", loaded.graph.opset},
          {"inputs", json_of(loaded.graph, loaded.graph.inputs)},
          {"outputs", json_of(loaded.graph, loaded.graph.outputs)},
          {"nodes", s.nodes},
          {"nodes_without_constant", s.nodes_without_constant},
          {"operators", s.ops},
          {"parameters", s.parameters},
          {"parameters_weights_only", s.parameters_weights_only},
          {"macs", s.macs_total},
          {"macs_by_class", s.macs},
          {"output_elements", s.output_elements},
          {"largest_activations", largest},
          {"notes", loaded.notes}};
}

void inspect(Context& context, const InspectFlags& flags) {
  flags.format.check();
  const Target target = resolve_target(flags.model.target);
  Json all = Json::array();
  const std::vector<LoadedGraph> graphs = load_graphs(target, flags.model, true);
  context.warn_of(graphs);
  for (const LoadedGraph& loaded : graphs) {
    if (flags.format.json()) {
      all.push_back(json_of(loaded));
    } else {
      if (&loaded != &graphs.front()) std::cout << '\n';
      print(loaded, flags.detail);
    }
  }
  if (flags.format.json()) {
    const Json json = {{"schema_version", reports::kSchemaVersion}, {"graphs", all}};
    std::cout << json.dump(1, ' ', false, Json::error_handler_t::replace) << '\n';
  }
}

}  // namespace

void add_inspect(CLI::App& app, Context& context) {
  CLI::App* verb = app.add_subcommand("inspect", "what a graph holds: operators, parameters, MACs, largest tensors");
  const auto flags = std::make_shared<InspectFlags>();
  flags->model.add_to(*verb);
  flags->format.add_to(*verb);
  add_switch(*verb, "--detail", flags->detail, "all operator types");
  verb->footer("Example:\n  spillway inspect sd15/unet --batch 2");
  verb->callback([&context, flags] { context.action = [&context, flags] { inspect(context, *flags); }; });
}

}  // namespace spillway::cli
