// --dry-run: what a run would use and how large its plan is, without simulating or writing anything.
#pragma once

#include <string>
#include <vector>

#include "cli/session.h"

namespace spillway::cli {

struct DryRun {
  std::string command;  ///< as typed
  configs::NpuConfig npu;
  partitioner::Options options;
  bool json = false;
  std::vector<std::string> plan_files{};  ///< of the graphs, in their order; none: they are planned
};
/// Plans and lowers each graph, then prints the resolved config as YAML and the size of each plan as a comment of it:
/// the output is a config file. In JSON both are fields. Throws DoesNotFit before anything is printed.
void print_dry_run(const std::vector<LoadedGraph>& graphs, const DryRun& run, Progress& progress);

}  // namespace spillway::cli
