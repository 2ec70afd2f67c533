// Where a constant's elements come from when somebody asks: a mapped file, a generator, or memory.
#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "configs/error.h"
#include "workloads/decode.h"
#include "workloads/graph.h"
#include "workloads/number_formats.h"
#include "workloads/onnx/mapped_file.h"
#include "workloads/random.h"

namespace spillway::workloads {
namespace {

float generated(const Generator& generator, std::int64_t index) {
  if (generator.kind == Generator::Kind::kConstant) return generator.scale;
  const float unit = random_unit(generator.seed, static_cast<std::uint64_t>(index));
  return (2.0F * unit - 1.0F) * generator.scale;
}

/// Copies elements [first, first + count) of the constant to `to` of the result.
struct RunReader {
  const Tensor& tensor;
  HostTensor& result;

  void read(std::int64_t first, std::int64_t count, std::int64_t to) const {
    std::visit([&](const auto& source) { read_from(source, first, count, to); }, tensor.constant->source);
  }

 private:
  void read_from(const Constant::Missing& source, std::int64_t, std::int64_t, std::int64_t) const {
    throw Error(ErrorKind::kBadInput, Place{.tensor = tensor.name},
                fmt::format("its values are in '{}', which is absent", source.file),
                "a graph without weights can be profiled but not run; put the weight file beside the model");
  }
  void read_from(const Constant::External& source, std::int64_t first, std::int64_t count, std::int64_t to) const {
    const auto size = bytes_of(tensor.type);
    const auto begin = source.offset + static_cast<std::size_t>(first * size);
    const auto length = static_cast<std::size_t>(count * size);
    if (begin > source.file->size() || length > source.file->size() - begin) {
      internal_error("external data was accepted although it is out of bounds");
    }
    decode_elements(source.file->bytes().subspan(begin, length), result, to);
  }
  void read_from(const Generator& source, std::int64_t first, std::int64_t count, std::int64_t to) const {
    if (result.holds_double()) {
      double* out = result.doubles().data() + to;
      for (std::int64_t i = 0; i < count; ++i) out[i] = generated(source, first + i);
    } else if (result.holds_float()) {
      float* out = result.floats().data() + to;
      for (std::int64_t i = 0; i < count; ++i) out[i] = as_stored(tensor.type, generated(source, first + i));
    } else {
      std::int64_t* out = result.ints().data() + to;
      for (std::int64_t i = 0; i < count; ++i) out[i] = static_cast<std::int64_t>(generated(source, first + i));
    }
  }
  void read_from(const std::shared_ptr<const HostTensor>& source, std::int64_t first, std::int64_t count,
                 std::int64_t to) const {
    const auto copy = [&]<typename T>(std::vector<T>& out) {
      std::copy_n(std::get<std::vector<T>>(source->data).begin() + first, count, out.begin() + to);
    };
    std::visit(copy, result.data);
  }
};

void require_constant(const Tensor& tensor) {
  if (!tensor.constant) internal_error(fmt::format("tensor '{}' is materialised but is no constant", tensor.name));
}

}  // namespace

HostTensor materialise(const Tensor& tensor) {
  require_constant(tensor);
  if (const auto* held = std::get_if<std::shared_ptr<const HostTensor>>(&tensor.constant->source)) return **held;
  if (tensor.constant->missing()) {  // before memory is asked for
    HostTensor none;
    RunReader{tensor, none}.read(0, 0, 0);
  }
  HostTensor result = make_host_tensor(tensor.type, tensor.shape);
  RunReader{tensor, result}.read(0, tensor.elements(), 0);
  return result;
}

HostTensor materialise(const Tensor& tensor, const Box& box) {
  require_constant(tensor);
  if (!whole(tensor.shape).contains(box) || box.rank != static_cast<int>(tensor.shape.size())) {
    internal_error(fmt::format("a box outside tensor '{}' is materialised", tensor.name));
  }
  HostTensor result = make_host_tensor(tensor.type, Shape(box.extent.begin(), box.extent.begin() + box.rank));
  if (box.empty()) return result;

  // The innermost dimensions that the box covers whole form one run together with the next one.
  int outer = box.rank;
  std::int64_t run = 1;
  while (outer > 0) {
    --outer;
    run *= box.extent[outer];
    if (box.extent[outer] != tensor.shape[outer]) break;
  }
  std::array<std::int64_t, kMaxRank> stride{};
  std::int64_t step = 1;
  for (int d = box.rank - 1; d >= 0; --d) {
    stride[d] = step;
    step *= tensor.shape[d];
  }
  std::int64_t first = 0;
  for (int d = 0; d < box.rank; ++d) first += box.begin[d] * stride[d];

  const RunReader reader{tensor, result};
  std::array<std::int32_t, kMaxRank> at{};
  for (std::int64_t to = 0; to < box.elements(); to += run) {
    reader.read(first, run, to);
    for (int d = outer - 1; d >= 0; --d) {
      first += stride[d];
      if (++at[d] < box.extent[d]) break;
      first -= stride[d] * box.extent[d];
      at[d] = 0;
    }
  }
  return result;
}

}  // namespace spillway::workloads
