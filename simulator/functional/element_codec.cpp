#include "simulator/functional/element_codec.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "configs/error.h"
#include "workloads/compute/narrow.h"

namespace spillway::simulator {

using configs::Format;
using workloads::compute::narrow;

namespace {

/// Elements at a distance go through an array of this many.
constexpr std::int64_t kBlock = 1024;

/// Whole numbers of the type as they are.
template <typename Integer>
workloads::Quantiser plain() {
  return {.low = std::numeric_limits<Integer>::min(), .high = std::numeric_limits<Integer>::max()};
}

/// To the nearest integer, halves to even; NaN is 0.
std::int32_t rounded(float value) {
  constexpr double kLeast = std::numeric_limits<std::int32_t>::min(), kMost = std::numeric_limits<std::int32_t>::max();
  return std::isnan(value) ? 0 : static_cast<std::int32_t>(std::clamp(std::nearbyint(double{value}), kLeast, kMost));
}

template <std::size_t kSize>
void gather(std::int64_t n, const std::byte* from, std::int64_t step, std::byte* to) {
  for (std::int64_t i = 0; i < n; ++i) std::memcpy(to + i * std::int64_t{kSize}, from + i * step, kSize);
}

template <std::size_t kSize>
void scatter(std::int64_t n, const std::byte* from, std::byte* to, std::int64_t step) {
  for (std::int64_t i = 0; i < n; ++i) std::memcpy(to + i * step, from + i * std::int64_t{kSize}, kSize);
}

}  // namespace

ElementCodec::ElementCodec(Format format)
    : format_(format), grid_(format == Format::kInt16 ? plain<std::int16_t>() : plain<std::int8_t>()) {}

void ElementCodec::read(std::int64_t n, const std::byte* from, float* to) const {
  // Elements lie at multiples of their size; std::byte may be looked at as anything that was copied there.
  const auto as = [from]<typename T>(T) { return reinterpret_cast<const T*>(from); };
  switch (format_) {
    case Format::kFp32:
      std::memcpy(to, from, static_cast<std::size_t>(n) * sizeof(float));
      return;
    case Format::kFp16:
      return narrow().from_half(n, as(std::uint16_t{}), to);
    case Format::kBf16:
      return narrow().from_bfloat16(n, as(std::uint16_t{}), to);
    case Format::kFp8E4M3:
      return narrow().look_up(n, as(std::uint8_t{}), workloads::compute::e4m3_values(), to);
    case Format::kFp8E5M2:
      return narrow().look_up(n, as(std::uint8_t{}), workloads::compute::e5m2_values(), to);
    case Format::kInt32: {
      const float one = 1;
      return narrow().scale_sums(n, as(std::int32_t{}), &one, 0, to);
    }
    case Format::kInt16:
      return narrow().decode16(n, as(std::int16_t{}), grid_, to);
    case Format::kInt8:
      return narrow().decode8(n, as(std::int8_t{}), grid_, to);
  }
  internal_error("unknown number format");
}

void ElementCodec::write(std::int64_t n, const float* from, std::byte* to) const {
  const auto as = [to]<typename T>(T) { return reinterpret_cast<T*>(to); };
  switch (format_) {
    case Format::kFp32:
      std::memcpy(to, from, static_cast<std::size_t>(n) * sizeof(float));
      return;
    case Format::kFp16:
      return narrow().to_half(n, from, as(std::uint16_t{}));
    case Format::kBf16:
      return narrow().to_bfloat16(n, from, as(std::uint16_t{}));
    case Format::kFp8E4M3:
      return narrow().to_e4m3(n, from, as(std::uint8_t{}));
    case Format::kFp8E5M2:
      return narrow().to_e5m2(n, from, as(std::uint8_t{}));
    case Format::kInt32: {
      std::transform(from, from + n, as(std::int32_t{}), rounded);
      return;
    }
    case Format::kInt16:
      return narrow().encode16(n, from, grid_, as(std::int16_t{}));
    case Format::kInt8:
      return narrow().encode8(n, from, grid_, as(std::int8_t{}));
  }
  internal_error("unknown number format");
}

void ElementCodec::read(std::int64_t n, const std::byte* from, std::int64_t step, float* to) const {
  if (step == 1 || n == 1) return read(n, from, to);
  const std::int64_t size = bytes(), distance = step * size;
  alignas(64) std::byte block[kBlock * 4];
  for (std::int64_t i = 0; i < n; i += kBlock) {
    const std::int64_t count = std::min(kBlock, n - i);
    (size == 1 ? gather<1> : size == 2 ? gather<2> : gather<4>)(count, from + i * distance, distance, block);
    read(count, block, to + i);
  }
}

void ElementCodec::write(std::int64_t n, const float* from, std::byte* to, std::int64_t step) const {
  if (step == 1 || n == 1) return write(n, from, to);
  const std::int64_t size = bytes(), distance = step * size;
  alignas(64) std::byte block[kBlock * 4];
  for (std::int64_t i = 0; i < n; i += kBlock) {
    const std::int64_t count = std::min(kBlock, n - i);
    write(count, from + i, block);
    (size == 1 ? scatter<1> : size == 2 ? scatter<2> : scatter<4>)(count, block, to + i * distance, distance);
  }
}

void ElementCodec::round(std::int64_t n, float* values) const {
  if (format_ == Format::kFp32) return;
  if (format_ == Format::kFp16) return narrow().round_half(n, values, values);
  if (format_ == Format::kBf16) return narrow().round_bfloat16(n, values, values);
  alignas(64) std::byte block[kBlock * 4];
  for (std::int64_t i = 0; i < n; i += kBlock) {
    const std::int64_t count = std::min(kBlock, n - i);
    write(count, values + i, block);
    read(count, block, values + i);
  }
}

}  // namespace spillway::simulator
