// Numbers as people read them, and text tables.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

namespace spillway::reports {

[[nodiscard]] std::string grouped(std::int64_t n);  ///< 3410220 -> "3 410 220"
/// Decimal prefixes, four significant digits: si(1593000000, "B") -> "1.593 GB"; si(0, "B") -> "0 B".
[[nodiscard]] std::string si(double value, const std::string& unit);
/// Binary prefixes, exact where it is whole: "8 MiB", "1 912 KiB", "1 000 B".
[[nodiscard]] std::string binary_bytes(std::int64_t bytes);
[[nodiscard]] std::string milliseconds(double seconds);  ///< "3.410 ms", "1 234.5 ms"
[[nodiscard]] std::string percent(double share);         ///< 0.586 -> "58.6 %"

/// Shares of their sum in tenths of a percent, rounded by largest remainder: they add up to 1000 exactly (or are all
/// zero when the sum is). Ties go to the first.
[[nodiscard]] std::vector<int> permille(const std::vector<double>& parts);
[[nodiscard]] std::string percent_of_permille(int permille);  ///< 586 -> "58.6 %"

/// `parts` in a common unit, rounded so that the printed parts add up to the printed total.
struct Parts {
  std::string unit;                ///< with prefix: "mJ"
  std::string total;               ///< "5.912"
  std::vector<std::string> parts;  ///< "3.100", ...
};
[[nodiscard]] Parts rounded_parts(const std::vector<double>& parts, const std::string& unit);

/// At most `width` characters: the middle of a longer name is replaced by "..".
[[nodiscard]] std::string shortened(const std::string& name, std::size_t width);

/// What every screen keeps to.
inline constexpr std::size_t kScreenWidth = 120;

/// `text` in lines of at most `width` characters, broken between phrases where that is possible, else between words. A
/// word that is longer stands alone.
[[nodiscard]] std::vector<std::string> wrapped(const std::string& text, std::size_t width);

/// "  label      text", wrapped to the screen under the text's first column.
void print_labelled(std::ostream& out, const std::string& label, const std::string& text);
inline constexpr int kLabelWidth = 13;

/// Columns aligned by their widest cell; numbers to the right. A table wider than the screen shortens the cells of its
/// left columns, widest first, then closes up whole numbers; text (a last column) is wrapped instead.
class Table {
 public:
  enum class Align { kLeft, kRight, kText };
  struct Column {
    std::string heading;
    Align align = Align::kRight;
  };
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  void add(std::vector<std::string> cells);
  void print(std::ostream& out, int indent) const;

 private:
  [[nodiscard]] std::vector<std::size_t> widths(std::size_t room) const;
  [[nodiscard]] Table closed_up() const;  ///< whole numbers without spaces between their digits
  void print(std::ostream& out, int indent, const std::vector<std::size_t>& width) const;

  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace spillway::reports
