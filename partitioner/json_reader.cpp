#include "partitioner/json_reader.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace spillway::partitioner {

void JsonReader::bad(const std::string& problem) const {
  Place place = *place_;
  place.key = path_;
  throw Error(ErrorKind::kBadInput, place, problem, *help_);
}

std::string JsonReader::shown() const {
  constexpr std::size_t kLongest = 60;
  std::string text = json_->dump(-1, ' ', true, Json::error_handler_t::replace);
  if (text.size() > kLongest) text = text.substr(0, kLongest) + "..";
  return text;
}

JsonReader JsonReader::at(const char* key) const {
  require(json_->is_object(), "an object");
  const auto found = json_->find(key);
  if (found == json_->end()) bad(fmt::format("the key '{}' is missing", key));
  return {*found, *this, path_.empty() ? key : path_ + "." + key};
}

void JsonReader::only(std::initializer_list<const char*> keys) const {
  require(json_->is_object(), "an object");
  for (const auto& [key, value] : json_->items()) {
    if (std::find(keys.begin(), keys.end(), key) != keys.end()) continue;
    const std::string nearest = nearest_name(key, std::vector<std::string>(keys.begin(), keys.end()));
    const std::string name = Json(key).dump(-1, ' ', true, Json::error_handler_t::replace);
    bad(fmt::format("unknown key {}{}", name, nearest.empty() ? "" : fmt::format("; did you mean '{}'?", nearest)));
  }
}

void JsonReader::require(bool is, const char* what) const {
  if (!is) bad(fmt::format("is {} when it should be {}", shown(), what));
}

std::int64_t JsonReader::integer(std::int64_t low, std::int64_t high) const {
  require(json_->is_number_integer(), "a whole number");
  const bool beyond =
      json_->is_number_unsigned() &&
      json_->get<std::uint64_t>() > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (beyond || json_->get<std::int64_t>() < low || json_->get<std::int64_t>() > high) {
    bad(fmt::format("is {} when it should be between {} and {}", shown(), low, high));
  }
  return json_->get<std::int64_t>();
}

double JsonReader::real() const {
  require(json_->is_number(), "a number");
  const auto value = json_->get<double>();
  if (!std::isfinite(value)) bad("is not a finite number");
  return value;
}

const std::string& JsonReader::text() const {
  require(json_->is_string(), "a text");
  return json_->get_ref<const std::string&>();
}

bool JsonReader::flag() const {
  require(json_->is_boolean(), "true or false");
  return json_->get<bool>();
}

JsonReader::Json parse_json(std::string_view text, const Place& place, const std::string& help) {
  // Nesting is refused before the parser builds it: no plan is deeper than this.
  constexpr int kDeepest = 16;
  const JsonReader::Json::parser_callback_t shallow = [&](int depth, JsonReader::Json::parse_event_t, auto&) {
    if (depth > kDeepest) throw Error(ErrorKind::kBadInput, place, "is nested too deep for a plan", help);
    return true;
  };
  try {
    return JsonReader::Json::parse(text, shallow);
  } catch (const JsonReader::Json::parse_error& error) {
    const std::size_t at = std::min<std::size_t>(error.byte == 0 ? 0 : error.byte - 1, text.size());
    Place where = place;
    where.line = 1 + static_cast<int>(std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
    throw Error(ErrorKind::kBadInput, where,
                at >= text.size() ? "the text ends too early: it has been cut off" : "is not JSON", help);
  } catch (const JsonReader::Json::out_of_range&) {
    throw Error(ErrorKind::kBadInput, place, "holds a number that is out of range", help);
  }
}

}  // namespace spillway::partitioner
