#include "simulator/functional/memory.h"

#include <sys/mman.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "workloads/number_formats.h"

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

namespace {

template <typename Element>
Element element_at(const std::byte* at) {
  Element value{};
  std::memcpy(&value, at, sizeof value);
  return value;
}

template <typename Element>
void put_element(std::byte* at, Element value) {
  std::memcpy(at, &value, sizeof value);
}

template <typename Element>
void put_saturated(std::byte* at, std::int64_t value) {
  using Limits = std::numeric_limits<Element>;
  put_element(at, static_cast<Element>(std::clamp<std::int64_t>(value, Limits::min(), Limits::max())));
}

}  // namespace

float Memory::get(std::int64_t address, Format format) const {
  const std::byte* at = bytes_.data() + address;
  switch (format) {
    case Format::kFp32:
      return element_at<float>(at);
    case Format::kFp16:
      return workloads::float_from_half(element_at<std::uint16_t>(at));
    case Format::kBf16:
      return workloads::float_from_bfloat16(element_at<std::uint16_t>(at));
    case Format::kFp8E4M3:
      return workloads::float_from_float8(workloads::kE4M3, element_at<std::uint8_t>(at));
    case Format::kFp8E5M2:
      return workloads::float_from_float8(workloads::kE5M2, element_at<std::uint8_t>(at));
    case Format::kInt8:
    case Format::kInt16:
    case Format::kInt32:
      return static_cast<float>(get_integer(address, format));
  }
  internal_error("unknown number format");
}

void Memory::put(std::int64_t address, Format format, float value) {
  std::byte* at = bytes_.data() + address;
  switch (format) {
    case Format::kFp32:
      return put_element(at, value);
    case Format::kFp16:
      return put_element(at, workloads::half_from_float(value));
    case Format::kBf16:
      return put_element(at, workloads::bfloat16_from_float(value));
    case Format::kFp8E4M3:
      return put_element(at, workloads::float8_from_float(workloads::kE4M3, value));
    case Format::kFp8E5M2:
      return put_element(at, workloads::float8_from_float(workloads::kE5M2, value));
    case Format::kInt8:
    case Format::kInt16:
    case Format::kInt32: {
      constexpr float kFar = 0x1p62F;
      return put_number(at, format, std::isnan(value) ? 0 : std::llrint(std::clamp(value, -kFar, kFar)));
    }
  }
  internal_error("unknown number format");
}

std::int64_t Memory::get_integer(std::int64_t address, Format format) const {
  const std::byte* at = bytes_.data() + address;
  if (format == Format::kInt32) return element_at<std::int32_t>(at);
  if (format == Format::kInt16) return element_at<std::int16_t>(at);
  return element_at<std::int8_t>(at);
}

void Memory::put_number(std::byte* at, Format format, std::int64_t value) {
  if (format == Format::kInt32) return put_saturated<std::int32_t>(at, value);
  if (format == Format::kInt16) return put_saturated<std::int16_t>(at, value);
  put_saturated<std::int8_t>(at, value);
}

void Memory::put_integer(std::int64_t address, Format format, partitioner::StorageId storage, std::int64_t value) {
  owner_of(address) = storage + 1;
  put_number(bytes_.data() + address, format, value);
}

}  // namespace spillway::simulator
