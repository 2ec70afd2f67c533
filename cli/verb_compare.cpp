// spillway compare: two saved plans of one graph.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <cmath>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/context.h"
#include "cli/flags.h"
#include "cli/plan_files.h"
#include "reports/compare_plans.h"
#include "reports/format.h"
#include "reports/reports.h"

namespace spillway::cli {

namespace {

using Json = nlohmann::ordered_json;
using partitioner::PlanDocument;
using partitioner::StorageClass;
using reports::grouped;
using reports::PlanComparison;
using reports::Table;
using Align = Table::Align;

constexpr int kWorse = 4;  ///< exit code, beside those of ErrorKind

struct CompareFlags {
  std::string a, b;
  FormatFlag format;
  std::string fail_above;
  bool detail = false;
};

/// "2%", "0.5" -> 0.02, 0.005; negative without the flag.
double threshold_of(const std::string& text) {
  if (text.empty()) return -1;
  std::string_view number = text;
  if (number.ends_with('%')) number.remove_suffix(1);
  while (number.ends_with(' ')) number.remove_suffix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
  if (error != std::errc{} || end != number.data() + number.size() || !std::isfinite(value) || value < 0) {
    throw Error(ErrorKind::kBadInput, Place{}, fmt::format("--fail-above '{}' is not a percentage", text),
                "0 or more, with or without its sign: --fail-above 2%");
  }
  return value / 100;
}

PlanDocument read(const std::string& path) {
  return partitioner::parse_plan_document(read_plan_file(path), Place{.file = path});
}

std::string relative(std::int64_t a, std::int64_t b) {
  if (a == b) return "=";
  if (a == 0) return "-";
  return fmt::format("{:+.2f} %", (static_cast<double>(b) - static_cast<double>(a)) / static_cast<double>(a) * 100);
}

std::string signed_count(std::int64_t n) { return n > 0 ? "+" + grouped(n) : grouped(n); }

/// The first of several and how many there are: "12", "12 (+2)".
std::string shown(const std::vector<int>& groups) {
  if (groups.empty()) return "-";
  return groups.size() == 1 ? std::to_string(groups[0]) : fmt::format("{} (+{})", groups[0], groups.size() - 1);
}

void print_headline(const PlanComparison& c) {
  Table table({{"", Align::kLeft}, {"A"}, {"B"}, {"difference"}, {"relative"}});
  const auto row = [&](const std::string& what, std::int64_t a, std::int64_t b) {
    table.add({what, grouped(a), grouped(b), a == b ? "=" : signed_count(b - a), relative(a, b)});
  };
  const auto of = [&](StorageClass storage_class) {
    row(fmt::format("{} moves B", name_of(storage_class)), c.a.moves.of(storage_class), c.b.moves.of(storage_class));
  };
  row("predicted cycles", c.a.cycles, c.b.cycles);
  row("all moves B", c.a.moves.total(), c.b.moves.total());
  of(StorageClass::kWeight);
  of(StorageClass::kActivation);
  of(StorageClass::kParameter);
  of(StorageClass::kStatistics);
  row("scratchpad peak B", c.a.peak_scratchpad, c.b.peak_scratchpad);
  row("groups", c.a.groups, c.b.groups);
  row("held between groups", c.a.held, c.b.held);
  table.print(std::cout, 2);
}

void print_groups(const PlanComparison& c, std::size_t limit) {
  std::cout << fmt::format("  groups that changed: {} ({} did not); cycles as predicted, largest difference first\n",
                           c.groups.size(), grouped(c.unchanged_groups));
  Table table(
      {{"A"}, {"B"}, {"", Align::kLeft}, {"cycles"}, {"moves B"}, {"name", Align::kLeft}, {"what", Align::kText}});
  for (std::size_t i = 0; i < std::min(limit, c.groups.size()); ++i) {
    const auto& g = c.groups[i];
    table.add({shown(g.a), shown(g.b), std::string(reports::name_of(g.fate)), signed_count(g.cycles_b - g.cycles_a),
               signed_count(g.moved_b - g.moved_a), reports::shortened(g.name, 36), g.what});
  }
  table.print(std::cout, 4);
  if (c.groups.size() > limit) std::cout << fmt::format("    {} more (--detail: all)\n", c.groups.size() - limit);
}

void print_tensors(const PlanComparison& c, std::size_t limit) {
  std::cout << fmt::format("  tensors that changed fate or moves: {}; DRAM cycles are their bytes at peak bandwidth\n",
                           c.tensors.size());
  Table table({{"bytes"},
               {"A", Align::kLeft},
               {"B", Align::kLeft},
               {"moves B"},
               {"DRAM cycles"},
               {"class", Align::kLeft},
               {"name", Align::kLeft}});
  for (std::size_t i = 0; i < std::min(limit, c.tensors.size()); ++i) {
    const auto& t = c.tensors[i];
    table.add({grouped(t.bytes), t.fate_a, t.fate_b, signed_count(t.moved_b - t.moved_a),
               signed_count(std::llround(t.cycles_b - t.cycles_a)), std::string(name_of(t.storage_class)),
               reports::shortened(t.name, 44)});
  }
  table.print(std::cout, 4);
  if (c.tensors.size() > limit) std::cout << fmt::format("    {} more (--detail: all)\n", c.tensors.size() - limit);
}

void print_text(const PlanComparison& c, const CompareFlags& flags) {
  if (c.equal()) {
    std::cout << fmt::format("equal: {} and {} are the same plan of {}: {} groups, {} cycles, {} B moved\n", flags.a,
                             flags.b, c.graph, grouped(c.a.groups), grouped(c.a.cycles), grouped(c.a.moves.total()));
    return;
  }
  std::cout << fmt::format("{}: A = {}, B = {}\n", c.graph, flags.a, flags.b);
  constexpr std::size_t kSettings = 8;
  std::vector<std::string> settings;
  for (const auto& s : c.settings) {
    if (!flags.detail && settings.size() == kSettings) {
      settings.push_back(fmt::format("{} more (--detail: all)", c.settings.size() - kSettings));
      break;
    }
    settings.push_back(fmt::format("{} {} -> {}", s.what, s.a, s.b));
  }
  reports::print_labelled(
      std::cout, "made for",
      settings.empty() ? "the same NPU, budget, strategy and objective" : fmt::format("{}", fmt::join(settings, "; ")));
  print_headline(c);
  constexpr std::size_t kShown = 10;
  const std::size_t limit = flags.detail ? std::numeric_limits<std::size_t>::max() : kShown;
  if (!c.groups.empty()) print_groups(c, limit);
  if (!c.tensors.empty()) print_tensors(c, limit);
  if (c.groups.empty() && c.tensors.empty()) std::cout << "  every group and every tensor's fate is the same\n";
  if (c.moved_addresses > 0) {
    std::cout << fmt::format("  {} unchanged groups and residencies have other places in the scratchpad\n",
                             grouped(c.moved_addresses));
  }
}

Json json_of(const PlanComparison::Side& side) {
  Json moves = Json::object();
  for (int k = 0; k < partitioner::kStorageClassCount; ++k) {
    const auto storage_class = static_cast<StorageClass>(k);
    moves[std::string(name_of(storage_class))] = side.moves.of(storage_class);
  }
  return {{"predicted_cycles", side.cycles}, {"moved_bytes", side.moves.total()},
          {"moved_bytes_by_class", moves},   {"peak_scratchpad_bytes", side.peak_scratchpad},
          {"groups", side.groups},           {"residencies", side.held}};
}

Json json_of(const PlanComparison& c, const CompareFlags& flags) {
  Json settings = Json::array();
  for (const auto& s : c.settings) settings.push_back({{"setting", s.what}, {"a", s.a}, {"b", s.b}});
  Json groups = Json::array();
  for (const auto& g : c.groups) {
    groups.push_back({{"change", reports::name_of(g.fate)},
                      {"a", g.a},
                      {"b", g.b},
                      {"name", g.name},
                      {"what", g.what},
                      {"predicted_cycles_a", g.cycles_a},
                      {"predicted_cycles_b", g.cycles_b},
                      {"moved_bytes_a", g.moved_a},
                      {"moved_bytes_b", g.moved_b}});
  }
  Json tensors = Json::array();
  for (const auto& t : c.tensors) {
    tensors.push_back({{"name", t.name},
                       {"class", name_of(t.storage_class)},
                       {"bytes", t.bytes},
                       {"fate_a", t.fate_a},
                       {"fate_b", t.fate_b},
                       {"moved_bytes_a", t.moved_a},
                       {"moved_bytes_b", t.moved_b},
                       {"dram_cycles_a", t.cycles_a},
                       {"dram_cycles_b", t.cycles_b}});
  }
  const double worse = c.worse_by();
  return {{"schema_version", reports::kSchemaVersion},
          {"graph", c.graph},
          {"plan_a", flags.a},
          {"plan_b", flags.b},
          {"equal", c.equal()},
          {"worse_by", std::isfinite(worse) ? Json(worse) : Json(nullptr)},
          {"settings", settings},
          {"a", json_of(c.a)},
          {"b", json_of(c.b)},
          {"unchanged_groups", c.unchanged_groups},
          {"moved_addresses", c.moved_addresses},
          {"groups", groups},
          {"tensors", tensors}};
}

void compare(Context& context, const CompareFlags& flags) {
  flags.format.check();
  const double threshold = threshold_of(flags.fail_above);
  const PlanDocument a = read(flags.a);
  const PlanDocument b = read(flags.b);
  const auto comparison = reports::compare_plans(a, b);
  if (!comparison) {
    throw Error(
        ErrorKind::kBadInput, Place{.file = flags.b, .key = "graph"},
        fmt::format("is a plan for '{}' ({} operators, fingerprint {}), and {} is one for '{}' ({} operators, {})",
                    b.graph, b.operators, b.graph_fingerprint, flags.a, a.graph, a.operators, a.graph_fingerprint),
        "plans of one graph, with the same batch, shapes and blocks of keys (--key-blocks), can be compared");
  }
  if (flags.format.json()) {
    std::cout << json_of(*comparison, flags).dump(1, ' ', false, Json::error_handler_t::replace) << '\n';
  } else {
    print_text(*comparison, flags);
  }
  if (threshold < 0 || comparison->worse_by() <= threshold) return;
  context.exit_code = kWorse;
  if (!context.quiet) {
    std::cout.flush();
    std::cerr << fmt::format(
        "worse: B is {:.2f} % above A in predicted cycles or moved bytes, --fail-above is {:g} %\n",
        comparison->worse_by() * 100, threshold * 100);
  }
}

}  // namespace

void add_compare(CLI::App& app, Context& context) {
  CLI::App* verb = app.add_subcommand("compare", "two saved plans of one graph: what changed and what it costs");
  const auto flags = std::make_shared<CompareFlags>();
  add_argument(*verb, "A", flags->a, "plan file that --save-plan wrote", "a.plan.json");
  add_argument(*verb, "B", flags->b, "another for the same graph; NPU, budget, strategy may differ", "b.plan.json");
  flags->format.add_to(*verb);
  add_value(*verb, "--fail-above", flags->fail_above,
            "exit with code 4 if B has more predicted cycles or moves more bytes than A by more than this percentage",
            "never", "2%");
  add_switch(*verb, "--detail", flags->detail, "every group and tensor that changed");
  verb->footer(
      "Example:\n  spillway partition sd15/unet --save-plan a.plan.json\n"
      "  spillway partition sd15/unet --sram 4MiB --save-plan b.plan.json\n"
      "  spillway compare a.plan.json b.plan.json --fail-above 2%");
  verb->callback([&context, flags] { context.action = [&context, flags] { compare(context, *flags); }; });
}

}  // namespace spillway::cli
