// A byte-addressed memory that remembers which storage wrote every element.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

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
  /// Gives the whole pages inside back; they read as zero from then on.
  void drop(std::size_t begin, std::size_t end);

 private:
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
};

/// Bytes are handed out by stretches: whoever reads or writes one says whose it is, and a stretch is checked at once.
/// Values lie in the element format of their operand.
class Memory {
 public:
  Memory(std::string name, configs::Bytes bytes);

  /// The bytes [address, address + bytes), all of them written by `storage`. Throws WrongRead if not.
  [[nodiscard]] const std::byte* read(std::int64_t address, std::int64_t bytes, partitioner::StorageId storage) const {
    check(address, bytes, storage);
    return bytes_.data() + address;
  }
  /// The same bytes, which are the storage's from now on.
  [[nodiscard]] std::byte* write(std::int64_t address, std::int64_t bytes, partitioner::StorageId storage);

  /// Contents that are there from the start and lie elsewhere: whoever reads the storage under `given` finds the
  /// element that would lie at address x under `given` at data + x under `lies`.
  struct Lent {
    partitioner::Placement given, lies;
    std::int64_t address = 0, bytes = 0;
    const std::byte* data = nullptr;
    std::shared_ptr<const void> owner;
    bool overwritten = false;
  };
  void lend(partitioner::StorageId storage, Lent contents);
  /// nullptr if the operand's elements are in this memory itself.
  [[nodiscard]] const Lent* lent(const partitioner::Operand& operand) const;
  /// Nobody reads these bytes any more.
  void forget(std::int64_t address, std::int64_t bytes);

 private:
  /// Owners are kept per granule of 4 bytes: an element, or up to four small ones of one storage.
  static constexpr std::int64_t kGranule = 4;
  [[nodiscard]] std::int32_t* owners() const { return reinterpret_cast<std::int32_t*>(owners_.data()); }
  void check(std::int64_t address, std::int64_t bytes, partitioner::StorageId storage) const;
  void overwrite(std::int64_t address, std::int64_t bytes);

  std::string name_;
  std::int64_t size_;
  Pages bytes_, owners_;
  std::map<partitioner::StorageId, Lent> lent_;
  std::map<std::int64_t, partitioner::StorageId> lent_at_;  ///< by address
  std::int64_t own_begin_ = 0, own_end_ = 0;                ///< a stretch that nothing lent lies in
};

/// A read of the wrong bytes, before it is known which command and tensor it was.
struct WrongRead {
  std::string memory;
  std::int64_t address = 0;
  partitioner::StorageId wanted = partitioner::kNone;
  partitioner::StorageId owner = partitioner::kNone;  ///< of what lies there; kNone: never written
};

}  // namespace spillway::simulator
