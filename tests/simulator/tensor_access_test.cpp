// Elements of tensors whose dimensions are made of several factors of their storage.
#include "simulator/functional/tensor_access.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <numeric>
#include <random>

namespace spillway::simulator::test {

namespace {

/// Factors that lie in random order without gaps but for one unused element behind each, as dimensions of one to three
/// factors.
struct Layout {
  AddressMap map;
  std::int64_t elements = 1, bytes = 0;

  Layout(std::mt19937& random, std::int64_t element_bytes) {
    const auto below = [&](std::size_t n) { return random() % n; };
    const std::size_t rank = 1 + below(3);
    std::vector<std::vector<std::int64_t>> extents(rank);
    std::vector<std::vector<std::int64_t>> strides(rank);
    for (std::size_t d = 0; d < rank; ++d) {
      const std::size_t factors = 1 + below(3);
      for (std::size_t f = 0; f < factors; ++f) extents[d].push_back(1 + static_cast<std::int64_t>(below(9)));
      strides[d].resize(factors);
    }
    std::vector<std::pair<std::size_t, std::size_t>> order;
    for (std::size_t d = 0; d < rank; ++d) {
      for (std::size_t f = 0; f < extents[d].size(); ++f) order.emplace_back(d, f);
    }
    std::shuffle(order.begin(), order.end(), random);
    bytes = element_bytes;
    for (const auto& [d, f] : order) {
      strides[d][f] = bytes;
      bytes *= extents[d][f] + static_cast<std::int64_t>(below(2));
    }
    map.base = 32;
    bytes += map.base;
    map.rank = static_cast<int>(rank);
    for (std::size_t d = 0; d < rank; ++d) {
      const std::int64_t all =
          std::accumulate(extents[d].begin(), extents[d].end(), std::int64_t{1}, std::multiplies<>());
      elements *= all;
      for (std::int64_t i = 0; i < all; ++i) {
        std::int64_t rest = i, offset = 0;
        for (std::size_t f = extents[d].size(); f-- > 0;) {
          offset += rest % extents[d][f] * strides[d][f];
          rest /= extents[d][f];
        }
        map.offsets[d].push_back(offset);
      }
    }
  }

  /// Of element i, row-major.
  [[nodiscard]] std::int64_t address(std::int64_t i) const {
    std::int64_t at = map.base;
    for (int d = map.rank - 1; d >= 0; --d) {
      const auto& offsets = map.offsets[static_cast<std::size_t>(d)];
      at += offsets[static_cast<std::size_t>(i % std::ssize(offsets))];
      i /= std::ssize(offsets);
    }
    return at;
  }
};

}  // namespace

TEST_CASE("elements lie where their coordinates say, however they are reached", "[simulator][memory]") {
  std::mt19937 random(5);
  for (int round = 0; round < 300; ++round) {
    const auto format = round % 2 == 0 ? configs::Format::kFp32 : configs::Format::kInt8;
    const std::int64_t element_bytes = format == configs::Format::kFp32 ? 4 : 1;
    const Layout layout(random, element_bytes);
    if (layout.elements > 100000) continue;
    Memory memory("scratchpad", layout.bytes + 64);
    std::vector<float> values(static_cast<std::size_t>(layout.elements));
    for (float& value : values) value = static_cast<float>(random() % 255) - 127.0F;
    write_floats(memory, layout.map, format, 3, values.data());
    for (std::int64_t i = 0; i < layout.elements; ++i) {
      const std::byte* at = memory.read(layout.address(i), element_bytes, 3);
      float found = 0;
      if (format == configs::Format::kFp32) {
        std::memcpy(&found, at, sizeof found);
      } else {
        found = static_cast<float>(static_cast<std::int8_t>(*at));
      }
      REQUIRE(found == values[static_cast<std::size_t>(i)]);
    }
    std::vector<float> again(values.size());
    read_floats(memory, layout.map, format, 3, again.data());
    REQUIRE(again == values);
    // One byte of another owner, at any element, is noticed.
    const auto strange = static_cast<std::int64_t>(random() % static_cast<std::size_t>(layout.elements));
    (void)memory.write(layout.address(strange), 1, 4);
    REQUIRE_THROWS_AS(read_floats(memory, layout.map, format, 3, again.data()), WrongRead);
  }
}

}  // namespace spillway::simulator::test
