// How a flag is declared: with what it is, its default and an example, so that --help has all three for every flag.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace spillway::cli {

/// "WHAT (default: FALLBACK; e.g. EXAMPLE)"; the example as typed.
inline std::string described(const std::string& what, const std::string& fallback, const std::string& example) {
  return what + " (default: " + fallback + "; e.g. " + example + ")";
}

/// --name VALUE. `fallback` is what `value` holds, in words.
template <typename Value>
CLI::Option* add_value(CLI::App& verb, const std::string& name, Value& value, const std::string& what,
                       const std::string& fallback, const std::string& example) {
  return verb.add_option(name, value, described(what, fallback, name + " " + example));
}

/// --name VALUE, which may be given again.
inline CLI::Option* add_values(CLI::App& verb, const std::string& name, std::vector<std::string>& values,
                               const std::string& what, const std::string& fallback, const std::string& example) {
  return add_value(verb, name, values, what + "; may be repeated", fallback, example)->allow_extra_args(false);
}

/// --name, off unless it is there.
inline CLI::Option* add_switch(CLI::App& verb, const std::string& name, bool& value, const std::string& what) {
  return verb.add_flag(name, value, what + " (default: off)");
}

/// An argument without a name, which must be there.
inline CLI::Option* add_argument(CLI::App& verb, const std::string& name, std::string& value, const std::string& what,
                                 const std::string& example) {
  return verb.add_option(name, value, described(what, "none", example))->required();
}

/// Wraps descriptions to the screen.
class HelpFormatter : public CLI::Formatter {
 public:
  HelpFormatter() { column_width(kNames); }
  [[nodiscard]] std::string make_option_desc(const CLI::Option* option) const override;

 private:
  static constexpr std::size_t kNames = 24;
};

}  // namespace spillway::cli
