#include "simulator/functional/integer_constants.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "simulator/functional/element_codec.h"
#include "simulator/functional/even_region.h"
#include "workloads/compute/narrow.h"
#include "workloads/compute/simd.h"
#include "workloads/compute/strided.h"
#include "workloads/exact_grid.h"

namespace spillway::simulator {

using workloads::compute::narrow;
using workloads::compute::parallel_for;
using workloads::compute::Scratch;

namespace {

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

/// A row-major tensor as [outer, channels, inner].
struct Slabs {
  std::int64_t outer = 1, channels = 1, inner = 1;
  int dim = workloads::kNone;  ///< the dimension of the channels; kNone if there is one channel
};

/// nullopt if channels do not follow one dimension.
std::optional<Slabs> slabs_of(const ChannelValues& values) {
  Slabs slabs;
  if (values.count == 1) {
    slabs.inner = values.box.elements();
    return slabs;
  }
  EvenRegion::Strides step{};
  std::int64_t first = 0;
  if (!values.channels.even(step, first) || first != 0) return std::nullopt;
  for (int d = 0; d < values.box.rank; ++d) {
    const std::int64_t extent = values.box.extent[at(d)];
    if (extent > 1 && step[at(d)] != 0) {
      if (step[at(d)] != 1 || slabs.dim != workloads::kNone) return std::nullopt;
      slabs.dim = d;
      slabs.channels = extent;
    } else {
      (slabs.dim == workloads::kNone ? slabs.outer : slabs.inner) *= extent;
    }
  }
  if (slabs.channels != static_cast<std::int64_t>(values.count)) return std::nullopt;
  return slabs;
}

/// Columns of a matrix [channels along rows' ends], as wide as a few cache lines.
constexpr std::int64_t kColumns = 256;

/// Each channel has its own columns: blocks of them are turned round in the cache and encoded as rows.
void write_columns(const float* data, const Slabs& slabs, std::int64_t element, std::byte* first,
                   std::int64_t channel_step, configs::Format format,
                   std::span<const workloads::Quantiser> quantisers) {
  constexpr std::int64_t kChannels = 64;
  const std::int64_t blocks = (slabs.channels + kChannels - 1) / kChannels;
  const std::int64_t pieces = (slabs.outer + kColumns - 1) / kColumns;
  parallel_for(blocks * pieces, [&](std::int64_t i) {
    const std::int64_t c0 = i / pieces * kChannels, k0 = i % pieces * kColumns;
    const std::int64_t channels = std::min(kChannels, slabs.channels - c0),
                       count = std::min(kColumns, slabs.outer - k0);
    const Scratch rows(kChannels * kColumns);
    workloads::compute::simd().transpose(count, channels, data + k0 * slabs.channels + c0, slabs.channels, rows.get(),
                                         count);
    for (std::int64_t c = 0; c < channels; ++c) {
      ElementCodec(format, quantisers[at(c0 + c)])
          .write(count, rows.get() + c * count, first + ((c0 + c) * channel_step + k0) * element, 1);
    }
  });
}

/// The part of a tensor that has one quantiser.
void write_part(const Box& box, const float* data, const EvenRegion::Strides& from, std::byte* to,
                const EvenRegion::Strides& lies, const ElementCodec& codec) {
  const workloads::compute::Loops<2> loops(box, {lies, from});
  const std::int64_t step_to = loops.step(0), step_from = loops.step(1), element = codec.bytes();
  loops.for_each_row([&](const std::array<std::int64_t, 2>& offset, std::int64_t n) {
    const float* source = data + offset[1];
    std::byte* target = to + offset[0] * element;
    if (step_from == 1) return codec.write(n, source, target, step_to);
    constexpr std::int64_t kBlock = 512;
    std::array<float, kBlock> block;
    for (std::int64_t i = 0; i < n; i += kBlock) {
      const std::int64_t count = std::min(kBlock, n - i);
      for (std::int64_t k = 0; k < count; ++k) block[at(k)] = source[(i + k) * step_from];
      codec.write(count, block.data(), target + i * step_to * element, step_to);
    }
  });
}

/// The largest magnitude of each channel; NaN counts as nothing.
std::vector<float> largest_by_channel(const ChannelValues& values, const std::optional<Slabs>& slabs) {
  std::vector<float> largest(values.count, 0);
  const float* data = values.data;
  if (!slabs) {
    for_each_element(values.channels, [&](std::int64_t channel, std::int64_t i) {
      largest[at(channel)] = std::max(largest[at(channel)], std::fabs(data[i]));
    });
    return largest;
  }
  const std::int64_t inner = slabs->inner, channels = slabs->channels;
  if (channels == 1) {
    constexpr std::int64_t kPiece = 1 << 16;
    const std::int64_t elements = slabs->outer * inner;
    std::vector<float> of_piece(at((elements + kPiece - 1) / kPiece));
    parallel_for(static_cast<std::int64_t>(of_piece.size()), [&](std::int64_t i) {
      of_piece[at(i)] = narrow().largest(std::min(kPiece, elements - i * kPiece), data + i * kPiece);
    });
    for (const float most : of_piece) largest[0] = std::max(largest[0], most);
  } else if (inner == 1) {
    parallel_for((channels + kColumns - 1) / kColumns, [&](std::int64_t i) {
      const std::int64_t c = i * kColumns, count = std::min(kColumns, channels - c);
      for (std::int64_t k = 0; k < slabs->outer; ++k) {
        narrow().largest_columns(count, data + k * channels + c, &largest[at(c)]);
      }
    });
  } else {
    parallel_for(channels, [&](std::int64_t c) {
      for (std::int64_t o = 0; o < slabs->outer; ++o) {
        largest[at(c)] = std::max(largest[at(c)], narrow().largest(inner, data + (o * channels + c) * inner));
      }
    });
  }
  return largest;
}

/// The values of one channel.
std::vector<float> channel_of(const ChannelValues& values, const std::optional<Slabs>& slabs, std::int64_t channel) {
  std::vector<float> found;
  if (!slabs) {
    for_each_element(values.channels, [&](std::int64_t c, std::int64_t i) {
      if (c == channel) found.push_back(values.data[i]);
    });
    return found;
  }
  found.reserve(at(slabs->outer * slabs->inner));
  for (std::int64_t o = 0; o < slabs->outer; ++o) {
    const float* first = values.data + (o * slabs->channels + channel) * slabs->inner;
    found.insert(found.end(), first, first + slabs->inner);
  }
  return found;
}

}  // namespace

std::vector<workloads::Quantiser> quantisers_by_channel(const ChannelValues& values, int bits) {
  const auto slabs = slabs_of(values);
  const std::vector<float> largest = largest_by_channel(values, slabs);
  std::vector<workloads::Quantiser> quantisers;
  for (const float most : largest) quantisers.push_back(workloads::symmetric_quantiser({-most, most}, bits));
  // Who rounds weights rounds every channel: the first that is not zero tells whether the others are worth a look.
  const auto look = [&](std::int64_t channel) {
    const std::vector<float> of_channel = channel_of(values, slabs, channel);
    const auto step = workloads::grid_step(of_channel);
    if (!step) return false;
    workloads::Quantiser& q = quantisers[at(channel)];
    q.scale = *step;
    const float lowest = *std::min_element(of_channel.begin(), of_channel.end());
    q.low = std::min(q.low, static_cast<std::int32_t>(std::nearbyint(lowest / *step)));
    return true;
  };
  const auto first = std::find_if(largest.begin(), largest.end(), [](float most) { return most > 0; });
  if (first == largest.end() || !look(first - largest.begin())) return quantisers;
  const std::int64_t next = first - largest.begin() + 1;
  parallel_for(static_cast<std::int64_t>(largest.size()) - next, [&](std::int64_t i) { look(next + i); });
  return quantisers;
}

void write_by_channel(Memory& memory, const AddressMap& map, configs::Format format, partitioner::StorageId storage,
                      const ChannelValues& values, std::span<const workloads::Quantiser> quantisers) {
  if (values.box.empty()) return;
  const std::int64_t element = configs::bytes_of(format);
  const auto slabs = slabs_of(values);
  EvenRegion region;
  if (!slabs || !region.of(map, element)) {
    std::vector<float> integers(values.data, values.data + values.box.elements());
    for_each_element(values.channels, [&](std::int64_t channel, std::int64_t i) {
      integers[at(i)] = static_cast<float>(quantisers[at(channel)].encode(integers[at(i)]));
    });
    return write_floats(memory, map, format, storage, integers.data());
  }
  std::byte* first = region.reach([&](std::int64_t a, std::int64_t bytes) { return memory.write(a, bytes, storage); });
  const auto from = workloads::compute::dense_strides(values.box);
  const EvenRegion::Strides& lies = region.strides();
  if (slabs->channels == 1) {
    return write_part(values.box, values.data, from, first, lies, ElementCodec(format, quantisers[0]));
  }
  const bool columns_become_rows =
      slabs->inner == 1 && workloads::compute::common_step(values.box, lies, 0, slabs->dim) == 1;
  if (columns_become_rows) {
    return write_columns(values.data, *slabs, element, first, lies[at(slabs->dim)], format, quantisers);
  }
  Box one = values.box;
  one.extent[at(slabs->dim)] = 1;
  parallel_for(slabs->channels, [&](std::int64_t c) {
    write_part(one, values.data + c * from[at(slabs->dim)], from, first + c * lies[at(slabs->dim)] * element, lies,
               ElementCodec(format, quantisers[at(c)]));
  });
}

}  // namespace spillway::simulator
