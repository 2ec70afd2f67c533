// How every stage reports trouble that is the user's to mend: one exception type that names the place.
// The library never prints and never exits; cli/ turns an Error into one message and an exit code.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace spillway {

/// The exit codes of the command line (docs: an interface, never renumbered).
enum class ErrorKind {
  kInternal = 1,    ///< our bug
  kBadInput = 2,    ///< a file, flag, config or graph that must be mended
  kDoesNotFit = 3,  ///< a legal graph that this NPU cannot run under this budget
};

/// Where the trouble is. Empty fields are left out of the message.
struct Place {
  std::string file{};
  int line = 0;  ///< 1-based; 0 if unknown
  std::string node{};
  std::string tensor{};
  std::string key{};
};

/// what() is the whole message: "<file>[:line]: node '<n>': tensor '<t>': <problem>"; help() says how to mend it.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, Place place, std::string problem, std::string help = {});

  [[nodiscard]] ErrorKind kind() const { return kind_; }
  [[nodiscard]] const Place& place() const { return place_; }
  [[nodiscard]] const std::string& problem() const { return problem_; }
  [[nodiscard]] const std::string& help() const { return help_; }
  [[nodiscard]] int exit_code() const { return static_cast<int>(kind_); }

  /// The same error with empty fields of its place filled from `outer`: context added as it travels up.
  [[nodiscard]] Error within(const Place& outer) const;

 private:
  ErrorKind kind_;
  Place place_;
  std::string problem_;
  std::string help_;
};

/// Our own bug: thrown with a sentence when an invariant of this program does not hold.
[[noreturn]] void internal_error(const std::string& sentence);

/// The candidate with the smallest edit distance to `word`; empty if none is near (distance over half its length).
[[nodiscard]] std::string nearest_name(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace spillway
