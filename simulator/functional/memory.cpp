#include "simulator/functional/memory.h"

#include <algorithm>

namespace spillway::simulator {

using partitioner::Operand;
using partitioner::StorageId;

namespace {

constexpr auto kFloat = static_cast<std::int64_t>(sizeof(float));

std::size_t at(std::int32_t id) { return static_cast<std::size_t>(id); }

/// The dimension whose elements are adjacent.
int along(const partitioner::Placement& placement, const workloads::Box& box) {
  for (int d = box.rank - 1; d >= 0; --d) {
    if (box.extent[at(d)] > 1 && placement.stride[at(d)] == kFloat) return d;
  }
  return -1;
}

}  // namespace

std::optional<workloads::ConstStridedView> floats_at(const std::byte* base, const partitioner::Placement& at,
                                                     const workloads::Box& box) {
  workloads::ConstStridedView view{box, nullptr, {}};
  std::int64_t first = at.origin;
  for (std::size_t d = 0; d < static_cast<std::size_t>(box.rank); ++d) {
    if (at.stride[d] % kFloat != 0) return std::nullopt;
    view.stride[d] = at.stride[d] / kFloat;
    first += at.stride[d] * box.begin[d];
  }
  if (reinterpret_cast<std::uintptr_t>(base + first) % alignof(float) != 0) return std::nullopt;
  view.data = reinterpret_cast<const float*>(base + first);
  return view;
}

Memory::Memory(std::string name, configs::Bytes bytes)
    : name_(std::move(name)),
      size_(bytes),
      owners_(static_cast<std::size_t>(bytes)),
      bytes_(static_cast<std::size_t>(bytes)) {}

Memory::Memory(std::string name, configs::Bytes bytes, std::span<const partitioner::Storage> storages,
               std::shared_ptr<workloads::BufferPool> buffers)
    : name_(std::move(name)),
      size_(bytes),
      owners_(static_cast<std::size_t>(bytes)),
      bytes_(0),
      has_homes_(true),
      buffers_(std::move(buffers)) {
  for (const partitioner::Storage& storage : storages) {
    homes_.push_back({storage.dram_address, storage.bytes(), nullptr});
  }
}

/// Where address 0 would be; nullptr if the storage has no bytes.
std::byte* Memory::base_of(StorageId storage) const {
  if (!has_homes_) return bytes_.data();
  const Home& home = homes_[at(storage)];
  if (home.buffer == nullptr) return nullptr;
  return reinterpret_cast<std::byte*>(home.buffer.get()) - home.address;
}

const std::byte* Memory::read(std::int64_t address, std::int64_t bytes, StorageId storage) const {
  if (bytes <= 0) return base_of(storage);
  if (address < 0 || bytes > size_ - address) internal_error("a command reads outside of " + name_);
  if (const auto wrong = owners_.other_than(storage, address, bytes)) {
    throw WrongRead{name_, wrong->address, storage, wrong->owner};
  }
  if (!aliases_.empty()) settle(address, bytes);
  const std::byte* base = base_of(storage);
  if (base == nullptr) throw WrongRead{name_, address, storage, partitioner::kNone};
  return base + address;
}

std::byte* Memory::write(std::int64_t address, std::int64_t bytes, StorageId storage) {
  if (bytes <= 0) return base_of(storage);
  if (address < 0 || bytes > size_ - address) internal_error("a command writes outside of " + name_);
  if (!lent_at_.empty()) overwrite(address, bytes);
  if (!aliases_.empty()) settle(address, bytes);
  if (has_homes_) {
    Home& home = homes_[at(storage)];
    if (address < home.address || address + bytes > home.address + home.bytes) {
      internal_error("a command writes outside of its tensor in " + name_);
    }
    if (home.buffer == nullptr) home.buffer = buffers_->take((home.bytes + kFloat - 1) / kFloat);
  }
  owners_.set(address, bytes, storage);
  return base_of(storage) + address;
}

void Memory::lend(StorageId storage, Lent contents) {
  own_begin_ = own_end_ = 0;
  lent_at_[contents.address] = storage;
  lent_[storage] = std::move(contents);
}

const Memory::Lent* Memory::lent(const Operand& operand) const {
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

void Memory::forget(StorageId storage) {
  if (has_homes_) homes_[at(storage)].buffer = nullptr;
}

bool Memory::alias(const Operand& operand, const Lent& lent) {
  std::int64_t begin = operand.at.origin, end = operand.at.origin + operand.element_bytes();
  for (int d = 0; d < operand.box.rank; ++d) {
    const std::int64_t stride = operand.at.stride[at(d)];
    if (stride < 0) return false;
    begin += stride * operand.box.begin[at(d)];
    end += stride * (operand.box.end(d) - 1);
  }
  if (end - begin != operand.bytes() || begin < 0 || end > size_) return false;
  if (!floats_at(bytes_.data(), operand.at, operand.box) || !floats_at(lent.data, lent.lies, operand.box)) return false;
  // What lies wholly below is gone; no need to copy it first.
  std::erase_if(aliases_, [&](const Alias& a) { return a.begin >= begin && a.end <= end; });
  settle(begin, end - begin);
  owners_.set(begin, end - begin, operand.storage);
  aliases_.push_back({operand, begin, end, lent.lies, lent.data, lent.owner,
                      along(operand.at, operand.box) != along(lent.lies, operand.box)});
  return true;
}

const Memory::Alias* Memory::aliased(const Operand& operand, const workloads::Box& box) const {
  for (Alias& alias : aliases_) {
    if (alias.operand.storage != operand.storage || !(alias.operand.at == operand.at)) continue;
    if (!alias.operand.box.contains(box)) continue;
    // Elements that are used again and again had better lie as the plan has them.
    if (alias.across && alias.reads++ > 0) return nullptr;
    return &alias;
  }
  return nullptr;
}

void Memory::settle(std::int64_t address, std::int64_t bytes) const {
  std::erase_if(aliases_, [&](const Alias& a) {
    if (a.begin >= address + bytes || a.end <= address) return false;
    copy(a);
    return true;
  });
}

void Memory::copy(const Alias& alias) const {
  const auto from = floats_at(alias.data, alias.lies, alias.operand.box);
  const auto to = floats_at(bytes_.data(), alias.operand.at, alias.operand.box);
  workloads::compute::copy(*from, {to->box, const_cast<float*>(to->data), to->stride});  // our own bytes
}

}  // namespace spillway::simulator
