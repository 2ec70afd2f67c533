#include "cli/explain_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <numeric>
#include <ostream>

#include "cli/explain_text.h"
#include "cli/tile_text.h"
#include "configs/error.h"
#include "reports/format.h"

namespace spillway::cli {

namespace {

using Json = nlohmann::ordered_json;
using partitioner::CycleShares;
using partitioner::Difference;
using partitioner::GroupExplanation;
using partitioner::OtherLoop;
using partitioner::Plan;
using partitioner::SpentOn;
using partitioner::TensorExplanation;
using partitioner::Why;
using reports::grouped;
using reports::Table;
using Align = Table::Align;

constexpr double kWorthNaming = 0.1;  // of a group's cycles
constexpr int kReasons = static_cast<int>(Why::kNotFound) + 1;

std::string percent_of(std::int64_t part, std::int64_t whole) {
  return whole == 0 ? "" : fmt::format(" ({:+.2f} %)", 100 * static_cast<double>(part) / static_cast<double>(whole));
}

/// "costs more 120, not one loop 90": most frequent first.
template <typename Items, typename Reason>
std::string reasons_text(const Items& items, Reason reason) {
  std::array<int, kReasons> count{};
  for (const auto& item : items) ++count[static_cast<std::size_t>(reason(item))];
  std::vector<int> order(kReasons);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return count[a] > count[b]; });
  std::string text;
  for (const int why : order) {
    if (count[why] == 0) break;
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", partitioner::name_of(static_cast<Why>(why)), count[why]);
  }
  return text;
}

CycleShares all_shares(const partitioner::Explanation& e) {
  CycleShares sum;
  for (const GroupExplanation& g : e.groups) sum += g.spent;
  return sum;
}

std::string other_text(const std::optional<OtherLoop>& loop, const partitioner::Storage& root) {
  if (!loop) return "nothing";
  const bool equal = loop->costs == Difference{};
  return fmt::format("{}: {}", loop_text(*loop, root), equal ? "as good" : difference_text(loop->costs));
}

/// A group that more room helps only within rounding is not helped.
bool helps(const std::optional<OtherLoop>& more) { return more && (more->costs.cycles != 0 || more->costs.moved != 0); }

void print_more(std::ostream& out, const partitioner::MoreScratchpad& more, const Plan& plan) {
  const std::string room = reports::binary_bytes(more.more);
  reports::print_labelled(
      out, "+ " + room,
      fmt::format("the whole planned anew: {} cycles{}, {} B moved{}{}; {} groups instead of {}",
                  signed_number(more.costs.cycles), percent_of(more.costs.cycles, plan.cycles),
                  signed_number(more.costs.moved), percent_of(more.costs.moved, plan.moves.total()),
                  more.costs.macs == 0 ? "" : fmt::format(", {} MACs", signed_number(more.costs.macs)), more.groups,
                  plan.groups.size()));
  constexpr std::size_t kShown = 8;
  std::string changes;
  for (std::size_t i = 0; i < std::min(kShown, more.changes.size()); ++i) {
    const auto& c = more.changes[i];
    changes += fmt::format("{}{} ({} B) {} -> {}", i == 0 ? "" : "; ", reports::shortened(c.tensor, 40),
                           grouped(c.bytes), partitioner::name_of(c.before), partitioner::name_of(c.after));
  }
  if (more.changes.size() > kShown) changes += fmt::format("; {} more", more.changes.size() - kShown);
  if (!changes.empty()) reports::print_labelled(out, "", "other fates then: " + changes);
}

void print_groups(std::ostream& out, const Explained& explained, const Plan& plan) {
  const auto& groups = explained.explanation.groups;
  const std::string room = reports::binary_bytes(explained.explanation.more);
  out << fmt::format(
      "  why groups are as they are; predicted differences to the plan; +{}: best loop with that much more, all else "
      "as "
      "is\n",
      room);
  Table table({{"#"}, {"name", Align::kLeft}, {"cycles"}, {"why", Align::kText}});
  for (std::size_t g = 0; g < groups.size(); ++g) {
    const GroupExplanation& e = groups[g];
    const auto& root = plan.layout.storages[plan.groups[g].root];
    std::string why = "bound by " + shares_text(e.spent, kWorthNaming);
    why += "; ends: " + boundary_text(e.end);
    why += "; next best: " + other_text(e.next, root);
    if (helps(e.with_more)) why += fmt::format("; +{}: {}", room, other_text(e.with_more, root));
    table.add({std::to_string(g), reports::shortened(plan.groups[g].name, 24), grouped(plan.groups[g].cycles), why});
  }
  table.print(out, 4);
}

void print_tensors(std::ostream& out, const std::vector<TensorExplanation>& tensors) {
  if (tensors.empty()) {
    out << "  no tensor of more than 16 KiB goes through DRAM between groups\n";
    return;
  }
  out << fmt::format(
      "  tensors that go through DRAM: {}, and why they are not made again; their DRAM cycles are at peak bandwidth; "
      "costs\n  with all else in the plan as it is (--alternatives N plans anew)\n",
      tensors.size());
  Table table({{"tensor", Align::kLeft}, {"bytes"}, {"groups"}, {"fate, and why not recompute", Align::kText}});
  for (const TensorExplanation& t : tensors) {
    table.add(
        {reports::shortened(t.fate.name, 26), grouped(t.fate.bytes),
         fmt::format("{}..{}", t.fate.first_group, t.fate.last_group),
         fmt::format("{}; {}: {}", partitioner::name_of(t.fate.fate), partitioner::name_of(t.why), remake_text(t))});
  }
  table.print(out, 4);
}

void print_terms(std::ostream& out, const std::vector<partitioner::Infeasible::Term>& terms) {
  Table table({{"bytes"}, {"what", Align::kLeft}, {"tensor", Align::kLeft}});
  for (const auto& term : terms) table.add({grouped(term.bytes), term.what, reports::shortened(term.tensor, 60)});
  table.print(out, 16);
}

void print_group(std::ostream& out, const Explained& explained, const Plan& plan, int g) {
  const GroupExplanation& e = explained.explanation.groups[g];
  const auto& group = plan.groups[g];
  const auto& root = plan.layout.storages[group.root];
  const auto line = [&](const char* label, const std::string& text) { reports::print_labelled(out, label, text); };
  out << fmt::format("  group {}: {}\n", g, group.name);
  OtherLoop own;
  own.tile = group.tile;
  own.order = group.loop_order;
  own.pipelining = group.pipelining;
  line("  runs", fmt::format("{}: {} steps in {} of the {} B that are free beside what stays", loop_text(own, root),
                             grouped(group.steps), grouped(group.scratchpad_bytes), grouped(e.available)));
  line("  predicted", fmt::format("{} cycles, {} B", grouped(group.cycles), grouped(group.moves.total())));
  line("  bound by", shares_text(e.spent, 0));
  line("  begins",
       g == 0 ? "the graph begins here"
              : fmt::format("{} ends before it: {}", g - 1, boundary_text(explained.explanation.groups[g - 1].end)));
  line("  ends", boundary_text(e.end));
  if (!e.end.terms.empty()) print_terms(out, e.end.terms);
  line("  next best", other_text(e.next, root));
  line(("  + " + reports::binary_bytes(explained.explanation.more)).c_str(),
       helps(e.with_more) ? other_text(e.with_more, root) : "buys this group nothing as long as all else stays");
}

Json shares_json(const CycleShares& shares) {
  Json json;
  for (int i = 0; i < partitioner::kSpentOnCount; ++i) {
    json[std::string(partitioner::name_of(static_cast<SpentOn>(i)))] = shares.cycles[i];
  }
  return json;
}

Json difference_json(const Difference& d) {
  return {{"cycles", d.cycles}, {"moved_bytes", d.moved}, {"weight_moved_bytes", d.weights}, {"macs", d.macs}};
}

Json loop_json(const std::optional<OtherLoop>& loop, const partitioner::Storage& root) {
  if (!loop) return nullptr;
  return {{"tile", tile_text(loop->tile, root)},
          {"loop_order", loop->order},
          {"pipelining", partitioner::name_of(loop->pipelining)},
          {"steps", loop->steps},
          {"scratchpad_bytes", loop->scratchpad},
          {"difference", difference_json(loop->costs)}};
}

Json boundary_json(const partitioner::Boundary& end) {
  Json json = {{"why", partitioner::name_of(end.why)}, {"text", boundary_text(end)}};
  if (end.with != workloads::kNone) json["with_groups_up_to"] = end.with;
  if (end.why == Why::kDoesNotFit) {
    json["demand_bytes"] = end.demand;
    json["available_bytes"] = end.available;
    json["short_bytes"] = end.demand - end.available;
    json["terms"] = Json::array();
    for (const auto& term : end.terms) {
      json["terms"].push_back({{"tensor", term.tensor}, {"bytes", term.bytes}, {"what", term.what}});
    }
  }
  if (end.compared) {
    json["difference"] = difference_json(end.costs);
    json["cycles_by"] = shares_json(end.costs.spent);
  }
  return json;
}

Json tensor_json(const TensorExplanation& t) {
  Json json = {{"tensor", t.fate.name},
               {"bytes", t.fate.bytes},
               {"first_group", t.fate.first_group},
               {"last_group", t.fate.last_group},
               {"fate", partitioner::name_of(t.fate.fate)},
               {"why_not_recomputed", partitioner::name_of(t.why)},
               {"besides", t.besides == Why::kNothing ? Json(nullptr) : Json(partitioner::name_of(t.besides))},
               {"text", remake_text(t)},
               {"saved_bytes", t.saved},
               {"saved_dram_cycles", t.saved_cycles}};
  if (t.operators > 0) {
    json["remake"] = {{"groups", t.readers},
                      {"operators", t.operators},
                      {"macs", t.macs},
                      {"operator_cycles", t.operator_cycles},
                      {"read_bytes", t.read_instead}};
    if (t.most_macs >= 0) json["remake"]["most_macs"] = t.most_macs;
    if (t.compared) json["remake"]["difference"] = difference_json(t.costs);
    if (t.why == Why::kDoesNotFit) {
      json["remake"]["demand_bytes"] = t.demand;
      json["remake"]["available_bytes"] = t.available;
    }
  }
  return json;
}

}  // namespace

std::vector<int> groups_named(const std::string& text, const Plan& plan) {
  const auto groups = static_cast<int>(plan.groups.size());
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc{} && end == text.data() + text.size()) {
    if (number >= 0 && number < groups) return {number};
    throw Error(ErrorKind::kBadInput, Place{.key = "--explain-group"},
                fmt::format("there is no group {}, the plan has {}", number, groups),
                fmt::format("0 to {}, or a part of a group's name", groups - 1));
  }
  std::vector<int> found;
  std::vector<std::string> names;
  for (int g = 0; g < groups; ++g) {
    names.push_back(plan.groups[g].name);
    if (!text.empty() && names.back().find(text) != std::string::npos) found.push_back(g);
  }
  if (!found.empty()) return found;
  const std::string nearest = nearest_name(text, names);
  throw Error(ErrorKind::kBadInput, Place{.key = "--explain-group"}, fmt::format("no group's name contains '{}'", text),
              nearest.empty() ? "--detail lists the groups" : "did you mean '" + nearest + "'?");
}

void print_explanation(std::ostream& out, const Explained& explained, const Plan& plan) {
  const auto& e = explained.explanation;
  if (!explained.groups.empty()) {
    for (const int g : explained.groups) print_group(out, explained, plan, g);
    return;
  }
  reports::print_labelled(out, "cycles by", shares_text(all_shares(e), 0));
  reports::print_labelled(out, "groups end", reasons_text(e.groups, [](const auto& g) { return g.end.why; }));
  reports::print_labelled(out, "not remade",
                          e.tensors.empty() ? "nothing goes through DRAM between groups"
                                            : reasons_text(e.tensors, [](const auto& t) { return t.why; }));
  if (explained.more) print_more(out, *explained.more, plan);
  print_groups(out, explained, plan);
  print_tensors(out, e.tensors);
}

Json explanation_json(const Explained& explained, const Plan& plan) {
  const auto& e = explained.explanation;
  Json groups = Json::array();
  for (std::size_t g = 0; g < e.groups.size(); ++g) {
    const int index = static_cast<int>(g);
    if (!explained.groups.empty() &&
        std::find(explained.groups.begin(), explained.groups.end(), index) == explained.groups.end()) {
      continue;
    }
    const auto& root = plan.layout.storages[plan.groups[g].root];
    groups.push_back({{"group", g},
                      {"name", plan.groups[g].name},
                      {"predicted_cycles", plan.groups[g].cycles},
                      {"cycles_by", shares_json(e.groups[g].spent)},
                      {"bound_by", partitioner::name_of(e.groups[g].spent.most())},
                      {"available_bytes", e.groups[g].available},
                      {"begins", g == 0 ? Json(nullptr) : boundary_json(e.groups[g - 1].end)},
                      {"ends", boundary_json(e.groups[g].end)},
                      {"next_best", loop_json(e.groups[g].next, root)},
                      {"with_more_scratchpad", loop_json(e.groups[g].with_more, root)}});
  }
  Json tensors = Json::array();
  for (const TensorExplanation& t : e.tensors) tensors.push_back(tensor_json(t));
  Json json = {{"more_bytes", e.more},
               {"cycles_by", shares_json(all_shares(e))},
               {"groups", std::move(groups)},
               {"tensors", std::move(tensors)}};
  if (explained.more) {
    Json changes = Json::array();
    for (const auto& c : explained.more->changes) {
      changes.push_back({{"tensor", c.tensor},
                         {"bytes", c.bytes},
                         {"fate", partitioner::name_of(c.before)},
                         {"fate_with_more", partitioner::name_of(c.after)}});
    }
    json["planned_with_more"] = {{"difference", difference_json(explained.more->costs)},
                                 {"groups", explained.more->groups},
                                 {"changes", std::move(changes)}};
  }
  return json;
}

}  // namespace spillway::cli
