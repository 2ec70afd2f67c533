// What every verb is handed.
#pragma once

#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include "cli/progress.h"
#include "cli/target.h"

namespace CLI {  // NOLINT(readability-identifier-naming): CLI11's
class App;
}

namespace spillway::cli {

struct Context {
  std::string command;  ///< as typed, for the report's context block
  bool quiet = false;
  bool verbose = false;
  bool warnings_are_errors = false;  ///< --Werror
  int warnings = 0;                  ///< so far
  std::function<void()> action;      ///< of the verb that was parsed
  int exit_code = 0;                 ///< of a verb whose result may be a no

  [[nodiscard]] Progress progress() const { return {quiet, verbose}; }
  /// "warning: ..." on stderr, unless quiet; with --Werror always, and then throws Error(kBadInput).
  void warn(const std::vector<std::string>& messages);
  /// What the import had to say of these graphs.
  void warn_of(const std::vector<LoadedGraph>& graphs);
};

/// One function per verb: adds its subcommand, flags and example, and sets `context.action` when it is chosen.
void add_profile(CLI::App& app, Context& context);
void add_run(CLI::App& app, Context& context);
void add_partition(CLI::App& app, Context& context);
void add_inspect(CLI::App& app, Context& context);
void add_zoo(CLI::App& app, Context& context);
void add_config(CLI::App& app, Context& context);
void add_compare(CLI::App& app, Context& context);

}  // namespace spillway::cli
