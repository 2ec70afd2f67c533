// The terminal screen: one per graph, answer first (how fast, what limits it, does it fit, which knob to turn).
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <ostream>

#include "reports/derived.h"
#include "reports/format.h"
#include "reports/text_tables.h"

namespace spillway::reports {

namespace {

using configs::NpuConfig;
using simulator::Cause;

/// Rows of the tables that only --detail shows in full: with these a profile is one screen of 45 lines.
constexpr std::size_t kOperatorRows = 4;
constexpr std::size_t kGroupRows = 5;

std::string rate_text(double per_second) {
  if (per_second >= 1000) return grouped(std::llround(per_second)) + " runs/s";
  return fmt::format("{:.3g} runs/s", per_second);
}

class Screen {
 public:
  Screen(const GraphProfile& profile, const NpuConfig& npu, const TextOptions& options, std::ostream& out)
      : profile_(profile), result_(profile.result), npu_(npu), options_(options), out_(out) {}

  void print() {
    header();
    speed();
    limits();
    moves();
    buffers();
    exported();
    executed();
    slowest();
    energy();
    scope();
    for (const std::string& note : profile_.notes) {
      const bool explanation = note.starts_with(' ');
      if (options_.detail || !explanation) line(explanation ? "" : "note", note.substr(note.find_first_not_of(' ')));
    }
    if (options_.detail) print_detail(profile_, npu_, out_);
    sensitivity();
  }

 private:
  void line(const std::string& label, const std::string& text) { print_labelled(out_, label, text); }
  [[nodiscard]] std::string bold(const std::string& text) const {
    return options_.colour ? "\033[1m" + text + "\033[0m" : text;
  }

  void header() {
    const std::string rest =
        fmt::format(" ({}, batch {}, {}) on {} @ {:g} MHz, {} scratchpad", precision_name(npu_.precision),
                    batch_of(profile_.exported), partitioner::name_of(profile_.plan.strategy), npu_.name,
                    npu_.clock_hz / 1e6, binary_bytes(npu_.scratchpad.size));
    constexpr std::size_t kLeastName = 24;
    const std::size_t room = std::max(kLeastName, kScreenWidth - std::min(kScreenWidth, rest.size()));
    out_ << bold(shortened(profile_.model, room) + rest) << '\n';
  }

  void speed() {
    const double seconds = seconds_of(result_.cycles, npu_);
    line("latency", fmt::format("{}   {}   {} cycles", bold(milliseconds(seconds)),
                                seconds > 0 ? rate_text(1 / seconds) : "", grouped(result_.cycles)));
  }

  void limits() {
    line("bound by", bound_text() + "  of cycles");
    line(
        "utilisation",
        fmt::format("{} of {} MACs/cycle   {} = {} operations   {} on the vector engine",
                    percent(utilisation(profile_, npu_)), grouped(static_cast<std::int64_t>(peak_macs_per_cycle(npu_))),
                    si(static_cast<double>(result_.macs), "MACs"), si(2.0 * static_cast<double>(result_.macs), ""),
                    si(static_cast<double>(total_vector_ops(result_.vector_ops)), "")));
    const LowerBound bound = lower_bound(profile_, npu_);
    line("lower bound",
         fmt::format("{} ({}); lost: {}", milliseconds(seconds_of(static_cast<configs::Cycles>(bound.cycles), npu_)),
                     name_of(bound.kind), loss_text()));
  }

  [[nodiscard]] std::string bound_text() const {
    const std::vector<double> cycles(result_.bound_by.begin(), result_.bound_by.end());
    const std::vector<int> shares = permille(cycles);
    std::vector<int> order(shares.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int>(i);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return cycles[a] > cycles[b]; });
    std::string text;
    for (const int i : order) {
      if (cycles[i] == 0) continue;
      text += fmt::format("{}{} {}", text.empty() ? "" : "  ", simulator::name_of(static_cast<Cause>(i)),
                          percent_of_permille(shares[i]));
    }
    return text;
  }

  [[nodiscard]] std::string loss_text() const {
    const Loss lost = loss(profile_, npu_);
    std::vector<std::pair<const char*, double>> named = {{"padding", lost.padding},
                                                         {"fill and drain", lost.fill},
                                                         {"MAC work", lost.matrix},
                                                         {"vector", lost.vector},
                                                         {"DRAM", lost.dram},
                                                         {"scratchpad port", lost.port},
                                                         {"descriptor", lost.descriptor},
                                                         {"dependency", lost.dependency}};
    std::stable_sort(named.begin(), named.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
    constexpr std::size_t kShown = 2;
    if (!options_.detail) {
      for (std::size_t i = kShown + 1; i < named.size(); ++i) named[kShown].second += named[i].second;
      named[kShown].first = "other";
      named.resize(kShown + 1);
    }
    std::vector<double> seconds;
    seconds.reserve(named.size());
    for (const auto& [name, cycles] : named) seconds.push_back(cycles / npu_.clock_hz);
    const Parts parts = rounded_parts(seconds, "s");
    std::string text;
    for (std::size_t i = 0; i < named.size(); ++i) {
      if (named[i].second <= 0 || std::stod(parts.parts[i]) == 0) continue;
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", named[i].first, parts.parts[i]);
    }
    return fmt::format("{} {}{}", parts.total, parts.unit, text.empty() ? "" : " (" + text + ")");
  }

  void moves() {
    const auto& moved = result_.moves;
    const auto compulsory = profile_.plan.compulsory_bytes;
    line("moves",
         fmt::format("{} over the DRAM interface{}", si(static_cast<double>(moved.total()), "B"),
                     compulsory > 0 ? fmt::format(", {:.2f} x the compulsory {}",
                                                  static_cast<double>(moved.total()) / static_cast<double>(compulsory),
                                                  si(static_cast<double>(compulsory), "B"))
                                    : ""));
    print_moves(moved, options_.detail, out_, 4);
  }

  void buffers() {
    line("working", fmt::format("{} at its peak; peaks of its parts: activations in DRAM {}, scratchpad {}",
                                si(static_cast<double>(result_.working_buffer), "B"),
                                si(static_cast<double>(result_.peak_dram_activation), "B"),
                                si(static_cast<double>(result_.peak_scratchpad), "B")));
    const auto dram = result_.peak_dram_activation + constant_bytes(profile_);
    const std::string peak =
        fmt::format("scratchpad peak {} of {} KiB", grouped((result_.peak_scratchpad + 1023) / 1024),
                    grouped(npu_.scratchpad.size / 1024));
    const std::string with_constants =
        fmt::format("   DRAM peak {} with constants", si(static_cast<double>(dram), "B"));
    line("memory",
         peak + peak_place(kScreenWidth - 2 - kLabelWidth - peak.size() - with_constants.size()) + with_constants);
  }

  [[nodiscard]] std::string peak_place(std::size_t room) const {
    const auto group = static_cast<std::size_t>(result_.peak_group);
    const std::string in = " in ";
    if (group >= profile_.plan.groups.size()) return "";
    return in + shortened(profile_.plan.groups[group].name, room - in.size());
  }

  void exported() {
    const auto& statistics = profile_.statistics;
    const auto rows = exported_mix(statistics);
    std::string text;
    constexpr std::size_t kShown = 5;
    std::int64_t rest = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (i < kShown) {
        text += fmt::format("{}{} {}", i == 0 ? "" : ", ", rows[i].op, rows[i].count);
      } else {
        rest += rows[i].count;
      }
    }
    if (rest > 0) text += fmt::format(", {} of {} other types", rest, rows.size() - kShown);
    line("exported", fmt::format("{} nodes: {}", grouped(statistics.nodes), text));
    const MacSplit split = mac_split(statistics);
    const auto shares = permille({static_cast<double>(split.constant), static_cast<double>(split.activations)});
    line("", fmt::format("{} convolutions and products: {:.2f} % of operations ({} with a constant); {} parameters",
                         grouped(matrix_nodes(statistics)), 100 * matrix_share_of_operations(statistics),
                         percent_of_permille(shares[0]), si(static_cast<double>(statistics.parameters), "")));
  }

  void executed() {
    line("executed", fmt::format("{} groups, {} commands; by operator type and busy cycles of each kind of engine",
                                 grouped(static_cast<std::int64_t>(profile_.plan.groups.size())), grouped(commands())));
    print_executed(profile_, options_.detail ? 0 : kOperatorRows, out_, 4);
  }

  [[nodiscard]] std::int64_t commands() const {
    std::int64_t n = 0;
    for (const auto& engine : result_.engines) n += engine.commands;
    return n;
  }

  void slowest() {
    line("slowest", fmt::format("groups by their share of the critical path, {} in all",
                                grouped(static_cast<std::int64_t>(result_.groups.size()))));
    print_groups(profile_, npu_, kGroupRows, out_, 4);
  }

  void energy() {
    const auto& e = result_.energy;
    const Parts parts = rounded_parts({e.mac_pj * 1e-12, e.vector_pj * 1e-12, e.scratchpad_pj * 1e-12,
                                       e.accumulator_pj * 1e-12, e.dram_pj * 1e-12, e.static_pj * 1e-12},
                                      "J");
    line("energy", fmt::format("{} {} = MAC {} + vector {} + scratchpad {} + accumulators {} + DRAM {} + static {}",
                               parts.total, parts.unit, parts.parts[0], parts.parts[1], parts.parts[2], parts.parts[3],
                               parts.parts[4], parts.parts[5]));
    if (profile_.plan.objective != partitioner::Objective::kEdp) return;
    const double delay = seconds_of(result_.cycles, npu_);
    line("", fmt::format("times delay, the plan's objective: {}", si(e.total_pj() * 1e-12 * delay, "J s")));
  }

  void scope() {
    line("modelled", std::string(modelled()));
    line("", "not modelled: " + std::string(not_modelled()));
  }

  void sensitivity() {
    if (profile_.sensitivity.empty()) return;
    line("sensitivity", "each row re-planned and re-simulated; change against this profile");
    print_sensitivity(profile_, npu_, options_.detail, out_, 4);
    const Verdict v = verdict(profile_);
    if (v.best >= 0) {
      const SensitivityRow& row = profile_.sensitivity[v.best];
      line("try", fmt::format("{} doubled would help most: {} less latency   --set {}", name_of(row.knob),
                              percent(v.best_gain), row.override_));
    } else {
      line("try", "no knob doubled on its own gains 0.5 %");
    }
    std::string spent;
    for (const int i : v.spent)
      spent += (spent.empty() ? "" : ", ") + std::string(name_of(profile_.sensitivity[i].knob));
    if (!spent.empty()) line("", fmt::format("stopped helping (doubled: less than 0.5 % gained): {}", spent));
  }

  const GraphProfile& profile_;
  const simulator::Result& result_;
  const NpuConfig& npu_;
  const TextOptions& options_;
  std::ostream& out_;
};

}  // namespace

std::string_view name_of(Knob knob) {
  switch (knob) {
    case Knob::kScratchpad:
      return "SRAM";
    case Knob::kDramBandwidth:
      return "DRAM bandwidth";
    case Knob::kArrays:
      return "arrays";
    case Knob::kVectorLanes:
      return "vector lanes";
  }
  internal_error("a knob has a name");
}

std::string_view tool_version() { return SPILLWAY_VERSION; }

void write_text(const Report& report, const TextOptions& options, std::ostream& out) {
  for (const GraphProfile& profile : report.graphs) {
    Screen(profile, report.npu, options, out).print();
    out << '\n';
  }
  if (report.pipeline) {
    print_pipeline(*report.pipeline, report.npu, out);
    out << '\n';
  }
  if (options.directory.empty()) return;
  std::string stems;
  for (const std::string& stem : file_stems(report)) stems += (stems.empty() ? "" : ",") + stem;
  if (report.graphs.size() > 1) stems = "{" + stems + "}";
  print_labelled(out, "reports",
                 fmt::format("{}/report.json, {}.{{groups,operators,tensors}}.csv, resolved_config.yaml",
                             options.directory, stems));
}

}  // namespace spillway::reports
