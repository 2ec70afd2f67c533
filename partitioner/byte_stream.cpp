#include "partitioner/byte_stream.h"

#include <fmt/format.h>

#include "configs/error.h"

namespace spillway::partitioner {

void ByteWriter::integer(std::int64_t value) {
  auto rest = (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63);
  while (rest >= 0x80) {
    bytes_.push_back(static_cast<char>(rest | 0x80));
    rest >>= 7;
  }
  bytes_.push_back(static_cast<char>(rest));
}

void ByteWriter::text(const std::string& value) {
  integer(static_cast<std::int64_t>(value.size()));
  bytes_ += value;
}

void ByteReader::bad(const std::string& problem) const {
  throw Error(ErrorKind::kBadInput, Place{.file = file_}, fmt::format("byte {}: {}", at_, problem),
              "the file is damaged; write it again with this version");
}

std::int64_t ByteReader::integer() {
  std::uint64_t raw = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    if (at_ == bytes_.size()) bad("the file ends inside a record");
    const auto byte = static_cast<std::uint8_t>(bytes_[at_++]);
    if (shift == 63 && byte > 1) bad("an integer is longer than 64 bits");
    raw |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return static_cast<std::int64_t>(raw >> 1) ^ -static_cast<std::int64_t>(raw & 1);
  }
  bad("an integer is longer than 64 bits");
}

std::int64_t ByteReader::integer_in(std::int64_t low, std::int64_t high) {
  const std::int64_t value = integer();
  if (value < low || value > high) bad(fmt::format("{} when it should be between {} and {}", value, low, high));
  return value;
}

std::size_t ByteReader::count(std::size_t least_bytes) {
  const std::int64_t value = integer();
  const std::size_t room = remaining() / least_bytes;  // of what follows the count itself
  if (value < 0 || static_cast<std::uint64_t>(value) > room) {
    bad(fmt::format("a list of {} records when the file has room for {}", value, room));
  }
  return static_cast<std::size_t>(value);
}

void ByteReader::text(std::string& value) {
  const std::size_t size = count(1);
  value.assign(bytes_.substr(at_, size));
  at_ += size;
}

}  // namespace spillway::partitioner
