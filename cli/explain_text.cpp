#include "cli/explain_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "configs/error.h"
#include "reports/format.h"

namespace spillway::cli {

using partitioner::Boundary;
using partitioner::Difference;
using partitioner::SpentOn;
using partitioner::TensorExplanation;
using partitioner::Why;
using reports::grouped;

std::string signed_number(std::int64_t n) { return (n > 0 ? "+" : "") + grouped(n); }

std::string difference_text(const Difference& d) {
  std::string text = fmt::format("{} cycles, {} B", signed_number(d.cycles), signed_number(d.moved));
  if (d.weights != 0) text += fmt::format(" (weights {})", signed_number(d.weights));
  if (d.macs != 0) text += fmt::format(", {} MACs", signed_number(d.macs));
  return text;
}

namespace {

constexpr const char* kNotFound = "; that would be better, the search did not find it";

/// By what the cycles grow most: " (DRAM +1 234)".
std::string grown_text(const Difference& d) {
  const SpentOn most = d.spent.most();
  if (d.cycles <= 0 || d.spent[most] <= 0) return {};
  return fmt::format("; most of it {} {}", partitioner::name_of(most), signed_number(d.spent[most]));
}

std::string fit_text(std::int64_t demand, std::int64_t available) {
  return fmt::format("needs {} B at the least, {} B are free beside what stays: {} B short", grouped(demand),
                     grouped(available), grouped(demand - available));
}

}  // namespace

std::string boundary_text(const Boundary& end) {
  const auto with = [&](const std::string& text) { return fmt::format("with {}: {}", end.with, text); };
  switch (end.why) {
    case Why::kEnd:
      return "the graph ends here";
    case Why::kAsked:
      return "layer by layer every primitive is a group";
    case Why::kSlices:
      return fmt::format("{} runs for another part of the batch", end.with);
    case Why::kNotOne:
      return with(end.tensor.empty() ? end.detail
                                     : fmt::format("{}: {}", end.detail, reports::shortened(end.tensor, 36)));
    case Why::kWhole:
      return with("operators run whole, and part of a result would be asked for by nobody");
    case Why::kDoesNotFit:
      return with(fit_text(end.demand, end.available));
    case Why::kNoLoop:
      return with(fmt::format("no tile loop that fits {} B makes every result once", grouped(end.available)));
    case Why::kCostsMore:
      return with(difference_text(end.costs) + grown_text(end.costs));
    case Why::kLimit:
      return with(fmt::format("{}, but {}", difference_text(end.costs), end.detail));
    case Why::kNotFound:
      return with(difference_text(end.costs) + kNotFound);
    case Why::kNothing:
    case Why::kNoSource:
    case Why::kMacs:
    case Why::kGone:
      break;
  }
  internal_error("no reason for a group to end");
}

namespace {

/// What making it again would come to.
std::string balance_text(const TensorExplanation& t) {
  std::string text = fmt::format("saves {} B, {} cycles of DRAM, {}", grouped(t.saved), grouped(t.saved_cycles),
                                 t.read_instead < 0 ? fmt::format("and {} B that go with it", grouped(-t.read_instead))
                                                    : fmt::format("reads {} B instead", grouped(t.read_instead)));
  if (t.compared) {
    text += fmt::format("; in all {} cycles, {} B", signed_number(t.costs.cycles), signed_number(t.costs.moved));
  }
  return text;
}

/// What is in the way of making it again, apart from the number of MACs.
std::string obstacle_text(Why why, const TensorExplanation& t) {
  switch (why) {
    case Why::kNotOne:
      return fmt::format("these cannot run in the loop of group {}: {}", t.reader, t.detail);
    case Why::kWhole:
      return fmt::format("operators run whole, and group {} would not ask for all", t.reader);
    case Why::kDoesNotFit:
      return fmt::format("group {} then {}", t.reader, fit_text(t.demand, t.available));
    case Why::kNoLoop:
      return fmt::format("no tile loop of group {} that fits {} B makes every result once", t.reader,
                         grouped(t.available));
    case Why::kCostsMore:
      return balance_text(t);
    case Why::kLimit:
      return fmt::format("{}; but group {} would have {}", balance_text(t), t.reader, t.detail);
    case Why::kNotFound:
      return balance_text(t) + kNotFound;
    case Why::kNothing:
    case Why::kEnd:
    case Why::kNoSource:
    case Why::kGone:
    case Why::kAsked:
    case Why::kSlices:
    case Why::kMacs:
      break;
  }
  internal_error("no reason not to make a tensor again");
}

}  // namespace

std::string remake_text(const TensorExplanation& t) {
  if (t.why == Why::kNoSource || t.why == Why::kGone) return t.detail;
  if (t.why == Why::kAsked) return "as asked: " + t.detail;
  const std::string what =
      fmt::format("{} {} again for {} {}, {} MACs", t.operators, t.operators == 1 ? "primitive" : "primitives",
                  t.readers, t.readers == 1 ? "group" : "groups", signed_number(t.macs));
  if (t.why != Why::kMacs) return fmt::format("{}: {}", what, obstacle_text(t.why, t));
  const std::string limit = fmt::format("{}, {} may be added (--recompute-max)", what, grouped(t.most_macs));
  if (t.besides == Why::kNotFound) return fmt::format("{}; {}", limit, balance_text(t));
  return fmt::format("{}; besides, {}: {}", limit, partitioner::name_of(t.besides), obstacle_text(t.besides, t));
}

std::string shares_text(const partitioner::CycleShares& shares, double least) {
  const std::vector<int> permille = reports::permille(std::vector<double>(shares.cycles.begin(), shares.cycles.end()));
  std::vector<std::size_t> order(permille.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return permille[a] > permille[b]; });
  std::string text;
  for (const std::size_t i : order) {
    if (!text.empty() && permille[i] < least * 1000) break;
    if (permille[i] == 0) break;
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", partitioner::name_of(static_cast<SpentOn>(i)),
                        reports::percent_of_permille(permille[i]));
  }
  return text.empty() ? "nothing" : text;
}

}  // namespace spillway::cli
