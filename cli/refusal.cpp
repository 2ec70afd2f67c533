#include "cli/refusal.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "reports/format.h"

namespace spillway::cli {

std::string refusal_text(const DoesNotFit& refusal) {
  const auto& why = refusal.why();
  std::ostringstream out;
  out << fmt::format(
      "error: {}: '{}' does not fit: its smallest tile needs {} B, the scratchpad has {} B, {} B short\n",
      refusal.model(), why.group, reports::grouped(why.demand), reports::grouped(why.budget),
      reports::grouped(std::max<configs::Bytes>(0, why.demand - why.budget)));
  if (!why.terms.empty()) {
    out << "  demand\n";
    reports::Table table({{"bytes"}, {"what", reports::Table::Align::kLeft}, {"tensor", reports::Table::Align::kLeft}});
    for (const auto& term : why.terms) {
      table.add({reports::grouped(term.bytes), term.what, reports::shortened(term.tensor, 60)});
    }
    table.print(out, 4);
  }
  // Rounded up to what a person would type; never below the smallest.
  const configs::Bytes kib = (why.smallest_budget + 1023) / 1024;
  out << fmt::format("  smallest budget that would do: {} B\n", reports::grouped(why.smallest_budget));
  const bool named = std::any_of(why.levers.begin(), why.levers.end(),
                                 [](const std::string& lever) { return lever.starts_with("--sram"); });
  if (!named) out << fmt::format("  help: --sram {}KiB\n", kib);
  for (const std::string& lever : why.levers) out << "  help: " << lever << '\n';
  return out.str();
}

}  // namespace spillway::cli
