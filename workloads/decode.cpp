#include "workloads/decode.h"

#include <bit>
#include <cstring>

#include "configs/error.h"
#include "workloads/number_formats.h"

namespace spillway::workloads {
namespace {

static_assert(std::endian::native == std::endian::little, "file formats are little-endian");

template <typename Stored, typename Held, typename Convert>
void decode_as(std::span<const std::byte> bytes, Held* out, Convert convert) {
  const std::size_t count = bytes.size() / sizeof(Stored);
  for (std::size_t i = 0; i < count; ++i) {
    Stored stored;  // through memcpy: files promise no alignment
    std::memcpy(&stored, bytes.data() + i * sizeof(Stored), sizeof(Stored));
    out[i] = convert(stored);
  }
}

template <typename Stored, typename Held, typename Convert>
std::string encode_as(const std::vector<Held>& values, Convert convert) {
  std::string bytes(values.size() * sizeof(Stored), '\0');
  for (std::size_t i = 0; i < values.size(); ++i) {
    const Stored stored = convert(values[i]);
    std::memcpy(bytes.data() + i * sizeof(Stored), &stored, sizeof(Stored));
  }
  return bytes;
}

void decode_floats(DataType type, std::span<const std::byte> bytes, float* out) {
  switch (type) {
    case DataType::kFloat32:
      if (!bytes.empty()) std::memcpy(out, bytes.data(), bytes.size() / sizeof(float) * sizeof(float));
      return;
    case DataType::kFloat16:
      return decode_as<std::uint16_t>(bytes, out, float_from_half);
    case DataType::kBFloat16:
      return decode_as<std::uint16_t>(bytes, out, float_from_bfloat16);
    default:
      internal_error("an integer type is decoded as float");
  }
}

void decode_integers(DataType type, std::span<const std::byte> bytes, std::int64_t* out) {
  const auto widen = [](auto v) { return static_cast<std::int64_t>(v); };
  switch (type) {
    case DataType::kInt8:
      return decode_as<std::int8_t>(bytes, out, widen);
    case DataType::kUint8:
      return decode_as<std::uint8_t>(bytes, out, widen);
    case DataType::kInt16:
      return decode_as<std::int16_t>(bytes, out, widen);
    case DataType::kUint16:
      return decode_as<std::uint16_t>(bytes, out, widen);
    case DataType::kInt32:
      return decode_as<std::int32_t>(bytes, out, widen);
    case DataType::kUint32:
      return decode_as<std::uint32_t>(bytes, out, widen);
    case DataType::kInt64:
      return decode_as<std::int64_t>(bytes, out, widen);
    case DataType::kUint64:
      return decode_as<std::uint64_t>(bytes, out, widen);
    case DataType::kBool:
      return decode_as<std::uint8_t>(bytes, out, [](std::uint8_t v) { return static_cast<std::int64_t>(v != 0); });
    default:
      internal_error("a float type is decoded as integer");
  }
}

}  // namespace

HostTensor make_host_tensor(DataType type, const Shape& shape) {
  const auto count = static_cast<std::size_t>(elements_of(shape));
  HostTensor tensor{.type = type, .shape = shape, .data = {}};
  if (type == DataType::kFloat64) {
    tensor.data = std::vector<double>(count);
  } else if (is_float(type)) {
    tensor.data = std::vector<float>(count);
  } else {
    tensor.data = std::vector<std::int64_t>(count);
  }
  return tensor;
}

void decode_elements(std::span<const std::byte> bytes, HostTensor& tensor, std::int64_t first) {
  if (tensor.type == DataType::kFloat64) {
    decode_as<double>(bytes, tensor.doubles().data() + first, [](double v) { return v; });
  } else if (is_float(tensor.type)) {
    decode_floats(tensor.type, bytes, tensor.floats().data() + first);
  } else {
    decode_integers(tensor.type, bytes, tensor.ints().data() + first);
  }
}

std::string encode_elements(const HostTensor& tensor) {
  switch (tensor.type) {
    case DataType::kFloat32:
      return encode_as<float>(tensor.floats(), [](float v) { return v; });
    case DataType::kFloat16:
      return encode_as<std::uint16_t>(tensor.floats(), half_from_float);
    case DataType::kBFloat16:
      return encode_as<std::uint16_t>(tensor.floats(), bfloat16_from_float);
    case DataType::kFloat64:
      return encode_as<double>(tensor.doubles(), [](double v) { return v; });
    case DataType::kInt8:
    case DataType::kUint8:
    case DataType::kBool:
      return encode_as<std::uint8_t>(tensor.ints(), [](std::int64_t v) { return static_cast<std::uint8_t>(v); });
    case DataType::kInt16:
    case DataType::kUint16:
      return encode_as<std::uint16_t>(tensor.ints(), [](std::int64_t v) { return static_cast<std::uint16_t>(v); });
    case DataType::kInt32:
    case DataType::kUint32:
      return encode_as<std::uint32_t>(tensor.ints(), [](std::int64_t v) { return static_cast<std::uint32_t>(v); });
    case DataType::kInt64:
    case DataType::kUint64:
      return encode_as<std::int64_t>(tensor.ints(), [](std::int64_t v) { return v; });
  }
  internal_error("a tensor of no known type is encoded");
}

}  // namespace spillway::workloads
