// The rules between fields, and what is said about keys that do not exist.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "configs/fields.h"

namespace spillway::configs {
namespace {

bool is_float(Format format) { return format != Format::kInt8 && format != Format::kInt16 && format != Format::kInt32; }

std::optional<Violation> matrix_violation(const NpuConfig& c) {
  for (const auto& [key, format] :
       {std::pair{"precision.weight", c.precision.weight}, std::pair{"precision.activation", c.precision.activation}}) {
    const auto index = static_cast<std::size_t>(format);
    const std::string rate_key = fmt::format("matrix.rate.{}", name_of(format));
    if (c.matrix.rate[index] == 0) {
      return Violation{{key, rate_key},
                       fmt::format("the matrix engine does not take {}: {} is 0", name_of(format), rate_key),
                       fmt::format("choose another format or give {}", rate_key)};
    }
    const std::string energy_key = fmt::format("energy.mac.{}", name_of(format));
    if (c.energy.mac_pj[index] == 0) {
      return Violation{{energy_key, key, rate_key},
                       fmt::format("a {} multiply-accumulate has no energy: {} is 0", name_of(format), energy_key),
                       fmt::format("give {}", energy_key)};
    }
    if (is_float(format) && !is_float(c.precision.accumulator)) {
      return Violation{
          {"precision.accumulator", key},
          fmt::format("partial sums of {} operands cannot be {}", name_of(format), name_of(c.precision.accumulator)),
          "use fp32 accumulators"};
    }
    if (bytes_of(c.precision.accumulator) < bytes_of(format)) {
      return Violation{{"precision.accumulator", key},
                       fmt::format("accumulators of {} bytes are narrower than operands of {} bytes",
                                   bytes_of(c.precision.accumulator), bytes_of(format)),
                       "use int32 or fp32 accumulators"};
    }
  }
  constexpr std::int64_t kMostCells = std::int64_t{1} << 32;
  if (c.mac_cells() > kMostCells) {
    return Violation{{"matrix.rows", "matrix.cols", "matrix.count"},
                     fmt::format("{} x {} x {} engines are {} cells when at most {} are modelled", c.matrix.rows,
                                 c.matrix.cols, c.matrix.count, c.mac_cells(), kMostCells),
                     {}};
  }
  const Bytes half = c.matrix.accumulator_bytes / 2;
  const Bytes row = c.matrix.cols * bytes_of(c.precision.accumulator);
  if (half < row) {
    return Violation{{"matrix.accumulator_size", "matrix.cols", "precision.accumulator"},
                     fmt::format("half of the accumulators is {} bytes when one row of {} {} partial sums takes {}",
                                 half, c.matrix.cols, name_of(c.precision.accumulator), row),
                     fmt::format("give at least {}", format_quantity(Quantity::kBytes, static_cast<double>(2 * row)))};
  }
  return std::nullopt;
}

std::optional<Violation> memory_violation(const NpuConfig& c) {
  if (c.dram.channel_bits % 8 != 0) {
    return Violation{
        {"dram.channel_bits"}, fmt::format("is {} when it should be a multiple of 8", c.dram.channel_bits), {}};
  }
  const Bytes burst = Bytes{c.dram.channel_bits} / 8 * c.dram.burst_length;
  const std::string burst_text =
      fmt::format("a burst of {} transfers of {} bits ({} bytes)", c.dram.burst_length, c.dram.channel_bits, burst);
  if (c.dram.row_bytes % burst != 0) {
    return Violation{{"dram.row_size", "dram.burst_length", "dram.channel_bits"},
                     fmt::format("a row of {} bytes is not a whole number of bursts: {}", c.dram.row_bytes, burst_text),
                     {}};
  }
  if (c.dma.max_burst < burst) {
    return Violation{{"dma.max_burst", "dram.burst_length", "dram.channel_bits"},
                     fmt::format("the largest request is {} bytes, smaller than {}", c.dma.max_burst, burst_text),
                     {}};
  }
  if (c.dram.tras_ns < c.dram.trcd_ns) {
    return Violation{{"dram.tras", "dram.trcd"},
                     fmt::format("a row open for {} ns cannot be read after {} ns", c.dram.tras_ns, c.dram.trcd_ns),
                     "tras is at least trcd"};
  }
  if (c.dram.trfc_ns >= c.dram.trefi_ns) {
    return Violation{
        {"dram.trfc", "dram.trefi"},
        fmt::format("a refresh of {} ns every {} ns leaves no time for data", c.dram.trfc_ns, c.dram.trefi_ns),
        {}};
  }
  const Bytes port = c.scratchpad.banks * c.scratchpad.bank_port_bytes;
  if (c.scratchpad.size < port) {
    return Violation{{"scratchpad.size", "scratchpad.banks", "scratchpad.bank_port"},
                     fmt::format("{} bytes are less than one access of all {} banks ({} bytes)", c.scratchpad.size,
                                 c.scratchpad.banks, port),
                     {}};
  }
  if (c.dram.size < c.scratchpad.size) {
    return Violation{{"dram.size", "scratchpad.size"},
                     fmt::format("{} bytes of DRAM are less than the scratchpad's {}", c.dram.size, c.scratchpad.size),
                     {}};
  }
  return std::nullopt;
}

std::string last_part(const std::string& key) { return key.substr(key.rfind('.') + 1); }
std::string section_of(const std::string& key) {
  const std::size_t dot = key.rfind('.');
  return dot == std::string::npos ? "" : key.substr(0, dot);
}

/// Nearest by what people get wrong: a letter in the last part, then anywhere, then the section left out or mistaken.
std::string nearest_key(const std::string& key) {
  std::vector<std::string> all{"extends", "precision", "dram.bandwidth"};  // keys without a field of their own
  for (const Field& field : fields()) all.push_back(field.key);
  std::vector<std::string> siblings;
  for (const std::string& known : all) {
    if (section_of(known) == section_of(key)) siblings.push_back(last_part(known));
  }
  if (const std::string near = nearest_name(last_part(key), siblings); !near.empty()) {
    return section_of(key).empty() ? near : section_of(key) + "." + near;
  }
  for (const std::string& candidate : all) {
    if (last_part(candidate) == last_part(key)) return candidate;
  }
  return nearest_name(key, all);
}

}  // namespace

std::optional<Violation> find_violation(const NpuConfig& config) {
  for (const Field& field : fields()) {
    if (std::string problem = range_problem(field, config); !problem.empty()) {
      return Violation{{field.key}, std::move(problem), legal_values(field)};
    }
  }
  if (auto violation = matrix_violation(config)) return violation;
  if (auto violation = memory_violation(config)) return violation;
  if (!is_float(config.precision.vector)) {
    return Violation{{"precision.vector"},
                     fmt::format("vector arithmetic in {} cannot hold a softmax", name_of(config.precision.vector)),
                     "use a floating-point format"};
  }
  return std::nullopt;
}

void throw_unknown_key(const std::string& key) {
  std::string members;
  for (const Field& field : fields()) {
    if (field.key.starts_with(key + ".")) members += (members.empty() ? "" : ", ") + field.key.substr(key.size() + 1);
  }
  if (!members.empty()) {
    throw Error(ErrorKind::kBadInput, {}, "is a section and takes no value of its own", "its keys: " + members);
  }
  const std::string near = nearest_key(key);
  std::string help;
  std::set<std::string> sections;
  for (const Field& field : fields()) sections.insert(field.key.substr(0, field.key.find('.')));
  if (near.empty()) {
    help = "top-level keys:";
    for (const std::string& section : sections) help += " " + section;
  }
  throw Error(ErrorKind::kBadInput, {},
              "unknown key" + (near.empty() ? std::string() : fmt::format("; did you mean '{}'?", near)), help);
}

}  // namespace spillway::configs
