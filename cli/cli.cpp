#include "cli/cli.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <new>

#include "cli/context.h"
#include "cli/flags.h"
#include "cli/interrupt.h"
#include "cli/refusal.h"
#include "reports/reports.h"

namespace spillway::cli {

namespace {

constexpr int kOk = 0;

std::string typed(int argc, char** argv) {
  std::string command = "spillway";
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const bool plain = !argument.empty() && argument.find_first_of(" \t\n\"'\\$&|;<>()*?#`!") == std::string::npos;
    command += " " + (plain ? argument : "'" + argument + "'");
  }
  return command;
}

std::string message_of(const Error& error) {
  std::string text = fmt::format("error: {}\n", error.what());
  std::string help = error.help();
  if (help.empty() && !error.place().key.empty())
    help = "`spillway config show edge-8mb` shows every key with its unit";
  if (!help.empty()) text += fmt::format("  help: {}\n", help);
  return text;
}

std::string counted_warnings(int n) { return fmt::format("{} warning{}", n, n == 1 ? "" : "s"); }

std::vector<std::string> verb_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(verb->get_name());
  return names;
}

/// The deepest verb that was chosen: "zoo export".
const CLI::App& chosen_verb(const CLI::App& app) {
  const auto chosen = app.get_subcommands();
  return chosen.empty() ? app : chosen_verb(*chosen.front());
}

std::string full_name(const CLI::App& verb) {
  const CLI::App* parent = verb.get_parent();
  return parent == nullptr ? "spillway" : full_name(*parent) + " " + verb.get_name();
}

/// An argument that nothing takes: names it and the nearest flag or verb.
Error unexpected(const CLI::App& verb, const std::string& argument) {
  const std::string help = fmt::format("`{} --help` lists all flags", full_name(verb));
  if (argument.empty() || argument.front() != '-') {
    if (const auto verbs = verb_names(verb); !verbs.empty()) {
      const std::string nearest = nearest_name(argument, verbs);
      return {ErrorKind::kBadInput, Place{}, fmt::format("unknown verb '{}'", argument),
              nearest.empty() ? fmt::format("the verbs are {}", fmt::join(verbs, ", "))
                              : fmt::format("did you mean '{} {}'?", full_name(verb), nearest)};
    }
    return {ErrorKind::kBadInput, Place{}, fmt::format("unexpected argument '{}'", argument), help};
  }
  const std::string flag = argument.substr(0, argument.find('='));
  std::vector<std::string> flags;
  for (const CLI::App* at = &verb; at != nullptr; at = at->get_parent()) {
    for (const CLI::Option* option : at->get_options()) {
      for (const std::string& name : option->get_lnames()) flags.push_back("--" + name);
    }
  }
  const std::string nearest = nearest_name(flag, flags);
  return {ErrorKind::kBadInput, Place{}, fmt::format("unknown flag '{}'", flag),
          nearest.empty() ? help : fmt::format("did you mean '{}'? {}", nearest, help)};
}

Error parse_trouble(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App& verb = chosen_verb(app);
  const auto left = app.remaining(true);
  for (const std::string& argument : left) {
    if (argument != "--") return unexpected(verb, argument);
  }
  const std::string help = fmt::format("`{} --help` shows an example", full_name(verb));
  if (const auto verbs = verb_names(verb); !verbs.empty() && verb.get_subcommands().empty()) {
    return {ErrorKind::kBadInput, Place{}, "a verb is missing",
            fmt::format("`{} VERB`, one of {}", full_name(verb), fmt::join(verbs, ", "))};
  }
  std::string problem = error.what();
  if (!problem.empty() && problem.size() > 1 && std::islower(problem[1]) != 0) {
    problem[0] = static_cast<char>(std::tolower(problem[0]));
  }
  return {ErrorKind::kBadInput, Place{}, problem, help};
}

void build(CLI::App& app, Context& context) {
  app.require_subcommand(1);
  app.formatter(std::make_shared<HelpFormatter>());
  app.set_help_flag("-h,--help", "this text (default: off)");
  app.set_version_flag("--version",
                       fmt::format("spillway {} (report schema {})", reports::tool_version(), reports::kSchemaVersion),
                       "print the versions of program and report schema (default: off)");
  add_switch(app, "-q,--quiet", context.quiet, "no progress and no warnings");
  add_switch(app, "-v,--verbose", context.verbose, "every stage with its time");
  add_switch(app, "--Werror", context.warnings_are_errors, "warnings are errors: exit code 2 before any work is done");
  app.fallthrough();
  app.footer(
      "These flags go with every verb.\n\nExample:\n  spillway profile sd15 --sram 8MiB\n\nExit codes: 0 ok, 1 "
      "internal error, 2 bad input, 3 does "
      "not fit, 4 worse than compare's --fail-above, 130 interrupted.");
  add_profile(app, context);
  add_run(app, context);
  add_partition(app, context);
  add_compare(app, context);
  add_inspect(app, context);
  add_zoo(app, context);
  add_config(app, context);
}

int parse_and_act(int argc, char** argv) {
  Context context;
  context.command = typed(argc, argv);
  CLI::App app("Spillway: an NPU architecture simulator and workload profiler", "spillway");
  build(app, context);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& wanted) {
    app.exit(wanted);  // prints help or version
    std::cout.flush();
    return kOk;
  } catch (const CLI::ParseError& error) {
    throw parse_trouble(app, error);
  }
  if (context.action) context.action();
  if (context.warnings > 0 && !context.quiet) std::fprintf(stderr, "%s\n", counted_warnings(context.warnings).c_str());
  errno = 0;
  if (!std::cout.flush()) {
    throw Error(ErrorKind::kBadInput, Place{.file = "standard output"},
                fmt::format("cannot be written: {}", errno != 0 ? std::strerror(errno) : "write error"));
  }
  return context.exit_code;
}

}  // namespace

void Context::warn(const std::vector<std::string>& messages) {
  warnings += static_cast<int>(messages.size());
  if (!quiet || warnings_are_errors) {
    for (const std::string& message : messages) std::fprintf(stderr, "warning: %s\n", message.c_str());
  }
  if (warnings_are_errors && warnings > 0) {
    throw Error(ErrorKind::kBadInput, Place{}, counted_warnings(warnings) + ", and --Werror makes warnings errors",
                "mend what is warned about, or leave --Werror out");
  }
}

void Context::warn_of(const std::vector<LoadedGraph>& graphs) {
  std::vector<std::string> messages;
  for (const LoadedGraph& loaded : graphs) {
    for (const std::string& warning : loaded.graph.warnings) {
      messages.push_back(fmt::format("{}: {}", loaded.target.label, warning));
    }
  }
  warn(messages);
}

int run(int argc, char** argv) {
  install_interrupt_handlers();
  std::string message;
  int code = static_cast<int>(ErrorKind::kInternal);
  try {
    return parse_and_act(argc, argv);
  } catch (const Error& error) {
    message = message_of(error);
    code = error.exit_code();
  } catch (const DoesNotFit& refusal) {
    message = refusal_text(refusal);
    code = static_cast<int>(ErrorKind::kDoesNotFit);
  } catch (const std::bad_alloc&) {
    message = "error: out of memory\n  help: a smaller model, or one graph of it at a time\n";
    code = static_cast<int>(ErrorKind::kBadInput);
  } catch (const std::exception& error) {
    message = fmt::format("error: internal error: {}\n  help: please report this with the command\n", error.what());
  }
  std::fputs(message.c_str(), stderr);
  return code;
}

}  // namespace spillway::cli
