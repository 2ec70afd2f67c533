// The flags that verbs share, and what they mean.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "partitioner/partitioner.h"
#include "workloads/workloads.h"

namespace CLI {  // NOLINT(readability-identifier-naming): CLI11's
class App;
}

namespace spillway::cli {

/// --npu, --sram, --set, --precision.
struct NpuFlags {
  std::string npu = "edge-8mb";
  std::string sram;
  std::vector<std::string> sets;
  std::string precision;

  void add_to(CLI::App& verb);
  void add_overrides_to(CLI::App& verb);  ///< all but --npu
  /// The config with all overrides in the order --set, --sram, --precision, then `more`.
  [[nodiscard]] configs::NpuConfig load(const std::vector<std::string>& more = {}) const;
};

/// TARGET, --shape, --value, --batch, --image, --sequence, --seed.
struct ModelFlags {
  std::string target;
  std::vector<std::string> shapes;
  std::vector<std::string> given;  ///< NAME=INTEGER
  std::int64_t batch = 0, image = 0, sequence = 0;
  std::uint64_t seed = 1;
  std::map<std::string, workloads::Shape> offered{};      ///< no flag: shapes of the tensors that --input gives
  std::map<std::string, workloads::HostTensor> values{};  ///< no flag: small integers that --input gives
  bool dynamic = false;                                   ///< no flag: shapes may depend on data

  void add_to(CLI::App& verb);
};

/// --strategy, --objective, and what is wished for tensors that later groups read.
struct PlanFlags {
  std::string strategy = "fused";
  std::string objective = "latency";
  std::string skips = "auto";
  std::string fates_file;
  double recompute_limit = 1;  ///< percent
  std::string attention = "fused";
  std::int64_t key_blocks = 0;  ///< 0: not given
  bool slices = false;

  void add_to(CLI::App& verb);
  [[nodiscard]] partitioner::Options options() const;
};

/// --format.
struct FormatFlag {
  std::string format = "table";
  void add_to(CLI::App& verb);
  void check() const;
  [[nodiscard]] bool json() const { return format == "json"; }
};

/// One --shape flag: "sample:2x4x64x64", "batch=2", either with "unet/" before it for one graph of a folder.
struct ShapeFlag {
  std::string text{};        ///< as typed
  std::string part{};        ///< empty: every graph
  std::string name{};        ///< of an input or a dimension
  bool whole = false;        ///< a whole input
  workloads::Shape shape{};  ///< of the input, or one extent
};
/// Throws Error(kBadInput) showing what was typed.
[[nodiscard]] ShapeFlag parse_shape(const std::string& text);

/// Throws Error(kBadInput) with the nearest of `choices` unless `value` is one of them.
void check_choice(const std::string& flag, const std::string& value, const std::vector<std::string>& choices);

}  // namespace spillway::cli
