#include "partitioner/hazards.h"

#include <algorithm>

namespace spillway::partitioner {

namespace {

/// Drops the records that `gone` names among the newest: older ones are rarely concerned, and looking at all of them
/// for every access would cost the square of an allocation's commands.
template <typename Records, typename Gone>
void prune_newest(Records& records, Gone gone) {
  constexpr std::ptrdiff_t kNewest = 64;
  const auto from = records.size() > kNewest ? records.end() - kNewest : records.begin();
  records.erase(std::remove_if(from, records.end(), gone), records.end());
}

}  // namespace

AllocationId Hazards::allocate(int memory, std::int64_t begin, std::int64_t end, bool once) {
  const auto id = static_cast<AllocationId>(allocations_.size());
  Allocation fresh;
  fresh.memory = memory;
  fresh.begin = begin;
  fresh.end = end;
  fresh.once = once;
  fresh.latest.assign(queues_, 0);
  if (static_cast<int>(alive_.size()) <= memory) alive_.resize(memory + 1);
  auto& alive = alive_[memory];
  // Whatever shares bytes with the new allocation has ended. What lies wholly under it is reached through it from now
  // on, and what nobody can need to wait for need not be reached at all.
  std::erase_if(alive, [&](AllocationId other) {
    const Allocation& o = allocations_[other];
    if (o.end <= begin || end <= o.begin) return false;
    if (over(o)) return true;
    fresh.before.push_back(other);
    return o.begin >= begin && o.end <= end;
  });
  alive.push_back(id);
  allocations_.push_back(std::move(fresh));
  return id;
}

Hazards::Record Hazards::record_of(const Access& access) {
  const Operand& operand = access.operand;
  Record r;
  r.allocation = access.allocation;
  r.window = access.window;
  r.box = operand.box;
  r.at = operand.at;
  r.lo = operand.at.origin;
  std::int64_t span = 0;
  for (int d = 0; d < r.box.rank; ++d) {
    r.lo += operand.at.stride[d] * r.box.begin[d];
    span += operand.at.stride[d] * (r.box.extent[d] - 1);
  }
  r.hi = r.lo + span + operand.element_bytes();
  r.dense = r.hi - r.lo == operand.bytes();
  return r;
}

bool Hazards::conflict(const Record& a, const Record& b) {
  if (a.hi <= b.lo || b.hi <= a.lo) return false;
  if (a.same_window(b)) return !intersect(a.box, b.box).empty();
  if (a.dense && b.dense) return true;
  // Different windows that interleave: look at the runs of the sparser one.
  const Record& sparse = a.dense ? b : a;
  const Record& other = a.dense ? a : b;
  bool hit = false;
  Operand operand;
  operand.box = sparse.box;
  operand.at = sparse.at;
  operand.format = configs::Format::kInt8;  // runs of at least a byte: element size only lengthens them
  for_each_run(operand, [&](std::int64_t address, std::int64_t bytes) {
    if (address < other.hi && address + bytes > other.lo) hit = true;
  });
  return hit;
}

bool Hazards::covers(const Record& a, const Record& b) {
  if (a.same_window(b)) return a.box.contains(b.box);
  return a.dense && a.lo <= b.lo && a.hi >= b.hi;
}

void Hazards::need_all(std::vector<Record>& records, const Record& r, int queue) {
  // Records that every queue knows to be complete are forgotten on the way.
  std::erase_if(records, [&](const Record& other) {
    if (other.count <= floor_[other.queue]) return true;
    if (other.queue == queue || need_[other.queue] >= other.count) return false;
    if (conflict(other, r)) need_[other.queue] = other.count;
    return false;
  });
}

bool Hazards::over(const Allocation& allocation) const {
  if (!allocation.before.empty()) return false;
  for (int q = 0; q < queues_; ++q) {
    if (allocation.latest[q] > floor_[q]) return false;
  }
  return true;
}

void Hazards::raise_floor() {
  for (int q = 0; q < queues_; ++q) {
    std::int32_t least = issued_[q];
    for (int other = 0; other < queues_ && least > floor_[q]; ++other) {
      if (other == q) continue;
      least = std::min(least, issued_[other] > 0 ? clock(other, issued_[other])[q] : 0);
    }
    floor_[q] = std::max(floor_[q], least);
  }
}

bool Hazards::settled(const Allocation& allocation, int queue) const {
  for (int q = 0; q < queues_; ++q) {
    if (q != queue && allocation.latest[q] > need_[q]) return false;
  }
  return true;
}

void Hazards::remember(Allocation& allocation, const Record& r, bool write) {
  if (allocation.once) {
    if (!write) return;
    allocation.writes.push_back(r);
    allocation.latest[r.queue] = std::max(allocation.latest[r.queue], r.count);
    return;
  }
  if (write) {
    if (r.dense && r.lo <= allocation.begin && r.hi >= allocation.end) {
      allocation.reads.clear();
      allocation.writes.clear();
      allocation.before.clear();
    }
    prune_newest(allocation.reads, [&](const Record& o) { return covers(r, o); });
    prune_newest(allocation.writes, [&](const Record& o) { return covers(r, o); });
    std::erase_if(allocation.before, [&](AllocationId other) {
      const Allocation& o = allocations_[other];
      return r.dense && r.lo <= std::max(o.begin, allocation.begin) && r.hi >= std::min(o.end, allocation.end);
    });
    allocation.writes.push_back(r);
  } else {
    prune_newest(allocation.reads, [&](const Record& o) { return o.queue == r.queue && covers(r, o); });
    allocation.reads.push_back(r);
  }
  allocation.latest[r.queue] = std::max(allocation.latest[r.queue], r.count);
}

std::vector<Wait> Hazards::issue(int queue, const std::vector<Access>& accesses) {
  need_.assign(queues_, 0);
  std::vector<std::int32_t> known(queues_, 0);
  if (issued_[queue] > 0) {
    const std::int32_t* previous = clock(queue, issued_[queue]);
    known.assign(previous, previous + queues_);
    known[queue] = issued_[queue];
  }
  // Needing what is known already costs nothing: start from there.
  need_ = known;
  std::vector<Record> records;
  records.reserve(accesses.size());
  for (const Access& access : accesses) {
    Record r = record_of(access);
    r.queue = queue;
    r.count = issued_[queue] + 1;
    Allocation& allocation = allocations_[access.allocation];
    if (!settled(allocation, queue)) {
      need_all(allocation.writes, r, queue);
      if (access.write) need_all(allocation.reads, r, queue);
    }
    // Earlier lives of the same bytes, and theirs.
    const auto ended = [&](AllocationId id) { return over(allocations_[id]); };
    std::erase_if(allocation.before, ended);
    std::vector<AllocationId> stack = allocation.before;
    ++visit_;
    while (!stack.empty()) {
      const AllocationId id = stack.back();
      stack.pop_back();
      Allocation& old = allocations_[id];
      if (old.visit == visit_) continue;
      old.visit = visit_;
      if (old.end <= r.lo || r.hi <= old.begin) continue;
      if (!settled(old, queue)) {
        need_all(old.writes, r, queue);
        need_all(old.reads, r, queue);
      }
      std::erase_if(old.before, ended);
      stack.insert(stack.end(), old.before.begin(), old.before.end());
    }
    records.push_back(r);
  }
  for (std::size_t i = 0; i < accesses.size(); ++i) {
    remember(allocations_[accesses[i].allocation], records[i], accesses[i].write);
  }

  std::vector<Wait> waits;
  for (int q = 0; q < queues_; ++q) {
    if (q != queue && need_[q] > known[q]) waits.push_back({q, need_[q]});
  }
  // A wait that another wait implies is no wait of its own.
  std::vector<Wait> kept;
  for (std::size_t i = 0; i < waits.size(); ++i) {
    bool implied = false;
    for (std::size_t j = 0; j < waits.size() && !implied; ++j) {
      implied = i != j && clock(waits[j].queue, waits[j].count)[waits[i].queue] >= waits[i].count;
    }
    if (!implied) kept.push_back(waits[i]);
  }
  for (const Wait& wait : waits) {
    const std::int32_t* other = clock(wait.queue, wait.count);
    for (int q = 0; q < queues_; ++q) known[q] = std::max(known[q], other[q]);
    known[wait.queue] = std::max(known[wait.queue], wait.count);
  }
  const auto command = static_cast<std::int32_t>(clocks_.size() / queues_);
  clocks_.insert(clocks_.end(), known.begin(), known.end());
  by_queue_[queue].push_back(command);
  ++issued_[queue];
  raise_floor();
  return kept;
}

}  // namespace spillway::partitioner
