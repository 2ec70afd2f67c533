#include "simulator/functional/memory.h"

#include <sys/mman.h>

#include <cmath>
#include <cstring>

namespace spillway::simulator {

using configs::Format;

SharedPages::SharedPages(std::size_t bytes) : bytes_(std::max<std::size_t>(bytes, 1)) {
  void* pages = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (pages == MAP_FAILED) {
    throw Error(ErrorKind::kBadInput, Place{},
                "this machine cannot hold " + std::to_string(bytes) + " bytes of the NPU's memory");
  }
  data_ = static_cast<std::byte*>(pages);
}

SharedPages::~SharedPages() {
  if (data_ != nullptr) ::munmap(data_, bytes_);
}

Memory::Memory(std::string name, configs::Bytes bytes)
    : name_(std::move(name)),
      bytes_(static_cast<std::size_t>(bytes)),
      owners_((static_cast<std::size_t>(bytes) / kGranule + 1) * sizeof(std::int32_t)) {}

void Memory::refuse(std::int64_t address, partitioner::StorageId wanted, partitioner::StorageId owner) const {
  throw WrongRead{name_, address, wanted, owner};
}

void Memory::copy_from(const Memory& source, std::int64_t from, partitioner::StorageId from_storage, std::int64_t to,
                       partitioner::StorageId to_storage, std::int64_t bytes) {
  for (std::int64_t at = from; at < from + bytes; at = (at / kGranule + 1) * kGranule) source.check(at, from_storage);
  for (std::int64_t at = to; at < to + bytes; at = (at / kGranule + 1) * kGranule) owner_of(at) = to_storage + 1;
  std::memmove(bytes_.data() + to, source.bytes_.data() + from, static_cast<std::size_t>(bytes));
}

float Memory::get(std::int64_t address, Format format) const {
  if (format == Format::kFp32) {
    float value = 0;
    std::memcpy(&value, bytes_.data() + address, sizeof value);
    return value;
  }
  return static_cast<float>(get_integer(address, format));
}

void Memory::put(std::int64_t address, Format format, float value) {
  if (format == Format::kFp32) {
    std::memcpy(bytes_.data() + address, &value, sizeof value);
    return;
  }
  const auto integer = static_cast<std::int32_t>(std::llrint(value));
  std::memcpy(bytes_.data() + address, &integer, format == Format::kInt32 ? 4 : 1);
}

std::int64_t Memory::get_integer(std::int64_t address, Format format) const {
  if (format == Format::kInt32) {
    std::int32_t value = 0;
    std::memcpy(&value, bytes_.data() + address, sizeof value);
    return value;
  }
  std::int8_t value = 0;
  std::memcpy(&value, bytes_.data() + address, sizeof value);
  return value;
}

void Memory::put_integer(std::int64_t address, Format format, partitioner::StorageId storage, std::int64_t value) {
  owner_of(address) = storage + 1;
  const auto narrow = static_cast<std::int32_t>(value);
  std::memcpy(bytes_.data() + address, &narrow, format == Format::kInt32 ? 4 : 1);
}

}  // namespace spillway::simulator
