// The table of every configurable value: one line each drives loading, --set, the resolved YAML, the suggestions for
// mistyped keys, the reference of keys and the editor schema. To add a value: a member in configs.h, a line here.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "configs/configs.h"
#include "configs/units.h"

namespace spillway::configs {

/// The member of an NpuConfig that a key names.
using Target = std::variant<std::string*, bool*, int*, std::int64_t*, double*, Format*, Dataflow*>;

struct Field {
  std::string key;  ///< "scratchpad.size"
  std::function<Target(NpuConfig&)> target;
  Quantity quantity = Quantity::kCount;  ///< of the numeric targets
  double low = 0, high = 0;              ///< legal range, both ends included, in the base unit
  bool required = true;                  ///< must be given by a config that extends nothing
  bool zero_means_absent = false;        ///< 0 is legal although below `low`
  std::string help;
};

/// In the order of the resolved YAML: keys of one section are neighbours.
[[nodiscard]] const std::vector<Field>& fields();
[[nodiscard]] const Field* find_field(std::string_view key);

/// Parses `text` and stores it. Throws Error(kBadInput), without a place, on anything that the field does not admit.
void set_field(const Field& field, NpuConfig& config, std::string_view text);
/// As set_field would read it back.
[[nodiscard]] std::string get_field(const Field& field, const NpuConfig& config);
/// What is wrong with the value that `config` holds; empty if nothing is.
[[nodiscard]] std::string range_problem(const Field& field, const NpuConfig& config);
/// "64 <= whole number <= 4096" in words, for help texts and the reference.
[[nodiscard]] std::string legal_values(const Field& field);

/// Throws the error for a key that no field has: names the nearest key, or the keys of the section that it names.
[[noreturn]] void throw_unknown_key(const std::string& key);

/// A rule between fields that does not hold.
struct Violation {
  std::vector<std::string> keys;  ///< the fields involved, first the one to blame when nobody knows who changed what
  std::string problem;
  std::string help;
};
/// Ranges of all fields, then the rules between them. The first violation, if any.
[[nodiscard]] std::optional<Violation> find_violation(const NpuConfig& config);

}  // namespace spillway::configs
