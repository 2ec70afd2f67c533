// A byte-addressed memory that remembers which storage wrote every element.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "partitioner/program.h"

namespace spillway::simulator {

/// Anonymous pages, zero and without cost until they are touched, shared between a process and its later children.
class SharedPages {
 public:
  explicit SharedPages(std::size_t bytes);
  ~SharedPages();
  SharedPages(const SharedPages&) = delete;
  SharedPages& operator=(const SharedPages&) = delete;
  SharedPages(SharedPages&& other) noexcept : data_(other.data_), bytes_(other.bytes_) { other.data_ = nullptr; }
  SharedPages& operator=(SharedPages&&) = delete;

  [[nodiscard]] std::byte* data() const { return data_; }

 private:
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
};

/// Values are held in the element format of their operand; integers saturate.
class Memory {
 public:
  Memory(std::string name, configs::Bytes bytes);

  /// Throws WrongRead if the element was never written, or by another storage.
  [[nodiscard]] float load(std::int64_t address, configs::Format format, partitioner::StorageId storage) const {
    check(address, storage);
    return get(address, format);
  }
  void store(std::int64_t address, configs::Format format, partitioner::StorageId storage, float value) {
    owner_of(address) = storage + 1;
    put(address, format, value);
  }
  /// Copies `bytes` of whole elements of one storage and hands them to another (or the same).
  void copy_from(const Memory& source, std::int64_t from, partitioner::StorageId from_storage, std::int64_t to,
                 partitioner::StorageId to_storage, std::int64_t bytes);

  [[nodiscard]] float get(std::int64_t address, configs::Format format) const;
  void put(std::int64_t address, configs::Format format, float value);
  /// Exact for integers beyond what a float holds.
  void put_integer(std::int64_t address, configs::Format format, partitioner::StorageId storage, std::int64_t value);
  [[nodiscard]] std::int64_t get_integer(std::int64_t address, configs::Format format) const;

 private:
  static void put_number(std::byte* at, configs::Format format, std::int64_t value);
  /// Owners are kept per granule of 4 bytes: an element, or up to four small ones of one storage.
  static constexpr std::int64_t kGranule = 4;
  std::int32_t& owner_of(std::int64_t address) const {
    return reinterpret_cast<std::int32_t*>(owners_.data())[address / kGranule];
  }
  void check(std::int64_t address, partitioner::StorageId storage) const {
    if (owner_of(address) != storage + 1) refuse(address, storage, owner_of(address) - 1);
  }
  [[noreturn]] void refuse(std::int64_t address, partitioner::StorageId wanted, partitioner::StorageId owner) const;

  std::string name_;
  SharedPages bytes_, owners_;
};

/// A read of the wrong bytes, before it is known which command and tensor it was.
struct WrongRead {
  std::string memory;
  std::int64_t address = 0;
  partitioner::StorageId wanted = partitioner::kNone;
  partitioner::StorageId owner = partitioner::kNone;  ///< of what lies there; kNone: never written
};

}  // namespace spillway::simulator
