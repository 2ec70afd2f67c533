// --save-plan and --plan: where the plans of a target are, writing and reading them.
#pragma once

#include <string>
#include <vector>

#include "cli/target.h"
#include "partitioner/plan_io.h"

namespace CLI {  // NOLINT(readability-identifier-naming): CLI11's
class Option;
}

namespace spillway::cli {

/// --save-plan, --plan.
struct PlanFileFlags {
  std::string save, load;

  /// After the flags that say how to plan.
  void add_to(CLI::App& verb);
  /// Before any work: throws Error(kBadInput) if --plan goes with a flag that says how to plan, if it is no place of
  /// plans of such a target, or if --save-plan's files could not be written.
  void check(const Target& target) const;
  /// --plan's file for each graph of the target; empty without --plan.
  [[nodiscard]] std::vector<std::string> loaded(const Target& target) const;
  /// --save-plan: all files or none. `texts` answer the target's graphs.
  void write(const Target& target, const std::vector<std::string>& texts) const;

 private:
  std::vector<const CLI::Option*> planning_;  ///< flags that a saved plan has answered already
};

/// The whole file. Throws Error(kBadInput) if it cannot be read or is larger than any plan.
[[nodiscard]] std::string read_plan_file(const std::string& path);

}  // namespace spillway::cli
