// Which knob of the hardware is worth turning: each turned on its own, re-planned and re-simulated.
#pragma once

#include <string>
#include <vector>

#include "cli/session.h"

namespace spillway::cli {

/// Rows in fixed order: SRAM, DRAM bandwidth, arrays, vector lanes, each halved, then doubled. The same rows whatever
/// settings.jobs is. A row that does not fit, or a knob without such a position, says so in its why_not.
[[nodiscard]] std::vector<reports::SensitivityRow> sensitivity_of(const std::string& model,
                                                                  const workloads::Graph& executed,
                                                                  const ProfileSettings& settings, Progress& progress);

/// The override that turns a knob by a factor of 0.5 or 2, and the setting as people read it.
struct Turn {
  std::string override_;
  std::string setting;
  std::string why_not;  ///< not empty: the knob cannot be turned so
};
[[nodiscard]] Turn turn(const configs::NpuConfig& npu, reports::Knob knob, double factor);

}  // namespace spillway::cli
