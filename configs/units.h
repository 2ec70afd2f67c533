// Numbers with units, as configs and the command line spell them: "8MiB", "1 GHz", "51.2GB/s", "0.25".
// Internal to configs/: the rest of the program sees plain numbers in the base unit of their field.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace spillway::configs {

/// What a number measures. Each has a base unit, the one that NpuConfig's members are held in.
enum class Quantity : std::uint8_t {
  kCount,          ///< whole number
  kCycles,         ///< whole number of cycles
  kBytes,          ///< whole number of bytes
  kBits,           ///< whole number of bits
  kBytesPerCycle,  ///< whole number of bytes per cycle; a rate in bytes per second is converted by the clock
  kRatio,          ///< plain number (operations per lane and cycle)
  kFrequency,      ///< Hz
  kBandwidth,      ///< bytes per second
  kTransferRate,   ///< MT/s
  kTime,           ///< ns
  kLength,         ///< nm, whole number
  kEnergy,         ///< pJ
  kEnergyPerByte,  ///< pJ/B
  kPower,          ///< mW
};

[[nodiscard]] bool is_whole(Quantity quantity);
/// "bytes: B, kB, MB, GB, TB, KiB, MiB, GiB, TiB": for messages and the reference of keys.
[[nodiscard]] std::string units_of(Quantity quantity);

/// `text` in the base unit of `quantity`. Throws Error(kBadInput), without a place, for what is not a number, not
/// finite, a wrong or missing unit, or a fraction where a whole number is meant. `clock_hz` is used by kBytesPerCycle.
[[nodiscard]] double parse_quantity(Quantity quantity, std::string_view text, double clock_hz = 0);

/// A short text, unit included, that parse_quantity reads back as exactly `value`.
[[nodiscard]] std::string format_quantity(Quantity quantity, double value);

/// Text from a file or a command line made safe to print: control bytes escaped, at most 60 characters, in quotes.
[[nodiscard]] std::string shown(std::string_view text);

[[nodiscard]] std::string_view trimmed(std::string_view text);

}  // namespace spillway::configs
