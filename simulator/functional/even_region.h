// A region of a memory whose elements lie at one distance along every dimension, and the stretches of bytes that it
// covers: what loops over elements and checks of whole stretches need to know.
#pragma once

#include "simulator/functional/tensor_access.h"

namespace spillway::simulator {

class EvenRegion {
 public:
  using Strides = std::array<std::int64_t, workloads::kMaxRank>;

  /// Of a map that is not empty. False if a dimension has no one step, or a negative one, or one that is no multiple of
  /// `element_bytes`.
  [[nodiscard]] bool of(const AddressMap& map, std::int64_t element_bytes);
  /// Of the part `box` of a tensor, without listing an address.
  [[nodiscard]] bool of(const partitioner::TensorView& view, const partitioner::Placement& placement, const Box& box,
                        std::int64_t element_bytes);

  /// The same elements with the dimensions in another order.
  [[nodiscard]] EvenRegion ordered(std::span<const int> order) const;

  [[nodiscard]] std::int64_t first() const { return first_; }
  [[nodiscard]] const Strides& strides() const { return strides_; }  ///< in elements
  [[nodiscard]] const Box& box() const { return box_; }              ///< as large as the region, from 0 on
  /// Whether the elements lie row-major without gaps.
  [[nodiscard]] bool dense() const;

  /// Reads or claims all of it: access(address, bytes) returns where `address` lies. The place of the first element.
  template <typename Access>
  [[nodiscard]] auto reach(Access access) const {
    decltype(access(std::int64_t{}, std::int64_t{})) first = nullptr;
    for_each([&](std::int64_t address, std::int64_t bytes) { first = access(address, bytes) - (address - first_); });
    return first;
  }

  /// visit(address, bytes)
  template <typename Visit>
  void for_each(Visit visit) const {
    Strides index{};
    std::int64_t address = first_;
    while (true) {
      visit(address, length_);
      int d = 0;
      for (; d < outer_; ++d) {
        const auto o = static_cast<std::size_t>(d);
        address += step_[o];
        if (++index[o] < outer_extent_[o]) break;
        address -= step_[o] * outer_extent_[o];
        index[o] = 0;
      }
      if (d == outer_) return;
    }
  }

 private:
  [[nodiscard]] bool along(const std::vector<partitioner::FactorRef>& refs, const partitioner::Placement& placement,
                           std::int64_t begin, std::int64_t extent, std::int64_t& step);
  /// With first_ and box_ known, and a step in bytes for each dimension.
  [[nodiscard]] bool lay_out(const Strides& bytes, std::int64_t element_bytes);

  std::int64_t first_ = 0, length_ = 0;
  int outer_ = 0;  ///< dimensions that are stepped through; the others make up one stretch
  Strides strides_{}, outer_extent_{}, step_{};
  Box box_;
};

}  // namespace spillway::simulator
