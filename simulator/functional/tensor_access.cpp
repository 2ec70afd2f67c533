#include "simulator/functional/tensor_access.h"

namespace spillway::simulator {

namespace {

std::int64_t offset_of(const std::vector<partitioner::FactorRef>& refs, const partitioner::Placement& at,
                       std::int64_t coordinate) {
  std::int64_t bytes = 0;
  for (std::size_t r = refs.size(); r-- > 0;) {
    const partitioner::FactorRef& ref = refs[r];
    const std::int64_t digit = coordinate % ref.extent;
    coordinate /= ref.extent;
    bytes += at.stride[static_cast<std::size_t>(ref.factor)] * (ref.offset + digit);
  }
  return bytes;
}

}  // namespace

AddressMap map_addresses(const partitioner::TensorView& view, const partitioner::Placement& at, const Box& box) {
  AddressMap map;
  map.base = at.origin;
  map.rank = box.rank;
  for (std::size_t d = 0; d < static_cast<std::size_t>(box.rank); ++d) {
    auto& offsets = map.offsets[d];
    offsets.reserve(static_cast<std::size_t>(box.extent[d]));
    for (std::int32_t i = 0; i < box.extent[d]; ++i) offsets.push_back(offset_of(view.dims[d], at, box.begin[d] + i));
  }
  return map;
}

partitioner::Placement dense_placement(const Box& box, std::int64_t element_bytes) {
  partitioner::Placement at;
  std::int64_t stride = element_bytes;
  for (int d = box.rank - 1; d >= 0; --d) {
    at.stride[static_cast<std::size_t>(d)] = stride;
    at.origin -= stride * box.begin[static_cast<std::size_t>(d)];
    stride *= box.extent[static_cast<std::size_t>(d)];
  }
  return at;
}

}  // namespace spillway::simulator
