#include "simulator/functional/memory.h"

#include <algorithm>
#include <cstring>

#include "simulator/run_cursor.h"

namespace spillway::simulator {

using partitioner::Operand;
using partitioner::StorageId;

namespace {

constexpr auto kFloat = static_cast<std::int64_t>(sizeof(float));

std::size_t at(std::int32_t id) { return static_cast<std::size_t>(id); }

/// The operand's elements from under `lies` to where it says.
void copy_bytes(const Operand& operand, const std::byte* from, const partitioner::Placement& lies, std::byte* to) {
  Operand source = operand;
  source.at = lies;
  RunCursor reading(source), writing(operand);
  RunCursor::Piece in, out;
  while (true) {
    if (in.bytes == 0 && !reading.done()) in = reading.take(operand.bytes());
    if (out.bytes == 0 && !writing.done()) out = writing.take(operand.bytes());
    const std::int64_t bytes = std::min(in.bytes, out.bytes);
    if (bytes == 0) return;
    std::memcpy(to + out.address, from + in.address, static_cast<std::size_t>(bytes));
    in = {in.address + bytes, in.bytes - bytes};
    out = {out.address + bytes, out.bytes - bytes};
  }
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
    homes_.push_back({storage.dram_address, storage.bytes(), nullptr, nullptr, false});
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

void Memory::prepare(const Operand& operand, Use use) {
  const bool written = use != Use::kRead;
  if (operand.box.empty()) return;
  if (has_homes_) {
    if (operand.storage >= 0) fulfil(operand.storage);
    if (written && operand.storage >= 0 && !homes_[at(operand.storage)].is_writable()) reserve(operand.storage);
    return;
  }
  forget_copied();
  if (aliases_.empty()) return;
  const AddressRange range = range_of(operand);
  if (use == Use::kReplaced && range.end - range.begin == operand.bytes()) return give_up(range);
  for (Alias& alias : aliases_) {
    if (!alias.has_any_of(range)) continue;
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
  for (auto& [id, promise] : promises_) {
    const Home& place = homes_[at(id)];
    const bool meets = place.address < home.address + home.bytes && place.address + place.bytes > home.address;
    if (meets && id != storage) promise.open = false;
  }
  const std::shared_ptr<float> before = home.buffer;
  home.buffer = buffers_->take((home.bytes + kFloat - 1) / kFloat);
  home.constant = false;
  if (before != nullptr) std::memcpy(home.buffer.get(), before.get(), static_cast<std::size_t>(home.bytes));
}

void Memory::give_up(AddressRange range) {
  const std::size_t before = aliases_.size();
  for (auto alias = aliases_.begin(); alias != aliases_.end();) {
    if (!alias->copied && alias->has_any_of(range)) {
      const std::int64_t begin = std::max(range.begin, alias->begin), end = std::min(range.end, alias->end);
      // If the writer leaves something out, a reader of that is told.
      owners_.set(begin, end - begin, partitioner::kNone);
      if (!alias->lose(range)) {
        alias = aliases_.erase(alias);
        continue;
      }
    }
    ++alias;
  }
  if (aliases_.size() != before) list_open();
}

bool Memory::Alias::lose(AddressRange range) {
  gone.push_back({std::max(range.begin, begin), std::min(range.end, end)});
  std::sort(gone.begin(), gone.end(), [](const auto& a, const auto& b) { return a.begin < b.begin; });
  std::vector<AddressRange> apart;
  for (const AddressRange& next : gone) {
    if (!apart.empty() && next.begin <= apart.back().end) {
      apart.back().end = std::max(apart.back().end, next.end);
    } else {
      apart.push_back(next);
    }
  }
  gone = std::move(apart);
  return gone.front().begin > begin || gone.front().end < end;
}

bool Memory::Alias::has_any_of(AddressRange range) const {
  const AddressRange common{std::max(range.begin, begin), std::min(range.end, end)};
  return common.begin < common.end && std::none_of(gone.begin(), gone.end(), [&](const AddressRange& g) {
           return g.begin <= common.begin && common.end <= g.end;
         });
}

bool Memory::Alias::stands_for(const Operand& other, const workloads::Box& box) const {
  return !copied && gone.empty() && operand.storage == other.storage && operand.at == other.at &&
         operand.box.contains(box);
}

void Memory::lend(StorageId storage, Lent contents) { lent_[storage] = std::move(contents); }

const Memory::Lent* Memory::lent(const Operand& operand) const {
  return operand.format == configs::Format::kFp32 ? lent_values(operand) : nullptr;
}

const Memory::Lent* Memory::lent_values(const Operand& operand) const {
  const auto found = lent_.find(operand.storage);
  if (found == lent_.end() || found->second.overwritten || !(operand.at == found->second.given)) return nullptr;
  return &found->second;
}

void Memory::forget(StorageId storage) {
  if (!has_homes_) return;
  homes_[at(storage)].buffer = nullptr;
  homes_[at(storage)].constant = false;
}

void Memory::promise(StorageId storage, bool kept, std::function<void()> make) {
  promises_[storage] = {kept, true, std::move(make)};
}

void Memory::fulfil(StorageId storage) {
  const auto found = promises_.find(storage);
  if (found == promises_.end() || !found->second.open) return;
  found->second.open = false;
  found->second.make();
  Home& home = homes_[at(storage)];
  home.constant = true;
  if (found->second.kept) home.kept = home.buffer;
}

std::optional<Memory::Lent> Memory::constant(const Operand& operand) {
  if (!has_homes_ || operand.box.empty()) return std::nullopt;
  fulfil(operand.storage);
  const Home& home = homes_[at(operand.storage)];
  const AddressRange range = range_of(operand);
  if (!home.constant || range.begin < home.address || range.end > home.address + home.bytes ||
      owners_.other_than(operand.storage, range.begin, range.end - range.begin)) {
    return std::nullopt;
  }
  return Lent{operand.at, operand.at, home.address, home.bytes, base_of(operand.storage), home.buffer, false};
}

void Memory::restart(std::int32_t storages) {
  owners_.clear(storages);
  aliases_.clear();
  open_.clear();
  for (auto& [storage, contents] : lent_) contents.overwritten = false;
  for (Home& home : homes_) {
    home.buffer = home.kept;
    home.constant = home.kept != nullptr;
  }
  for (auto& [storage, promise] : promises_) {
    const Home& home = homes_[at(storage)];
    promise.open = home.kept == nullptr;
    if (!promise.open) owners_.set(home.address, home.bytes, storage);
  }
}

bool Memory::alias(const Operand& operand, const Lent& lent, std::shared_ptr<workloads::compute::PackedPanels> packed) {
  const AddressRange range = range_of(operand);
  if (range.end - range.begin != operand.bytes() || range.begin < 0 || range.end > size_) return false;
  const bool floats = operand.format == configs::Format::kFp32;
  if (floats && (!floats_at(bytes_.data(), operand.at, operand.box) || !floats_at(lent.data, lent.lies, operand.box))) {
    return false;
  }
  forget_copied();
  give_up(range);
  owners_.set(range.begin, range.end - range.begin, operand.storage);
  Alias& alias = aliases_.emplace_back();
  alias.operand = operand;
  alias.begin = range.begin;
  alias.end = range.end;
  alias.lies = lent.lies;
  alias.data = lent.data;
  alias.owner = lent.owner;
  alias.packed = packed != nullptr ? std::move(packed) : std::make_shared<workloads::compute::PackedPanels>();
  list_open();
  return true;
}

const Memory::Alias* Memory::aliased(const Operand& operand, const workloads::Box& box) const {
  const auto found =
      std::find_if(aliases_.begin(), aliases_.end(), [&](const Alias& a) { return a.stands_for(operand, box); });
  return found == aliases_.end() ? nullptr : &*found;
}

void Memory::settle(std::int64_t address, std::int64_t bytes) const {
  for (const Open& open : open_) {
    if (open.begin >= address + bytes || open.end <= address) continue;
    if (!open.alias->copied && open.alias->has_any_of({address, address + bytes})) copy(*open.alias);
  }
}

void Memory::forget_copied() {
  if (std::erase_if(aliases_, [](const Alias& alias) { return alias.copied.load(); }) > 0) list_open();
}

void Memory::list_open() {
  open_.clear();
  for (Alias& alias : aliases_) open_.push_back({alias.begin, alias.end, &alias});
}

void Memory::copy(Alias& alias) const {
  const std::lock_guard lock(*copying_);
  if (alias.copied) return;
  // Beside what has been overwritten since.
  std::vector<std::byte> whole(alias.gone.empty() ? 0 : static_cast<std::size_t>(alias.end - alias.begin));
  std::byte* base = alias.gone.empty() ? bytes_.data() : whole.data() - alias.begin;
  if (alias.operand.format != configs::Format::kFp32) {
    copy_bytes(alias.operand, alias.data, alias.lies, base);
  } else {
    const auto from = floats_at(alias.data, alias.lies, alias.operand.box);
    const auto to = floats_at(base, alias.operand.at, alias.operand.box);
    workloads::compute::copy(*from, {to->box, const_cast<float*>(to->data), to->stride});  // our own bytes
  }
  std::int64_t address = alias.begin;
  const auto keep_until = [&](std::int64_t end) {
    if (end > address) std::memcpy(bytes_.data() + address, base + address, static_cast<std::size_t>(end - address));
  };
  for (const AddressRange& gone : alias.gone) {
    keep_until(gone.begin);
    address = gone.end;
  }
  if (!alias.gone.empty()) keep_until(alias.end);
  alias.copied = true;
}

}  // namespace spillway::simulator
