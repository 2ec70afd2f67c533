// YAML text -> a flat list of (dotted key, value, line). Configs need nested maps of scalars and nothing else, so that
// is all that is accepted: no lists, anchors, aliases, tags or second documents, and no deep nesting. Events are read
// as they come; no tree is built that an alias could multiply.
#pragma once

#include <string>
#include <vector>

namespace spillway::configs {

struct YamlEntry {
  std::string key;  ///< "scratchpad.size"
  std::string value;
  int line = 0;  ///< 1-based
};

/// In file order; every key is unique. Throws Error(kBadInput) with `file` and line.
[[nodiscard]] std::vector<YamlEntry> read_yaml(const std::string& text, const std::string& file);

}  // namespace spillway::configs
