#include "partitioner/written_regions.h"

#include <algorithm>
#include <utility>

#include "partitioner/region_set.h"

namespace spillway::partitioner {

void WrittenRegions::add(const Box& box, std::int32_t writer, const HappensBefore& order) {
  merge_in({box, writer});
  if (entries_.size() < settle_at_) return;
  settle(order);
  settle_at_ = std::max(kShort, 2 * entries_.size());  // keeps the cost of settling proportional to the additions
}

void WrittenRegions::settle(const HappensBefore& order) {
  std::vector<Entry> old = std::exchange(entries_, {});
  for (Entry& entry : old) {
    if (entry.writer != kNone && order.settled(entry.writer)) entry.writer = kNone;
    merge_in(entry);
  }
}

void WrittenRegions::merge_in(Entry entry) {
  for (std::size_t i = 0; i < entries_.size();) {
    if (entries_[i].writer == entry.writer && merge(entry.box, entries_[i].box)) {
      entries_[i] = entries_.back();
      entries_.pop_back();
      i = 0;
    } else {
      ++i;
    }
  }
  entries_.push_back(entry);
}

}  // namespace spillway::partitioner
