// Files that appear complete or not at all.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace spillway::reports {

struct NamedContent {
  std::string name;  ///< within the folder
  std::string content;
};

/// For content that some function writes to a path by itself; it throws Error if it cannot.
struct NamedWriter {
  std::string name;
  std::function<void(const std::string& path)> write;
};

/// Writes every file beside its final name first and renames only when all are on disk: on any failure none of them
/// appears, older ones stay as they were, and a folder made for them is removed again. Throws Error(kBadInput) naming
/// the file and the system's reason.
void write_atomically(const std::string& dir, const std::vector<NamedContent>& files);
void write_atomically(const std::string& dir, const std::vector<NamedWriter>& files);

/// Says early what write_atomically() would say late: throws Error(kBadInput) if `dir`, or the nearest folder above it
/// that exists, is no folder or may not be written to, or if folders that are missing cannot be made. Leaves nothing.
void check_writable(const std::string& dir);

}  // namespace spillway::reports
