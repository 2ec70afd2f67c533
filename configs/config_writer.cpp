// NpuConfig -> text: the resolved YAML and the reference of keys, both straight from the table of fields.
#include <fmt/format.h>

#include "configs/configs.h"
#include "configs/fields.h"

namespace spillway::configs {
namespace {

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

bool is_text(const Field& field) {
  NpuConfig any;
  return std::holds_alternative<std::string*>(field.target(any));
}

std::vector<std::string> parts_of(const std::string& key) {
  std::vector<std::string> parts;
  std::size_t from = 0;
  for (std::size_t dot = key.find('.'); dot != std::string::npos; dot = key.find('.', from)) {
    parts.push_back(key.substr(from, dot - from));
    from = dot + 1;
  }
  parts.push_back(key.substr(from));
  return parts;
}

}  // namespace

std::string to_yaml(const NpuConfig& config) {
  std::string out;
  std::vector<std::string> open;  // sections that the previous line was in
  for (const Field& field : fields()) {
    const std::string value = get_field(field, config);
    const std::vector<std::string> parts = parts_of(field.key);
    for (std::size_t depth = 0; depth < parts.size(); ++depth) {
      const bool leaf = depth + 1 == parts.size();
      if (!leaf && depth < open.size() && open[depth] == parts[depth]) continue;
      open.resize(std::min(open.size(), depth));
      out += std::string(2 * depth, ' ') + parts[depth] + ":";
      if (leaf) {
        out += " " + (is_text(field) ? quoted(value) : value) + "\n";
      } else {
        out += "\n";
        open.push_back(parts[depth]);
      }
    }
  }
  return out;
}

std::string config_reference() {
  std::string out;
  for (const Field& field : fields()) {
    out += fmt::format("{}\n    {}\n    {}\n", field.key, field.help, legal_values(field));
  }
  return out;
}

}  // namespace spillway::configs
