#include "partitioner/slices.h"

#include <algorithm>
#include <map>
#include <set>

namespace spillway::partitioner {

namespace {

/// Bytes that a primitive touches.
struct Touched {
  double weights = 0, activations = 0;
};

Touched touched_by(const Model& model, const Nodes& primitive, Bytes budget) {
  Touched sum;
  std::set<StorageId> seen;
  for (const NodeId id : with_virtual(model, primitive)) {
    const Node& node = model.graph.nodes[id];
    for (const auto* list : {&node.inputs, &node.outputs}) {
      for (const TensorId t : *list) {
        if (t == kNone || model.storage_of(t) == kNone || !seen.insert(model.storage_of(t)).second) continue;
        const Storage& s = model.layout.storages[model.storage_of(t)];
        const auto bytes = static_cast<double>(s.bytes());
        if (s.storage_class == StorageClass::kWeight) sum.weights += bytes;
        // What cannot be held anyway (scores) is no reason.
        if (s.storage_class == StorageClass::kActivation && s.bytes() < budget) sum.activations += bytes;
      }
    }
  }
  return sum;
}

}  // namespace

int batch_of(const Model& model) {
  std::map<std::int32_t, Bytes> bytes;
  for (const TensorId t : model.graph.inputs) {
    const auto& shape = model.graph.tensors[t].shape;
    if (shape.size() > 1) bytes[static_cast<std::int32_t>(shape[0])] += model.graph.tensors[t].elements();
  }
  Bytes most = 0;
  int batch = 1;
  for (const auto& [extent, sum] : bytes) {
    if (sum > most) most = sum, batch = extent;
  }
  constexpr int kMostSlices = 16;
  return batch <= kMostSlices ? batch : 1;
}

std::vector<char> where_to_slice(const Model& model, const Sequence& sequence, Bytes budget, int slices,
                                 double weights_again) {
  constexpr int kShortest = 14;  // primitives
  const int n = sequence.size();
  std::vector<char> may(n, 0);
  if (slices < 2) return may;
  std::vector<Touched> touched;
  for (const Nodes& primitive : sequence.primitives) {
    touched.push_back(touched_by(model, primitive, budget));
    touched.back().weights *= slices - 1;
  }
  for (double left = weights_again; left > 0;) {
    Touched best;
    Touched now;
    int from = 0;
    int to = 0;
    for (int first = 0, last = 0; last < n; ++last) {
      if (may[last] != 0) {
        first = last + 1;
        now = {};
        continue;
      }
      now.weights += touched[last].weights;
      now.activations += touched[last].activations;
      for (; now.weights > left && first <= last; ++first) {
        now.weights -= touched[first].weights;
        now.activations -= touched[first].activations;
      }
      if (first <= last && now.activations > best.activations) best = now, from = first, to = last + 1;
    }
    if (to - from < kShortest) break;
    std::fill(may.begin() + from, may.begin() + to, 1);
    left -= best.weights;
  }
  return may;
}

}  // namespace spillway::partitioner
