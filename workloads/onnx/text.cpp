#include "workloads/onnx/text.h"

#include <fmt/format.h>

#include <cstdint>

#include "configs/error.h"

namespace spillway::workloads {
namespace {

/// Length of the UTF-8 sequence at the start of `text` (RFC 3629, no overlong forms, no surrogates); 0 if none.
std::size_t sequence_length(std::string_view text) {
  const auto byte = [&](std::size_t i) -> std::uint32_t {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0;
  };
  const auto lead = byte(0);
  if (lead < 0x80) return 1;
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  std::uint32_t code = lead & (0xFFU >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0U) != 0x80U) return 0;
    code = code << 6 | (byte(i) & 0x3FU);
  }
  constexpr std::uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (lead < 0xC0 || lead > 0xF4 || code < kSmallest[length] || code > 0x10FFFF) return 0;
  return code >= 0xD800 && code <= 0xDFFF ? 0 : length;
}

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }

std::string escaped(std::string_view text) {
  constexpr std::size_t kShown = 40;
  std::string result;
  for (const char c : text.substr(0, kShown)) {
    const auto byte = static_cast<unsigned char>(c);
    result += byte < 0x20 || byte >= 0x7F ? fmt::format("\\x{:02x}", byte) : std::string(1, c);
  }
  return text.size() > kShown ? result + "..." : result;
}

}  // namespace

void check_text(std::string_view text, std::string_view what) {
  for (std::size_t at = 0; at < text.size();) {
    const auto length = sequence_length(text.substr(at));
    if (length == 0 || is_control(text[at])) {
      throw Error(ErrorKind::kBadInput, Place{}, fmt::format("{} is not printable UTF-8: '{}'", what, escaped(text)));
    }
    at += length;
  }
}

}  // namespace spillway::workloads
