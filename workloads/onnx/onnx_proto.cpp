#include "workloads/onnx/onnx_proto.h"

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>

#include "configs/error.h"

namespace spillway::workloads {
namespace {

constexpr std::array<std::pair<DataType, onnx::TensorProto::DataType>, 13> kTypes{{
    {DataType::kFloat32, onnx::TensorProto::FLOAT},
    {DataType::kFloat16, onnx::TensorProto::FLOAT16},
    {DataType::kBFloat16, onnx::TensorProto::BFLOAT16},
    {DataType::kFloat64, onnx::TensorProto::DOUBLE},
    {DataType::kInt8, onnx::TensorProto::INT8},
    {DataType::kUint8, onnx::TensorProto::UINT8},
    {DataType::kInt16, onnx::TensorProto::INT16},
    {DataType::kUint16, onnx::TensorProto::UINT16},
    {DataType::kInt32, onnx::TensorProto::INT32},
    {DataType::kUint32, onnx::TensorProto::UINT32},
    {DataType::kInt64, onnx::TensorProto::INT64},
    {DataType::kUint64, onnx::TensorProto::UINT64},
    {DataType::kBool, onnx::TensorProto::BOOL},
}};

std::string type_label(int onnx_type) {
  const auto* descriptor = onnx::TensorProto::DataType_IsValid(onnx_type)
                               ? onnx::TensorProto::DataType_descriptor()->FindValueByNumber(onnx_type)
                               : nullptr;
  return descriptor != nullptr ? descriptor->name() : fmt::format("number {}", onnx_type);
}

std::optional<std::uint64_t> read_varint(std::span<const std::byte>& bytes) {
  std::uint64_t value = 0;
  for (int shift = 0; shift < 64 && !bytes.empty(); shift += 7) {
    const auto byte = std::to_integer<std::uint64_t>(bytes.front());
    bytes = bytes.subspan(1);
    value |= (byte & 0x7FU) << shift;
    if ((byte & 0x80U) == 0) return value;
  }
  return std::nullopt;
}

/// Walks the outermost fields of a message that does not parse. If they look like ModelProto's until one reaches past
/// the end, the file was cut short: returns the size that it would have to have.
std::optional<std::uint64_t> size_if_truncated(std::span<const std::byte> bytes) {
  const auto total = bytes.size();
  constexpr std::uint64_t kLastModelField = 25;  // functions
  while (!bytes.empty()) {
    const auto key = read_varint(bytes);
    if (!key || (*key >> 3) == 0 || (*key >> 3) > kLastModelField) return std::nullopt;
    const auto wire_type = *key & 7U;
    if (wire_type == 0) {
      if (!read_varint(bytes)) return std::nullopt;
    } else if (wire_type == 2) {
      const auto length = read_varint(bytes);
      if (!length) return std::nullopt;
      const auto here = total - bytes.size();
      if (*length > std::numeric_limits<std::uint64_t>::max() - here) return std::nullopt;
      if (*length > bytes.size()) return here + *length;
      bytes = bytes.subspan(*length);
    } else {
      return std::nullopt;  // ModelProto has only varints and lengths
    }
  }
  return std::nullopt;
}

}  // namespace

int onnx_type_of(DataType type) {
  for (const auto& [ours, theirs] : kTypes) {
    if (ours == type) return theirs;
  }
  internal_error("a DataType has no ONNX number");
}

DataType data_type_of(int onnx_type) {
  for (const auto& [ours, theirs] : kTypes) {
    if (theirs == onnx_type) return ours;
  }
  throw Error(
      ErrorKind::kBadInput, Place{}, fmt::format("element type {} is not supported", type_label(onnx_type)),
      "supported are float (16, 32, 64 bits, bfloat16), signed and unsigned integers of 8 to 64 bits, and bool");
}

std::unique_ptr<onnx::ModelProto> parse_model(std::span<const std::byte> bytes, const std::string& source) {
  const Place place{.file = source};
  if (bytes.empty()) throw Error(ErrorKind::kBadInput, place, "is empty when it should be an ONNX model");
  if (bytes.size() > static_cast<std::size_t>(std::numeric_limits<int>::max())) {
    throw Error(ErrorKind::kBadInput, place,
                fmt::format("is {} bytes long when a protobuf file can have at most {}", bytes.size(),
                            std::numeric_limits<int>::max()),
                "save the model with external data: onnx.save_model(model, path, save_as_external_data=True)");
  }
  const auto size = static_cast<int>(bytes.size());
  auto model = std::make_unique<onnx::ModelProto>();
  google::protobuf::io::ArrayInputStream stream(bytes.data(), size);
  google::protobuf::io::CodedInputStream coded(&stream);
  if (!model->ParseFromCodedStream(&coded) || !coded.ConsumedEntireMessage()) {
    if (const auto needed = size_if_truncated(bytes)) {
      throw Error(ErrorKind::kBadInput, place,
                  fmt::format("is truncated: it has {} bytes when its contents say at least {}", bytes.size(), *needed),
                  "copy or export the file again");
    }
    throw Error(ErrorKind::kBadInput, place, "is not an ONNX model: it does not parse as protobuf");
  }
  if (!model->has_graph()) {
    throw Error(ErrorKind::kBadInput, place, "is not an ONNX model: it has no graph");
  }
  return model;
}

}  // namespace spillway::workloads
