// The table of fields as a JSON schema (draft 7), so that editors complete keys and mark mistakes while typing.
// configs/schema.json is this text; a test compares them.
#include <fmt/format.h>

#include "configs/configs.h"
#include "configs/fields.h"

namespace spillway::configs {
namespace {

/// A section: its fields and its sub-sections, in the order of the table.
struct Section {
  std::string name;
  std::vector<std::pair<std::string, std::string>> properties;  ///< name, JSON
  std::vector<Section> sections;
};

Section& open(Section& parent, const std::string& name) {
  for (Section& section : parent.sections) {
    if (section.name == name) return section;
  }
  return parent.sections.emplace_back(Section{.name = name, .properties = {}, .sections = {}});
}

std::string json_text(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

std::string property_of(const Field& field) {
  NpuConfig any;
  const Target target = field.target(any);
  const std::string about = json_text(
      std::holds_alternative<std::string*>(target) ? field.help : field.help + " (" + legal_values(field) + ")");
  if (std::holds_alternative<bool*>(target)) return fmt::format(R"({{"type": "boolean", "description": {}}})", about);
  if (std::holds_alternative<Format*>(target) || std::holds_alternative<Dataflow*>(target)) {
    std::string choices = "\"";
    for (const char c : legal_values(field))
      choices += c == ',' ? std::string("\",") : c == ' ' ? " \"" : std::string(1, c);
    return fmt::format(R"({{"enum": [{}"], "description": {}}})", choices, about);
  }
  const bool text = std::holds_alternative<std::string*>(target);
  return fmt::format(R"({{"type": {}, "description": {}}})", text ? "\"string\"" : R"(["number", "string"])", about);
}

void write(const Section& section, int depth, std::string& out) {
  const std::string indent(2 * depth, ' ');
  out += fmt::format("{{\n{0}  \"type\": \"object\",\n{0}  \"additionalProperties\": false,\n{0}  \"properties\": {{",
                     indent);
  const char* separator = "\n";
  for (const auto& [name, json] : section.properties) {
    out += fmt::format("{}{}    {}: {}", separator, indent, json_text(name), json);
    separator = ",\n";
  }
  for (const Section& inner : section.sections) {
    out += fmt::format("{}{}    {}: ", separator, indent, json_text(inner.name));
    if (inner.name == "precision") out += R"({"anyOf": [{"type": "string", "description": "one format for all"}, )";
    write(inner, depth + 2, out);
    if (inner.name == "precision") out += "]}";
    separator = ",\n";
  }
  out += "\n" + indent + "  }\n" + indent + "}";
}

}  // namespace

std::string config_schema() {
  Section root;
  root.properties.emplace_back("extends", R"({"type": "string", "description": "a preset, or a path from this file"})");
  for (const Field& field : fields()) {
    Section* section = &root;
    std::string name = field.key;
    for (std::size_t dot = name.find('.'); dot != std::string::npos; dot = name.find('.')) {
      section = &open(*section, name.substr(0, dot));
      name = name.substr(dot + 1);
    }
    section->properties.emplace_back(name, property_of(field));
    if (field.key == "dram.data_rate") {
      section->properties.emplace_back("bandwidth",
                                       R"({"type": "string", "description": "peak of all channels, sets data_rate"})");
    }
  }
  std::string out;
  write(root, 0, out);
  constexpr std::string_view kHead =
      "{\n  \"$schema\": \"http://json-schema.org/draft-07/schema#\",\n  \"title\": \"Spillway NPU config\",";
  return std::string(kHead) + out.substr(1) + "\n";
}

}  // namespace spillway::configs
