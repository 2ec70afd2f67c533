#include "configs/fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <utility>

namespace spillway::configs {
namespace {

constexpr double kMi = 1 << 20;
constexpr double kTi = kMi * kMi;

/// Collects the table; the member functions are the kinds of line that it has.
class Table {
 public:
  template <typename Member>
  void text(std::string key, Member member, std::string help) {
    Field field = make(std::move(key), member, std::move(help));
    field.required = false;
    rows_.push_back(std::move(field));
  }
  /// Names: number formats, the dataflow, true and false.
  template <typename Member>
  void choice(std::string key, Member member, std::string help) {
    rows_.push_back(make(std::move(key), member, std::move(help)));
  }
  template <typename Member>
  Field& number(std::string key, Member member, Quantity quantity, double low, double high, std::string help) {
    Field field = make(std::move(key), member, std::move(help));
    field.quantity = quantity;
    field.low = low;
    field.high = high;
    rows_.push_back(std::move(field));
    return rows_.back();
  }
  std::vector<Field> take() { return std::move(rows_); }

 private:
  template <typename Member>
  static Field make(std::string key, Member member, std::string help) {
    Field field;
    field.key = std::move(key);
    field.target = [member](NpuConfig& config) { return Target{&member(config)}; };
    field.help = std::move(help);
    return field;
  }
  std::vector<Field> rows_;
};

// A member of NpuConfig as a function of the config.
#define AT(path) ([](NpuConfig & c) -> auto& { return c.path; })

void add_compute(Table& t) {
  using enum Quantity;
  t.number("matrix.count", AT(matrix.count), kCount, 1, 256, "identical matrix engines, one command queue each");
  t.number("matrix.rows", AT(matrix.rows), kCount, 1, 65536, "rows of the array: the contraction (K) side");
  t.number("matrix.cols", AT(matrix.cols), kCount, 1, 65536, "columns of the array: the output-channel (N) side");
  t.choice("matrix.dataflow", AT(matrix.dataflow), "what stays in the cells");
  t.choice("matrix.shadow_weights", AT(matrix.shadow_weights),
           "the next fold's weights preload while this one streams");
  t.number("matrix.accumulator_size", AT(matrix.accumulator_bytes), kBytes, 1, kTi,
           "partial sums of one engine, used as two halves");
  t.number("matrix.issue_cycles", AT(matrix.issue_cycles), kCycles, 0, 1e6, "decode and set-up of one command");
  for (int i = 0; i < kFormatCount; ++i) {
    Field& field = t.number(
        fmt::format("matrix.rate.{}", name_of(static_cast<Format>(i))),
        [i](NpuConfig & c) -> auto& { return c.matrix.rate[i]; }, kRatio, 1e-4, 1024,
        "multiply-accumulates per cell and cycle; 0: the array does not take this format");
    field.zero_means_absent = true;
    field.required = false;
  }
  t.number("vector.count", AT(vector.count), kCount, 1, 256, "identical vector engines, one command queue each");
  t.number("vector.lanes", AT(vector.lanes), kCount, 1, 1 << 20, "lanes of one engine");
  t.number("vector.issue_cycles", AT(vector.issue_cycles), kCycles, 0, 1e6, "decode and set-up of one command");
  for (int i = 0; i < kVectorOpCount; ++i) {
    t.number(
        fmt::format("vector.rate.{}", name_of(static_cast<VectorOp>(i))),
        [i](NpuConfig & c) -> auto& { return c.vector.rate[i]; }, kRatio, 1e-4, 1024, "operations per lane and cycle");
  }
}

void add_memory(Table& t) {
  using enum Quantity;
  t.number("scratchpad.size", AT(scratchpad.size), kBytes, 1, 16 * kTi, "the SRAM budget");
  t.number("scratchpad.banks", AT(scratchpad.banks), kCount, 1, 65536, "banks, each serving one access a cycle");
  t.number("scratchpad.bank_port", AT(scratchpad.bank_port_bytes), kBytes, 1, 65536, "width of a bank's port");
  t.number("interconnect.bandwidth", AT(interconnect.bytes_per_cycle), kBytesPerCycle, 1, kMi,
           "between DMA, DRAM controller and scratchpad");
  t.number("interconnect.latency_cycles", AT(interconnect.latency_cycles), kCycles, 0, 1e6, "one way");
  t.number("dma.channels", AT(dma.channels), kCount, 1, 64, "channels, one command queue each");
  t.number("dma.descriptor_cycles", AT(dma.descriptor_cycles), kCycles, 0, 1e6, "fetch and decode of one descriptor");
  t.number("dma.max_burst", AT(dma.max_burst), kBytes, 1, 1024 * kMi, "largest single request");
  t.number("dma.outstanding", AT(dma.outstanding), kCount, 1, 4096, "requests in flight per channel");
  t.text("dram.standard", AT(dram.standard), "for people; the numbers below are what is simulated");
  t.number("dram.channels", AT(dram.channels), kCount, 1, 1024, "independent channels, interleaved by bursts");
  t.number("dram.channel_bits", AT(dram.channel_bits), kBits, 8, 4096, "width of a channel, a multiple of 8");
  t.number("dram.data_rate", AT(dram.data_rate_mtps), kTransferRate, 1, 1e6,
           "transfers on each data pin; dram.bandwidth (as 51.2GB/s) may be given instead");
  t.number("dram.burst_length", AT(dram.burst_length), kCount, 1, 256, "transfers of one burst");
  t.number("dram.banks", AT(dram.banks), kCount, 1, 4096, "banks per channel");
  t.number("dram.row_size", AT(dram.row_bytes), kBytes, 1, kMi, "row (page) of one channel");
  t.number("dram.trcd", AT(dram.trcd_ns), kTime, 0.01, 1e6, "row activate to column command");
  t.number("dram.trp", AT(dram.trp_ns), kTime, 0.01, 1e6, "precharge to activate");
  t.number("dram.tcl", AT(dram.tcl_ns), kTime, 0.01, 1e6, "column command to data");
  t.number("dram.tras", AT(dram.tras_ns), kTime, 0.01, 1e6, "activate to precharge");
  t.number("dram.twtr", AT(dram.twtr_ns), kTime, 0, 1e6, "write data to read command");
  t.number("dram.trtw", AT(dram.trtw_ns), kTime, 0, 1e6, "read data to write command");
  t.number("dram.trfc", AT(dram.trfc_ns), kTime, 0, 1e6, "duration of a refresh");
  t.number("dram.trefi", AT(dram.trefi_ns), kTime, 1, 1e9, "interval between refreshes");
  t.number("dram.size", AT(dram.size), kBytes, kMi, 1024 * kTi, "capacity");
}

void add_energy(Table& t) {
  using enum Quantity;
  t.text("energy.source", AT(energy.source), "paper or datasheet the energies come from");
  t.number("energy.technology", AT(energy.technology_nm), kLength, 1, 1000, "technology node of the figures");
  for (int i = 0; i < kFormatCount; ++i) {
    t.number(
         fmt::format("energy.mac.{}", name_of(static_cast<Format>(i))),
         [i](NpuConfig & c) -> auto& { return c.energy.mac_pj[i]; }, kEnergy, 0, 1e6, "one multiply-accumulate")
        .required = false;
  }
  t.number("energy.scratchpad", AT(energy.scratchpad_pj_per_byte), kEnergyPerByte, 0, 1e6, "read or write");
  t.number("energy.accumulator", AT(energy.accumulator_pj_per_byte), kEnergyPerByte, 0, 1e6, "read or write");
  t.number("energy.dram", AT(energy.dram_pj_per_byte), kEnergyPerByte, 0, 1e6, "read or write, device and interface");
  for (int i = 0; i < kVectorOpCount; ++i) {
    t.number(
        fmt::format("energy.vector_op.{}", name_of(static_cast<VectorOp>(i))),
        [i](NpuConfig & c) -> auto& { return c.energy.vector_op_pj[i]; }, kEnergy, 0, 1e6, "one operation of a lane");
  }
  t.number("energy.static_power", AT(energy.static_mw), kPower, 0, 1e7, "leakage and clocks, always on");
}

std::vector<Field> make_fields() {
  Table t;
  t.text("name", AT(name), "letters, digits, '.', '_' and '-'; a file without one is called after itself");
  t.text("description", AT(description), "one sentence");
  t.text("source", AT(source), "datasheet or paper the figures come from");
  t.number("clock", AT(clock_hz), Quantity::kFrequency, 1e4, 1e11,
           "of every engine, the scratchpad and the interconnect");
  add_compute(t);
  add_memory(t);
  t.choice("precision.weight", AT(precision.weight), "matrix weights and embedding tables");
  t.choice("precision.activation", AT(precision.activation), "everything that an operator produces");
  t.choice("precision.accumulator", AT(precision.accumulator), "partial sums");
  t.choice("precision.parameter", AT(precision.parameter), "biases, scales, normalisation statistics");
  t.choice("precision.vector", AT(precision.vector), "arithmetic inside the vector engine");
  add_energy(t);
  return t.take();
}

#undef AT

[[noreturn]] void fail(std::string problem, std::string help = {}) {
  throw Error(ErrorKind::kBadInput, {}, std::move(problem), std::move(help));
}

constexpr std::string_view kWeightStationaryName = "weight-stationary";

/// UTF-8 without control characters: what YAML and a terminal carry unharmed.
bool printable_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const int extra = lead < 0x80                   ? 0
                      : lead >= 0xC2 && lead < 0xE0 ? 1
                      : (lead & 0xF0) == 0xE0       ? 2
                      : lead < 0xF5                 ? 3
                                                    : -1;
    if (lead < 0x20 || lead == 0x7F || (lead >= 0x80 && lead < 0xC2) || extra < 0) return false;
    std::uint32_t code = extra == 0 ? lead : lead & (0x3Fu >> extra);
    for (int k = 1; k <= extra; ++k) {
      if (i + k >= text.size() || (static_cast<unsigned char>(text[i + k]) & 0xC0) != 0x80) return false;
      code = code << 6 | (static_cast<unsigned char>(text[i + k]) & 0x3Fu);
    }
    constexpr std::array<std::uint32_t, 4> kSmallest{0, 0x80, 0x800, 0x10000};
    const bool surrogate = code >= 0xD800 && code < 0xE000;
    const bool control = code >= 0x80 && code < 0xA0;
    const bool line_break_or_mark = code == 0x2028 || code == 0x2029 || code == 0xFEFF || code >= 0xFFFE;
    if (code < kSmallest[extra] || surrogate || control || (line_break_or_mark && code < 0x10000) || code > 0x10FFFF) {
      return false;
    }
    i += extra + 1;
  }
  return true;
}

/// Folded YAML blocks end in a line break and wrap: any run of white space is one blank.
std::string text_value(const Field& field, std::string_view text) {
  constexpr std::size_t kLongest = 2000;
  std::string value;
  for (const char c : trimmed(text)) {
    const bool space = c == ' ' || c == '\t' || c == '\n' || c == '\r';
    if (!space) {
      value += c;
    } else if (!value.ends_with(' ')) {
      value += ' ';
    }
  }
  if (value.size() > kLongest)
    fail(fmt::format("text of {} bytes when at most {} are allowed", value.size(), kLongest));
  if (!printable_utf8(value)) fail("text is not printable UTF-8");
  if (field.key == "name") {
    const bool plain = std::ranges::all_of(
        value, [](unsigned char c) { return c < 0x80 && (std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-'); });
    if (value.empty() || !plain || value.size() > 100) {
      fail(fmt::format("{} is not a name", shown(value)), "letters, digits, '.', '_' and '-', at most 100");
    }
  }
  return value;
}

std::string number_problem(const Field& field, double value) {
  if (field.zero_means_absent && value == 0) return {};
  const auto bound = [&](const char* word, double limit) {
    return fmt::format("is {} when it should be at {} {}", format_quantity(field.quantity, value), word,
                       format_quantity(field.quantity, limit));
  };
  if (!std::isfinite(value)) return "is not a finite number";
  if (value < field.low) return bound("least", field.low);
  if (value > field.high) return bound("most", field.high);
  return {};
}

}  // namespace

const std::vector<Field>& fields() {
  static const std::vector<Field> table = make_fields();  // immutable
  return table;
}

const Field* find_field(std::string_view key) {
  const auto found = std::ranges::find(fields(), key, &Field::key);
  return found == fields().end() ? nullptr : &*found;
}

void set_field(const Field& field, NpuConfig& config, std::string_view text) {
  const auto store = [&](auto* member) {
    using Value = std::remove_pointer_t<decltype(member)>;
    const std::string word(trimmed(text));
    if constexpr (std::is_same_v<Value, std::string>) {
      *member = text_value(field, text);
    } else if constexpr (std::is_same_v<Value, bool>) {
      if (word != "true" && word != "false") fail(fmt::format("{} is neither true nor false", shown(text)));
      *member = word == "true";
    } else if constexpr (std::is_same_v<Value, Format>) {
      *member = format_from_name(word);
    } else if constexpr (std::is_same_v<Value, Dataflow>) {
      if (word != kWeightStationaryName) {
        fail(fmt::format("unknown dataflow {}", shown(text)), fmt::format("known: {}", kWeightStationaryName));
      }
      *member = Dataflow::kWeightStationary;
    } else {
      const double value = parse_quantity(field.quantity, text, config.clock_hz);
      if (std::string problem = number_problem(field, value); !problem.empty()) fail(problem, legal_values(field));
      *member = static_cast<Value>(value);
    }
  };
  std::visit(store, field.target(config));
}

std::string get_field(const Field& field, const NpuConfig& config) {
  NpuConfig copy = config;
  const auto show = [&](auto* member) -> std::string {
    using Value = std::remove_pointer_t<decltype(member)>;
    if constexpr (std::is_same_v<Value, std::string>) {
      return *member;
    } else if constexpr (std::is_same_v<Value, bool>) {
      return *member ? "true" : "false";
    } else if constexpr (std::is_same_v<Value, Format>) {
      return std::string(name_of(*member));
    } else if constexpr (std::is_same_v<Value, Dataflow>) {
      return std::string(kWeightStationaryName);
    } else {
      return format_quantity(field.quantity, static_cast<double>(*member));
    }
  };
  return std::visit(show, field.target(copy));
}

std::string range_problem(const Field& field, const NpuConfig& config) {
  NpuConfig copy = config;
  const auto check = [&](auto* member) -> std::string {
    if constexpr (std::is_arithmetic_v<std::remove_pointer_t<decltype(member)>> &&
                  !std::is_same_v<decltype(member), bool*>) {
      return number_problem(field, static_cast<double>(*member));
    }
    return {};
  };
  return std::visit(check, field.target(copy));
}

std::string legal_values(const Field& field) {
  NpuConfig any;
  const Target target = field.target(any);
  if (std::holds_alternative<std::string*>(target)) return "text";
  if (std::holds_alternative<bool*>(target)) return "true or false";
  if (std::holds_alternative<Dataflow*>(target)) return std::string(kWeightStationaryName);
  if (std::holds_alternative<Format*>(target)) {
    std::string names;
    for (int i = 0; i < kFormatCount; ++i) names += (i == 0 ? "" : ", ") + std::string(name_of(static_cast<Format>(i)));
    return names;
  }
  return fmt::format("{}; {} to {}{}", units_of(field.quantity), format_quantity(field.quantity, field.low),
                     format_quantity(field.quantity, field.high), field.zero_means_absent ? ", or 0" : "");
}

}  // namespace spillway::configs
