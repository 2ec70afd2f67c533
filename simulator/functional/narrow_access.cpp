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

}  // namespace

Floats read_narrow(const Memory& memory, const NarrowPart& part, const StorageFormats& formats) {
  const Box& box = part.box;
  if (box.empty()) return {{box, nullptr, dense_strides(box)}, nullptr};
  const AddressMap map = map_of(part);
  const std::int64_t bytes = part.operand.element_bytes();
  const auto codec = codec_of(part, formats);
  EvenRegion region;
  if (!codec || !region.of(map, bytes)) {
    Floats result = room_for(box, dense_strides(box));
    read_floats(memory, map, part.operand.format, part.operand.storage, result.buffer->get());
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
  const Box& box = values.box;
  if (box.empty()) return;
  const std::int64_t bytes = codec.bytes();
  EvenRegion region;
  if (!region.of(map, bytes)) {
    const Floats dense = in_order(values, dense_strides(box));
    return for_each_run(map, [&](std::int64_t address, std::int64_t i, std::int64_t count, std::int64_t step) {
      for (std::int64_t k = 0; k < count;) {
        const std::int64_t together = step == bytes ? count : 1;
        codec.write(together, dense.buffer->get() + i + k, memory.write(address + k * step, together * bytes, storage),
                    1);
        k += together;
      }
    });
  }
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

void write_narrow(Memory& memory, const NarrowPart& part, const StorageFormats& formats,
                  const workloads::ConstStridedView& values) {
  if (const auto codec = codec_of(part, formats)) {
    return write_elements(memory, map_of(part), *codec, part.operand.storage, values);
  }
  const Floats dense = in_order(values, dense_strides(part.box));
  formats.encode(part.tensor, part.box, {dense.buffer->get(), static_cast<std::size_t>(part.box.elements())});
  write_elements(memory, map_of(part), ElementCodec(part.operand.format), part.operand.storage, dense.view);
}

ByteRegion bytes_in_order(const Memory& memory, const AddressMap& map, partitioner::StorageId storage,
                          std::span<const int> order) {
  const AddressMap ordered = map.ordered(order);
  EvenRegion region;
  ByteRegion bytes;
  if (!region.of(ordered, 1)) {
    std::int64_t elements = 1;
    for (int d = 0; d < ordered.rank; ++d) elements *= std::ssize(ordered.offsets[static_cast<std::size_t>(d)]);
    bytes.copy = std::make_shared<Scratch>((elements + 3) / 4);
    read_bytes(memory, ordered, storage, reinterpret_cast<std::int8_t*>(bytes.copy->get()));
    bytes.data = reinterpret_cast<const std::int8_t*>(bytes.copy->get());
    return bytes;
  }
  const std::byte* first = reach(memory, region, storage);
  bytes.data = reinterpret_cast<const std::int8_t*>(first);
  if (region.dense()) return bytes;
  bytes.copy = std::make_shared<Scratch>((region.box().elements() + 3) / 4);
  auto* to = reinterpret_cast<std::int8_t*>(bytes.copy->get());
  copy_rows(region.box(), bytes.data, region.strides(), to, dense_strides(region.box()));
  bytes.data = to;
  return bytes;
}

std::int32_t* place_in_order(Memory& memory, const AddressMap& map, partitioner::StorageId storage,
                             std::span<const int> order) {
  EvenRegion region;
  if (!region.of(map.ordered(order), sizeof(std::int32_t)) || !region.dense()) return nullptr;
  if (region.first() % static_cast<std::int64_t>(alignof(std::int32_t)) != 0) return nullptr;
  return reinterpret_cast<std::int32_t*>(claim(memory, region, storage));
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
  if (part.operand.format == Format::kInt32 && region.of(map_of(part), sizeof(std::int32_t))) {
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
