// Internal: which waits a command needs. Every command's reads and writes are compared, box by box, with what earlier
// commands did to the same bytes; of the conflicts with other queues only those are kept that queue order and other
// waits do not already imply. So each wait that remains is there for a conflict of its own.
#pragma once

#include <array>
#include <vector>

#include "partitioner/program.h"

namespace spillway::partitioner {

using AllocationId = std::int32_t;

/// A byte range with one life: a slot of a buffer, a residence, half of an engine's accumulators, a storage in DRAM.
struct Access {
  AllocationId allocation = kNone;
  bool write = false;
  Operand operand;
  /// Tells the windows that an allocation holds in turn apart: within one, different elements are different bytes.
  std::int64_t window = 0;
};

class Hazards {
 public:
  explicit Hazards(int queues) : queues_(queues), issued_(queues, 0), floor_(queues, 0), by_queue_(queues) {}

  /// A new allocation of bytes [begin, end) of a memory; it must be ordered after what lived in those bytes before.
  /// `memory` tells memories apart: scratchpad, each engine's accumulators, DRAM.
  /// `once`: its elements are written once, before they are read, and nothing else ever lives there (DRAM).
  [[nodiscard]] AllocationId allocate(int memory, std::int64_t begin, std::int64_t end, bool once = false);

  /// The waits of the next command of `queue`, and remembers the command.
  [[nodiscard]] std::vector<Wait> issue(int queue, const std::vector<Access>& accesses);

 private:
  struct Record {
    int queue = 0;
    std::int32_t count = 0;  ///< completed commands of the queue that include it
    std::int64_t lo = 0, hi = 0;
    bool dense = false;  ///< touches every byte of [lo, hi)
    Box box;
    Placement at;
    AllocationId allocation = kNone;
    std::int64_t window = 0;
    [[nodiscard]] bool same_window(const Record& o) const { return allocation == o.allocation && window == o.window; }
  };
  struct Allocation {
    int memory = 0;
    std::int64_t begin = 0, end = 0;
    bool once = false;
    std::vector<Record> reads, writes;
    std::vector<AllocationId> before;  ///< earlier allocations of the same bytes, not yet covered by a write
    std::vector<std::int32_t> latest;  ///< by queue: highest count among the records
    std::int64_t visit = 0;            ///< last access that looked at it
  };

  static Record record_of(const Access& access);
  static bool conflict(const Record& a, const Record& b);
  static bool covers(const Record& a, const Record& b);
  /// Whether all that other queues did to an allocation is known complete already.
  [[nodiscard]] bool settled(const Allocation& allocation, int queue) const;
  /// Whether no command to come can need to wait for it or for what lived there before it.
  [[nodiscard]] bool over(const Allocation& allocation) const;
  void need_all(std::vector<Record>& records, const Record& r, int queue);
  void raise_floor();
  void remember(Allocation& allocation, const Record& r, bool write);
  [[nodiscard]] const std::int32_t* clock(int queue, std::int32_t count) const {
    return &clocks_[static_cast<std::size_t>(by_queue_[queue][count - 1]) * queues_];
  }

  int queues_;
  std::vector<std::int32_t> issued_;                 ///< by queue
  std::vector<std::int32_t> floor_;                  ///< by queue: count that every queue knows to be complete
  std::vector<std::vector<std::int32_t>> by_queue_;  ///< command of each count
  std::vector<std::int32_t> clocks_;                 ///< commands x queues: known complete before it starts
  std::vector<Allocation> allocations_;
  std::vector<std::vector<AllocationId>> alive_;  ///< by memory: allocations whose bytes are not wholly reused
  std::vector<std::int32_t> need_;
  std::int64_t visit_ = 0;
};

}  // namespace spillway::partitioner
