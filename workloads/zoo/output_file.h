// A file that appears under its name only when it is complete.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace spillway::workloads::zoo {

/// Writes to a temporary file in the same folder; commit() flushes it to the disk and renames it. Destroyed before
/// that, it leaves nothing behind. Every failure (unwritable folder, full disk) is an Error(kBadInput) that names the
/// file.
class OutputFile {
 public:
  explicit OutputFile(std::filesystem::path path);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(std::string_view bytes);
  void commit();

 private:
  [[noreturn]] void fail(const std::string& what) const;

  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;
};

/// Whether the file is there and holds exactly `bytes`.
[[nodiscard]] bool same_contents(const std::filesystem::path& path, std::string_view bytes);

}  // namespace spillway::workloads::zoo
