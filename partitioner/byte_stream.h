// Internal: the encoding of Program files. One function `fields(archive, record)` per record serves both ways: the
// Writer appends, the Reader fills and trusts nothing.
// Integers are zigzag LEB128 (7 bits a byte, small magnitudes short), so a file is the same on every machine.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace spillway::partitioner {

class ByteWriter {
 public:
  static constexpr bool kReads = false;

  [[nodiscard]] const std::string& bytes() const { return bytes_; }

  void integer(std::int64_t value);
  template <typename T>
  void number(const T& value, std::int64_t /*low*/, std::int64_t /*high*/) {
    integer(static_cast<std::int64_t>(value));
  }
  void flag(const bool& value) { integer(value ? 1 : 0); }
  void real(const float& value) { integer(std::bit_cast<std::int32_t>(value)); }
  void bits(const std::uint64_t& value) { integer(std::bit_cast<std::int64_t>(value)); }
  void text(const std::string& value);
  template <typename T, typename Each>
  void list(const std::vector<T>& values, std::size_t /*least_bytes*/, Each each) {
    integer(static_cast<std::int64_t>(values.size()));
    for (const T& value : values) each(value);
  }

 private:
  std::string bytes_;
};

class ByteReader {
 public:
  static constexpr bool kReads = true;

  ByteReader(std::string_view bytes, std::string file) : bytes_(bytes), file_(std::move(file)) {}

  [[nodiscard]] std::size_t position() const { return at_; }
  [[nodiscard]] std::size_t remaining() const { return bytes_.size() - at_; }
  [[nodiscard]] const std::string& file() const { return file_; }
  /// Throws Error(kBadInput) naming file and byte.
  [[noreturn]] void bad(const std::string& problem) const;

  [[nodiscard]] std::int64_t integer();
  /// An integer or enumerator; refused outside [low, high].
  template <typename T>
  void number(T& value, std::int64_t low, std::int64_t high) {
    value = static_cast<T>(integer_in(low, high));
  }
  void flag(bool& value) { value = integer_in(0, 1) != 0; }
  void real(float& value) {
    value = std::bit_cast<float>(static_cast<std::int32_t>(
        integer_in(std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max())));
  }
  void bits(std::uint64_t& value) { value = std::bit_cast<std::uint64_t>(integer()); }
  void text(std::string& value);
  /// `least_bytes`: of one encoded element; a count that the rest of the file cannot hold is refused before allocating.
  template <typename T, typename Each>
  void list(std::vector<T>& values, std::size_t least_bytes, Each each) {
    values.resize(count(least_bytes));
    if constexpr (std::is_same_v<T, bool>) {
      for (std::size_t i = 0; i < values.size(); ++i) {
        bool value = false;
        each(value);
        values[i] = value;
      }
    } else {
      for (T& value : values) each(value);
    }
  }

 private:
  [[nodiscard]] std::int64_t integer_in(std::int64_t low, std::int64_t high);
  [[nodiscard]] std::size_t count(std::size_t least_bytes);

  std::string_view bytes_;
  std::string file_;
  std::size_t at_ = 0;
};

}  // namespace spillway::partitioner
