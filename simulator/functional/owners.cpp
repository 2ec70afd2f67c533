#include "simulator/functional/owners.h"

#include <sys/mman.h>

#include <algorithm>
#include <limits>

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

void Pages::clear() {
  if (::madvise(data_, bytes_, MADV_DONTNEED) != 0) internal_error("the host does not take its pages back");
}

Owners::Owners(std::size_t bytes)
    : lines_((bytes / kLine + 1) * sizeof(std::int32_t)),
      granules_((bytes / kLine + 1) * kGranules * sizeof(std::int32_t)) {}

void Owners::clear(std::int32_t storages) {
  if (cleared_ < std::numeric_limits<std::int32_t>::max() / 2 - storages) {
    cleared_ += storages;
    return;
  }
  lines_.clear();
  cleared_ = 0;
}

void Owners::set(std::int64_t address, std::int64_t bytes, partitioner::StorageId storage) {
  const std::int32_t owner = code_of(storage);
  const std::int64_t end = address + bytes;
  std::int64_t first = address / kLine;
  const std::int64_t last = (end - 1) / kLine;
  const std::int64_t from = address % kLine / kGranule, to = (end - 1) % kLine / kGranule + 1;
  if (first == last) return set_part(first, from, to, owner);
  if (from != 0) set_part(first++, from, kGranules, owner);
  if (to != kGranules) {
    set_part(last, 0, to, owner);
    std::fill(lines() + first, lines() + last, owner);
  } else {
    std::fill(lines() + first, lines() + last + 1, owner);
  }
}

void Owners::set_part(std::int64_t line, std::int64_t first, std::int64_t last, std::int32_t owner) {
  std::int32_t& whole = lines()[line];
  if (whole == owner) return;
  if (first == 0 && last == kGranules) {
    whole = owner;
    return;
  }
  std::int32_t* parts = granules(line);
  if (whole != kMixed) std::fill(parts, parts + kGranules, whole);
  std::fill(parts + first, parts + last, owner);
  const bool one = parts[0] == owner && parts[kGranules - 1] == owner &&
                   std::all_of(parts, parts + kGranules, [owner](std::int32_t o) { return o == owner; });
  whole = one ? owner : kMixed;
}

std::optional<Owners::Wrong> Owners::other_than(partitioner::StorageId storage, std::int64_t address,
                                                std::int64_t bytes) const {
  const std::int32_t wanted = code_of(storage);
  const std::int64_t first = address / kLine, last = (address + bytes - 1) / kLine;
  if (workloads::compute::simd().differing(last - first + 1, lines() + first, wanted) == 0) return std::nullopt;
  for (std::int64_t line = first; line <= last; ++line) {
    const std::int32_t whole = lines()[line];
    if (whole == wanted) continue;
    const std::int64_t from = line == first ? address % kLine / kGranule : 0;
    const std::int64_t to = line == last ? (address + bytes - 1) % kLine / kGranule + 1 : kGranules;
    for (std::int64_t g = from; g < to; ++g) {
      const std::int32_t owner = whole == kMixed ? granules(line)[g] : whole;
      if (owner != wanted) return wrong_at(std::max(address, line * kLine + g * kGranule), owner);
    }
  }
  return std::nullopt;
}

}  // namespace spillway::simulator
