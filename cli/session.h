// The work of a verb as plain functions: graph -> canonical graph -> Plan -> Program -> Result -> GraphProfile.
#pragma once

#include <exception>
#include <functional>
#include <string>
#include <vector>

#include "cli/options.h"
#include "cli/progress.h"
#include "cli/target.h"
#include "reports/reports.h"

namespace spillway::cli {

/// A graph that cannot run under the budget; carries what partition() said.
class DoesNotFit : public std::exception {
 public:
  DoesNotFit(std::string model, partitioner::Infeasible why) : model_(std::move(model)), why_(std::move(why)) {}
  [[nodiscard]] const char* what() const noexcept override { return "does not fit"; }
  [[nodiscard]] const std::string& model() const { return model_; }
  [[nodiscard]] const partitioner::Infeasible& why() const { return why_; }

 private:
  std::string model_;
  partitioner::Infeasible why_;
};

/// A graph on its way to the simulator.
struct Planned {
  partitioner::Plan plan;
  partitioner::Program program;

  /// The canonical graph, attentions cut into blocks of keys where the plan has it so.
  [[nodiscard]] const workloads::Graph& graph() const { return program.graph; }
};
/// `graph` is canonical. Throws DoesNotFit. Where `plan_file` is given, the plan is that one, and `options` do not
/// count.
[[nodiscard]] Planned plan_and_lower(const std::string& model, const workloads::Graph& graph,
                                     const configs::NpuConfig& npu, const partitioner::Options& options,
                                     Progress* progress, const std::string& plan_file = {});

/// Which attentions run in blocks of keys, in a line; empty if none does.
[[nodiscard]] std::string key_blocks_text(const workloads::Graph& graph);

struct ProfileSettings {
  NpuFlags npu_flags;      ///< sensitivity turns its knobs as further overrides
  configs::NpuConfig npu;  ///< what they load to
  partitioner::Options options;
  bool sensitivity = true;
  int jobs = 1;  ///< rows of the sensitivity table at once; no effect on any result
};
[[nodiscard]] reports::GraphProfile profile_graph(LoadedGraph loaded, const ProfileSettings& settings,
                                                  Progress& progress, const std::string& plan_file = {});

/// Latency, moves and energy of one graph without the rest of a profile.
struct Cost {
  configs::Cycles cycles = 0;
  partitioner::Moves moves;
  double energy_pj = 0;
};
[[nodiscard]] Cost cost_of(const std::string& model, const workloads::Graph& graph, const configs::NpuConfig& npu,
                           const partitioner::Options& options);

}  // namespace spillway::cli
