#include "partitioner/memory_state.h"

#include <algorithm>
#include <utility>

namespace spillway::partitioner {

// --- Accesses ---

namespace {

/// Every byte of `inner` is one of `outer`. May miss it where the placements differ.
bool covers(const Footprint& outer, const Footprint& inner) {
  if (outer.dense()) return outer.first <= inner.first && inner.last <= outer.last;
  return outer.at == inner.at && outer.box.rank == inner.box.rank && outer.element_bytes == inner.element_bytes &&
         outer.box.contains(inner.box);
}

}  // namespace

Accesses::Accesses(const HappensBefore& order, std::int64_t bytes)
    : order_(&order), page_bytes_(bytes / kPages + 1), pages_(kPages) {}

template <typename Visit>
void Accesses::for_each_meeting(const Footprint& where, Visit visit) {
  ++visit_;
  for (std::int64_t page = where.first / page_bytes_; page <= (where.last - 1) / page_bytes_; ++page) {
    auto& ids = pages_[page];
    for (std::size_t i = 0; i < ids.size();) {
      Access& access = accesses_[ids[i]];
      if (!access.live) {
        ids[i] = ids.back();
        ids.pop_back();
        continue;
      }
      ++i;
      if (access.visit == visit_) continue;
      access.visit = visit_;
      if (access.where.hull_meets(where) && visit(access)) return;
    }
  }
}

void Accesses::add(std::int32_t command, bool write, const Footprint& where) {
  for_each_meeting(where, [&](Access& old) {
    const bool followed = write || (!old.write && order_->queue_of(old.command) == order_->queue_of(command));
    if (followed && covers(where, old.where)) old.live = false;
    return false;
  });
  accesses_.push_back({command, write, true, 0, where});
  if (accesses_.size() >= prune_at_) {
    prune();
  } else {
    enter(static_cast<std::uint32_t>(accesses_.size() - 1));
  }
}

void Accesses::enter(std::uint32_t id) {
  const Footprint& where = accesses_[id].where;
  for (std::int64_t page = where.first / page_bytes_; page <= (where.last - 1) / page_bytes_; ++page) {
    pages_[page].push_back(id);
  }
}

void Accesses::prune() {
  std::erase_if(accesses_, [&](const Access& access) { return !access.live || order_->settled(access.command); });
  for (auto& ids : pages_) ids.clear();
  for (std::uint32_t id = 0; id < accesses_.size(); ++id) enter(id);
  prune_at_ = std::max(kShort, 2 * accesses_.size());  // keeps the cost proportional to the additions
}

std::optional<Fault> Accesses::race(std::int32_t command, const Footprint& where) {
  std::optional<Fault> fault;
  for_each_meeting(where, [&](const Access& access) {
    if (access.command == command || order_->ordered(access.command, command) || !share_bytes(access.where, where)) {
      return false;
    }
    fault = Fault{Fault::Kind::kUnordered, where.box, access.command, access.write};
    return true;
  });
  return fault;
}

// --- MemoryState ---

namespace {

/// Whether the elements of `box` have the same addresses under both placements.
bool same_place(const Footprint& a, const Footprint& b, const Box& box) {
  if (a.element_bytes != b.element_bytes || a.address(box.begin) != b.address(box.begin)) return false;
  for (int f = 0; f < box.rank; ++f) {
    if (box.extent[f] > 1 && a.at.stride[f] != b.at.stride[f]) return false;
  }
  return true;
}

}  // namespace

std::optional<Fault> MemoryState::read(std::int32_t command, StorageId storage, const Footprint& where) {
  std::vector<Box> left{where.box};
  for (const Residence& residence : residences_) {
    if (left.empty()) break;
    if (residence.storage != storage || !residence.hull.hull_meets(where)) continue;
    for (const WrittenRegions::Entry& entry : residence.valid.entries()) {
      const Box common = intersect(entry.box, where.box);
      if (common.empty() || !same_place(residence.hull, where, common)) continue;
      if (entry.writer != kNone && !order_->ordered(entry.writer, command)) {
        return Fault{Fault::Kind::kUnordered, common, entry.writer, true};
      }
      subtract(left, common);
    }
  }
  accesses_.add(command, false, where);
  if (!left.empty()) return Fault{Fault::Kind::kNoData, left.front(), kNone, false};
  return std::nullopt;
}

std::optional<Fault> MemoryState::write(std::int32_t command, StorageId storage, const Footprint& where) {
  auto fault = accesses_.race(command, where);
  Residence* home = nullptr;
  for (Residence& residence : residences_) {
    if (residence.hull.hull_meets(where)) {
      residence.valid.reduce(
          [&](const Box& box, std::vector<Box>& out) { surviving(residence.hull.part(box), where, out); });
    }
    if (residence.storage == storage && residence.hull.at == where.at &&
        residence.hull.element_bytes == where.element_bytes) {
      home = &residence;
    }
  }
  if (home == nullptr) {
    home = &residences_.emplace_back();
    home->storage = storage;
    home->hull = where;
  } else if (home->valid.empty()) {
    home->hull = where;
  } else {
    // A box around two may hold bytes that neither has: the bytes grow with every write, not with the box.
    home->hull.box = bounding(home->hull.box, where.box);
    home->hull.first = std::min(home->hull.first, where.first);
    home->hull.last = std::max(home->hull.last, where.last);
  }
  home->valid.add(where.box, command, *order_);
  accesses_.add(command, true, where);
  if (residences_.size() >= forget_at_) forget(command);
  return fault;
}

void MemoryState::forget(std::int32_t command) {
  std::erase_if(residences_, [&](const Residence& residence) {
    return residence.valid.empty() || last_read_[residence.storage] <= command;
  });
  forget_at_ = std::max(kShort, 2 * residences_.size());
}

// --- DramState ---

Placement dense_placement(const Storage& storage) {
  Placement at;
  at.origin = storage.dram_address;
  std::int64_t stride = storage.element_bytes();
  for (int f = storage.rank - 1; f >= 0; --f) {
    at.stride[f] = stride;
    stride *= storage.extent[f];
  }
  return at;
}

DramState::DramState(const HappensBefore& order, const Program& program)
    : order_(&order), cells_(program.layout.storages.size()) {
  for (std::size_t s = 0; s < cells_.size(); ++s) {
    const Storage& storage = program.layout.storages[s];
    cells_[s].whole = storage.whole();
    cells_[s].dense.at = dense_placement(storage);
    cells_[s].dense.element_bytes = storage.element_bytes();
    cells_[s].read_only = storage.is_input;
    if (storage.is_input && !cells_[s].whole.empty()) cells_[s].valid.add(cells_[s].whole, kNone, order);
  }
  find_overlaps(program);
}

void DramState::find_overlaps(const Program& program) {
  // Only storages that the Program touches in DRAM or that the caller finds there have a range at all.
  std::vector<char> used(cells_.size(), 0);
  for (const Operand& operand : program.operand_pool) {
    if (operand.space == Space::kDram) used[operand.storage] = 1;
  }
  std::vector<StorageId> by_address;
  for (std::size_t s = 0; s < cells_.size(); ++s) {
    if (used[s] != 0 || program.layout.storages[s].is_output) by_address.push_back(static_cast<StorageId>(s));
  }
  const auto& storages = program.layout.storages;
  std::stable_sort(by_address.begin(), by_address.end(),
                   [&](StorageId a, StorageId b) { return storages[a].dram_address < storages[b].dram_address; });
  for (std::size_t i = 0; i < by_address.size(); ++i) {
    const Storage& low = storages[by_address[i]];
    for (std::size_t j = i + 1; j < by_address.size(); ++j) {
      if (storages[by_address[j]].dram_address - low.dram_address >= low.bytes()) break;
      cells_[by_address[i]].overlaps.push_back(by_address[j]);
      cells_[by_address[j]].overlaps.push_back(by_address[i]);
    }
  }
  for (Cell& cell : cells_) {
    if (!cell.overlaps.empty()) cell.accesses.emplace(*order_, program.dram_bytes);
  }
}

std::optional<Fault> DramState::read(std::int32_t command, StorageId storage, const Footprint& where) {
  Cell& cell = cells_[storage];
  std::vector<Box> left{where.box};
  for (const WrittenRegions::Entry& entry : cell.valid.entries()) {
    if (left.empty()) break;
    const Box common = intersect(entry.box, where.box);
    if (common.empty()) continue;
    if (entry.writer != kNone && !order_->ordered(entry.writer, command)) {
      return Fault{Fault::Kind::kUnordered, common, entry.writer, true};
    }
    subtract(left, common);
  }
  if (cell.accesses) cell.accesses->add(command, false, where);
  if (!left.empty()) return Fault{Fault::Kind::kNoData, left.front(), kNone, false};
  return std::nullopt;
}

std::optional<Fault> DramState::write(std::int32_t command, StorageId storage, const Footprint& where) {
  Cell& cell = cells_[storage];
  if (cell.read_only) return Fault{Fault::Kind::kReadOnly, where.box, kNone, false};
  if (cell.written.intersects(where.box)) return Fault{Fault::Kind::kTwice, where.box, kNone, false};
  std::optional<Fault> fault;
  for (const StorageId other : cell.overlaps) {
    if (!fault) fault = cells_[other].accesses->race(command, where);
    cells_[other].valid.reduce(
        [&](const Box& box, std::vector<Box>& out) { surviving(cells_[other].dense.part(box), where, out); });
  }
  cell.written.add(where.box);
  cell.valid.add(where.box, command, *order_);
  if (cell.accesses) cell.accesses->add(command, true, where);
  return fault;
}

std::optional<Box> DramState::absent(StorageId storage) const {
  std::vector<Box> left{cells_[storage].whole};
  if (left.front().empty()) return std::nullopt;
  for (const WrittenRegions::Entry& entry : cells_[storage].valid.entries()) subtract(left, entry.box);
  if (left.empty()) return std::nullopt;
  return left.front();
}

}  // namespace spillway::partitioner
