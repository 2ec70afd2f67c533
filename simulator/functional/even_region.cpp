#include "simulator/functional/even_region.h"

#include "workloads/compute/strided.h"

namespace spillway::simulator {

namespace {

std::size_t at(int i) { return static_cast<std::size_t>(i); }

}  // namespace

bool EvenRegion::of(const AddressMap& map, std::int64_t element_bytes) {
  Strides bytes{};
  if (!map.even(bytes, first_)) return false;
  std::array<int, workloads::kMaxRank> order{};  // of the dimensions longer than 1, innermost first
  int dims = 0;
  box_.rank = map.rank;
  for (int d = 0; d < map.rank; ++d) {
    if (bytes[at(d)] < 0 || bytes[at(d)] % element_bytes != 0) return false;
    strides_[at(d)] = bytes[at(d)] / element_bytes;
    box_.set(d, 0, static_cast<std::int32_t>(map.offsets[at(d)].size()));
    if (box_.extent[at(d)] == 1) continue;
    int place = dims++;
    for (; place > 0 && bytes[at(order[at(place - 1)])] > bytes[at(d)]; --place)
      order[at(place)] = order[at(place - 1)];
    order[at(place)] = d;
  }
  length_ = element_bytes;
  for (int i = 0; i < dims; ++i) {
    const int d = order[at(i)];
    if (outer_ == 0 && bytes[at(d)] == length_) {
      length_ *= box_.extent[at(d)];
      continue;
    }
    outer_extent_[at(outer_)] = box_.extent[at(d)];
    step_[at(outer_++)] = bytes[at(d)];
  }
  return true;
}

bool EvenRegion::dense() const { return workloads::compute::is_dense(box_, strides_); }

}  // namespace spillway::simulator
