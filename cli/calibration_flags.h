// Where the ranges of activations come from that integer formats need: flags of `spillway run`.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cli/context.h"
#include "workloads/calibration.h"

namespace spillway::cli {

struct CalibrationFlags {
  std::string method = "minmax";
  double percent = 99.99;
  bool asymmetric = false;
  int samples = 1;
  std::vector<std::string> sample_files;
  std::string load, save;

  void add_to(CLI::App& verb);
  /// Throws Error(kBadInput) naming the flag that is wrong.
  void check() const;
  /// From the file given, or by runs of the reference executor; nullopt if no activation of `npu` is held in integers.
  /// Writes it where that was asked for. `graph` is as exported, `executed` canonical.
  [[nodiscard]] std::optional<workloads::Calibration> calibration(const workloads::Graph& graph,
                                                                  const workloads::Graph& executed,
                                                                  const configs::NpuConfig& npu, std::uint64_t seed,
                                                                  Progress& progress) const;
};

}  // namespace spillway::cli
