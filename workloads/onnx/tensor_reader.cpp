#include "workloads/onnx/tensor_reader.h"

#include <fmt/format.h>

#include <charconv>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "configs/error.h"
#include "workloads/decode.h"
#include "workloads/number_formats.h"
#include "workloads/onnx/mapped_file.h"
#include "workloads/onnx/text.h"

namespace spillway::workloads {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void bad(const std::string& problem, const std::string& help = {}) {
  throw Error(ErrorKind::kBadInput, Place{}, problem, help);
}

std::uint64_t parse_size(const std::string& key, const std::string& text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) {
    bad(fmt::format("its external data has the {} '{}', which is no size in bytes", key, text));
  }
  return value;
}

struct ExternalPlace {
  std::string location;
  std::uint64_t offset = 0;
  std::optional<std::uint64_t> length;
};

ExternalPlace external_place(const onnx::TensorProto& tensor) {
  ExternalPlace place;
  for (const auto& entry : tensor.external_data()) {
    if (entry.key() == "location") place.location = entry.value();
    if (entry.key() == "offset") place.offset = parse_size("offset", entry.value());
    if (entry.key() == "length") place.length = parse_size("length", entry.value());
  }
  if (place.location.empty()) bad("its external data has no location");
  return place;
}

Constant read_external(const onnx::TensorProto& tensor, std::uint64_t bytes, ExternalFiles& files) {
  const auto place = external_place(tensor);
  if (place.length && *place.length != bytes) {
    bad(fmt::format("its external data is {} bytes long when its shape and type need {}", *place.length, bytes));
  }
  auto file = files.open(place.location);
  if (file == nullptr) {
    files.note_missing(place.location, static_cast<std::int64_t>(bytes));
    return {Constant::Missing{place.location}};
  }
  if (place.offset > file->size() || bytes > file->size() - place.offset) {
    bad(fmt::format("external data '{}' has {} bytes when {} are needed from offset {} on", place.location,
                    file->size(), bytes, place.offset),
        "the weight file is truncated or belongs to another model: copy or export it again");
  }
  return {Constant::External{std::move(file), static_cast<std::size_t>(place.offset), static_cast<std::size_t>(bytes)}};
}

void check_count(std::int64_t held, std::int64_t needed) {
  if (held != needed) bad(fmt::format("has {} values when its shape needs {}", held, needed));
}

/// Copies a typed field of TensorProto after comparing the counts.
template <typename Field, typename Held, typename Convert>
void copy_field(const Field& field, std::vector<Held>& out, Convert convert) {
  check_count(field.size(), static_cast<std::int64_t>(out.size()));
  for (int i = 0; i < field.size(); ++i) out[i] = convert(field[i]);
}

void read_typed_fields(const onnx::TensorProto& tensor, HostTensor& out) {
  const auto as_int = [](auto v) { return static_cast<std::int64_t>(v); };
  switch (out.type) {
    case DataType::kFloat32:
      return copy_field(tensor.float_data(), out.floats(), [](float v) { return v; });
    case DataType::kFloat64:
      return copy_field(tensor.double_data(), out.doubles(), [](double v) { return v; });
    case DataType::kFloat16:
      return copy_field(tensor.int32_data(), out.floats(),
                        [](std::int32_t v) { return float_from_half(static_cast<std::uint16_t>(v)); });
    case DataType::kBFloat16:
      return copy_field(tensor.int32_data(), out.floats(),
                        [](std::int32_t v) { return float_from_bfloat16(static_cast<std::uint16_t>(v)); });
    case DataType::kInt64:
      return copy_field(tensor.int64_data(), out.ints(), as_int);
    case DataType::kUint32:
      return copy_field(tensor.uint64_data(), out.ints(),
                        [](std::uint64_t v) { return static_cast<std::int64_t>(static_cast<std::uint32_t>(v)); });
    case DataType::kUint64:
      return copy_field(tensor.uint64_data(), out.ints(), as_int);
    case DataType::kInt8:
      return copy_field(tensor.int32_data(), out.ints(),
                        [](std::int32_t v) { return ((v & 0xFF) ^ 0x80) - 0x80; });  // sign-extended
    case DataType::kUint8:
      return copy_field(tensor.int32_data(), out.ints(), [](std::int32_t v) { return static_cast<std::uint8_t>(v); });
    case DataType::kInt16:
      return copy_field(tensor.int32_data(), out.ints(), [](std::int32_t v) { return static_cast<std::int16_t>(v); });
    case DataType::kUint16:
      return copy_field(tensor.int32_data(), out.ints(), [](std::int32_t v) { return static_cast<std::uint16_t>(v); });
    case DataType::kInt32:
      return copy_field(tensor.int32_data(), out.ints(), as_int);
    case DataType::kBool:
      return copy_field(tensor.int32_data(), out.ints(), [](std::int32_t v) { return v != 0 ? 1 : 0; });
  }
}

std::int64_t typed_values(const onnx::TensorProto& tensor) {
  return std::int64_t{tensor.float_data_size()} + tensor.int32_data_size() + tensor.int64_data_size() +
         tensor.double_data_size() + tensor.uint64_data_size();
}

Constant read_inline(onnx::TensorProto& tensor, DataType type, const Shape& shape, std::int64_t bytes) {
  // Compared with what the file holds before memory is asked for.
  const bool raw = tensor.has_raw_data();
  if (raw && static_cast<std::int64_t>(tensor.raw_data().size()) != bytes) {
    bad(fmt::format("has {} bytes of data when its shape and type need {}", tensor.raw_data().size(), bytes));
  }
  if (!raw) check_count(typed_values(tensor), elements_of(shape));
  auto host = std::make_shared<HostTensor>(make_host_tensor(type, shape));
  if (raw) {
    decode_elements(std::as_bytes(std::span(tensor.raw_data())), *host, 0);
  } else {
    read_typed_fields(tensor, *host);
  }
  tensor.Clear();
  return {std::shared_ptr<const HostTensor>(std::move(host))};
}

std::string megabytes(std::int64_t bytes) { return fmt::format("{:.1f} MB", static_cast<double>(bytes) / 1e6); }

}  // namespace

void check_shape(const Shape& shape) {
  constexpr std::int64_t kMaxElements = std::int64_t{1} << 40;
  (void)whole(shape);
  if (elements_of(shape) > kMaxElements) {
    bad(fmt::format("shape {} has {} elements when at most 2^40 are handled", to_string(shape), elements_of(shape)));
  }
}

std::shared_ptr<const MappedFile> ExternalFiles::open(const std::string& location) {
  const auto known = files_.find(location);
  if (known != files_.end()) return known->second;

  check_text(location, "an external data location");
  const fs::path relative(location);
  bool confined = relative.is_relative();
  for (const auto& part : relative) confined = confined && part != "..";
  if (!confined) {
    bad(fmt::format("external data '{}' is outside the model's folder", location),
        "external data must lie in the model's folder or below it, by a relative path without '..'");
  }
  std::shared_ptr<const MappedFile> file;
  if (!folder_.empty()) {
    std::error_code error;
    const auto folder = fs::canonical(folder_, error);
    const auto resolved = error ? fs::path() : fs::weakly_canonical(folder / relative, error);
    if (error) bad(fmt::format("external data '{}' cannot be found: {}", location, error.message()));
    const auto inside = resolved.lexically_relative(folder);
    if (inside.empty() || *inside.begin() == "..") {
      bad(fmt::format("external data '{}' is a link to '{}', outside the model's folder", location, resolved.string()),
          "copy the file beside the model");
    }
    const bool present = fs::exists(resolved, error);
    if (error) bad(fmt::format("external data '{}' cannot be found: {}", location, error.message()));
    if (present) file = MappedFile::open(resolved.string());
  }
  files_.emplace(location, file);
  return file;
}

void ExternalFiles::note_missing(const std::string& location, std::int64_t bytes) {
  auto& absent = absent_[location];
  ++absent.tensors;
  absent.bytes += bytes;
}

std::vector<std::string> ExternalFiles::warnings() const {
  std::vector<std::string> result;
  for (const auto& [location, absent] : absent_) {
    result.push_back(
        fmt::format("external data '{}' is absent: {} tensors ({}) have a shape but no values; the graph "
                    "can be profiled but not run",
                    location, absent.tensors, megabytes(absent.bytes)));
  }
  return result;
}

ReadTensor read_tensor(onnx::TensorProto& tensor, ExternalFiles& files) {
  ReadTensor result;
  result.type = data_type_of(tensor.data_type());
  result.shape.assign(tensor.dims().begin(), tensor.dims().end());
  check_shape(result.shape);
  if (tensor.has_segment()) bad("is stored in segments, which is not supported");
  const auto bytes = elements_of(result.shape) * bytes_of(result.type);
  if (tensor.data_location() == onnx::TensorProto::EXTERNAL) {
    result.constant = read_external(tensor, static_cast<std::uint64_t>(bytes), files);
  } else {
    result.constant = read_inline(tensor, result.type, result.shape, bytes);
  }
  return result;
}

}  // namespace spillway::workloads
