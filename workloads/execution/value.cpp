#include "workloads/execution/value.h"

#include <sys/mman.h>

#include <cstdlib>
#include <new>

#include "workloads/compute/strided.h"
#include "workloads/onnx/mapped_file.h"

namespace spillway::workloads {

namespace {

constexpr std::size_t kHuge = std::size_t{1} << 21;  // a huge page

std::size_t rounded(std::size_t bytes) {
  const std::size_t unit = bytes >= kHuge ? kHuge : 64;
  return (bytes + unit - 1) / unit * unit;
}

}  // namespace

BufferPool::~BufferPool() {
  for (const auto& [bytes, data] : free_) std::free(data);
}

std::shared_ptr<float> BufferPool::take(std::int64_t count) {
  const std::size_t bytes = rounded(std::max<std::size_t>(static_cast<std::size_t>(count) * sizeof(float), 1));
  const auto fits = free_.lower_bound(bytes);
  if (fits != free_.end() && fits->first <= bytes + bytes / 4) {
    float* data = fits->second;
    const std::size_t size = fits->first;
    free_.erase(fits);
    return {data, [this, size](float* p) { give_back(p, size); }};
  }
  all_bytes_ += bytes;
  trim();
  auto* data = static_cast<float*>(std::aligned_alloc(bytes >= kHuge ? kHuge : 64, bytes));
  if (data == nullptr) throw std::bad_alloc();
  if (bytes >= kHuge) ::madvise(data, bytes, MADV_HUGEPAGE);  // advice: that it cannot be had is no error
  return {data, [this, bytes](float* p) { give_back(p, bytes); }};
}

void BufferPool::give_back(float* data, std::size_t bytes) {
  free_.emplace(bytes, data);
  trim();
}

/// Buffers that wait for another use make room before memory grows beyond a measure that any machine has.
void BufferPool::trim() {
  constexpr std::size_t kMeasure = std::size_t{1} << 30;
  while (all_bytes_ > kMeasure && !free_.empty()) {
    const auto largest = std::prev(free_.end());
    all_bytes_ -= largest->first;
    std::free(largest->second);
    free_.erase(largest);
  }
}

Value dense_value(DataType type, const Shape& shape, const float* data, std::shared_ptr<const void> owner) {
  Value value;
  value.type = type;
  value.shape = shape;
  value.data = data;
  value.owner = std::move(owner);
  value.stride = compute::dense_strides(whole(shape));
  return value;
}

Value value_of(HostTensor tensor) {
  auto host = std::make_shared<const HostTensor>(std::move(tensor));
  Value value;
  if (host->holds_float() && host->shape.size() <= kMaxRank) {
    value = dense_value(host->type, host->shape, host->floats().data(), host);
  }
  value.type = host->type;
  value.shape = host->shape;
  value.host = std::move(host);
  return value;
}

std::shared_ptr<const HostTensor> host_of(const Value& value) {
  if (value.host != nullptr) return value.host;
  HostTensor tensor{.type = value.type, .shape = value.shape, .data = {}};
  std::vector<float> floats(static_cast<std::size_t>(elements_of(value.shape)));
  const Box box = whole(value.shape);
  compute::copy(value.view(), {box, floats.data(), compute::dense_strides(box)});
  tensor.data = std::move(floats);
  return std::make_shared<const HostTensor>(std::move(tensor));
}

Value constant_value(const Tensor& tensor) {
  const auto* external = std::get_if<Constant::External>(&tensor.constant->source);
  if (external != nullptr && tensor.type == DataType::kFloat32 && tensor.shape.size() <= kMaxRank) {
    const auto bytes = static_cast<std::size_t>(tensor.elements()) * sizeof(float);
    const std::size_t size = external->file->size();
    if (external->offset > size || bytes > size - external->offset) return value_of(materialise(tensor));
    const std::byte* data = external->file->bytes().data() + external->offset;
    if (reinterpret_cast<std::uintptr_t>(data) % alignof(float) == 0) {
      return dense_value(tensor.type, tensor.shape, reinterpret_cast<const float*>(data), external->file);
    }
  }
  if (const auto* held = std::get_if<std::shared_ptr<const HostTensor>>(&tensor.constant->source)) {
    if ((*held)->holds_float() && (*held)->shape == tensor.shape && tensor.shape.size() <= kMaxRank) {
      Value value = dense_value(tensor.type, tensor.shape, (*held)->floats().data(), *held);
      value.host = *held;
      return value;
    }
  }
  return value_of(materialise(tensor));
}

namespace {

/// Strides of `to` over the elements of a view in row-major order (NumPy's reshape without a copy); false if a
/// dimension of `to` would have no one step.
bool reshape_strides(const Value& from, const Shape& to, std::array<std::int64_t, kMaxRank>& stride) {
  std::vector<std::pair<std::int64_t, std::int64_t>> dims;  // extent, stride; extents over 1, merged where they can be
  for (std::size_t d = 0; d < from.shape.size(); ++d) {
    if (from.shape[d] == 1) continue;
    if (!dims.empty() && dims.back().second == from.stride[d] * from.shape[d]) {
      dims.back() = {dims.back().first * from.shape[d], from.stride[d]};
    } else {
      dims.emplace_back(from.shape[d], from.stride[d]);
    }
  }
  // From the back, every extent must divide what is left of the merged dimension it lies in.
  std::size_t left = dims.size();
  std::int64_t rest = left > 0 ? dims[left - 1].first : 1;
  std::int64_t step = left > 0 ? dims[left - 1].second : 1;
  for (std::size_t d = to.size(); d-- > 0;) {
    stride[d] = step;
    if (to[d] == 1) continue;
    if (rest == 1) {
      if (left <= 1) return false;
      --left;
      rest = dims[left - 1].first;
      step = dims[left - 1].second;
      stride[d] = step;
    }
    if (rest % to[d] != 0) return false;
    rest /= to[d];
    step *= to[d];
  }
  return true;
}

}  // namespace

Value renamed(const Graph& graph, const Node& node, const Value& input) {
  const Tensor& out = graph.output(node);
  Value result = input;
  result.host = nullptr;
  result.type = out.type;
  result.shape = out.shape;
  if (!input.is_view() || out.shape.size() > kMaxRank || elements_of(out.shape) == 0 ||
      elements_of(out.shape) != elements_of(input.shape)) {
    return {};
  }
  if (node.op == "Transpose") {
    const std::size_t rank = input.shape.size();
    auto permutation = node.integers("perm");
    if (permutation.empty()) {
      for (std::size_t d = rank; d-- > 0;) permutation.push_back(static_cast<std::int64_t>(d));
    }
    for (std::size_t d = 0; d < rank; ++d) result.stride[d] = input.stride[static_cast<std::size_t>(permutation[d])];
    return result;
  }
  static constexpr std::string_view kSameOrder[] = {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity"};
  const bool to_float = node.op == "Cast" && out.type == DataType::kFloat32;  // to 16 bits, it rounds
  if (!to_float && std::find(std::begin(kSameOrder), std::end(kSameOrder), node.op) == std::end(kSameOrder)) return {};
  if (!reshape_strides(input, out.shape, result.stride)) return {};
  return result;
}

}  // namespace spillway::workloads
