#include "cli/flags.h"

#include "reports/format.h"

namespace spillway::cli {

std::string HelpFormatter::make_option_desc(const CLI::Option* option) const {
  std::string text;
  for (const std::string& line : reports::wrapped(option->get_description(), reports::kScreenWidth - kNames)) {
    text += (text.empty() ? "" : "\n") + line;
  }
  return text;
}

}  // namespace spillway::cli
