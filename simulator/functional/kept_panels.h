// What products make of tiles of constants, kept from one run of a Program to the next: as long as a constant's bytes
// stay where they are, so does what they are packed into.
#pragma once

#include <map>
#include <memory>
#include <tuple>

#include "simulator/functional/memory.h"

namespace spillway::simulator {

class KeptPanels {
 public:
  /// Tiles of at most so many bytes in all; packed, they take about as many.
  explicit KeptPanels(configs::Bytes limit) : left_(limit) {}

  /// For the tile `box` (storage coordinates) of what is lent; nullptr if that would be beyond the limit.
  [[nodiscard]] std::shared_ptr<workloads::compute::PackedPanels> of(const Memory::Lent& lent,
                                                                     const workloads::Box& box);

 private:
  using Key = std::tuple<const std::byte*, std::array<std::int32_t, workloads::kMaxRank>,
                         std::array<std::int32_t, workloads::kMaxRank>>;
  struct Kept {
    std::shared_ptr<const void> owner;  // nothing else can come to lie at those addresses
    std::shared_ptr<workloads::compute::PackedPanels> panels;
  };

  configs::Bytes left_;
  std::map<Key, Kept> kept_;
};

}  // namespace spillway::simulator
