#include "simulator/functional/even_region.h"

#include "workloads/compute/strided.h"

namespace spillway::simulator {

namespace {

std::size_t at(int i) { return static_cast<std::size_t>(i); }

}  // namespace

bool EvenRegion::of(const AddressMap& map, std::int64_t element_bytes) {
  Strides bytes{};
  if (!map.even(bytes, first_)) return false;
  box_.rank = map.rank;
  for (int d = 0; d < map.rank; ++d) box_.set(d, 0, static_cast<std::int32_t>(map.offsets[at(d)].size()));
  return lay_out(bytes, element_bytes);
}

bool EvenRegion::of(const partitioner::TensorView& view, const partitioner::Placement& placement, const Box& box,
                    std::int64_t element_bytes) {
  Strides bytes{};
  first_ = placement.origin;
  box_.rank = box.rank;
  for (int d = 0; d < box.rank; ++d) {
    if (!along(view.dims[at(d)], placement, box.begin[at(d)], box.extent[at(d)], bytes[at(d)])) return false;
    box_.set(d, 0, box.extent[at(d)]);
  }
  return lay_out(bytes, element_bytes);
}

bool EvenRegion::lay_out(const Strides& bytes, std::int64_t element_bytes) {
  std::array<int, workloads::kMaxRank> order{};  // of the dimensions longer than 1, innermost first
  int dims = 0;
  for (int d = 0; d < box_.rank; ++d) {
    if (bytes[at(d)] < 0 || bytes[at(d)] % element_bytes != 0) return false;
    strides_[at(d)] = bytes[at(d)] / element_bytes;
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

/// The step of coordinates [begin, begin + extent) of a dimension, which is a mixed-radix number over its factor
/// ranges; adds to first_ what the first of them adds to the address.
bool EvenRegion::along(const std::vector<partitioner::FactorRef>& refs, const partitioner::Placement& placement,
                       std::int64_t begin, std::int64_t extent, std::int64_t& step) {
  step = 0;
  std::int64_t radix = 1;  // values of the digits so far
  for (std::size_t r = refs.size(); r-- > 0;) {
    const partitioner::FactorRef& ref = refs[r];
    const std::int64_t stride = placement.stride[at(ref.factor)];
    first_ += stride * (ref.offset + begin / radix % ref.extent);
    const bool changes = begin / radix != (begin + extent - 1) / radix;
    if (changes && ref.extent > 1) {
      // The digits below run through all of their values, or change not at all.
      if (step == 0 && radix == 1) {
        step = stride;
      } else if (stride != step * radix) {
        return false;
      }
    }
    radix *= ref.extent;
  }
  return (begin + extent - 1) / radix == 0;
}

EvenRegion EvenRegion::ordered(std::span<const int> order) const {
  EvenRegion region = *this;
  for (int d = 0; d < std::ssize(order); ++d) {
    const int from = order[at(d)];
    region.strides_[at(d)] = strides_[at(from)];
    region.box_.set(d, box_.begin[at(from)], box_.extent[at(from)]);
  }
  return region;
}

bool EvenRegion::dense() const { return workloads::compute::is_dense(box_, strides_); }

}  // namespace spillway::simulator
