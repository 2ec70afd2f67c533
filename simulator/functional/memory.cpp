#include "simulator/functional/memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "workloads/compute/simd.h"

namespace spillway::simulator {

Pages::Pages(std::size_t bytes) : bytes_(std::max<std::size_t>(bytes, 1)) {
  void* pages = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (pages == MAP_FAILED) {
    throw Error(ErrorKind::kBadInput, Place{},
                "this machine cannot hold " + std::to_string(bytes) + " bytes of the NPU's memory");
  }
  ::madvise(pages, bytes_, MADV_HUGEPAGE);  // advice: that it cannot be had is no error
  data_ = static_cast<std::byte*>(pages);
}

Pages::~Pages() {
  if (data_ != nullptr) ::munmap(data_, bytes_);
}

void Pages::drop(std::size_t begin, std::size_t end) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  begin = (begin + page - 1) / page * page;
  end = std::min(end, bytes_) / page * page;
  if (begin < end) ::madvise(data_ + begin, end - begin, MADV_DONTNEED);
}

Memory::Memory(std::string name, configs::Bytes bytes)
    : name_(std::move(name)),
      size_(bytes),
      bytes_(static_cast<std::size_t>(bytes)),
      owners_((static_cast<std::size_t>(bytes) / kGranule + 1) * sizeof(std::int32_t)) {}

void Memory::check(std::int64_t address, std::int64_t bytes, partitioner::StorageId storage) const {
  if (bytes <= 0) return;
  if (address < 0 || bytes > size_ - address) internal_error("a command reads outside of " + name_);
  const std::int32_t* first = owners() + address / kGranule;
  const std::int64_t count = (address + bytes - 1) / kGranule - address / kGranule + 1;
  const std::int32_t wanted = storage + 1;
  if (workloads::compute::simd().differing(count, first, wanted) == 0) return;
  const std::int32_t* wrong = std::find_if(first, first + count, [&](std::int32_t o) { return o != wanted; });
  const std::int64_t at = std::max(address, (address / kGranule + (wrong - first)) * kGranule);
  throw WrongRead{name_, at, storage, *wrong - 1};
}

std::byte* Memory::write(std::int64_t address, std::int64_t bytes, partitioner::StorageId storage) {
  if (bytes <= 0) return bytes_.data();
  if (address < 0 || bytes > size_ - address) internal_error("a command writes outside of " + name_);
  if (!lent_at_.empty()) overwrite(address, bytes);
  std::fill(owners() + address / kGranule, owners() + (address + bytes - 1) / kGranule + 1, storage + 1);
  return bytes_.data() + address;
}

void Memory::lend(partitioner::StorageId storage, Lent contents) {
  own_begin_ = own_end_ = 0;
  lent_at_[contents.address] = storage;
  lent_[storage] = std::move(contents);
}

const Memory::Lent* Memory::lent(const partitioner::Operand& operand) const {
  const auto found = lent_.find(operand.storage);
  if (found == lent_.end()) return nullptr;
  const Lent& contents = found->second;
  return contents.overwritten || operand.format != configs::Format::kFp32 || !(operand.at == contents.given)
             ? nullptr
             : &contents;
}

/// What is written over is nobody's any more, and whoever reads it is told so.
void Memory::overwrite(std::int64_t address, std::int64_t bytes) {
  if (address >= own_begin_ && address + bytes <= own_end_) return;
  for (auto next = lent_at_.lower_bound(address + bytes); next != lent_at_.begin();) {
    Lent& contents = lent_[(--next)->second];
    if (contents.address + contents.bytes <= address) break;
    contents.overwritten = true;
  }
  // The gap between lent contents that these bytes lie in: writes come in neighbourhoods.
  const auto above = lent_at_.lower_bound(address);
  own_end_ = above == lent_at_.end() ? size_ : above->first;
  own_begin_ = 0;
  if (above != lent_at_.begin()) {
    const Lent& below = lent_[std::prev(above)->second];
    own_begin_ = below.address + below.bytes;
  }
}

void Memory::forget(std::int64_t address, std::int64_t bytes) {
  const auto begin = static_cast<std::size_t>(address), end = static_cast<std::size_t>(address + bytes);
  bytes_.drop(begin, end);
  owners_.drop(begin / kGranule * sizeof(std::int32_t), end / kGranule * sizeof(std::int32_t));
}

}  // namespace spillway::simulator
