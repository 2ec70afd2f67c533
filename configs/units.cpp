#include "configs/units.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <span>
#include <vector>

#include "configs/configs.h"

namespace spillway::configs {
namespace {

/// One of them is `times / per` base units; a quotient so that "ps" and "fJ" round once.
struct Unit {
  std::string_view name;
  double times = 1;
  double per = 1;
};

constexpr double kKi = 1024;
constexpr std::array kCyclesUnits{Unit{"cycles"}, Unit{"cycle"}};
constexpr std::array kBytesUnits{Unit{"B"},
                                 Unit{"kB", 1e3},
                                 Unit{"KB", 1e3},
                                 Unit{"MB", 1e6},
                                 Unit{"GB", 1e9},
                                 Unit{"TB", 1e12},
                                 Unit{"KiB", kKi},
                                 Unit{"MiB", kKi* kKi},
                                 Unit{"GiB", kKi* kKi* kKi},
                                 Unit{"TiB", kKi* kKi* kKi* kKi}};
constexpr std::array kBitsUnits{Unit{"bit"}, Unit{"bits"}};
constexpr std::array kBytesPerCycleUnits{Unit{"B/cycle"}};
constexpr std::array kFrequencyUnits{Unit{"Hz"}, Unit{"kHz", 1e3}, Unit{"MHz", 1e6}, Unit{"GHz", 1e9}};
constexpr std::array kBandwidthUnits{
    Unit{"B/s"},        Unit{"kB/s", 1e3},       Unit{"MB/s", 1e6},           Unit{"GB/s", 1e9},
    Unit{"TB/s", 1e12}, Unit{"MiB/s", kKi* kKi}, Unit{"GiB/s", kKi* kKi* kKi}};
constexpr std::array kTransferUnits{Unit{"MT/s"}, Unit{"GT/s", 1e3}};
constexpr std::array kTimeUnits{Unit{"ns"}, Unit{"ps", 1, 1e3}, Unit{"us", 1e3}, Unit{"ms", 1e6}};
constexpr std::array kLengthUnits{Unit{"nm"}};
constexpr std::array kEnergyUnits{Unit{"pJ"}, Unit{"fJ", 1, 1e3}, Unit{"nJ", 1e3}};
constexpr std::array kEnergyPerByteUnits{Unit{"pJ/B"}, Unit{"fJ/B", 1, 1e3}, Unit{"pJ/byte"}, Unit{"pJ/bit", 8},
                                         Unit{"nJ/B", 1e3}};
constexpr std::array kPowerUnits{Unit{"mW"}, Unit{"uW", 1, 1e3}, Unit{"W", 1e3}};

struct Row {
  std::string_view what;
  std::span<const Unit> units;
  bool unit_needed;  ///< a bare number would be ambiguous
  bool whole;
};

Row row_of(Quantity quantity) {
  switch (quantity) {
    case Quantity::kCount:
      return {"a count", {}, false, true};
    case Quantity::kCycles:
      return {"cycles", kCyclesUnits, false, true};
    case Quantity::kBytes:
      return {"a size", kBytesUnits, false, true};
    case Quantity::kBits:
      return {"bits", kBitsUnits, false, true};
    case Quantity::kBytesPerCycle:
      return {"bytes per cycle", kBytesPerCycleUnits, true, true};
    case Quantity::kRatio:
      return {"a ratio", {}, false, false};
    case Quantity::kFrequency:
      return {"a frequency", kFrequencyUnits, true, false};
    case Quantity::kBandwidth:
      return {"a bandwidth", kBandwidthUnits, true, false};
    case Quantity::kTransferRate:
      return {"a transfer rate", kTransferUnits, true, false};
    case Quantity::kTime:
      return {"a time", kTimeUnits, true, false};
    case Quantity::kLength:
      return {"a length", kLengthUnits, true, true};
    case Quantity::kEnergy:
      return {"an energy", kEnergyUnits, true, false};
    case Quantity::kEnergyPerByte:
      return {"an energy per byte", kEnergyPerByteUnits, true, false};
    case Quantity::kPower:
      return {"a power", kPowerUnits, true, false};
  }
  internal_error("quantity out of range");
}

[[noreturn]] void fail(std::string problem, std::string help = {}) {
  throw Error(ErrorKind::kBadInput, {}, std::move(problem), std::move(help));
}

const Unit* find_unit(std::span<const Unit> units, std::string_view name) {
  for (const Unit& unit : units) {
    if (unit.name == name) return &unit;
  }
  return nullptr;
}

char lower_case(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

[[noreturn]] void fail_unit(Quantity quantity, std::string_view text, std::string_view unit) {
  const Row row = row_of(quantity);
  if (row.units.empty()) fail(fmt::format("{} has a unit when it should be a plain number", shown(text)));
  if (unit.empty()) fail(fmt::format("{} has no unit", shown(text)), units_of(quantity));
  std::vector<std::string> names;
  for (const Unit& known : row.units) names.emplace_back(known.name);
  if (quantity == Quantity::kBytesPerCycle) names.emplace_back("GB/s");
  std::string near = nearest_name(unit, names);
  for (const std::string& name : names) {
    if (std::ranges::equal(name, unit, {}, lower_case, lower_case)) near = name;
  }
  fail(fmt::format("{}: unit {} does not measure {}{}", shown(text), shown(unit), row.what,
                   near.empty() ? "" : fmt::format("; did you mean '{}'?", near)),
       units_of(quantity));
}

}  // namespace

bool is_whole(Quantity quantity) { return row_of(quantity).whole; }

std::string units_of(Quantity quantity) {
  const Row row = row_of(quantity);
  if (row.units.empty()) return row.whole ? "a whole number" : "a number";
  std::string text(row.what);
  const char* separator = row.unit_needed ? " in " : ", plain or in ";
  for (const Unit& unit : row.units) {
    text += separator;
    text += unit.name;
    separator = ", ";
  }
  if (quantity == Quantity::kBytesPerCycle) text += ", or bytes per second (GB/s) at the configured clock";
  return text;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

std::string shown(std::string_view text) {
  constexpr std::size_t kLongest = 60;
  std::string out = "'";
  for (const char c : text.substr(0, kLongest)) {
    const auto byte = static_cast<unsigned char>(c);
    out += byte < 0x20 || byte == 0x7F ? fmt::format("\\x{:02x}", byte) : std::string(1, c);
  }
  if (text.size() > kLongest) out += "...";
  return out + "'";
}

double parse_quantity(Quantity quantity, std::string_view text, double clock_hz) {
  const Row row = row_of(quantity);
  const std::string_view body = trimmed(text);
  double number = 0;
  const auto [end, status] = std::from_chars(body.data(), body.data() + body.size(), number);
  const bool digits_first = !body.empty() && body.find_first_of("0123456789") <= 2;  // not "inf", not "nan"
  if (status == std::errc::result_out_of_range) fail(fmt::format("{} is too large or too small a number", shown(text)));
  if (status != std::errc() || !digits_first || !std::isfinite(number)) {
    fail(fmt::format("{} is not a number", shown(text)), "expected " + units_of(quantity));
  }

  const std::string_view unit_name = trimmed(body.substr(static_cast<std::size_t>(end - body.data())));
  double value = number;
  if (unit_name.empty()) {
    if (row.unit_needed) fail_unit(quantity, text, unit_name);
  } else if (const Unit* unit = find_unit(row.units, unit_name)) {
    value = number * unit->times / unit->per;
  } else if (const Unit* rate = find_unit(kBandwidthUnits, unit_name);
             rate != nullptr && quantity == Quantity::kBytesPerCycle && clock_hz > 0) {
    value = number * rate->times / clock_hz;
  } else {
    fail_unit(quantity, text, unit_name);
  }
  if (!std::isfinite(value)) fail(fmt::format("{} is too large a number", shown(text)));
  constexpr double kExactIntegers = 9007199254740992.0;  // 2^53
  if (row.whole && std::abs(value) > kExactIntegers) fail(fmt::format("{} is too large a number", shown(text)));
  if (row.whole && std::trunc(value) != value) {
    const std::string_view base = row.units.empty() ? "" : row.units.front().name;
    fail(fmt::format("{} is {}{}{} when it should be a whole number", shown(text), value, base.empty() ? "" : " ",
                     base));
  }
  return value;
}

std::string format_quantity(Quantity quantity, double value) {
  const Row row = row_of(quantity);
  const auto number = [](double v) {
    std::string text = fmt::format("{}", v);
    if (text.ends_with(".0")) text.resize(text.size() - 2);
    return text;
  };
  if (row.units.empty() || quantity == Quantity::kCycles || quantity == Quantity::kBits) return number(value);
  // The unit that needs the fewest digits, of those that read back as the very same double; ties to the earliest.
  std::string digits = number(value);
  std::string_view unit_name = row.units.front().name;
  for (const Unit& unit : row.units) {
    std::string fewer = number(value * unit.per / unit.times);
    if (fewer.size() < digits.size() && parse_quantity(quantity, fewer + std::string(unit.name)) == value) {
      digits = std::move(fewer);
      unit_name = unit.name;
    }
  }
  return digits + std::string(unit_name);
}

}  // namespace spillway::configs
