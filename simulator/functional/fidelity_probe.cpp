#include "simulator/functional/fidelity_probe.h"

#include <algorithm>

namespace spillway::simulator {

using partitioner::kNone;
using partitioner::TensorId;
using workloads::Box;
using workloads::ErrorSums;

FidelityProbe::FidelityProbe(const partitioner::Program& program, const workloads::TensorMap& inputs)
    : program_(program),
      samples_(program.graph.tensors.size()),
      sums_(program.graph.tensors.size() * sizeof(ErrorSums)) {
  constexpr std::int64_t kMost = std::int64_t{1} << 18;  // of one tensor: 1 MiB
  workloads::ExecuteOptions options;
  options.observe = [&](TensorId id, const workloads::Shape& /*shape*/, std::span<const float> all) {
    const auto elements = static_cast<std::int64_t>(all.size());
    Samples& samples = samples_[id];
    // Odd, so that it goes round all columns of the usual row lengths.
    samples.stride = (elements + kMost - 1) / kMost | 1;
    for (std::int64_t i = 0; i < elements; i += samples.stride) {
      samples.values.push_back(all[static_cast<std::size_t>(i)]);
    }
  };
  (void)workloads::execute(program.graph, inputs, {}, options);
}

void FidelityProbe::see(TensorId tensor, const Box& box, std::span<const float> values) {
  const Samples& samples = samples_[tensor];
  if (samples.values.empty() || box.empty()) return;
  const auto& shape = program_.graph.tensors[tensor].shape;
  const int inner = box.rank - 1;
  const std::int64_t row = box.rank > 0 ? box.extent[inner] : 1;
  ErrorSums& sums = this->sums(tensor);
  std::array<std::int32_t, workloads::kMaxRank> index{};
  for (std::int64_t at = 0; at < static_cast<std::int64_t>(values.size()); at += row) {
    std::int64_t first = 0;  // element of the tensor that the row begins at
    for (int d = 0; d < box.rank; ++d) first = first * shape[d] + box.begin[d] + (d < inner ? index[d] : 0);
    const std::int64_t stride = samples.stride;
    for (std::int64_t e = (first + stride - 1) / stride * stride; e < first + row; e += stride) {
      sums.add(samples.values[static_cast<std::size_t>(e / stride)], values[static_cast<std::size_t>(at + e - first)]);
    }
    for (int d = inner - 1; d >= 0 && ++index[d] == box.extent[d]; --d) index[d] = 0;
  }
}

std::vector<LayerFidelity> FidelityProbe::layers() const {
  const workloads::Graph& graph = program_.graph;
  std::vector<double> noise(graph.tensors.size(), 0);  // of what a reader of the tensor gets
  std::vector<LayerFidelity> layers;
  for (const workloads::Node& node : graph.nodes) {
    double before = 0;
    for (const TensorId id : node.inputs) before = std::max(before, id == kNone ? 0 : noise[id]);
    for (const TensorId id : node.outputs) {
      if (id == kNone) continue;
      noise[id] = before;
      const ErrorSums& found = sums(id);
      if (found.count == 0) continue;
      noise[id] = found.noise();
      layers.push_back({graph.tensors[id].name, node.op, found, std::max(0.0, found.noise() - before)});
    }
  }
  return layers;
}

}  // namespace spillway::simulator
