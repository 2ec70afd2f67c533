// Names from files end up in messages, tables and JSON: they must be text.
#pragma once

#include <string>
#include <string_view>

namespace spillway::workloads {

/// Throws Error(kBadInput) unless `text` is UTF-8 without control characters; `what` says what it is ("a node name").
void check_text(std::string_view text, std::string_view what);

}  // namespace spillway::workloads
