#include "simulator/functional/tensor_access.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

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

/// `T` is how an element lies in memory, `Value` how it is wanted.
template <typename T, typename Value, typename Convert>
void read_as(const Memory& memory, const AddressMap& map, partitioner::StorageId storage, Value* to,
             const Convert& convert) {
  constexpr auto kSize = static_cast<std::int64_t>(sizeof(T));
  for_each_run(map, [&](std::int64_t address, std::int64_t i, std::int64_t count, std::int64_t step) {
    const bool together = step == kSize || count == 1;
    const std::byte* run = together ? memory.read(address, count * kSize, storage) : nullptr;
    for (std::int64_t k = 0; k < count; ++k) {
      T value;
      std::memcpy(&value, together ? run + k * kSize : memory.read(address + k * step, kSize, storage), sizeof value);
      to[i + k] = static_cast<Value>(convert(value));
    }
  });
}

template <typename T, typename Value, typename Convert>
void write_as(Memory& memory, const AddressMap& map, partitioner::StorageId storage, const Value* from,
              const Convert& convert) {
  constexpr auto kSize = static_cast<std::int64_t>(sizeof(T));
  for_each_run(map, [&](std::int64_t address, std::int64_t i, std::int64_t count, std::int64_t step) {
    const bool together = step == kSize || count == 1;
    std::byte* run = together ? memory.write(address, count * kSize, storage) : nullptr;
    for (std::int64_t k = 0; k < count; ++k) {
      const T value = convert(from[i + k]);
      std::memcpy(together ? run + k * kSize : memory.write(address + k * step, kSize, storage), &value, sizeof value);
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
