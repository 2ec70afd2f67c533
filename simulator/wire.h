// Values as plain bytes, between two processes of the same program: no byte order, no versions.
#pragma once

#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#include "simulator/raw_run.h"

namespace spillway::simulator {

class WireWriter {
 public:
  template <typename T>
  void value(const T& v) {
    static_assert(std::is_trivially_copyable_v<T>);
    bytes_.append(reinterpret_cast<const char*>(&v), sizeof v);
  }
  template <typename T>
  void list(const std::vector<T>& v) {
    static_assert(std::is_trivially_copyable_v<T>);
    value(v.size());
    if (!v.empty()) bytes_.append(reinterpret_cast<const char*>(v.data()), v.size() * sizeof(T));
  }
  void text(const std::string& s) {
    value(s.size());
    bytes_.append(s);
  }
  [[nodiscard]] std::string take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

class WireReader {
 public:
  explicit WireReader(const std::string& bytes) : bytes_(bytes) {}

  template <typename T>
  T value() {
    static_assert(std::is_trivially_copyable_v<T>);
    T v;
    std::memcpy(&v, take(sizeof v), sizeof v);
    return v;
  }
  template <typename T>
  std::vector<T> list() {
    std::vector<T> v(value<std::size_t>());
    if (!v.empty()) std::memcpy(v.data(), take(v.size() * sizeof(T)), v.size() * sizeof(T));
    return v;
  }
  std::string text() {
    const auto size = value<std::size_t>();
    return {take(size), size};
  }

 private:
  const char* take(std::size_t size) {
    if (size > bytes_.size() - at_) internal_error("the simulation's answer is shorter than it says");
    at_ += size;
    return bytes_.data() + at_ - size;
  }

  const std::string& bytes_;
  std::size_t at_ = 0;
};

[[nodiscard]] std::string to_bytes(const RawRun& run);
[[nodiscard]] RawRun raw_run_from(const std::string& bytes);
[[nodiscard]] std::string to_bytes(const Error& error);
[[nodiscard]] Error error_from(const std::string& bytes);

}  // namespace spillway::simulator
