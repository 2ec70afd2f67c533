// What is valid in one placement of a storage, and who wrote it.
#pragma once

#include <vector>

#include "partitioner/footprint.h"
#include "partitioner/happens_before.h"

namespace spillway::partitioner {

/// Disjoint boxes, each with the command that wrote it last. Boxes whose writers have settled (they can race with no
/// later command) lose their tag and merge with their neighbours, so the list stays as short as the work in flight.
class WrittenRegions {
 public:
  struct Entry {
    Box box;
    std::int32_t writer = kNone;  ///< kNone: settled, or there from the start
  };

  [[nodiscard]] const std::vector<Entry>& entries() const { return entries_; }
  [[nodiscard]] bool empty() const { return entries_.empty(); }

  /// `box` must not intersect the entries.
  void add(const Box& box, std::int32_t writer, const HappensBefore& order);
  /// Replaces every entry by what `keep(entry.box, out)` leaves of it.
  template <typename Keep>
  void reduce(Keep keep) {
    std::vector<Entry> kept;
    std::vector<Box> parts;
    for (const Entry& entry : entries_) {
      parts.clear();
      keep(entry.box, parts);
      for (const Box& part : parts) kept.push_back({part, entry.writer});
    }
    entries_ = std::move(kept);
  }

 private:
  void settle(const HappensBefore& order);
  void merge_in(Entry entry);

  static constexpr std::size_t kShort = 8;
  std::vector<Entry> entries_;
  std::size_t settle_at_ = kShort;
};

}  // namespace spillway::partitioner
