// What the bytes of a memory hold as the walk goes over the commands, and who may still be reading or writing them.
#pragma once

#include <optional>
#include <vector>

#include "partitioner/region_set.h"
#include "partitioner/written_regions.h"

namespace spillway::partitioner {

/// Why an access is wrong; nullopt is a good access.
struct Fault {
  enum class Kind : std::uint8_t {
    kNoData,     ///< `box` of the operand is not there
    kUnordered,  ///< `other` touches the same bytes and is not certain to be over
    kTwice,      ///< `box` has been stored before
    kReadOnly,   ///< a graph input or constant
  } kind = Kind::kNoData;
  Box box;
  std::int32_t other = kNone;
  bool other_writes = false;
};

/// Accesses that a later access of the same bytes must wait for: neither settled, nor followed by an access of all
/// their bytes that whatever comes later must wait for instead. Found by page, since with room to spare loads run far
/// ahead and there may be many.
class Accesses {
 public:
  /// For a memory of `bytes`.
  Accesses(const HappensBefore& order, std::int64_t bytes);

  void add(std::int32_t command, bool write, const Footprint& where);
  /// An access to the footprint's bytes that is not over whenever `command` starts.
  [[nodiscard]] std::optional<Fault> race(std::int32_t command, const Footprint& where);

 private:
  struct Access {
    std::int32_t command = kNone;
    bool write = false;
    bool live = true;
    std::uint32_t visit = 0;  // the last query that has seen it
    Footprint where;
  };
  /// Calls visit(access) once for each live access whose hull meets the footprint's; stops when it returns true.
  template <typename Visit>
  void for_each_meeting(const Footprint& where, Visit visit);
  void enter(std::uint32_t id);
  void prune();

  static constexpr std::size_t kShort = 1024;
  static constexpr std::int64_t kPages = 256;
  const HappensBefore* order_;
  std::int64_t page_bytes_;
  std::vector<Access> accesses_;
  std::vector<std::vector<std::uint32_t>> pages_;  // ids of the accesses whose hulls touch the page
  std::uint32_t visit_ = 0;
  std::size_t prune_at_ = kShort;
};

/// A scratchpad or one engine's accumulators: any bytes may hold any storage under any placement.
class MemoryState {
 public:
  /// `last_read[s]`: the last command that reads storage s here; what nobody reads any more is forgotten.
  MemoryState(const HappensBefore& order, std::int64_t bytes, std::vector<std::int32_t> last_read)
      : order_(&order), last_read_(std::move(last_read)), accesses_(order, bytes) {}

  [[nodiscard]] std::optional<Fault> read(std::int32_t command, StorageId storage, const Footprint& where);
  [[nodiscard]] std::optional<Fault> write(std::int32_t command, StorageId storage, const Footprint& where);

 private:
  /// A storage's data under one placement.
  struct Residence {
    StorageId storage = kNone;
    Footprint hull;  ///< placement, and a box and bytes around all that is valid
    WrittenRegions valid;
  };
  void forget(std::int32_t command);

  static constexpr std::size_t kShort = 64;
  const HappensBefore* order_;
  std::vector<std::int32_t> last_read_;
  Accesses accesses_;
  std::vector<Residence> residences_;
  std::size_t forget_at_ = kShort;
};

/// Row-major over the storage's factors, from its DRAM address.
[[nodiscard]] Placement dense_placement(const Storage& storage);

/// DRAM: each storage has its own dense placement; ranges of different storages may overlap if their uses are ordered.
class DramState {
 public:
  DramState(const HappensBefore& order, const Program& program);

  [[nodiscard]] std::optional<Fault> read(std::int32_t command, StorageId storage, const Footprint& where);
  [[nodiscard]] std::optional<Fault> write(std::int32_t command, StorageId storage, const Footprint& where);
  /// The first part of the storage that is not in DRAM now.
  [[nodiscard]] std::optional<Box> absent(StorageId storage) const;

 private:
  struct Cell {
    Box whole;
    Footprint dense;  ///< its placement; the box is set where it is used
    bool read_only = false;
    WrittenRegions valid;
    RegionSet written;  ///< ever
    std::vector<StorageId> overlaps;
    std::optional<Accesses> accesses;  ///< only where ranges overlap; else single assignment leaves no hazard
  };
  void find_overlaps(const Program& program);

  const HappensBefore* order_;
  std::vector<Cell> cells_;
};

}  // namespace spillway::partitioner
