// Internal: a JSON value together with where it is, for messages. Trusts nothing: every access states what it expects.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "configs/error.h"

namespace spillway::partitioner {

class JsonReader {
 public:
  using Json = nlohmann::json;  // sorted: an object of many keys is read in good time

  /// `help` goes with every error; both outlive the reader and whatever it hands out.
  JsonReader(const Json& json, const Place& place, const std::string& help)
      : json_(&json), place_(&place), help_(&help) {}

  /// Throws Error(kBadInput) naming file and key.
  [[noreturn]] void bad(const std::string& problem) const;

  /// A member of an object that must be there.
  [[nodiscard]] JsonReader at(const char* key) const;
  [[nodiscard]] bool has(const char* key) const { return json_->is_object() && json_->contains(key); }
  /// Refuses members of other names.
  void only(std::initializer_list<const char*> keys) const;
  /// each(key, value) for the members of an object.
  template <typename Each>
  void members(Each each) const {
    require(json_->is_object(), "an object");
    for (const auto& [key, value] : json_->items()) {
      each(key, JsonReader(value, *this, path_.empty() ? key : path_ + "." + key));
    }
  }
  /// each(item) for the items of a list, of which there may be `most`.
  template <typename Each>
  void items(Each each, std::size_t most = std::numeric_limits<std::size_t>::max()) const {
    require(json_->is_array(), "a list");
    if (json_->size() > most) bad(fmt::format("has {} entries, the most is {}", json_->size(), most));
    for (std::size_t i = 0; i < json_->size(); ++i)
      each(JsonReader((*json_)[i], *this, fmt::format("{}[{}]", path_, i)));
  }

  [[nodiscard]] std::int64_t integer(std::int64_t low = 0,
                                     std::int64_t high = std::numeric_limits<std::int64_t>::max()) const;
  [[nodiscard]] double real() const;
  [[nodiscard]] const std::string& text() const;
  [[nodiscard]] bool flag() const;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  JsonReader(const Json& json, const JsonReader& parent, std::string path)
      : json_(&json), place_(parent.place_), help_(parent.help_), path_(std::move(path)) {}
  [[nodiscard]] std::string shown() const;
  void require(bool is, const char* what) const;

  const Json* json_;
  const Place* place_;
  const std::string* help_;
  std::string path_;
};

/// The parsed text. Throws Error(kBadInput) with the line of what is not JSON.
[[nodiscard]] JsonReader::Json parse_json(std::string_view text, const Place& place, const std::string& help);

}  // namespace spillway::partitioner
