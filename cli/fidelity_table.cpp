#include "cli/fidelity_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <ostream>

#include "reports/format.h"

namespace spillway::cli {

namespace {

using Json = nlohmann::ordered_json;
using reports::Table;
using Align = Table::Align;
using simulator::LayerFidelity;
using workloads::ErrorSums;

std::string decibels(double db) { return std::isinf(db) && db > 0 ? "exact" : fmt::format("{:.1f} dB", db); }

std::vector<std::string> cells(const ErrorSums& error) {
  return {decibels(error.sqnr_db()), fmt::format("{:.3g}", error.largest), fmt::format("{:.3g}", error.mean_error()),
          fmt::format("{:.6f}", error.cosine())};
}

Json json_of(const ErrorSums& error) {
  const auto number = [](double v) { return std::isfinite(v) ? Json(v) : Json(nullptr); };
  return {{"compared", error.count},
          {"sqnr_db", number(error.sqnr_db())},  // null: nothing differs, or something is not finite
          {"exact", error.error_squares == 0},
          {"largest_error", number(error.largest)},
          {"mean_error", number(error.mean_error())},
          {"cosine", number(error.cosine())}};
}

}  // namespace

std::vector<OutputFidelity> fidelity_of(const workloads::TensorMap& outputs, const workloads::TensorMap& reference) {
  std::vector<OutputFidelity> result;
  for (const auto& [name, wanted] : reference) {
    const auto found = outputs.find(name);
    if (found == outputs.end() || !wanted.holds_float() || !found->second.holds_float()) continue;
    const auto& theirs = wanted.floats();
    const auto& ours = found->second.floats();
    if (theirs.size() != ours.size()) internal_error("the Program and the reference executor have the same outputs");
    OutputFidelity f{.tensor = name, .error = {}};
    for (std::size_t i = 0; i < theirs.size(); ++i) f.error.add(theirs[i], ours[i]);
    result.push_back(std::move(f));
  }
  return result;
}

void print_fidelity(std::ostream& out, const std::vector<OutputFidelity>& outputs,
                    const std::vector<LayerFidelity>& layers, bool all) {
  out << "  fidelity, end to end: against the reference executor in fp32\n";
  Table ends({{"output", Align::kLeft}, {"SQNR"}, {"largest error"}, {"mean error"}, {"cosine"}});
  for (const OutputFidelity& f : outputs) {
    std::vector<std::string> row{reports::shortened(f.tensor, 40)};
    for (auto& cell : cells(f.error)) row.push_back(std::move(cell));
    ends.add(row);
  }
  ends.print(out, 4);
  constexpr std::size_t kShown = 10;
  std::vector<const LayerFidelity*> shown;
  for (const LayerFidelity& layer : layers) shown.push_back(&layer);
  if (!all) {
    std::stable_sort(shown.begin(), shown.end(),
                     [](const auto* a, const auto* b) { return a->added_noise > b->added_noise; });
    shown.resize(std::min(shown.size(), kShown));
    std::erase_if(shown, [](const auto* layer) { return layer->added_noise == 0; });
  }
  out << fmt::format("  {}; adds: noise over signal beyond that of the noisiest input\n",
                     all ? "layers in order"
                         : fmt::format("of {} stored tensors those that lose most (--detail: all)", layers.size()));
  Table table({{"tensor", Align::kLeft},
               {"operator", Align::kLeft},
               {"SQNR"},
               {"adds"},
               {"largest error"},
               {"mean error"},
               {"cosine"}});
  for (const LayerFidelity* layer : shown) {
    auto measured = cells(layer->error);
    table.add({reports::shortened(layer->tensor, 36), layer->op, measured[0],
               layer->added_noise > 0 ? fmt::format("{:.2e}", layer->added_noise) : "-", measured[1], measured[2],
               measured[3]});
  }
  table.print(out, 4);
}

Json fidelity_json(const std::vector<OutputFidelity>& outputs, const std::vector<LayerFidelity>& layers) {
  Json ends = Json::array();
  for (const OutputFidelity& f : outputs) {
    Json one = {{"output", f.tensor}};
    one.update(json_of(f.error));
    ends.push_back(one);
  }
  Json all = Json::array();
  for (const LayerFidelity& layer : layers) {
    Json one = {{"tensor", layer.tensor}, {"operator", layer.op}};
    one.update(json_of(layer.error));
    one["added_noise"] = std::isfinite(layer.added_noise) ? Json(layer.added_noise) : Json(nullptr);
    all.push_back(one);
  }
  return {{"outputs", ends}, {"layers", all}};
}

}  // namespace spillway::cli
