// NumPy's .npy format, versions 1.0 to 3.0 (NEP 1 and numpy.lib.format), and seeded tensors for runs without inputs.
#include "workloads/npy.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstring>
#include <fstream>
#include <numbers>
#include <optional>
#include <utility>

#include "configs/error.h"
#include "workloads/decode.h"
#include "workloads/onnx/mapped_file.h"
#include "workloads/onnx/text.h"
#include "workloads/random.h"
#include "workloads/workloads.h"

namespace spillway::workloads {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";

constexpr std::array<std::pair<std::string_view, DataType>, 12> kDescriptors{{
    {"<f4", DataType::kFloat32},
    {"<f2", DataType::kFloat16},
    {"<f8", DataType::kFloat64},
    {"|i1", DataType::kInt8},
    {"|u1", DataType::kUint8},
    {"<i2", DataType::kInt16},
    {"<u2", DataType::kUint16},
    {"<i4", DataType::kInt32},
    {"<u4", DataType::kUint32},
    {"<i8", DataType::kInt64},
    {"<u8", DataType::kUint64},
    {"|b1", DataType::kBool},
}};

[[noreturn]] void bad(const std::string& problem) { throw Error(ErrorKind::kBadInput, Place{}, problem); }

/// The header is a Python dictionary literal with exactly the keys descr, fortran_order and shape.
class HeaderParser {
 public:
  struct Header {
    DataType type = DataType::kFloat32;
    Shape shape;
  };

  explicit HeaderParser(std::string_view text) : text_(text) {}

  Header parse() {
    Header header;
    bool type_seen = false;
    bool order_seen = false;
    bool shape_seen = false;
    expect('{');
    while (!accept('}')) {
      const auto key = quoted();
      expect(':');
      if (key == "descr") {
        header.type = descriptor(quoted());
        type_seen = true;
      } else if (key == "fortran_order") {
        if (word() != "False") bad("is in Fortran order when C order is needed: save numpy.ascontiguousarray(x)");
        order_seen = true;
      } else if (key == "shape") {
        header.shape = tuple();
        shape_seen = true;
      } else {
        bad("has an unknown key in its .npy header");
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    if (!type_seen || !order_seen || !shape_seen) bad("has a .npy header without descr, fortran_order or shape");
    return header;
  }

 private:
  static DataType descriptor(std::string_view name) {
    for (const auto& [text, type] : kDescriptors) {
      if (text == name || (text[0] == '|' && name.size() == 3 && text.substr(1) == name.substr(1))) return type;
    }
    check_text(name, "a .npy descriptor");
    bad(fmt::format("has element type '{}' when a little-endian float, integer or bool type is needed", name));
  }

  void skip_space() {
    while (!text_.empty() && std::isspace(static_cast<unsigned char>(text_.front())) != 0) text_.remove_prefix(1);
  }
  bool accept(char c) {
    skip_space();
    if (text_.empty() || text_.front() != c) return false;
    text_.remove_prefix(1);
    return true;
  }
  void expect(char c) {
    if (!accept(c)) bad(fmt::format("has a malformed .npy header: '{}' is missing", c));
  }
  std::string_view quoted() {
    const char quote = accept('"') ? '"' : '\'';
    if (quote == '\'') expect('\'');
    const auto end = text_.find(quote);
    if (end == std::string_view::npos) bad("has a malformed .npy header: a string does not end");
    const auto result = text_.substr(0, end);
    text_.remove_prefix(end + 1);
    return result;
  }
  std::string_view word() {
    skip_space();
    const auto end = std::find_if(text_.begin(), text_.end(), [](unsigned char c) { return std::isalpha(c) == 0; });
    const auto result = text_.substr(0, static_cast<std::size_t>(end - text_.begin()));
    text_.remove_prefix(result.size());
    return result;
  }
  Shape tuple() {
    Shape shape;
    expect('(');
    while (!accept(')')) {
      skip_space();
      std::int64_t extent = 0;
      const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), extent);
      if (error != std::errc{} || extent < 0) bad("has a malformed shape in its .npy header");
      text_.remove_prefix(static_cast<std::size_t>(end - text_.data()));
      shape.push_back(extent);
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    return shape;
  }

  std::string_view text_;
};

/// 16-bit floats are widened: exact, and every reader has float32.
DataType stored_type(DataType type) {
  return type == DataType::kFloat16 || type == DataType::kBFloat16 ? DataType::kFloat32 : type;
}

std::string npy_header(DataType type, const Shape& shape) {
  const auto* descriptor =
      std::find_if(kDescriptors.begin(), kDescriptors.end(), [&](const auto& d) { return d.second == type; });
  std::string dict = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}{}), }}", descriptor->first,
                                 fmt::join(shape, ", "), shape.size() == 1 ? "," : "");
  constexpr std::size_t kPreamble = 10;  // magic, version, header length
  constexpr std::size_t kAlignment = 64;
  while ((kPreamble + dict.size() + 1) % kAlignment != 0) dict += ' ';
  dict += '\n';
  std::string header(kMagic);
  header += {'\x01', '\x00', static_cast<char>(dict.size() & 0xFFU), static_cast<char>(dict.size() >> 8)};
  return header + dict;
}

}  // namespace

HostTensor parse_npy(std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!text.starts_with(kMagic) || text.size() < 10) bad("is not a .npy file");
  const int major = static_cast<unsigned char>(text[6]);
  if (major < 1 || major > 3) bad(fmt::format("is .npy version {} when 1 to 3 are supported", major));
  const std::size_t length_bytes = major == 1 ? 2 : 4;
  std::size_t length = 0;
  for (std::size_t i = 0; i < length_bytes && 8 + i < text.size(); ++i) {
    length |= static_cast<std::size_t>(static_cast<unsigned char>(text[8 + i])) << (8 * i);
  }
  const std::size_t data_at = 8 + length_bytes + length;
  if (data_at > text.size())
    bad(fmt::format("is truncated: it has {} bytes when its header ends at {}", text.size(), data_at));

  const auto header = HeaderParser(text.substr(8 + length_bytes, length)).parse();
  const auto elements = elements_of(header.shape);
  const auto held = static_cast<std::int64_t>(text.size() - data_at);
  if (elements > held / bytes_of(header.type) || elements * bytes_of(header.type) != held) {
    bad(fmt::format("has {} bytes of data when shape {} of {} needs {} bytes for each of {} elements", held,
                    to_string(header.shape), name_of(header.type), bytes_of(header.type), elements));
  }
  auto tensor = make_host_tensor(header.type, header.shape);
  decode_elements(bytes.subspan(data_at), tensor, 0);
  return tensor;
}

std::string npy_bytes(const HostTensor& tensor) {
  const DataType type = stored_type(tensor.type);
  std::string bytes = npy_header(type, tensor.shape);
  if (type == tensor.type) return bytes + encode_elements(tensor);
  return bytes + encode_elements(held_as(tensor, type));
}

HostTensor load_npy(const std::string& path) {
  const auto file = MappedFile::open(path);
  try {
    return parse_npy(file->bytes());
  } catch (const Error& error) {
    throw error.within(Place{.file = path});
  }
}

void save_npy(const std::string& path, const HostTensor& tensor) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  if (out) {
    out << npy_bytes(tensor);
    out.close();
  }
  if (!out) {
    throw Error(ErrorKind::kBadInput, Place{.file = path},
                fmt::format("cannot be written: {}", std::generic_category().message(errno)));
  }
}

HostTensor random_tensor(DataType type, const Shape& shape, std::uint64_t seed, std::int64_t int_bound) {
  if (int_bound < 1) internal_error(fmt::format("random integers below {} are asked for", int_bound));
  auto tensor = make_host_tensor(type, shape);
  if (tensor.holds_integer()) {
    std::uint64_t index = 0;
    const auto bound = static_cast<std::uint64_t>(type == DataType::kBool ? 2 : int_bound);
    for (auto& value : tensor.ints()) value = static_cast<std::int64_t>(random_bits(seed, index++) % bound);
    return tensor;
  }
  // Box and Muller (1958), one normal of each pair of uniforms; 1 - u keeps the logarithm finite.
  std::uint64_t index = 0;
  const auto normal = [&] {
    const double radius = std::sqrt(-2.0 * std::log(1.0 - static_cast<double>(random_unit(seed, index))));
    const double angle = 2.0 * std::numbers::pi * static_cast<double>(random_unit(seed, index + 1));
    index += 2;
    return static_cast<float>(radius * std::cos(angle));
  };
  if (tensor.holds_double()) {
    for (auto& value : tensor.doubles()) value = normal();
  } else {
    for (auto& value : tensor.floats()) value = normal();
  }
  return tensor;
}

}  // namespace spillway::workloads
