#include "workloads/execution/finite.h"

#include <atomic>
#include <bit>
#include <cmath>

#include "workloads/compute/strided.h"

namespace spillway::workloads {

namespace {

constexpr std::uint8_t kInfinity = 1, kNan = 2;
/// Larger constants are weights: taken for finite until an operator's result says otherwise, and then still not read.
constexpr std::int64_t kLargestConstant = std::int64_t{1} << 20;

std::uint8_t scan_row(const float* x, std::int64_t n, std::int64_t step) {
  constexpr std::uint32_t kExponent = 0x7F800000U;
  std::uint32_t special = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    special |= (std::bit_cast<std::uint32_t>(x[i * step]) & kExponent) == kExponent ? 1U : 0U;
  }
  if (special == 0) return 0;
  std::uint8_t found = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    if (std::isnan(x[i * step])) found |= kNan;
    if (std::isinf(x[i * step])) found |= kInfinity;
  }
  return found;
}

std::uint8_t scan(const HostTensor& tensor) {
  std::uint8_t found = 0;
  if (tensor.holds_float()) return scan_row(tensor.floats().data(), static_cast<std::int64_t>(tensor.held()), 1);
  if (!tensor.holds_double()) return 0;
  for (const double v : tensor.doubles()) found |= std::isnan(v) ? kNan : std::isinf(v) ? kInfinity : std::uint8_t{0};
  return found;
}

std::uint8_t scan(const Value& value) {
  if (!value.is_view()) return value.host != nullptr ? scan(*value.host) : 0;
  const compute::Loops<1> loops(whole(value.shape), {value.stride});
  std::atomic<std::uint8_t> found = 0;
  loops.for_each_row([&](const std::array<std::int64_t, 1>& at, std::int64_t n) {
    const std::uint8_t here = scan_row(value.data + at[0], n, loops.step(0));
    if (here != 0) found |= here;
  });
  return found;
}

}  // namespace

void FiniteWatch::input(TensorId id, const Value& value) {
  state_[id] = scan(value);
  if (state_[id] == 0) return;
  report_({.node = {}, .op = {}, .tensor = graph_.tensors[id].name, .nan = (state_[id] & kNan) != 0});
}

std::uint8_t FiniteWatch::state_of(TensorId id) {
  const Tensor& tensor = graph_.tensors[id];
  if (!tensor.is_constant()) return state_[id];
  if (!is_float(tensor.type) || tensor.constant->missing() || tensor.elements() > kLargestConstant) return 0;
  return scan(materialise(tensor));
}

void FiniteWatch::after(const Node& node, const std::vector<std::optional<Value>>& values) {
  std::uint8_t found = 0;
  TensorId where = kNone;
  for (const TensorId id : node.outputs) {
    if (id == kNone || !values[id]) continue;
    state_[id] = scan(*values[id]);
    if (state_[id] != 0 && where == kNone) where = id;
    found |= state_[id];
  }
  if (found == 0 || operator_of(node).op_class == OpClass::kShape) return;
  std::uint8_t given = 0;
  for (const TensorId id : node.inputs) {
    if (id != kNone) given |= state_of(id);
  }
  const bool nan = (found & kNan) != 0 && (given & kNan) == 0;
  const bool infinity = (found & kInfinity) != 0 && given == 0;
  if (nan || infinity) {
    report_({.node = node.name, .op = node.op, .tensor = graph_.tensors[where].name, .nan = nan});
  }
}

}  // namespace spillway::workloads
