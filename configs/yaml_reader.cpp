#include "configs/yaml_reader.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <map>
#include <sstream>
#include <utility>

#include "configs/error.h"
#include "configs/units.h"

namespace spillway::configs {
namespace {

constexpr std::size_t kMostBytes = 256 << 10;
constexpr std::size_t kMostDepth = 8;
constexpr std::size_t kLongestKey = 200;

class Collector : public YAML::EventHandler {
 public:
  explicit Collector(std::string file) : file_(std::move(file)) {}

  std::vector<YamlEntry> take() { return std::move(entries_); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) fail(mark, "a second YAML document begins when one is expected");
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    refuse_anchor(mark, anchor);
    if (maps_.empty()) fail(mark, "holds no keys");
    if (!maps_.back().has_key) fail(mark, "a key is missing before ':'");
    fail(mark, "has no value");
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { fail(mark, "YAML aliases are not used in configs"); }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    refuse_anchor(mark, anchor);
    refuse_tag(mark, tag);
    if (maps_.empty()) fail(mark, fmt::format("{} stands alone when 'key: value' is expected", shown(value)));
    Map& map = maps_.back();
    if (!map.has_key) {
      if (value.empty() || value.size() > kLongestKey) fail(mark, fmt::format("{} is not a key", shown(value)));
      map.has_key = true;
      map.empty = false;
      map.key = value;
      map.line = mark.line + 1;
      return;
    }
    add(path(), value, map.line);
    map.has_key = false;
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {
    fail(mark, "a list stands where one value is expected");
  }
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    refuse_anchor(mark, anchor);
    refuse_tag(mark, tag);
    if (maps_.size() >= kMostDepth) fail(mark, fmt::format("is nested deeper than {} levels", kMostDepth));
    if (!maps_.empty() && !maps_.back().has_key) fail(mark, "a map stands where a key is expected");
    maps_.push_back({.prefix = maps_.empty() ? "" : path() + ".", .key = {}, .line = mark.line + 1});
  }
  void OnMapEnd() override {
    const Map map = maps_.back();
    maps_.pop_back();
    if (map.empty) {
      throw Error(ErrorKind::kBadInput, {.file = file_, .line = map.line, .key = maps_.empty() ? "" : shown_path()},
                  "holds no keys");
    }
    if (!maps_.empty()) maps_.back().has_key = false;
  }

 private:
  struct Map {
    std::string prefix;
    std::string key;
    int line = 0;
    bool has_key = false;  ///< a key was read and its value is awaited
    bool empty = true;
  };

  [[nodiscard]] std::string path() const { return maps_.back().prefix + maps_.back().key; }
  /// Safe to print: a key may hold anything.
  [[nodiscard]] std::string shown_path() const {
    const std::string quoted = shown(path());
    return quoted.substr(1, quoted.size() - 2);
  }

  [[noreturn]] void fail(const YAML::Mark& mark, const std::string& problem) const {
    Place place{.file = file_, .line = mark.line + 1};
    if (!maps_.empty() && maps_.back().has_key) place.key = shown_path();
    throw Error(ErrorKind::kBadInput, place, problem);
  }
  void refuse_anchor(const YAML::Mark& mark, YAML::anchor_t anchor) const {
    if (anchor != 0) fail(mark, "YAML anchors are not used in configs");
  }
  void refuse_tag(const YAML::Mark& mark, const std::string& tag) const {
    if (!tag.empty() && tag != "?" && tag != "!")
      fail(mark, fmt::format("YAML tag {} is not used in configs", shown(tag)));
  }
  void add(const std::string& key, const std::string& value, int line) {
    const auto [known, is_new] = lines_.emplace(key, line);
    if (!is_new) {
      throw Error(ErrorKind::kBadInput, {.file = file_, .line = line, .key = shown_path()},
                  fmt::format("is given twice, first in line {}", known->second));
    }
    entries_.push_back({key, value, line});
  }

  std::string file_;
  std::vector<YamlEntry> entries_;
  std::map<std::string, int> lines_;
  std::vector<Map> maps_;
  int documents_ = 0;
};

}  // namespace

std::vector<YamlEntry> read_yaml(const std::string& text, const std::string& file) {
  if (text.size() > kMostBytes) {
    throw Error(ErrorKind::kBadInput, {.file = file},
                fmt::format("is {} bytes when a config has at most {}", text.size(), kMostBytes));
  }
  // yaml-cpp takes NUL for the end of input in some places and for a character in others.
  if (text.find('\0') != std::string::npos) {
    throw Error(ErrorKind::kBadInput, {.file = file}, "is not YAML text: it contains a zero byte");
  }
  Collector collector(file);
  try {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(collector)) {
    }
  } catch (const YAML::Exception& e) {
    throw Error(ErrorKind::kBadInput, {.file = file, .line = e.mark.is_null() ? 0 : e.mark.line + 1},
                "is not valid YAML: " + e.msg);
  }
  std::vector<YamlEntry> entries = collector.take();
  if (entries.empty()) throw Error(ErrorKind::kBadInput, {.file = file}, "holds no keys");
  return entries;
}

}  // namespace spillway::configs
