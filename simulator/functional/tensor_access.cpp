#include "simulator/functional/tensor_access.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "simulator/functional/even_region.h"
#include "workloads/compute/strided.h"
#include "workloads/number_formats.h"

namespace spillway::simulator {

using configs::Format;

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

/// Coordinates [first, first + count) of a dimension, whose elements lie at one distance.
struct Stretch {
  std::size_t first = 0, count = 0;
};

std::vector<Stretch> stretches_of(const std::vector<std::int64_t>& offsets) {
  std::vector<Stretch> stretches;
  for (std::size_t at = 0; at < offsets.size();) {
    std::size_t end = at + 1;
    while (end < offsets.size() && offsets[end] - offsets[end - 1] == offsets[at + 1] - offsets[at]) ++end;
    stretches.push_back({at, end - at});
    at = end;
  }
  return stretches;
}

/// The map's elements by regions that are even, each with its strides in a row-major array of all and the index of its
/// first element there: visit(region, strides, first). False, and nothing visited, if they are too small to be worth
/// it.
template <typename Visit>
bool for_each_even_part(const AddressMap& map, std::int64_t element_bytes, Visit visit) {
  constexpr std::int64_t kWorthIt = 64;  // elements of a part
  std::array<std::vector<Stretch>, workloads::kMaxRank> stretches;
  EvenRegion::Strides stride{};
  std::int64_t parts = 1, elements = 1;
  for (int d = map.rank - 1; d >= 0; --d) {
    const auto at = static_cast<std::size_t>(d);
    stretches[at] = stretches_of(map.offsets[at]);
    parts *= std::ssize(stretches[at]);
    stride[at] = elements;
    elements *= std::ssize(map.offsets[at]);
  }
  if (elements < parts * kWorthIt) return false;
  std::vector<std::pair<EvenRegion, std::int64_t>> regions;
  for (std::int64_t p = 0; p < parts; ++p) {
    AddressMap part{.base = map.base, .rank = map.rank, .offsets = {}};
    std::int64_t rest = p, first = 0;
    for (int d = map.rank - 1; d >= 0; --d) {
      const auto at = static_cast<std::size_t>(d);
      const Stretch& s = stretches[at][static_cast<std::size_t>(rest % std::ssize(stretches[at]))];
      rest /= std::ssize(stretches[at]);
      const auto from = map.offsets[at].begin() + static_cast<std::ptrdiff_t>(s.first);
      part.offsets[at].assign(from, from + static_cast<std::ptrdiff_t>(s.count));
      first += static_cast<std::int64_t>(s.first) * stride[at];
    }
    if (!regions.emplace_back(EvenRegion(), first).first.of(part, element_bytes)) return false;
  }
  for (const auto& [region, first] : regions) visit(region, stride, first);
  return true;
}

/// each(element in memory, element of an array): between two arrays of one shape. The first may lie at any address.
template <typename Byte, typename Value, typename Each>
void for_each_pair(const EvenRegion& region, Byte* memory, std::int64_t element_bytes, Value* array,
                   const EvenRegion::Strides& stride, Each each) {
  const workloads::compute::Loops<2> loops(region.box(), {stride, region.strides()});
  const std::int64_t step = loops.step(0), step_bytes = loops.step(1) * element_bytes;
  loops.for_each_row([&](const std::array<std::int64_t, 2>& at, std::int64_t n) {
    Byte* bytes = memory + at[1] * element_bytes;
    for (std::int64_t i = 0; i < n; ++i) each(bytes + i * step_bytes, array[at[0] + i * step]);
  });
}

/// `T` is how an element lies in memory, `Value` how it is wanted.
template <typename T, typename Value, typename Convert>
void read_as(const Memory& memory, const AddressMap& map, partitioner::StorageId storage, Value* to,
             const Convert& convert) {
  constexpr auto kSize = static_cast<std::int64_t>(sizeof(T));
  const auto read = [&](std::int64_t address, std::int64_t bytes) { return memory.read(address, bytes, storage); };
  const auto convert_one = [&](const std::byte* from, Value& value) {
    T element;
    std::memcpy(&element, from, sizeof element);
    value = static_cast<Value>(convert(element));
  };
  const bool by_parts =
      for_each_even_part(map, kSize, [&](const EvenRegion& region, const EvenRegion::Strides& stride, std::int64_t i) {
        for_each_pair(region, region.reach(read), kSize, to + i, stride, convert_one);
      });
  if (by_parts) return;
  for_each_run(map, [&](std::int64_t address, std::int64_t i, std::int64_t count, std::int64_t step) {
    const bool together = step == kSize || count == 1;
    const std::byte* run = together ? read(address, count * kSize) : nullptr;
    for (std::int64_t k = 0; k < count; ++k) {
      convert_one(together ? run + k * kSize : read(address + k * step, kSize), to[i + k]);
    }
  });
}

template <typename T, typename Value, typename Convert>
void write_as(Memory& memory, const AddressMap& map, partitioner::StorageId storage, const Value* from,
              const Convert& convert) {
  constexpr auto kSize = static_cast<std::int64_t>(sizeof(T));
  const auto claim = [&](std::int64_t address, std::int64_t bytes) { return memory.write(address, bytes, storage); };
  const auto convert_one = [&](std::byte* to, const Value& value) {
    const T element = convert(value);
    std::memcpy(to, &element, sizeof element);
  };
  const bool by_parts =
      for_each_even_part(map, kSize, [&](const EvenRegion& region, const EvenRegion::Strides& stride, std::int64_t i) {
        for_each_pair(region, region.reach(claim), kSize, from + i, stride, convert_one);
      });
  if (by_parts) return;
  for_each_run(map, [&](std::int64_t address, std::int64_t i, std::int64_t count, std::int64_t step) {
    const bool together = step == kSize || count == 1;
    std::byte* run = together ? claim(address, count * kSize) : nullptr;
    for (std::int64_t k = 0; k < count; ++k) {
      convert_one(together ? run + k * kSize : claim(address + k * step, kSize), from[i + k]);
    }
  });
}

template <typename Integer>
Integer saturated(std::int64_t value) {
  using Limits = std::numeric_limits<Integer>;
  return static_cast<Integer>(std::clamp<std::int64_t>(value, Limits::min(), Limits::max()));
}

/// To the nearest integer, halves to even; NaN is 0.
template <typename Integer>
Integer rounded(float value) {
  constexpr float kFar = 0x1p62F;
  return saturated<Integer>(std::isnan(value) ? 0 : std::llrint(std::clamp(value, -kFar, kFar)));
}

constexpr auto kSame = [](auto value) { return value; };

}  // namespace

bool AddressMap::even(std::array<std::int64_t, workloads::kMaxRank>& stride, std::int64_t& first) const {
  first = base;
  for (int d = 0; d < rank; ++d) {
    const auto& row = offsets[static_cast<std::size_t>(d)];
    if (row.empty()) return false;
    first += row[0];
    stride[static_cast<std::size_t>(d)] = row.size() > 1 ? row[1] - row[0] : 0;
    for (std::size_t i = 2; i < row.size(); ++i) {
      if (row[i] - row[i - 1] != stride[static_cast<std::size_t>(d)]) return false;
    }
  }
  return true;
}

AddressMap AddressMap::ordered(std::span<const int> order) const {
  AddressMap map{.base = base, .rank = rank, .offsets = {}};
  for (std::size_t d = 0; d < order.size(); ++d) map.offsets[d] = offsets[static_cast<std::size_t>(order[d])];
  return map;
}

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

void read_floats(const Memory& memory, const AddressMap& map, Format format, partitioner::StorageId storage,
                 float* to) {
  using workloads::float_from_float8;
  switch (format) {
    case Format::kFp32:
      return read_as<float>(memory, map, storage, to, kSame);
    case Format::kFp16:
      return read_as<std::uint16_t>(memory, map, storage, to, workloads::float_from_half);
    case Format::kBf16:
      return read_as<std::uint16_t>(memory, map, storage, to, workloads::float_from_bfloat16);
    case Format::kFp8E4M3:
      return read_as<std::uint8_t>(memory, map, storage, to,
                                   [](std::uint8_t v) { return float_from_float8(workloads::kE4M3, v); });
    case Format::kFp8E5M2:
      return read_as<std::uint8_t>(memory, map, storage, to,
                                   [](std::uint8_t v) { return float_from_float8(workloads::kE5M2, v); });
    case Format::kInt32:
      return read_as<std::int32_t>(memory, map, storage, to, kSame);
    case Format::kInt16:
      return read_as<std::int16_t>(memory, map, storage, to, kSame);
    case Format::kInt8:
      return read_as<std::int8_t>(memory, map, storage, to, kSame);
  }
  internal_error("unknown number format");
}

void write_floats(Memory& memory, const AddressMap& map, Format format, partitioner::StorageId storage,
                  const float* from) {
  using workloads::float8_from_float;
  switch (format) {
    case Format::kFp32:
      return write_as<float>(memory, map, storage, from, kSame);
    case Format::kFp16:
      return write_as<std::uint16_t>(memory, map, storage, from, workloads::half_from_float);
    case Format::kBf16:
      return write_as<std::uint16_t>(memory, map, storage, from, workloads::bfloat16_from_float);
    case Format::kFp8E4M3:
      return write_as<std::uint8_t>(memory, map, storage, from,
                                    [](float v) { return float8_from_float(workloads::kE4M3, v); });
    case Format::kFp8E5M2:
      return write_as<std::uint8_t>(memory, map, storage, from,
                                    [](float v) { return float8_from_float(workloads::kE5M2, v); });
    case Format::kInt32:
      return write_as<std::int32_t>(memory, map, storage, from, rounded<std::int32_t>);
    case Format::kInt16:
      return write_as<std::int16_t>(memory, map, storage, from, rounded<std::int16_t>);
    case Format::kInt8:
      return write_as<std::int8_t>(memory, map, storage, from, rounded<std::int8_t>);
  }
  internal_error("unknown number format");
}

void read_bytes(const Memory& memory, const AddressMap& map, partitioner::StorageId storage, std::int8_t* to) {
  read_as<std::int8_t>(memory, map, storage, to, kSame);
}

void read_integers(const Memory& memory, const AddressMap& map, Format format, partitioner::StorageId storage,
                   std::int64_t* to) {
  if (format == Format::kInt32) return read_as<std::int32_t>(memory, map, storage, to, kSame);
  if (format == Format::kInt16) return read_as<std::int16_t>(memory, map, storage, to, kSame);
  read_as<std::int8_t>(memory, map, storage, to, kSame);
}

void write_integers(Memory& memory, const AddressMap& map, Format format, partitioner::StorageId storage,
                    const std::int64_t* from) {
  if (format == Format::kInt32) return write_as<std::int32_t>(memory, map, storage, from, saturated<std::int32_t>);
  if (format == Format::kInt16) return write_as<std::int16_t>(memory, map, storage, from, saturated<std::int16_t>);
  write_as<std::int8_t>(memory, map, storage, from, saturated<std::int8_t>);
}

}  // namespace spillway::simulator
