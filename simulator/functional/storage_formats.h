// How the elements of every storage stand for real numbers: as floats of some width, as integers with a scale and a
// zero point, or (indices, masks) as what they are.
#pragma once

#include <span>
#include <vector>

#include "partitioner/program.h"
#include "simulator/functional/integer_constants.h"
#include "simulator/functional/tensor_access.h"
#include "workloads/calibration.h"
#include "workloads/quantiser.h"

namespace spillway::simulator {

using configs::Format;

/// The dimension of a matrix operator's second input that its output channels run along; kNone if none does.
[[nodiscard]] int channel_dim(const workloads::Graph& graph, const workloads::Node& node);

/// To what a format can hold. Integers: to whole numbers that saturate.
void round_to(Format format, std::span<float> values);

class StorageFormats {
 public:
  explicit StorageFormats(const partitioner::Program& program);

  /// Sets the scales of activations, anew each time. `calibration` may be nullptr where no storage of real numbers is
  /// held in integers. Activations that DMA puts side by side (a Concat's pieces) share a range, since it copies bytes.
  /// Throws Error(kBadInput) if ranges are missing, naming the tensor.
  void calibrate(const workloads::Calibration* calibration);

  /// Sets the scales of a constant by its values: symmetric; one for each output channel of the matrix operators that
  /// multiply by it, where all mean the same by that, else one for all. Encodes them into `dram`, where its elements
  /// lie under `map`. False, and nothing done, if the storage does not hold integers that stand for real numbers.
  [[nodiscard]] bool hold(partitioner::StorageId storage, const AddressMap& map, Memory& dram);
  /// Sets the scale of such a constant, which is not encoded yet. False, and nothing done, if it has several.
  [[nodiscard]] bool measure(partitioner::StorageId storage);

  /// Whether the elements are integers that stand for real numbers.
  [[nodiscard]] bool quantised(partitioner::StorageId storage) const {
    return storage != partitioner::kNone && !entries_[storage].quantisers.empty();
  }
  /// nullptr where the channels have one each.
  [[nodiscard]] const workloads::Quantiser* only_quantiser(partitioner::TensorId tensor) const {
    const auto& quantisers = entry_of(tensor).quantisers;
    return quantisers.size() == 1 ? quantisers.data() : nullptr;
  }
  /// What the elements of a part of a tensor, row-major, are in integers (as floats) and the other way round.
  void encode(partitioner::TensorId tensor, const workloads::Box& box, std::span<float> values) const;
  void decode(partitioner::TensorId tensor, const workloads::Box& box, std::span<float> values) const;
  /// Takes off the zero point: the integers that products are of.
  void centre(partitioner::TensorId tensor, std::span<float> values) const;
  /// Of all elements: scales by channel have zero points of 0.
  [[nodiscard]] std::int32_t zero_point(partitioner::TensorId tensor) const {
    return entry_of(tensor).quantisers[0].zero_point;
  }
  /// What one in the sums of the node's products stands for: of all of them, or of each of the output's channels
  /// [first, first + count). `alpha` is multiplied into it.
  [[nodiscard]] std::vector<float> product_scales(const workloads::Node& node, std::int32_t first, std::int32_t count,
                                                  float alpha) const;

 private:
  struct Entry {
    std::vector<workloads::Quantiser> quantisers;  ///< one, or one by channel
    partitioner::Placement channel;                ///< "address" of an element: its channel
  };
  [[nodiscard]] bool is_integer_constant(partitioner::StorageId storage) const;
  [[nodiscard]] ChannelValues channels_of(partitioner::StorageId storage, const workloads::Value& value);
  [[nodiscard]] const Entry& entry_of(partitioner::TensorId tensor) const {
    return entries_[program_.layout.views[tensor].storage];
  }
  template <typename Visit>
  void for_each(partitioner::TensorId tensor, const workloads::Box& box, Visit visit) const;
  const partitioner::Program& program_;
  std::vector<Entry> entries_;  ///< by storage
};

}  // namespace spillway::simulator
