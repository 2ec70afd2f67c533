// What the reference executor keeps of a tensor: a view of a shared buffer, of a mapped weight file, or a HostTensor.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "workloads/operators/operators.h"

namespace spillway::workloads {

/// Buffers of floats that are used again when their last reader is done: fresh pages are slow to come by.
/// Must outlive what it hands out.
class BufferPool {
 public:
  BufferPool() = default;
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;
  ~BufferPool();

  /// `count` floats that nobody has set.
  [[nodiscard]] std::shared_ptr<float> take(std::int64_t count);

 private:
  void give_back(float* data, std::size_t bytes);
  void trim();

  std::multimap<std::size_t, float*> free_;  ///< by bytes
  std::size_t all_bytes_ = 0;                ///< handed out or waiting
};

/// Float tensors have `data`, in any layout; the others (and what operators without a strided form make) have `host`.
struct Value {
  DataType type = DataType::kFloat32;
  Shape shape;
  const float* data = nullptr;
  std::array<std::int64_t, kMaxRank> stride{};
  std::shared_ptr<const void> owner;       ///< of data
  std::shared_ptr<const HostTensor> host;  ///< the whole tensor, dense; data, if set, points into it
  float* writable = nullptr;               ///< data, where it is the executor's own buffer

  [[nodiscard]] bool exists() const { return data != nullptr || host != nullptr; }
  [[nodiscard]] bool is_view() const { return data != nullptr; }
  [[nodiscard]] ConstStridedView view() const { return {whole(shape), data, stride}; }
};

/// Takes a tensor over; floats become a view of it.
[[nodiscard]] Value value_of(HostTensor tensor);
/// A view of `data` in `owner`, row-major.
[[nodiscard]] Value dense_value(DataType type, const Shape& shape, const float* data,
                                std::shared_ptr<const void> owner);
/// The tensor itself, copied only if it does not exist as one.
[[nodiscard]] std::shared_ptr<const HostTensor> host_of(const Value& value);

/// A constant: in place where float32 lies in a mapped file, otherwise materialised.
[[nodiscard]] Value constant_value(const Tensor& tensor);

/// The result of a node that only renames coordinates (Reshape, Transpose, ...), as a view of its input; does not exist
/// if the layout allows none.
[[nodiscard]] Value renamed(const Graph& graph, const Node& node, const Value& input);

}  // namespace spillway::workloads
