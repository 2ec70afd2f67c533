// Files that appear complete or not at all.
#pragma once

#include <string>
#include <vector>

namespace spillway::reports {

struct NamedContent {
  std::string name;  ///< within the folder
  std::string content;
};

/// Writes every file beside its final name first and renames only when all are on disk: on any failure none of them
/// appears, older ones stay as they were, and a folder made for them is removed again. Throws Error(kBadInput) naming
/// the file and the system's reason.
void write_atomically(const std::string& dir, const std::vector<NamedContent>& files);

}  // namespace spillway::reports
