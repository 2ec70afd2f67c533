// Weights brought into integers: every layout against the definition, element by element.
#include "simulator/functional/integer_constants.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

namespace spillway::simulator::test {

namespace {

/// Address = the sum over dimensions of step[d] * coordinate.
AddressMap map_of(const workloads::Shape& shape, const std::vector<std::int64_t>& step) {
  AddressMap map;
  map.rank = static_cast<int>(shape.size());
  for (std::size_t d = 0; d < shape.size(); ++d) {
    for (std::int64_t i = 0; i < shape[d]; ++i) map.offsets[d].push_back(i * step[d]);
  }
  return map;
}

/// Steps of an array without gaps whose dimensions follow each other in `order`, outermost first.
std::vector<std::int64_t> steps(const workloads::Shape& shape, const std::vector<std::size_t>& order,
                                std::int64_t element) {
  std::vector<std::int64_t> step(shape.size());
  for (auto d = order.rbegin(); d != order.rend(); ++d) {
    step[*d] = element;
    element *= shape[*d];
  }
  return step;
}

struct Layout {
  workloads::Shape shape;
  std::size_t channel_dim;  // of the shape; its size: one channel
  std::vector<std::size_t> order;
};

}  // namespace

TEST_CASE("weights are encoded by their channel's largest magnitude, in any layout", "[simulator][formats]") {
  const std::vector<Layout> layouts{
      {{70, 300}, 1, {1, 0}},             // a product's weights, columns become rows
      {{33, 19}, 1, {1, 0}},              // odd edges
      {{1000, 17}, 1, {1, 0}},            // tall
      {{3, 40}, 1, {1, 0}},               // few rows
      {{70, 300}, 1, {0, 1}},             // as they lie
      {{24, 10, 3, 3}, 0, {0, 2, 3, 1}},  // a convolution's, channels last
      {{24, 10, 1, 1}, 0, {0, 2, 3, 1}},
      {{24, 10, 3, 3}, 0, {2, 3, 1, 0}},
      {{24, 10, 3, 3}, 1, {1, 2, 3, 0}},  // a transposed convolution's
      {{50, 60}, 2, {0, 1}},              // one scale
      {{50, 60}, 2, {1, 0}},
  };
  std::mt19937 random(5);
  for (const Layout& layout : layouts) {
    for (const auto format : {configs::Format::kInt8, configs::Format::kInt16}) {
      const bool strange = GENERATE(false, true);
      CAPTURE(layout.shape, layout.order, strange);
      const std::int64_t elements =
          std::accumulate(layout.shape.begin(), layout.shape.end(), std::int64_t{1}, std::multiplies<>());
      std::vector<float> values(static_cast<std::size_t>(elements));
      std::normal_distribution<float> normal(0, 0.05F);
      for (float& v : values) v = normal(random);
      std::vector<std::int64_t> channel_step(layout.shape.size(), 0);
      std::size_t channels = 1;
      if (layout.channel_dim < layout.shape.size()) {
        channel_step[layout.channel_dim] = 1;
        channels = static_cast<std::size_t>(layout.shape[layout.channel_dim]);
      }
      const AddressMap channel_map = map_of(layout.shape, channel_step);
      std::vector<std::int64_t> channel(values.size());
      for_each_element(channel_map, [&](std::int64_t c, std::int64_t i) { channel[static_cast<std::size_t>(i)] = c; });
      if (strange) {  // a channel of zeros, one of numbers too small to divide by products, NaN
        for (std::size_t i = 0; i < values.size(); ++i) {
          if (channel[i] == 1) values[i] = 0;
          if (channel[i] == 2) values[i] *= 1e-33F;
        }
        values[0] = std::numeric_limits<float>::quiet_NaN();
      }
      const std::int64_t element = configs::bytes_of(format);
      const AddressMap map = map_of(layout.shape, steps(layout.shape, layout.order, element));
      Memory memory("DRAM", elements * element);
      const ChannelValues given{workloads::whole(layout.shape), values.data(), channel_map, channels};
      const auto quantisers = write_by_channel(memory, map, format, 3, given);
      REQUIRE(quantisers.size() == channels);
      CHECK(quantisers == quantisers_by_channel(given, static_cast<int>(8 * element)));
      std::vector<float> largest(channels, 0);
      for (std::size_t i = 0; i < values.size(); ++i) {
        float& most = largest[static_cast<std::size_t>(channel[i])];
        if (!std::isnan(values[i])) most = std::max(most, std::fabs(values[i]));
      }
      for (std::size_t c = 0; c < channels; ++c) {
        CHECK(quantisers[c] ==
              workloads::symmetric_quantiser({-largest[c], largest[c]}, static_cast<int>(8 * element)));
      }
      std::vector<std::int64_t> found(values.size());
      read_integers(memory, map, format, 3, found.data());
      int wrong = 0;
      for (std::size_t i = 0; i < values.size(); ++i) {
        wrong += found[i] == quantisers[static_cast<std::size_t>(channel[i])].encode(values[i]) ? 0 : 1;
      }
      CHECK(wrong == 0);
    }
  }
}

}  // namespace spillway::simulator::test
