#include "simulator/functional/tensor_access.h"

#include <cmath>
#include <cstring>

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
template <typename T, typename Value>
void read_as(const Memory& memory, const AddressMap& map, partitioner::StorageId storage, Value* to) {
  for_each_run(map, [&](std::int64_t address, std::int64_t i, std::int64_t count, std::int64_t step) {
    if (step == static_cast<std::int64_t>(sizeof(T)) || count == 1) {
      const std::byte* from = memory.read(address, count * static_cast<std::int64_t>(sizeof(T)), storage);
      for (std::int64_t k = 0; k < count; ++k) {
        T value;
        std::memcpy(&value, from + k * static_cast<std::int64_t>(sizeof(T)), sizeof value);
        to[i + k] = static_cast<Value>(value);
      }
      return;
    }
    for (std::int64_t k = 0; k < count; ++k) {
      T value;
      std::memcpy(&value, memory.read(address + k * step, sizeof(T), storage), sizeof value);
      to[i + k] = static_cast<Value>(value);
    }
  });
}

template <typename T, typename Value, typename Convert>
void write_as(Memory& memory, const AddressMap& map, partitioner::StorageId storage, const Value* from,
              Convert convert) {
  for_each_run(map, [&](std::int64_t address, std::int64_t i, std::int64_t count, std::int64_t step) {
    if (step == static_cast<std::int64_t>(sizeof(T)) || count == 1) {
      std::byte* to = memory.write(address, count * static_cast<std::int64_t>(sizeof(T)), storage);
      for (std::int64_t k = 0; k < count; ++k) {
        const T value = convert(from[i + k]);
        std::memcpy(to + k * static_cast<std::int64_t>(sizeof(T)), &value, sizeof value);
      }
      return;
    }
    for (std::int64_t k = 0; k < count; ++k) {
      const T value = convert(from[i + k]);
      std::memcpy(memory.write(address + k * step, sizeof(T), storage), &value, sizeof value);
    }
  });
}

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
  if (format == Format::kFp32) return read_as<float>(memory, map, storage, to);
  if (format == Format::kInt32) return read_as<std::int32_t>(memory, map, storage, to);
  read_as<std::int8_t>(memory, map, storage, to);
}

void write_floats(Memory& memory, const AddressMap& map, Format format, partitioner::StorageId storage,
                  const float* from) {
  if (format == Format::kFp32) return write_as<float>(memory, map, storage, from, [](float v) { return v; });
  const auto rounded = [](float v) { return static_cast<std::int32_t>(std::llrint(v)); };
  if (format == Format::kInt32) return write_as<std::int32_t>(memory, map, storage, from, rounded);
  write_as<std::int8_t>(memory, map, storage, from, [&](float v) { return static_cast<std::int8_t>(rounded(v)); });
}

void read_integers(const Memory& memory, const AddressMap& map, Format format, partitioner::StorageId storage,
                   std::int64_t* to) {
  if (format == Format::kInt32) return read_as<std::int32_t>(memory, map, storage, to);
  read_as<std::int8_t>(memory, map, storage, to);
}

void write_integers(Memory& memory, const AddressMap& map, Format format, partitioner::StorageId storage,
                    const std::int64_t* from) {
  if (format == Format::kInt32) {
    return write_as<std::int32_t>(memory, map, storage, from, [](auto v) { return static_cast<std::int32_t>(v); });
  }
  write_as<std::int8_t>(memory, map, storage, from, [](auto v) { return static_cast<std::int8_t>(v); });
}

}  // namespace spillway::simulator
