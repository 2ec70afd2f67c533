// Which storage wrote every element of a memory last.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "partitioner/program.h"

namespace spillway::simulator {

/// Anonymous pages, zero and without cost until they are touched.
class Pages {
 public:
  explicit Pages(std::size_t bytes);
  ~Pages();
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  Pages(Pages&& other) noexcept : data_(other.data_), bytes_(other.bytes_) { other.data_ = nullptr; }
  Pages& operator=(Pages&&) = delete;

  [[nodiscard]] std::byte* data() const { return data_; }
  void clear();

 private:
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
};

/// Owners are kept by byte, since neighbours within a word may be of two storages, but a line of bytes that
///  has one owner is noted once: stretches are written and checked at a fraction of the cost of their bytes.
class Owners {
 public:
  static constexpr std::int64_t kLine = 64;

  explicit Owners(std::size_t bytes);

  void set(std::int64_t address, std::int64_t bytes, partitioner::StorageId storage);
  /// Nothing is anybody's any more. All storages until now were below `storages`.
  void clear(std::int32_t storages);
  struct Wrong {
    std::int64_t address = 0;
    partitioner::StorageId owner = partitioner::kNone;
  };
  /// The first of the bytes that is not the storage's.
  [[nodiscard]] std::optional<Wrong> other_than(partitioner::StorageId storage, std::int64_t address,
                                                std::int64_t bytes) const;

 private:
  static constexpr std::int64_t kGranule = 1, kGranules = kLine / kGranule;
  static constexpr std::int32_t kMixed = -1;  // ask the granules; otherwise a code, or nobody's if not above cleared_

  [[nodiscard]] std::int32_t code_of(partitioner::StorageId storage) const { return cleared_ + storage + 1; }

  [[nodiscard]] std::int32_t* lines() const { return reinterpret_cast<std::int32_t*>(lines_.data()); }
  [[nodiscard]] std::int32_t* granules(std::int64_t line) const {
    return reinterpret_cast<std::int32_t*>(granules_.data()) + line * kGranules;
  }
  [[nodiscard]] Wrong wrong_at(std::int64_t address, std::int32_t owner) const {
    return {address, owner <= cleared_ ? partitioner::kNone : owner - cleared_ - 1};
  }
  void set_part(std::int64_t line, std::int64_t first, std::int64_t last, std::int32_t owner);

  Pages lines_, granules_;
  std::int32_t cleared_ = 0;  // codes up to this one are from before the last clear()
};

}  // namespace spillway::simulator
