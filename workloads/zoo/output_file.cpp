#include "workloads/zoo/output_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <utility>

#include "configs/error.h"

namespace spillway::workloads::zoo {

OutputFile::OutputFile(std::filesystem::path path)
    : path_(std::move(path)), temporary_(fmt::format("{}.{}.partial", path_.string(), ::getpid())) {
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail("cannot be written");
}

OutputFile::~OutputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void OutputFile::fail(const std::string& what) const {
  throw Error(ErrorKind::kBadInput, Place{.file = path_.string()}, fmt::format("{}: {}", what, std::strerror(errno)),
              "nothing was left half written; check the folder's permissions and free space");
}

void OutputFile::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail("cannot be written");
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
}

void OutputFile::commit() {
  // Without fsync a full disk may show only after the rename.
  if (::fsync(descriptor_) != 0) fail("cannot be written");
  const int closed = ::close(std::exchange(descriptor_, -1));
  if (closed != 0) fail("cannot be written");
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail("cannot be put in place");
  temporary_.clear();
}

bool same_contents(const std::filesystem::path& path, std::string_view bytes) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return false;
  const std::string held{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  return held == bytes;
}

}  // namespace spillway::workloads::zoo
