#include "configs/configs.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <map>
#include <system_error>

#include "configs/fields.h"
#include "configs/presets.h"
#include "configs/units.h"
#include "configs/yaml_reader.h"

namespace spillway::configs {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kBandwidthKey = "dram.bandwidth";  // another way to give dram.data_rate
constexpr std::string_view kDataRateKey = "dram.data_rate";
constexpr std::string_view kPrecisionKey = "precision";  // "precision: fp16" is all classes at once

/// Where a value was last given. `order` grows with every assignment.
struct Setting {
  std::string text;
  Place place;
  int order = 0;
};

/// What the files of an `extends` chain and the overrides say, later over earlier.
class Settings {
 public:
  /// Throws on an unknown key.
  void assign(const std::string& key, const std::string& text, const Place& place) {
    if (key == kPrecisionKey) {
      assign_precision(text, place);
      return;
    }
    if (key != kBandwidthKey && find_field(key) == nullptr) throw_unknown_key(key);
    if (key == kBandwidthKey) values_.erase(std::string(kDataRateKey));
    if (key == kDataRateKey) values_.erase(std::string(kBandwidthKey));
    values_[key] = Setting{text, place, order_++};
  }
  [[nodiscard]] const Setting* find(std::string_view key) const {
    const auto found = values_.find(key);
    return found == values_.end() ? nullptr : &found->second;
  }

 private:
  void assign_precision(const std::string& text, const Place& place) {
    const Precision all = uniform_precision(trimmed(text));
    const auto set = [&](const char* member, Format format) {
      values_[fmt::format("{}.{}", kPrecisionKey, member)] = Setting{std::string(name_of(format)), place, order_++};
    };
    set("weight", all.weight);
    set("activation", all.activation);
    set("accumulator", all.accumulator);
    set("parameter", all.parameter);
    set("vector", all.vector);
  }

  std::map<std::string, Setting, std::less<>> values_;
  int order_ = 0;
};

/// Runs `action`; an Error gains `place`.
template <typename Action>
void at_place(const Place& place, Action action) {
  try {
    action();
  } catch (const Error& error) {
    throw error.within(place);
  }
}

[[noreturn]] void fail(Place place, std::string problem, std::string help = {}) {
  throw Error(ErrorKind::kBadInput, std::move(place), std::move(problem), std::move(help));
}

bool names_file(const std::string& name) {
  return name.find('/') != std::string::npos || name.ends_with(".yaml") || name.ends_with(".yml");
}

std::string read_file(const std::string& path, const Place& asked_at) {
  // A pipe or device could block for ever or never end.
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  const Place place = asked_at.file.empty() ? Place{.file = path} : asked_at;
  const std::string prefix = asked_at.file.empty() ? "" : shown(path) + ": ";
  if (status.type() == fs::file_type::not_found) {
    fail(place, prefix + "no such file", "a preset is given by its name alone, without '/' and '.yaml'");
  }
  if (status.type() == fs::file_type::none) fail(place, prefix + "cannot be read: " + error.message());
  if (fs::is_directory(status)) fail(place, prefix + "is a folder when a YAML file is expected");
  if (!fs::is_regular_file(status)) fail(place, prefix + "is not a regular file");
  std::ifstream stream(path, std::ios::binary);
  if (!stream) fail(place, prefix + "cannot be read: " + std::generic_category().message(errno));
  constexpr std::size_t kMostBytes = 1 << 20;  // read_yaml has the real limit; this bounds the memory
  std::string text(kMostBytes, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (stream.bad()) fail(place, prefix + "cannot be read");
  text.resize(static_cast<std::size_t>(stream.gcount()));
  return text;
}

/// A YAML text and where it came from.
struct Source {
  std::string yaml;
  std::string file;      ///< for messages, and the folder that `extends` starts from
  std::string identity;  ///< equal for the same file however it is spelled
  bool preset = false;
};

Source find_preset(const std::string& name, const Place& asked_at) {
  for (const Preset& preset : embedded_presets()) {
    if (preset.name == name) {
      return {std::string(preset.yaml), "preset " + name, "preset:" + name, true};
    }
  }
  const std::vector<std::string> names = preset_names();
  const std::string near = nearest_name(name, names);
  std::string help = "presets: " + fmt::format("{}", fmt::join(names, ", "));
  help += fs::exists(name) ? fmt::format("; for the file of that name write ./{}", name) : "; or a path to a YAML file";
  fail(asked_at,
       fmt::format("unknown NPU {}{}", shown(name), near.empty() ? "" : fmt::format("; did you mean '{}'?", near)),
       help);
}

Source find_source(const std::string& name, const fs::path& folder, const Place& asked_at) {
  if (!names_file(name)) return find_preset(name, asked_at);
  if (name.find('\0') != std::string::npos) fail(asked_at, "a file name contains a zero byte");
  const std::string path = (folder / name).string();
  std::error_code error;
  const fs::path canonical = fs::weakly_canonical(path, error);
  return {read_file(path, asked_at), path, error ? path : canonical.string()};
}

constexpr std::size_t kLongestChain = 16;

/// Adds what `source` says to `settings`, what it extends first. `chain` holds the sources that led here.
void collect(const Source& source, std::vector<std::string> chain, Settings& settings) {
  chain.push_back(source.identity);
  const std::vector<YamlEntry> entries = read_yaml(source.yaml, source.file);
  const auto place_of = [&](const YamlEntry& entry) {
    const std::string quoted = shown(entry.key);
    return Place{.file = source.file, .line = entry.line, .key = quoted.substr(1, quoted.size() - 2)};
  };

  const auto extends = std::ranges::find(entries, "extends", &YamlEntry::key);
  if (extends != entries.end()) {
    const Place place = place_of(*extends);
    const std::string name(trimmed(extends->value));
    if (source.preset && names_file(name)) internal_error("preset extends a file: " + source.file);
    const Source base = find_source(name, source.preset ? fs::path() : fs::path(source.file).parent_path(), place);
    if (std::ranges::find(chain, base.identity) != chain.end()) {
      fail(place, fmt::format("{} extends itself", shown(name)), fmt::format("chain: {}", fmt::join(chain, " -> ")));
    }
    if (chain.size() >= kLongestChain) fail(place, fmt::format("more than {} files extend each other", kLongestChain));
    collect(base, chain, settings);
  }
  const auto given = [&](std::string_view key) { return std::ranges::find(entries, key, &YamlEntry::key); };
  if (const auto rate = given(kDataRateKey); given(kBandwidthKey) != entries.end() && rate != entries.end()) {
    fail(place_of(*rate), fmt::format("is given beside {}: one follows from the other", kBandwidthKey));
  }
  for (const YamlEntry& entry : entries) {
    if (entry.key == "extends") continue;
    at_place(place_of(entry), [&] { settings.assign(entry.key, entry.value, {place_of(entry)}); });
  }
}

void collect_overrides(const std::vector<std::string>& overrides, Settings& settings) {
  for (const std::string& text : overrides) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos) {
      fail({.file = "--set"}, fmt::format("{} is not of the form key=value", shown(text)),
           "for example --set scratchpad.size=4MiB");
    }
    const std::string key(trimmed(std::string_view(text).substr(0, equals)));
    const std::string value(trimmed(std::string_view(text).substr(equals + 1)));
    const std::string quoted = shown(key);
    const Place place{.file = "--set", .key = quoted.substr(1, quoted.size() - 2)};
    if (key.empty()) fail({.file = "--set"}, fmt::format("{} names no key", shown(text)));
    if (value.empty()) fail(place, "has no value");
    if (key == "extends") fail(place, "cannot be set on the command line", "choose the NPU by its name or file");
    at_place(place, [&] { settings.assign(key, value, place); });
  }
}

/// dram.bandwidth is a wish; the data rate that grants it is what is simulated.
void apply_bandwidth(const Settings& settings, NpuConfig& config) {
  const Setting* wish = settings.find(kBandwidthKey);
  if (wish == nullptr) return;
  at_place(wish->place, [&] {
    const double bytes_per_second = parse_quantity(Quantity::kBandwidth, wish->text);
    config.dram.data_rate_mtps = bytes_per_second / (config.dram.channels * (config.dram.channel_bits / 8.0)) / 1e6;
    const Field& field = *find_field(kDataRateKey);
    if (const std::string problem = range_problem(field, config); !problem.empty()) {
      fail({}, fmt::format("needs a data rate that {}", problem), legal_values(field));
    }
  });
}

NpuConfig resolve(const Settings& settings, const std::string& file) {
  NpuConfig config;
  std::vector<std::string> missing;
  for (const Field& field : fields()) {  // the clock comes before what is converted by it
    const Setting* setting = settings.find(field.key);
    if (setting != nullptr) {
      at_place(setting->place, [&] { set_field(field, config, setting->text); });
    } else if (field.required && (field.key != kDataRateKey || settings.find(kBandwidthKey) == nullptr)) {
      missing.push_back(field.key);
    }
  }
  if (!missing.empty()) {
    constexpr std::size_t kShown = 5;
    const std::size_t count = missing.size();
    missing.resize(std::min(count, kShown));
    fail({.file = file},
         fmt::format("{} keys are missing: {}{}", count, fmt::join(missing, ", "), count > kShown ? ", ..." : ""),
         "start from a complete config with, for example, 'extends: edge-8mb'");
  }
  apply_bandwidth(settings, config);

  if (const auto violation = find_violation(config)) {
    // Blame whoever spoke last: the override rather than the preset.
    Place place{.file = file, .key = violation->keys.front()};
    int latest = -1;
    for (const std::string& key : violation->keys) {
      const Setting* setting = settings.find(key);
      if (setting != nullptr && setting->order > latest) {
        latest = setting->order;
        place = setting->place;
      }
    }
    fail(place, violation->problem, violation->help);
  }
  return config;
}

NpuConfig load(const Source& source, const std::vector<std::string>& overrides) {
  Settings settings;
  collect(source, {}, settings);
  // A file that changes another is not that other: unless it says a name, it has its own.
  const Setting* name = settings.find("name");
  const std::string stem = fs::path(source.file).stem().string();
  if (!source.preset && (name == nullptr || name->place.file != source.file) && !stem.empty()) {
    NpuConfig probe;
    try {
      set_field(*find_field("name"), probe, stem);
      settings.assign("name", stem, {.file = source.file, .key = "name"});
    } catch (const Error&) {
      // A file name that is no legal config name leaves the base's.
    }
  }
  collect_overrides(overrides, settings);
  return resolve(settings, source.file);
}

}  // namespace

std::string_view name_of(VectorOp op) {
  constexpr std::array<std::string_view, kVectorOpCount> kNames{"add_mul", "compare", "div", "exp",
                                                                "sqrt",    "erf",     "move"};
  const auto index = static_cast<std::size_t>(op);
  if (index >= kNames.size()) internal_error("vector operation out of range");
  return kNames[index];
}

std::vector<std::string> preset_names() {
  std::vector<std::string> names;
  for (const Preset& preset : embedded_presets()) names.emplace_back(preset.name);
  std::ranges::sort(names);
  return names;
}

NpuConfig load_config(const std::string& name_or_path, const std::vector<std::string>& overrides) {
  return load(find_source(name_or_path, {}, {}), overrides);
}

NpuConfig parse_config(const std::string& yaml, const std::string& file, const std::vector<std::string>& overrides) {
  std::error_code error;
  const fs::path canonical = fs::weakly_canonical(file, error);
  return load({yaml, file, error ? file : canonical.string()}, overrides);
}

void validate(const NpuConfig& config) {
  if (const auto violation = find_violation(config)) {
    fail({.file = config.name, .key = violation->keys.front()}, violation->problem, violation->help);
  }
}

Bytes parse_bytes(std::string_view text, const std::string& what) {
  constexpr double kMost = 1LL << 50;
  double value = 0;
  at_place({.key = what}, [&] {
    value = parse_quantity(Quantity::kBytes, text);
    if (value < 1) fail({}, fmt::format("is {} bytes when it should be at least 1", value));
    if (value > kMost) fail({}, fmt::format("is {} bytes when it should be at most {}", value, kMost));
  });
  return static_cast<Bytes>(value);
}

}  // namespace spillway::configs
