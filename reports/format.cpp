#include "reports/format.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <ostream>

#include "configs/error.h"

namespace spillway::reports {

namespace {

struct Prefix {
  double factor;
  const char* letter;
};
constexpr std::array<Prefix, 9> kPrefixes{
    {{1e15, "P"}, {1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}, {1, ""}, {1e-3, "m"}, {1e-6, "u"}, {1e-9, "n"}}};

/// The largest prefix that leaves at least 1 before the point; 0.99995 and up count as 1, as they print so.
Prefix prefix_of(double value) {
  const double magnitude = std::abs(value);
  for (const Prefix& prefix : kPrefixes) {
    if (magnitude >= prefix.factor * 0.99995) return prefix;
  }
  return {1e-12, "p"};
}

/// Decimals that give four significant digits to a value of at least 1.
int decimals_of(double scaled) {
  const double magnitude = std::abs(scaled);
  if (magnitude >= 999.95) return 0;
  if (magnitude >= 99.995) return 1;
  return magnitude >= 9.9995 ? 2 : 3;
}

/// Splits `units` in proportion to `parts` by largest remainder.
std::vector<std::int64_t> apportion(const std::vector<double>& parts, std::int64_t units) {
  const double sum = std::accumulate(parts.begin(), parts.end(), 0.0);
  std::vector<std::int64_t> result(parts.size(), 0);
  if (sum <= 0) return result;
  std::vector<double> remainder(parts.size());
  std::int64_t left = units;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const double exact = parts[i] / sum * static_cast<double>(units);
    result[i] = static_cast<std::int64_t>(std::floor(exact));
    remainder[i] = exact - std::floor(exact);
    left -= result[i];
  }
  std::vector<std::size_t> order(parts.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return remainder[a] > remainder[b]; });
  for (std::size_t i = 0; left > 0 && i < order.size(); ++i, --left) ++result[order[i]];
  return result;
}

std::string prefixed(const std::string& number, const Prefix& prefix, const std::string& unit) {
  const std::string full = prefix.letter + unit;
  return full.empty() ? number : number + " " + full;
}

}  // namespace

std::string grouped(std::int64_t n) {
  const std::string digits = std::to_string(n);
  std::string text;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    const bool after_digit = i > 0 && digits[i - 1] != '-';
    if (after_digit && (digits.size() - i) % 3 == 0) text += ' ';
    text += digits[i];
  }
  return text;
}

std::string si(double value, const std::string& unit) {
  if (value == 0) return prefixed("0", {1, ""}, unit);
  const Prefix prefix = prefix_of(value);
  const double scaled = value / prefix.factor;
  // Whole numbers below a thousand are counts, not measurements.
  if (prefix.factor == 1 && scaled == std::floor(scaled)) return prefixed(fmt::format("{:.0f}", scaled), prefix, unit);
  return prefixed(fmt::format("{:.{}f}", scaled, decimals_of(scaled)), prefix, unit);
}

std::string binary_bytes(std::int64_t bytes) {
  constexpr std::int64_t kKi = 1024;
  struct Unit {
    std::int64_t size;
    const char* name;
  };
  constexpr std::array<Unit, 4> kUnits{
      {{kKi * kKi * kKi * kKi, "TiB"}, {kKi * kKi * kKi, "GiB"}, {kKi * kKi, "MiB"}, {kKi, "KiB"}}};
  if (bytes == 0) return "0 B";
  for (const Unit& unit : kUnits) {
    if (bytes % unit.size == 0) return grouped(bytes / unit.size) + " " + unit.name;
  }
  if (std::abs(bytes) < 64 * kKi) return grouped(bytes) + " B";
  return fmt::format("{} KiB", grouped(std::llround(static_cast<double>(bytes) / kKi)));
}

std::string milliseconds(double seconds) {
  const double ms = seconds * 1e3;
  const int decimals = ms >= 1000 ? 1 : ms >= 0.1 ? 3 : 6;
  const std::string text = fmt::format("{:.{}f}", ms, decimals);
  const std::size_t point = text.find('.');
  return grouped(std::stoll(text.substr(0, point))) + text.substr(point) + " ms";
}

std::string percent(double share) { return fmt::format("{:.1f} %", share * 100); }

std::vector<int> permille(const std::vector<double>& parts) {
  const auto units = apportion(parts, 1000);
  return {units.begin(), units.end()};
}

std::string percent_of_permille(int permille) { return fmt::format("{}.{} %", permille / 10, permille % 10); }

Parts rounded_parts(const std::vector<double>& parts, const std::string& unit) {
  const double total = std::accumulate(parts.begin(), parts.end(), 0.0);
  if (total <= 0) return {unit, "0", std::vector<std::string>(parts.size(), "0")};
  const Prefix prefix = prefix_of(total);
  const int decimals = decimals_of(total / prefix.factor);
  const double step = std::pow(10.0, decimals);
  const auto units = static_cast<std::int64_t>(std::llround(total / prefix.factor * step));
  const auto text = [&](std::int64_t n) { return fmt::format("{:.{}f}", static_cast<double>(n) / step, decimals); };
  Parts result{prefix.letter + unit, text(units), {}};
  for (const std::int64_t n : apportion(parts, units)) result.parts.push_back(text(n));
  return result;
}

std::string shortened(const std::string& name, std::size_t width) {
  if (name.size() <= width) return name;
  const std::size_t head = (width - 2) / 2;
  const std::size_t tail = width - 2 - head;
  return name.substr(0, head) + ".." + name.substr(name.size() - tail);
}

namespace {

/// Whether a space stands between groups of three digits: such a number is not broken.
bool within_number(const std::string& text, std::size_t at) {
  const auto digit = [&](std::size_t i) { return i < text.size() && text[i] >= '0' && text[i] <= '9'; };
  return at > 0 && digit(at - 1) && digit(at + 1) && digit(at + 2) && digit(at + 3) && !digit(at + 4);
}

}  // namespace

std::vector<std::string> wrapped(const std::string& text, std::size_t width) {
  std::vector<std::string> lines;
  std::string rest = text;
  while (rest.size() > width) {
    // A break between phrases that leaves the line more than half full, else the last between words, else the first.
    std::size_t at = std::string::npos;
    for (const std::string_view mark : {std::string_view("  "), std::string_view("; "), std::string_view(", ")}) {
      const std::size_t found = rest.rfind(mark, width);
      const std::size_t end = found == std::string::npos ? 0 : rest.find(' ', found);
      if (end > width / 2 && end <= width) at = at == std::string::npos ? end : std::max(at, end);
    }
    if (at == std::string::npos) {
      at = rest.rfind(' ', width);
      while (at != std::string::npos && at > 0 && within_number(rest, at)) at = rest.rfind(' ', at - 1);
    }
    if (at == std::string::npos || at == 0) {
      at = rest.find(' ', 1);
      while (at != std::string::npos && within_number(rest, at)) at = rest.find(' ', at + 1);
    }
    if (at == std::string::npos) break;
    lines.push_back(rest.substr(0, at));
    rest.erase(0, rest.find_first_not_of(' ', at));
  }
  lines.push_back(rest);
  for (std::string& line : lines) line.erase(line.find_last_not_of(' ') + 1);
  return lines;
}

void print_labelled(std::ostream& out, const std::string& label, const std::string& text) {
  std::string before = fmt::format("  {:<{}}", label, kLabelWidth);
  for (const std::string& line : wrapped(text, kScreenWidth - 2 - kLabelWidth)) {
    out << before << line << '\n';
    before.assign(2 + kLabelWidth, ' ');
  }
}

void Table::add(std::vector<std::string> cells) {
  if (cells.size() != columns_.size()) internal_error("a table row has as many cells as the table has columns");
  rows_.push_back(std::move(cells));
}

std::vector<std::size_t> Table::widths(std::size_t room) const {
  std::vector<std::size_t> width;
  for (const Column& column : columns_) width.push_back(column.heading.size());
  for (const auto& row : rows_) {
    for (std::size_t c = 0; c < row.size(); ++c) width[c] = std::max(width[c], row[c].size());
  }
  std::size_t all = std::accumulate(width.begin(), width.end(), 2 * (width.size() - 1));
  while (all > room) {
    std::size_t widest = columns_.size();
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      const bool text = columns_[c].align == Align::kText;
      const std::size_t readable = std::max<std::size_t>(text ? 40 : 12, columns_[c].heading.size());
      if (columns_[c].align == Align::kRight || width[c] <= readable) continue;
      if (widest == columns_.size() || text || width[c] > width[widest]) widest = c;
      if (text) break;
    }
    if (widest == columns_.size()) break;
    --width[widest], --all;
  }
  return width;
}

Table Table::closed_up() const {
  Table table = *this;
  for (auto& row : table.rows_) {
    for (std::string& cell : row) {
      const bool number =
          std::all_of(cell.begin(), cell.end(), [](char c) { return c == ' ' || (c >= '0' && c <= '9'); });
      if (number) std::erase(cell, ' ');
    }
  }
  return table;
}

void Table::print(std::ostream& out, int indent) const {
  const std::size_t room = kScreenWidth - static_cast<std::size_t>(indent);
  const std::vector<std::size_t> wide = widths(room);
  const bool fits = std::accumulate(wide.begin(), wide.end(), 2 * (wide.size() - 1)) <= room;
  if (fits) {
    print(out, indent, wide);
  } else {
    const Table table = closed_up();
    table.print(out, indent, table.widths(room));
  }
}

void Table::print(std::ostream& out, int indent, const std::vector<std::size_t>& width) const {
  const auto line = [&](const auto& cell_of) {
    std::string text(static_cast<std::size_t>(indent), ' ');
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      if (c > 0) text += "  ";
      const std::string& whole = cell_of(c);
      if (columns_[c].align == Align::kText) {
        const std::string under(text.size(), ' ');
        const auto lines = wrapped(whole, width[c]);
        for (std::size_t i = 0; i < lines.size(); ++i) text += (i == 0 ? "" : "\n" + under) + lines[i];
        continue;
      }
      const std::string cell = columns_[c].align == Align::kLeft ? shortened(whole, width[c]) : whole;
      const std::string pad(width[c] - cell.size(), ' ');
      text += columns_[c].align == Align::kLeft ? cell + pad : pad + cell;
    }
    text.erase(text.find_last_not_of(' ') + 1);
    out << text << '\n';
  };
  line([&](std::size_t c) -> const std::string& { return columns_[c].heading; });
  for (const auto& row : rows_) line([&](std::size_t c) -> const std::string& { return row[c]; });
}

}  // namespace spillway::reports
