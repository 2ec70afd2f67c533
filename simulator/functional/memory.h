// A byte-addressed memory that remembers which storage wrote every element.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "partitioner/program.h"
#include "simulator/functional/owners.h"
#include "simulator/functional/waves.h"
#include "workloads/compute/product.h"
#include "workloads/compute/strided.h"
#include "workloads/execution/value.h"

namespace spillway::simulator {

/// Floats of `box` that lie under `at` in bytes whose address 0 would be at `base`. Empty if they are not aligned.
[[nodiscard]] std::optional<workloads::ConstStridedView> floats_at(const std::byte* base,
                                                                   const partitioner::Placement& at,
                                                                   const workloads::Box& box);

/// Bytes are handed out by stretches: whoever reads or writes one says whose it is, and a stretch is checked at once.
/// Values lie in the element format of their operand.
class Memory {
 public:
  Memory(std::string name, configs::Bytes bytes);
  /// A memory where every storage keeps its own address range, but several may have the same: each has a buffer of its
  /// own while it is in use, so that the host's memory is taken, and its pages cleared, no more often than need be.
  Memory(std::string name, configs::Bytes bytes, std::span<const partitioner::Storage> storages,
         std::shared_ptr<workloads::BufferPool> buffers);

  /// The bytes [address, address + bytes), all of them written by `storage`. Throws WrongRead if not.
  [[nodiscard]] const std::byte* read(std::int64_t address, std::int64_t bytes, partitioner::StorageId storage) const;
  /// The same bytes, which are the storage's from now on. Several threads may read and write at once where no line of
  /// owners that one writes is another's too, after prepare() for every operand.
  [[nodiscard]] std::byte* write(std::int64_t address, std::int64_t bytes, partitioner::StorageId storage);
  /// What a command does with an operand's bytes. Replaced: writes all of them, and reads none there.
  enum class Use : std::uint8_t { kRead, kWritten, kReplaced };
  void prepare(const partitioner::Operand& operand, Use use);

  /// Contents that are there from the start and lie elsewhere: whoever reads the storage under `given` finds an element
  /// at data + x, where x would be its address under `lies`.
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
  /// Of any format: the floats that its elements are made of when they are read; nullptr if they are there already.
  [[nodiscard]] const Lent* lent_values(const partitioner::Operand& operand) const;
  /// Nobody uses the storage any more.
  void forget(partitioner::StorageId storage);

  /// A constant that `make` writes here when prepare() first meets the storage, on buffers that others have used if
  /// that is late; not if another storage has been written in its place. If `kept`, it is there again after restart().
  void promise(partitioner::StorageId storage, bool kept, std::function<void()> make);
  /// The promised constant as it lies here; nullopt if it is none, or gone. Whoever writes it writes on a copy.
  [[nodiscard]] std::optional<Lent> constant(const partitioner::Operand& operand);
  /// All other contents are gone. All storages are below `storages`.
  void restart(std::int32_t storages);

  /// Elements that were copied here, but whose copying can wait until somebody needs their bytes at their addresses:
  /// `operand`'s elements are those of `lent`. False (and nothing done) if the operand's elements are not adjacent.
  /// `packed` takes the forms of them that products make; nullptr: they last as long as the copy.
  [[nodiscard]] bool alias(const partitioner::Operand& operand, const Lent& lent,
                           std::shared_ptr<workloads::compute::PackedPanels> packed = nullptr);
  /// Where the elements of `box` (storage coordinates) can be read under the operand's placement without copying them
  /// first; nullptr if nowhere but here.
  struct Alias {
    partitioner::Operand operand;
    std::int64_t begin = 0, end = 0;  ///< addresses
    partitioner::Placement lies;
    const std::byte* data = nullptr;
    std::shared_ptr<const void> owner;
    std::shared_ptr<workloads::compute::PackedPanels> packed;
    std::vector<AddressRange> gone;  ///< what others have overwritten since: in order, apart, not empty
    std::atomic<bool> copied = false;

    /// Forgets these bytes. Whether any is left.
    bool lose(AddressRange range);
    [[nodiscard]] bool has_any_of(AddressRange range) const;
    [[nodiscard]] bool stands_for(const partitioner::Operand& other, const workloads::Box& box) const;
  };
  [[nodiscard]] const Alias* aliased(const partitioner::Operand& operand, const workloads::Box& box) const;

 private:
  [[nodiscard]] std::byte* base_of(partitioner::StorageId storage) const;
  void reserve(partitioner::StorageId storage);
  void fulfil(partitioner::StorageId storage);
  /// Copies what the aliases in these bytes stand for.
  void settle(std::int64_t address, std::int64_t bytes) const;
  /// All of these bytes are about to be written: what aliases stand for there is nobody's any more.
  void give_up(AddressRange range);
  void forget_copied();
  /// After aliases_ have changed.
  void list_open();
  void copy(Alias& alias) const;

  struct Home {
    std::int64_t address = 0, bytes = 0;
    std::shared_ptr<float> buffer;
    std::shared_ptr<float> kept;
    bool constant = false;  ///< others may have its address

    [[nodiscard]] bool is_writable() const { return buffer != nullptr && !constant; }
  };
  struct Promise {
    bool kept = false;
    bool open = true;
    std::function<void()> make;
  };

  std::string name_;
  std::int64_t size_;
  Owners owners_;
  Pages bytes_;
  bool has_homes_ = false;
  std::shared_ptr<workloads::BufferPool> buffers_;  // outlives what it handed out
  std::vector<Home> homes_;                         ///< by storage
  std::map<partitioner::StorageId, Lent> lent_;
  std::map<partitioner::StorageId, Promise> promises_;
  // Whoever reads an alias's bytes by their addresses makes it a copy; what is read is the same.
  mutable std::list<Alias> aliases_;
  struct Open {
    std::int64_t begin = 0, end = 0;
    Alias* alias = nullptr;
  };
  std::vector<Open> open_;  ///< all aliases, side by side: every stretch that is read or written looks through them
  mutable std::unique_ptr<std::mutex> copying_ = std::make_unique<std::mutex>();
};

/// A read of the wrong bytes, before it is known which command and tensor it was.
struct WrongRead {
  std::string memory;
  std::int64_t address = 0;
  partitioner::StorageId wanted = partitioner::kNone;
  partitioner::StorageId owner = partitioner::kNone;  ///< of what lies there; kNone: never written
};

}  // namespace spillway::simulator
