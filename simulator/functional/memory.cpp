#include "simulator/functional/memory.h"

#include <algorithm>
#include <cstring>

#include "simulator/functional/waves.h"

namespace spillway::simulator {

using partitioner::Operand;
using partitioner::StorageId;

namespace {

constexpr auto kFloat = static_cast<std::int64_t>(sizeof(float));

std::size_t at(std::int32_t id) { return static_cast<std::size_t>(id); }

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
    homes_.push_back({storage.dram_address, storage.bytes(), nullptr, nullptr});
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
  if (!aliases_.empty()) settle(address, bytes);
  if (has_homes_) {
    const Home& home = homes_[at(storage)];
    if (address < home.address || address + bytes > home.address + home.bytes) {
      internal_error("a command writes outside of its tensor in " + name_);
    }
    if (!home.is_writable()) reserve(storage);
  }
  owners_.set(address, bytes, storage);
  return base_of(storage) + address;
}

void Memory::prepare(const Operand& operand, bool written) {
  if (operand.box.empty()) return;
  if (has_homes_) {
    if (written && operand.storage >= 0 && !homes_[at(operand.storage)].is_writable()) reserve(operand.storage);
    return;
  }
  std::erase_if(aliases_, [](const Alias& alias) { return alias.copied.load(); });
  if (aliases_.empty()) return;
  const AddressRange range = range_of(operand);
  for (Alias& alias : aliases_) {
    if (alias.begin >= range.end || alias.end <= range.begin) continue;
    if (written || !alias.stands_for(operand, operand.box)) copy(alias);
  }
}

/// A storage that is written needs a buffer; constants in whose place it lies are nobody's any more, and whoever reads
/// them is told so.
void Memory::reserve(StorageId storage) {
  Home& home = homes_[at(storage)];
  for (auto& [id, contents] : lent_) {
    if (contents.address < home.address + home.bytes && contents.address + contents.bytes > home.address) {
      contents.overwritten = true;
    }
  }
  const std::shared_ptr<float> before = home.buffer;
  home.buffer = buffers_->take((home.bytes + kFloat - 1) / kFloat);
  if (before != nullptr) std::memcpy(home.buffer.get(), before.get(), static_cast<std::size_t>(home.bytes));
}

bool Memory::Alias::stands_for(const Operand& other, const workloads::Box& box) const {
  return !copied && operand.storage == other.storage && operand.at == other.at && operand.box.contains(box);
}

void Memory::lend(StorageId storage, Lent contents) { lent_[storage] = std::move(contents); }

const Memory::Lent* Memory::lent(const Operand& operand) const {
  const auto found = lent_.find(operand.storage);
  if (found == lent_.end()) return nullptr;
  const Lent& contents = found->second;
  return contents.overwritten || operand.format != configs::Format::kFp32 || !(operand.at == contents.given)
             ? nullptr
             : &contents;
}

void Memory::forget(StorageId storage) {
  if (has_homes_) homes_[at(storage)].buffer = nullptr;
}

void Memory::keep(StorageId storage) { homes_[at(storage)].kept = homes_[at(storage)].buffer; }

void Memory::restart(std::int32_t storages) {
  owners_.clear(storages);
  aliases_.clear();
  for (auto& [storage, contents] : lent_) contents.overwritten = false;
  for (StorageId storage = 0; storage < static_cast<StorageId>(homes_.size()); ++storage) {
    Home& home = homes_[at(storage)];
    home.buffer = home.kept;
    if (home.kept != nullptr) owners_.set(home.address, home.bytes, storage);
  }
}

bool Memory::alias(const Operand& operand, const Lent& lent, std::shared_ptr<workloads::compute::PackedPanels> packed) {
  const AddressRange range = range_of(operand);
  if (range.end - range.begin != operand.bytes() || range.begin < 0 || range.end > size_) return false;
  if (!floats_at(bytes_.data(), operand.at, operand.box) || !floats_at(lent.data, lent.lies, operand.box)) return false;
  // What lies wholly below is gone; no need to copy it first.
  std::erase_if(aliases_, [&](const Alias& a) { return a.copied || (a.begin >= range.begin && a.end <= range.end); });
  settle(range.begin, range.end - range.begin);
  owners_.set(range.begin, range.end - range.begin, operand.storage);
  Alias& alias = aliases_.emplace_back();
  alias.operand = operand;
  alias.begin = range.begin;
  alias.end = range.end;
  alias.lies = lent.lies;
  alias.data = lent.data;
  alias.owner = lent.owner;
  alias.packed = packed != nullptr ? std::move(packed) : std::make_shared<workloads::compute::PackedPanels>();
  return true;
}

const Memory::Alias* Memory::aliased(const Operand& operand, const workloads::Box& box) const {
  const auto found =
      std::find_if(aliases_.begin(), aliases_.end(), [&](const Alias& a) { return a.stands_for(operand, box); });
  return found == aliases_.end() ? nullptr : &*found;
}

void Memory::settle(std::int64_t address, std::int64_t bytes) const {
  for (Alias& alias : aliases_) {
    if (alias.begin < address + bytes && alias.end > address && !alias.copied) copy(alias);
  }
}

void Memory::copy(Alias& alias) const {
  const std::lock_guard lock(*copying_);
  if (alias.copied) return;
  const auto from = floats_at(alias.data, alias.lies, alias.operand.box);
  const auto to = floats_at(bytes_.data(), alias.operand.at, alias.operand.box);
  workloads::compute::copy(*from, {to->box, const_cast<float*>(to->data), to->stride});  // our own bytes
  alias.copied = true;
}

}  // namespace spillway::simulator
