#include "workloads/onnx/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "configs/error.h"

namespace spillway::workloads {
namespace {

struct Descriptor {
  int fd;
  explicit Descriptor(int value) : fd(value) {}
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
};

[[noreturn]] void throw_unreadable(const std::string& path, int error) {
  throw Error(ErrorKind::kBadInput, Place{.file = path}, "cannot be read: " + std::generic_category().message(error));
}

}  // namespace

MappedFile::MappedFile(std::string path, std::span<const std::byte> bytes) : path_(std::move(path)), bytes_(bytes) {}

MappedFile::~MappedFile() {
  // The mapping was made writable to nobody; munmap alone wants a non-const pointer.
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

std::shared_ptr<const MappedFile> MappedFile::open(const std::string& path) {
  if (path.empty() || path.find('\0') != std::string::npos) throw_unreadable(path.substr(0, path.find('\0')), ENOENT);
  // O_NONBLOCK: a FIFO must not hang us before fstat can refuse it.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.fd < 0) throw_unreadable(path, errno);
  struct stat status {};
  if (::fstat(file.fd, &status) != 0) throw_unreadable(path, errno);
  if (S_ISDIR(status.st_mode)) throw_unreadable(path, EISDIR);
  if (!S_ISREG(status.st_mode)) {
    throw Error(ErrorKind::kBadInput, Place{.file = path}, "cannot be read: not a regular file");
  }
  const auto size = static_cast<std::size_t>(status.st_size);
  std::span<const std::byte> bytes;
  if (size != 0) {
    void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.fd, 0);
    if (address == MAP_FAILED) throw_unreadable(path, errno);
    bytes = {static_cast<const std::byte*>(address), size};
  }
  return std::shared_ptr<const MappedFile>(new MappedFile(path, bytes));
}

}  // namespace spillway::workloads
