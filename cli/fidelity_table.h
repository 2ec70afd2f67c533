// What a run in narrow number formats loses, layer by layer, as tables and as JSON.
#pragma once

#include <iosfwd>
#include <nlohmann/json.hpp>
#include <vector>

#include "simulator/simulator.h"

namespace spillway::cli {

/// An output of the NPU against the reference executor.
struct OutputFidelity {
  std::string tensor;
  workloads::ErrorSums error;
};
[[nodiscard]] std::vector<OutputFidelity> fidelity_of(const workloads::TensorMap& outputs,
                                                      const workloads::TensorMap& reference);

/// End to end, then the layers that lose most, or (`all`) every layer in order of execution.
void print_fidelity(std::ostream& out, const std::vector<OutputFidelity>& outputs,
                    const std::vector<simulator::LayerFidelity>& layers, bool all);
[[nodiscard]] nlohmann::ordered_json fidelity_json(const std::vector<OutputFidelity>& outputs,
                                                   const std::vector<simulator::LayerFidelity>& layers);

}  // namespace spillway::cli
