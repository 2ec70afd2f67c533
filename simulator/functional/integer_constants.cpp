#include "simulator/functional/integer_constants.h"

#include <emmintrin.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "simulator/functional/element_codec.h"
#include "simulator/functional/even_region.h"
#include "workloads/compute/narrow.h"
#include "workloads/compute/simd.h"
#include "workloads/compute/strided.h"
#include "workloads/exact_grid.h"

namespace spillway::simulator {

using workloads::Quantiser;
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

constexpr std::int64_t kColumns = 256;

constexpr std::int64_t kTile = 16;  // bytes

/// to[c * to_row + r] = from[r * from_row + c] for 16 rows and at most 16 columns; reads 16 bytes of each row.
void transpose_tile(std::int64_t columns, const std::int8_t* from, std::int64_t from_row, std::byte* to,
                    std::int64_t to_row) {
  __m128i row[kTile], mixed[kTile];
  for (int i = 0; i < kTile; ++i) row[i] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i * from_row));
  // Each round interleaves the first half of the rows with the second: after four, bits of the indices have changed
  // places.
  const auto round = [](const __m128i* in, __m128i* out) {
    for (int i = 0; i < kTile / 2; ++i) {
      out[2 * i] = _mm_unpacklo_epi8(in[i], in[i + kTile / 2]);
      out[2 * i + 1] = _mm_unpackhi_epi8(in[i], in[i + kTile / 2]);
    }
  };
  round(row, mixed);
  round(mixed, row);
  round(row, mixed);
  round(mixed, row);
  for (std::int64_t i = 0; i < columns; ++i) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i * to_row), row[i]);
  }
}

/// `from` may be read up to kTile bytes behind its end.
void transpose_bytes(std::int64_t rows, std::int64_t columns, const std::int8_t* from, std::int64_t from_row,
                     std::byte* to, std::int64_t to_row) {
  for (std::int64_t c = 0; c < columns; c += kTile) {
    for (std::int64_t r = 0; r < rows; r += kTile) {
      if (r + kTile <= rows) {
        transpose_tile(std::min(kTile, columns - c), from + r * from_row + c, from_row, to + c * to_row + r, to_row);
        continue;
      }
      for (std::int64_t j = c; j < std::min(c + kTile, columns); ++j) {
        for (std::int64_t i = r; i < rows; ++i) to[j * to_row + i] = static_cast<std::byte>(from[i * from_row + j]);
      }
    }
  }
}

/// Each channel has its own column and becomes a row. Columns are measured and encoded a block at a time, of which a
/// copy without gaps stays in the cache in between, and turned round as bytes.
std::vector<Quantiser> write_byte_columns(const float* data, const Slabs& slabs, std::byte* first,
                                          std::int64_t channel_step) {
  constexpr std::int64_t kCopy = 1 << 18, kMost = 256, kRows = 16;  // floats of the copy; columns, rows
  const std::int64_t width = std::clamp<std::int64_t>(kCopy / slabs.outer / kRows * kRows, kRows, kMost);
  std::vector<Quantiser> quantisers(at(slabs.channels));
  parallel_for((slabs.channels + width - 1) / width, [&](std::int64_t i) {
    const std::int64_t c0 = i * width, channels = std::min(width, slabs.channels - c0);
    const Scratch copy(slabs.outer * channels);
    alignas(64) std::array<float, kMost> largest{}, scales{}, reciprocals{};
    for (std::int64_t k = 0; k < slabs.outer; ++k) {
      const float* row = data + k * slabs.channels + c0;
      // Rows are too short for the processor to foresee the next one.
      constexpr std::int64_t kAhead = 16, kLine = 64 / sizeof(float);
      for (std::int64_t c = 0; c < channels && k + kAhead < slabs.outer; c += kLine) {
        _mm_prefetch(reinterpret_cast<const char*>(row + kAhead * slabs.channels + c), _MM_HINT_T0);
      }
      std::copy_n(row, channels, copy.get() + k * channels);
      narrow().largest_columns(channels, copy.get() + k * channels, largest.data());
    }
    bool moderate = true;
    for (std::int64_t c = 0; c < channels; ++c) {
      const Quantiser q = quantisers[at(c0 + c)] = workloads::symmetric_quantiser({-largest[at(c)], largest[at(c)]}, 8);
      scales[at(c)] = q.scale;
      reciprocals[at(c)] = 1.0F / q.scale;
      moderate = moderate && q.scale >= 0x1p-90F && q.scale <= 0x1p90F;  // narrow().encode8_columns()
    }
    alignas(64) std::array<std::int8_t, kRows * kMost + kTile> bytes;
    for (std::int64_t k = 0; k < slabs.outer; k += kRows) {
      const std::int64_t rows = std::min(kRows, slabs.outer - k);
      for (std::int64_t r = 0; r < rows; ++r) {
        const float* row = copy.get() + (k + r) * channels;
        std::int8_t* to = &bytes[at(r * kMost)];
        if (moderate) {
          narrow().encode8_columns(channels, row, scales.data(), reciprocals.data(), to);
        } else {
          for (std::int64_t c = 0; c < channels; ++c) {
            to[c] = static_cast<std::int8_t>(quantisers[at(c0 + c)].encode(row[c]));
          }
        }
      }
      transpose_bytes(rows, channels, bytes.data(), kMost, first + c0 * channel_step + k, channel_step);
    }
  });
  return quantisers;
}

/// Each channel has its own column: blocks of them are turned round in the cache and encoded as rows.
void write_columns(const float* data, const Slabs& slabs, std::int64_t element, std::byte* first,
                   std::int64_t channel_step, configs::Format format, std::span<const Quantiser> quantisers) {
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

/// Adjacent values, encoded and then put where they belong.
void write_slab(const Box& box, const float* data, std::byte* to, const EvenRegion::Strides& lies,
                const ElementCodec& codec) {
  const std::int64_t elements = box.elements();
  if (workloads::compute::is_dense(box, lies)) return codec.write(elements, data, to, 1);
  const Scratch buffer((elements + kTile) / 4 + 1);
  auto* bytes = reinterpret_cast<std::byte*>(buffer.get());
  codec.write(elements, data, bytes, 1);
  // [channels of the input, taps] with the channels to come innermost
  const std::int64_t tap_step = box.rank > 2 ? workloads::compute::common_step(box, lies, 2, box.rank) : 0;
  if (box.extent[0] == 1 && lies[1] == 1 && tap_step > 0) {
    const std::int64_t taps = elements / box.extent[1];
    return transpose_bytes(box.extent[1], taps, reinterpret_cast<const std::int8_t*>(bytes), taps, to, tap_step);
  }
  const workloads::compute::Loops<2> loops(box, {lies, workloads::compute::dense_strides(box)});
  const std::int64_t step_to = loops.step(0), step_from = loops.step(1);
  loops.for_each_row([&](const std::array<std::int64_t, 2>& offset, std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) to[offset[0] + i * step_to] = bytes[offset[1] + i * step_from];
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

/// The largest magnitude of each; NaN counts as nothing.
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
    // Rows as they follow each other: a band of them for each thread's turn.
    constexpr std::int64_t kBand = 1 << 17;  // elements
    const std::int64_t rows = std::max<std::int64_t>(1, kBand / channels), bands = (slabs->outer + rows - 1) / rows;
    std::vector<float> of_band(at(bands * channels), 0);
    parallel_for(bands, [&](std::int64_t i) {
      for (std::int64_t k = i * rows; k < std::min(slabs->outer, (i + 1) * rows); ++k) {
        narrow().largest_columns(channels, data + k * channels, &of_band[at(i * channels)]);
      }
    });
    for (std::int64_t i = 0; i < bands; ++i) {
      for (std::int64_t c = 0; c < channels; ++c)
        largest[at(c)] = std::max(largest[at(c)], of_band[at(i * channels + c)]);
    }
  } else {
    parallel_for(channels, [&](std::int64_t c) {
      for (std::int64_t o = 0; o < slabs->outer; ++o) {
        largest[at(c)] = std::max(largest[at(c)], narrow().largest(inner, data + (o * channels + c) * inner));
      }
    });
  }
  return largest;
}

/// The first values of one channel, at most `most` of them.
std::vector<float> channel_of(const ChannelValues& values, const std::optional<Slabs>& slabs, std::int64_t channel,
                              std::int64_t most) {
  std::vector<float> found;
  if (!slabs) {
    for_each_element(values.channels, [&](std::int64_t c, std::int64_t i) {
      if (c == channel && std::ssize(found) < most) found.push_back(values.data[i]);
    });
    return found;
  }
  for (std::int64_t o = 0; o < slabs->outer && std::ssize(found) < most; ++o) {
    const float* first = values.data + (o * slabs->channels + channel) * slabs->inner;
    found.insert(found.end(), first, first + std::min(slabs->inner, most - std::ssize(found)));
  }
  return found;
}

/// False if the weights have certainly not been rounded to a grid before. Who rounds weights rounds every channel: the
/// first values that are not zero tell, since a part of what lies on a grid lies on one.
bool may_be_rounded(const ChannelValues& values, const std::optional<Slabs>& slabs) {
  constexpr std::int64_t kSample = 1024;
  for (std::int64_t channel = 0; channel < static_cast<std::int64_t>(values.count); ++channel) {
    const std::vector<float> sample = channel_of(values, slabs, channel, kSample);
    const bool zero = std::none_of(sample.begin(), sample.end(), [](float v) { return std::fabs(v) > 0; });
    if (!zero) return workloads::grid_step(sample).has_value();
  }
  return true;
}

}  // namespace

std::vector<Quantiser> quantisers_by_channel(const ChannelValues& values, int bits) {
  const auto slabs = slabs_of(values);
  const std::vector<float> largest = largest_by_channel(values, slabs);
  std::vector<Quantiser> quantisers;
  quantisers.reserve(largest.size());
  for (const float most : largest) quantisers.push_back(workloads::symmetric_quantiser({-most, most}, bits));
  if (!may_be_rounded(values, slabs)) return quantisers;
  const auto look = [&](std::int64_t channel) {
    const std::vector<float> of_channel = channel_of(values, slabs, channel, values.box.elements());
    const auto step = workloads::grid_step(of_channel);
    if (!step) return false;
    Quantiser& q = quantisers[at(channel)];
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

std::vector<Quantiser> write_by_channel(Memory& memory, const AddressMap& map, configs::Format format,
                                        partitioner::StorageId storage, const ChannelValues& values) {
  const std::int64_t element = configs::bytes_of(format);
  const int bits = static_cast<int>(8 * element);
  const auto slabs = slabs_of(values);
  EvenRegion region;
  if (values.box.empty() || !slabs || !region.of(map, element)) {
    auto quantisers = quantisers_by_channel(values, bits);
    std::vector<float> integers(values.data, values.data + values.box.elements());
    for_each_element(values.channels, [&](std::int64_t channel, std::int64_t i) {
      integers[at(i)] = static_cast<float>(quantisers[at(channel)].encode(integers[at(i)]));
    });
    write_floats(memory, map, format, storage, integers.data());
    return quantisers;
  }
  std::byte* first = region.reach([&](std::int64_t a, std::int64_t bytes) { return memory.write(a, bytes, storage); });
  const auto from = workloads::compute::dense_strides(values.box);
  const EvenRegion::Strides& lies = region.strides();
  if (slabs->channels == 1) {
    auto quantisers = quantisers_by_channel(values, bits);
    write_part(values.box, values.data, from, first, lies, ElementCodec(format, quantisers[0]));
    return quantisers;
  }
  const bool columns_become_rows =
      slabs->inner == 1 && workloads::compute::common_step(values.box, lies, 0, slabs->dim) == 1;
  // Each channel by its largest value, while that is in the cache.
  const bool alone = !may_be_rounded(values, slabs);
  if (alone && columns_become_rows && format == configs::Format::kInt8) {
    return write_byte_columns(values.data, *slabs, first, lies[at(slabs->dim)]);
  }
  Box one = values.box;
  one.extent[at(slabs->dim)] = 1;
  if (alone && slabs->outer == 1 && element == 1) {  // each channel's values follow each other
    std::vector<Quantiser> quantisers(values.count);
    parallel_for(slabs->channels, [&](std::int64_t c) {
      const float* slab = values.data + c * slabs->inner;
      const float most = narrow().largest(slabs->inner, slab);
      quantisers[at(c)] = workloads::symmetric_quantiser({-most, most}, bits);
      write_slab(one, slab, first + c * lies[at(slabs->dim)], lies, ElementCodec(format, quantisers[at(c)]));
    });
    return quantisers;
  }
  auto quantisers = quantisers_by_channel(values, bits);
  if (columns_become_rows) {
    write_columns(values.data, *slabs, element, first, lies[at(slabs->dim)], format, quantisers);
    return quantisers;
  }
  parallel_for(slabs->channels, [&](std::int64_t c) {
    write_part(one, values.data + c * from[at(slabs->dim)], from, first + c * lies[at(slabs->dim)] * element, lies,
               ElementCodec(format, quantisers[at(c)]));
  });
  return quantisers;
}

}  // namespace spillway::simulator
