#include "simulator/functional/narrow_access.h"

#include <algorithm>
#include <numeric>
#include <optional>

#include "simulator/functional/element_codec.h"
#include "simulator/functional/even_region.h"
#include "workloads/compute/narrow.h"
#include "workloads/compute/simd.h"

namespace spillway::simulator {

using workloads::compute::dense_strides;
using workloads::compute::Loops;
using workloads::compute::Scratch;

namespace {

using Strides = EvenRegion::Strides;

AddressMap map_of(const NarrowPart& part) { return map_addresses(part.view, part.operand.at, part.box); }

bool region_of(const NarrowPart& part, std::int64_t element_bytes, EvenRegion& region) {
  if (part.box.empty()) return false;
  if (region.of(part.view, part.operand.at, part.box, element_bytes)) return true;
  region = EvenRegion();  // addresses may turn out even all the same
  return region.of(map_of(part), element_bytes);
}

Floats room_for(const Box& box, const Strides& strides) {
  auto buffer = std::make_shared<Scratch>(box.elements());
  return {{box, buffer->get(), strides}, buffer};
}

bool is_quantised(const NarrowPart& part, const StorageFormats& formats) {
  return part.operand.space != partitioner::Space::kAccumulator && formats.quantised(part.operand.storage);
}

/// Strides of an array without gaps whose dimensions follow each other as those of `strides` do.
Strides packed_like(const Box& box, const Strides& strides) {
  std::array<int, workloads::kMaxRank> inner_first{};
  std::iota(inner_first.begin(), inner_first.end(), 0);
  std::stable_sort(inner_first.begin(), inner_first.begin() + box.rank, [&](int a, int b) {
    return strides[static_cast<std::size_t>(a)] < strides[static_cast<std::size_t>(b)];
  });
  Strides packed{};
  std::int64_t step = 1;
  for (int i = 0; i < box.rank; ++i) {
    const auto d = static_cast<std::size_t>(inner_first[static_cast<std::size_t>(i)]);
    packed[d] = step;
    step *= box.extent[d];
  }
  return packed;
}

/// nullopt if elements of one row have different scales.
std::optional<ElementCodec> codec_of(const NarrowPart& part, const StorageFormats& formats) {
  if (!is_quantised(part, formats)) return ElementCodec(part.operand.format);
  const workloads::Quantiser* grid = formats.only_quantiser(part.tensor);
  if (grid == nullptr) return std::nullopt;
  return ElementCodec(part.operand.format, *grid);
}

const std::byte* reach(const Memory& memory, const EvenRegion& region, partitioner::StorageId storage) {
  return region.reach([&](std::int64_t at, std::int64_t bytes) { return memory.read(at, bytes, storage); });
}

std::byte* claim(Memory& memory, const EvenRegion& region, partitioner::StorageId storage) {
  return region.reach([&](std::int64_t at, std::int64_t bytes) { return memory.write(at, bytes, storage); });
}

template <typename T>
void copy_rows(const Box& box, const T* from, const Strides& stride_from, T* to, const Strides& stride_to) {
  const Loops<2> loops(box, {stride_to, stride_from});
  const std::int64_t step_to = loops.step(0), step_from = loops.step(1);
  loops.for_each_row([&](const std::array<std::int64_t, 2>& at, std::int64_t n) {
    const T* source = from + at[1];
    T* target = to + at[0];
    if (step_to == 1 && step_from == 1) {
      std::copy_n(source, n, target);
    } else {
      for (std::int64_t i = 0; i < n; ++i) target[i * step_to] = source[i * step_from];
    }
  });
}

/// The same elements in the order of `strides`.
Floats in_order(const workloads::ConstStridedView& values, const Strides& strides) {
  Floats result = room_for(values.box, strides);
  workloads::compute::copy(values, {values.box, result.buffer->get(), strides});
  return result;
}

void write_runs(Memory& memory, const AddressMap& map, const ElementCodec& codec, partitioner::StorageId storage,
                const workloads::ConstStridedView& values) {
  const std::int64_t bytes = codec.bytes();
  const Floats dense = in_order(values, dense_strides(values.box));
  for_each_run(map, [&](std::int64_t address, std::int64_t i, std::int64_t count, std::int64_t step) {
    for (std::int64_t k = 0; k < count;) {
      const std::int64_t together = step == bytes ? count : 1;
      codec.write(together, dense.buffer->get() + i + k, memory.write(address + k * step, together * bytes, storage),
                  1);
      k += together;
    }
  });
}

void write_region(Memory& memory, const EvenRegion& region, const ElementCodec& codec, partitioner::StorageId storage,
                  const workloads::ConstStridedView& values) {
  const Box& box = values.box;
  const std::int64_t bytes = codec.bytes();
  const auto write_rows = [&](const workloads::ConstStridedView& from) {
    const Loops<2> loops(box, {region.strides(), from.stride});
    if (loops.step(1) != 1 && box.elements() != 1) return false;
    std::byte* first = claim(memory, region, storage);
    const std::int64_t step = loops.step(0);
    loops.for_each_row([&](const std::array<std::int64_t, 2>& at, std::int64_t n) {
      codec.write(n, from.data + at[1], first + at[0] * bytes, step);
    });
    return true;
  };
  if (write_rows(values)) return;
  const Floats packed = in_order(values, packed_like(box, region.strides()));
  if (!write_rows(packed.view)) internal_error("a packed array's rows have gaps");
}

/// Of the box of `part`.
void write_part(Memory& memory, const NarrowPart& part, const ElementCodec& codec,
                const workloads::ConstStridedView& values) {
  if (values.box.empty()) return;
  EvenRegion region;
  if (region_of(part, codec.bytes(), region)) {
    return write_region(memory, region, codec, part.operand.storage, values);
  }
  write_runs(memory, map_of(part), codec, part.operand.storage, values);
}

}  // namespace

Floats read_narrow(const Memory& memory, const NarrowPart& part, const StorageFormats& formats) {
  const Box& box = part.box;
  if (box.empty()) return {{box, nullptr, dense_strides(box)}, nullptr};
  const std::int64_t bytes = part.operand.element_bytes();
  const auto codec = codec_of(part, formats);
  EvenRegion region;
  if (!codec || !region_of(part, bytes, region)) {
    Floats result = room_for(box, dense_strides(box));
    read_floats(memory, map_of(part), part.operand.format, part.operand.storage, result.buffer->get());
    if (is_quantised(part, formats)) {
      formats.decode(part.tensor, box, {result.buffer->get(), static_cast<std::size_t>(box.elements())});
    }
    return result;
  }
  const std::byte* first = reach(memory, region, part.operand.storage);
  Floats result = room_for(box, packed_like(box, region.strides()));
  float* to = result.buffer->get();
  const Loops<2> loops(box, {region.strides(), result.view.stride});
  const std::int64_t step = loops.step(0);
  loops.for_each_row([&](const std::array<std::int64_t, 2>& at, std::int64_t n) {
    codec->read(n, first + at[0] * bytes, step, to + at[1]);
  });
  return result;
}

void write_elements(Memory& memory, const AddressMap& map, const ElementCodec& codec, partitioner::StorageId storage,
                    const workloads::ConstStridedView& values) {
  if (values.box.empty()) return;
  EvenRegion region;
  if (region.of(map, codec.bytes())) return write_region(memory, region, codec, storage, values);
  write_runs(memory, map, codec, storage, values);
}

void write_narrow(Memory& memory, const NarrowPart& part, const StorageFormats& formats,
                  const workloads::ConstStridedView& values) {
  if (const auto codec = codec_of(part, formats)) {
    return write_part(memory, part, *codec, values);
  }
  const Floats dense = in_order(values, dense_strides(part.box));
  formats.encode(part.tensor, part.box, {dense.buffer->get(), static_cast<std::size_t>(part.box.elements())});
  write_part(memory, part, ElementCodec(part.operand.format), dense.view);
}

ByteRegion bytes_in_order(const Memory& memory, const NarrowPart& part, std::span<const int> order,
                          const partitioner::Layout& layout) {
  const partitioner::StorageId storage = part.operand.storage;
  EvenRegion region;
  const std::byte* first = nullptr;
  const Memory::Alias* alias = memory.aliased(part.operand, layout.to_storage(part.tensor, part.box));
  if (alias != nullptr && region.of(part.view, alias->lies, part.box, 1)) {
    first = alias->data + region.first();
    region = region.ordered(order);
  } else if (region_of(part, 1, region)) {
    first = reach(memory, region, storage);
    region = region.ordered(order);
  }
  ByteRegion bytes;
  bytes.copy = std::make_shared<Scratch>((part.box.elements() + 3) / 4);
  auto* to = reinterpret_cast<std::int8_t*>(bytes.copy->get());
  if (first == nullptr) {
    read_bytes(memory, map_of(part).ordered(order), storage, to);
    bytes.data = to;
    return bytes;
  }
  bytes.data = reinterpret_cast<const std::int8_t*>(first);
  if (region.dense()) {
    bytes.copy = nullptr;
    return bytes;
  }
  copy_rows(region.box(), bytes.data, region.strides(), to, dense_strides(region.box()));
  bytes.data = to;
  return bytes;
}

std::int32_t* place_in_order(Memory& memory, const NarrowPart& part, std::span<const int> order) {
  EvenRegion region;
  if (!region_of(part, sizeof(std::int32_t), region) || !region.ordered(order).dense()) return nullptr;
  if (region.first() % static_cast<std::int64_t>(alignof(std::int32_t)) != 0) return nullptr;
  return reinterpret_cast<std::int32_t*>(claim(memory, region, part.operand.storage));
}

void write_sums(Memory& memory, const AddressMap& map, partitioner::StorageId storage, const std::int32_t* sums) {
  EvenRegion region;
  if (region.of(map, sizeof(std::int32_t)) && region.first() % static_cast<std::int64_t>(alignof(std::int32_t)) == 0) {
    auto* to = reinterpret_cast<std::int32_t*>(claim(memory, region, storage));
    return copy_rows(region.box(), sums, dense_strides(region.box()), to, region.strides());
  }
  std::int64_t elements = 1;
  for (int d = 0; d < map.rank; ++d) elements *= std::ssize(map.offsets[static_cast<std::size_t>(d)]);
  const std::vector<std::int64_t> wide(sums, sums + elements);
  write_integers(memory, map, Format::kInt32, storage, wide.data());
}

Floats read_sums(const Memory& memory, const NarrowPart& part, const StorageFormats& formats, int axis,
                 const std::vector<float>& scales) {
  const Box& box = part.box;
  if (box.empty()) return {{box, nullptr, dense_strides(box)}, nullptr};
  Strides along{};
  if (scales.size() > 1) along[static_cast<std::size_t>(axis)] = 1;
  EvenRegion region;
  if (part.operand.format == Format::kInt32 && region_of(part, sizeof(std::int32_t), region)) {
    Floats result = room_for(box, packed_like(box, region.strides()));
    float* to = result.buffer->get();
    const Loops<3> loops(box, {region.strides(), result.view.stride, along});
    if (loops.step(0) == 1) {
      const auto* sums = reinterpret_cast<const std::int32_t*>(reach(memory, region, part.operand.storage));
      const auto step = static_cast<int>(loops.step(2));
      loops.for_each_row([&](const std::array<std::int64_t, 3>& at, std::int64_t n) {
        workloads::compute::narrow().scale_sums(n, sums + at[0], scales.data() + at[2], step, to + at[1]);
      });
      return result;
    }
  }
  Floats result = read_narrow(memory, part, formats);
  float* to = result.buffer->get();
  const Loops<2> loops(box, {result.view.stride, along});
  const auto step = static_cast<int>(loops.step(1));
  loops.for_each_row([&](const std::array<std::int64_t, 2>& at, std::int64_t n) {
    workloads::compute::simd().mul(n, to + at[0], 1, scales.data() + at[1], step, to + at[0]);
  });
  return result;
}

Floats rounded_to(Format format, const workloads::ConstStridedView& values) {
  Floats result = in_order(values, packed_like(values.box, values.stride));
  round_to(format, {result.buffer->get(), static_cast<std::size_t>(values.box.elements())});
  return result;
}

}  // namespace spillway::simulator
