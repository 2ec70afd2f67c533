// A file seen through the page cache: nothing is read before it is touched, nothing is copied whole.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace spillway::workloads {

/// Read-only and private. The file must not be shortened while it is mapped (the kernel would raise SIGBUS).
class MappedFile {
 public:
  /// Throws Error(kBadInput) if the file is absent, unreadable, or not a regular file.
  [[nodiscard]] static std::shared_ptr<const MappedFile> open(const std::string& path);

  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }
  [[nodiscard]] std::size_t size() const { return bytes_.size(); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  MappedFile(std::string path, std::span<const std::byte> bytes);

  std::string path_;
  std::span<const std::byte> bytes_;
};

}  // namespace spillway::workloads
