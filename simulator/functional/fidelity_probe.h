// Compares every value that commands write with the reference executor's, as it is written: whole networks' tensors are
// never all there at once.
#pragma once

#include <span>
#include <vector>

#include "simulator/functional/memory.h"
#include "simulator/simulator.h"

namespace spillway::simulator {

class FidelityProbe {
 public:
  /// Runs the reference executor on the program's graph and keeps samples of each tensor of floats.
  FidelityProbe(const partitioner::Program& program, const workloads::TensorMap& inputs);

  /// `values`, row-major, are what the elements of `box` stand for once they are stored.
  void see(partitioner::TensorId tensor, const workloads::Box& box, std::span<const float> values);

  /// Of every tensor that has been seen, in order of execution.
  [[nodiscard]] std::vector<LayerFidelity> layers() const;

 private:
  /// Every `stride`-th element, from the first on.
  struct Samples {
    std::int64_t stride = 1;
    std::vector<float> values;
  };
  [[nodiscard]] workloads::ErrorSums& sums(partitioner::TensorId tensor) const {
    return reinterpret_cast<workloads::ErrorSums*>(sums_.data())[tensor];
  }

  const partitioner::Program& program_;
  std::vector<Samples> samples_;  ///< by tensor
  Pages sums_;                    ///< ErrorSums by tensor: zero pages are empty sums
};

}  // namespace spillway::simulator
