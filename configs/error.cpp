#include "configs/error.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace spillway {
namespace {

std::string message_of(const Place& place, const std::string& problem) {
  std::string text = place.file;
  if (!text.empty() && place.line > 0) text.append(":").append(std::to_string(place.line));
  // A flag stands where a file would: "--set matrix.rows: ...", not "--set: matrix.rows: ...".
  const bool flag = text.starts_with("--");
  const auto add = [&](const std::string& part, bool joins_flag = false) {
    if (!text.empty()) text += joins_flag && flag ? " " : ": ";
    text += part;
  };
  if (!place.key.empty()) add(place.key, true);
  if (!place.node.empty()) add("node '" + place.node + "'");
  if (!place.tensor.empty()) add("tensor '" + place.tensor + "'");
  add(problem);
  return text;
}

/// Edit distance with transpositions of neighbours (optimal string alignment).
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
  std::iota(above.begin(), above.end(), 0);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before.swap(above);
    above.swap(row);
  }
  return above[b.size()];
}

}  // namespace

Error::Error(ErrorKind kind, Place place, std::string problem, std::string help)
    : std::runtime_error(message_of(place, problem)),
      kind_(kind),
      place_(std::move(place)),
      problem_(std::move(problem)),
      help_(std::move(help)) {}

Error Error::within(const Place& outer) const {
  Place merged = place_;
  if (merged.file.empty()) {
    merged.file = outer.file;
    merged.line = outer.line;  // a line means nothing without its own file
  }
  if (merged.node.empty()) merged.node = outer.node;
  if (merged.tensor.empty()) merged.tensor = outer.tensor;
  if (merged.key.empty()) merged.key = outer.key;
  return {kind_, std::move(merged), problem_, help_};
}

void internal_error(const std::string& sentence) {
  throw Error(ErrorKind::kInternal, {}, "internal error: " + sentence, "this is a bug in spillway; please report it");
}

std::string nearest_name(std::string_view word, const std::vector<std::string>& candidates) {
  constexpr std::size_t kLongestWord = 256;  // a name longer than this has no near one worth its quadratic cost
  if (word.size() > kLongestWord) return {};
  const auto common_start = [&](const std::string& candidate) {
    return std::mismatch(word.begin(), word.end(), candidate.begin(), candidate.end()).first - word.begin();
  };
  std::string best;
  std::size_t best_distance = word.size() / 2 + 1;
  for (const std::string& candidate : candidates) {
    const std::size_t distance = edit_distance(word, candidate);
    // Of two equally near ones the one that starts alike: for --output it is --out, not --input.
    const bool nearer = distance < best_distance ||
                        (distance == best_distance && !best.empty() && common_start(candidate) > common_start(best));
    if (nearer) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

}  // namespace spillway
