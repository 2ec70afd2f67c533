// Ctrl-C: says that nothing was written and leaves with 130 (SIGTERM: 143).
#pragma once

#include <string>
#include <vector>

namespace spillway::cli {

/// Installs the handlers. Report files are safe because reports::write_atomically() holds the signals back.
void install_interrupt_handlers();

/// Unfinished files that the handler shall remove. Replaces an earlier list; the strings are copied once and kept.
void remove_when_interrupted(const std::vector<std::string>& paths);

}  // namespace spillway::cli
