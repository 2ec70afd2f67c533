// configs: what the modelled NPU is.
//
// In:  a preset name or a YAML file, and `--set key=value` overrides.
// Out: an NpuConfig: a complete value, validated as a whole; nobody downstream checks it again.
//
//   NpuConfig npu = load_config("edge-8mb", {"scratchpad.size=4MiB"});
//   Cycles c = matrix_cycles(npu.matrix, MatrixShape{.m = 1024, .n = 64, .k = 576}, Format::kInt8);  // timing.h
//
// Invariants: sizes and rates are positive and finite; unknown keys are errors that name the nearest known key.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "configs/error.h"
#include "configs/precision.h"

namespace spillway::configs {

using Bytes = std::int64_t;
using Cycles = std::int64_t;

/// Classes of vector-engine work, each with its own rate.
enum class VectorOp : std::uint8_t { kAddMul, kCompare, kDiv, kExp, kSqrt, kErf, kMove };
inline constexpr int kVectorOpCount = 7;
[[nodiscard]] std::string_view name_of(VectorOp op);

enum class Dataflow : std::uint8_t { kWeightStationary };

struct MatrixConfig {
  int count = 1;  ///< identical engines, one command queue each
  int rows = 64;  ///< contraction (K) side
  int cols = 64;  ///< output-channel (N) side
  Dataflow dataflow = Dataflow::kWeightStationary;
  bool shadow_weights = true;           ///< the next fold's weights preload while this one streams
  Bytes accumulator_bytes = 512 << 10;  ///< per engine, used as two halves (one fills while one drains)
  /// MACs per cell and cycle by operand format; 0 = the format is not supported by the array.
  std::array<double, kFormatCount> rate{};
  Cycles issue_cycles = 16;  ///< decode and set-up of one command
  bool operator==(const MatrixConfig&) const = default;
};

struct VectorConfig {
  int count = 1;
  int lanes = 256;
  std::array<double, kVectorOpCount> rate{};  ///< operations per lane and cycle
  Cycles issue_cycles = 16;
  bool operator==(const VectorConfig&) const = default;
};

struct ScratchpadConfig {
  Bytes size = 8 << 20;
  int banks = 16;
  Bytes bank_port_bytes = 32;  ///< bytes per bank and cycle, one access at a time
  bool operator==(const ScratchpadConfig&) const = default;
};

struct InterconnectConfig {
  Bytes bytes_per_cycle = 64;  ///< between DMA, DRAM controller and scratchpad
  Cycles latency_cycles = 20;
  bool operator==(const InterconnectConfig&) const = default;
};

struct DmaConfig {
  int channels = 2;
  Cycles descriptor_cycles = 32;  ///< fetch and decode of one descriptor
  Bytes max_burst = 4096;         ///< largest single request
  int outstanding = 8;            ///< requests in flight per channel
  bool operator==(const DmaConfig&) const = default;
};

/// Timings in nanoseconds, named as JEDEC names them.
struct DramConfig {
  std::string standard;  ///< for example "LPDDR5-6400"
  int channels = 4;      ///< independent channels, interleaved at burst granularity
  int channel_bits = 16;
  double data_rate_mtps = 6400;
  int burst_length = 16;
  int banks = 16;          ///< per channel
  Bytes row_bytes = 2048;  ///< per channel
  double trcd_ns = 18, trp_ns = 18, tcl_ns = 17, tras_ns = 42, twtr_ns = 10, trtw_ns = 10, trfc_ns = 210,
         trefi_ns = 3904;
  Bytes size = Bytes{8} << 30;
  [[nodiscard]] double peak_bytes_per_second() const { return channels * (channel_bits / 8.0) * data_rate_mtps * 1e6; }
  bool operator==(const DramConfig&) const = default;
};

/// Energy in picojoules, power in milliwatts. Provisional until energy is modelled in detail.
struct EnergyConfig {
  std::string source;
  int technology_nm = 7;
  std::array<double, kFormatCount> mac_pj{};
  double scratchpad_pj_per_byte = 1.0;
  double accumulator_pj_per_byte = 0.5;
  double dram_pj_per_byte = 40.0;
  std::array<double, kVectorOpCount> vector_op_pj{};
  double static_mw = 100.0;
  bool operator==(const EnergyConfig&) const = default;
};

struct NpuConfig {
  std::string name;
  std::string description;
  std::string source;  ///< datasheet or paper the figures come from
  double clock_hz = 1e9;
  MatrixConfig matrix;
  VectorConfig vector;
  ScratchpadConfig scratchpad;
  InterconnectConfig interconnect;
  DmaConfig dma;
  DramConfig dram;
  Precision precision;
  EnergyConfig energy;

  /// DRAM peak in bytes per NPU clock cycle.
  [[nodiscard]] double dram_bytes_per_cycle() const { return dram.peak_bytes_per_second() / clock_hz; }
  /// MAC cells over all engines.
  [[nodiscard]] std::int64_t mac_cells() const { return std::int64_t{matrix.count} * matrix.rows * matrix.cols; }
  bool operator==(const NpuConfig&) const = default;
};

/// Preset names shipped with the tool, sorted.
[[nodiscard]] std::vector<std::string> preset_names();

/// `name_or_path`: a preset, or a YAML file (anything with '/' or ending in .yaml/.yml). `overrides`: "key.path=value"
/// with units in the value. Throws Error(kBadInput) with file, line, key and the nearest valid key.
[[nodiscard]] NpuConfig load_config(const std::string& name_or_path, const std::vector<std::string>& overrides = {});

/// The same from YAML text; `file` is used in messages and to resolve `extends`.
[[nodiscard]] NpuConfig parse_config(const std::string& yaml, const std::string& file,
                                     const std::vector<std::string>& overrides = {});

/// The resolved config as YAML; loading it gives an equal config.
[[nodiscard]] std::string to_yaml(const NpuConfig& config);

/// For callers that change a loaded config in place. Throws Error(kBadInput) naming the first rule that does not hold.
void validate(const NpuConfig& config);

/// Every key with its meaning, units and range.
[[nodiscard]] std::string config_reference();
/// The same as a JSON schema for editors: the text of configs/schema.json.
[[nodiscard]] std::string config_schema();

/// "8MiB", "512KiB", "8388608", "4 GiB", "1.5MB" -> bytes. Throws Error(kBadInput) naming `what`.
[[nodiscard]] Bytes parse_bytes(std::string_view text, const std::string& what);

}  // namespace spillway::configs
