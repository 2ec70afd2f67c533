// cli: from what was typed to a message, files and an exit code. The only folder that prints or exits.
//
//   spillway profile sd15 --sram 8MiB        the verbs: profile, run, partition, inspect, zoo, config
//
// stdout is the result, stderr progress, warnings and errors. Exit codes: 0 ok, 1 internal error, 2 bad input,
// 3 does not fit, 130 interrupted (143 terminated).
#pragma once

namespace spillway::cli {

/// Parses, runs the verb, reports trouble. Returns the exit code; never throws.
int run(int argc, char** argv);

}  // namespace spillway::cli
