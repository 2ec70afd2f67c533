// Parts of tensors that lie in a memory in a narrow format, as floats and back: the layout they lie in is followed, so
// that whole rows are converted at a time, on all cores.
#pragma once

#include <memory>
#include <vector>

#include "simulator/functional/byte_product.h"
#include "simulator/functional/element_codec.h"
#include "simulator/functional/storage_formats.h"
#include "simulator/functional/tensor_access.h"
#include "workloads/compute/strided.h"

namespace spillway::simulator {

/// Floats in any layout.
struct Floats {
  workloads::ConstStridedView view;
  std::shared_ptr<workloads::compute::Scratch> buffer;
};

/// Where a part of a tensor lies.
struct NarrowPart {
  const partitioner::TensorView& view;
  const partitioner::Operand& operand;
  partitioner::TensorId tensor = partitioner::kNone;
  Box box;
};

/// What the elements stand for; those of accumulators and of storages that are not quantised, what they are. Throws
/// WrongRead.
[[nodiscard]] Floats read_narrow(const Memory& memory, const NarrowPart& part, const StorageFormats& formats);
void write_narrow(Memory& memory, const NarrowPart& part, const StorageFormats& formats,
                  const workloads::ConstStridedView& values);

/// Floats into a memory under `map`, of the box of `values`.
void write_elements(Memory& memory, const AddressMap& map, const ElementCodec& codec, partitioner::StorageId storage,
                    const workloads::ConstStridedView& values);

/// Of kInt8, in the given order of the dimensions, outermost first: in place if they lie without gaps in it.
[[nodiscard]] ByteRegion bytes_in_order(const Memory& memory, const NarrowPart& part, std::span<const int> order,
                                        const partitioner::Layout& layout);
/// The place of kInt32 elements, claimed for writing, if they lie without gaps in that order; else nullptr.
[[nodiscard]] std::int32_t* place_in_order(Memory& memory, const NarrowPart& part, std::span<const int> order);
/// Row-major over the map's box.
void write_sums(Memory& memory, const AddressMap& map, partitioner::StorageId storage, const std::int32_t* sums);

/// Sums in an accumulator times a scale: `scales` has one value, or one for each index of dimension `axis` of the box.
[[nodiscard]] Floats read_sums(const Memory& memory, const NarrowPart& part, const StorageFormats& formats, int axis,
                               const std::vector<float>& scales);

/// Rounded to what the format can hold, apart from the given ones and in their order.
[[nodiscard]] Floats rounded_to(Format format, const workloads::ConstStridedView& values);

}  // namespace spillway::simulator
