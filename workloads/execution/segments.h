// Nodes that the reference executor runs together, a piece of the last one's output at a time, so that what lies
// between them never leaves the cache: chains of element-wise operators, and attention (MatMul, element-wise operators,
// Softmax, MatMul) by blocks of queries; and products with the sums and the Relu behind them. Kernels and region maps
// are the operators' own, and each element is computed by the same operations in the same order as it would be node by
// node: results are the same to the last bit.
#pragma once

#include <set>
#include <vector>

#include "workloads/compute/product.h"
#include "workloads/execution/value.h"

namespace spillway::workloads {

struct Segment {
  std::vector<NodeId> nodes;  ///< in order of execution; the last one's output is the segment's
  /// The first node is a product, and the others its tail: tensors that are added, in order, and then Relu.
  bool is_product = false;
  std::vector<TensorId> plus{};
  bool rectify = false;
};

class Segments {
 public:
  /// `kept`: tensors that must exist in the end.
  Segments(const Graph& graph, const std::set<TensorId>& kept);

  /// The segment that the node belongs to, or nullptr.
  [[nodiscard]] const Segment* of(NodeId node) const;

 private:
  void add(Segment segment);

  std::vector<Segment> segments_;
  std::vector<int> segment_of_;  ///< by NodeId; -1 for none
};

/// Computes the segment's output into `out`. values[t]: views of the tensors that the segment reads from outside.
void run_segment(const Graph& graph, const Segment& segment, const std::vector<ConstStridedView>& values,
                 const StridedView& out, compute::Sums sums);

}  // namespace spillway::workloads
