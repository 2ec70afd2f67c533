#include "workloads/operators/byte_sums.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "workloads/compute/int8_product.h"
#include "workloads/compute/parallel.h"
#include "workloads/operators/support.h"

namespace spillway::workloads {

namespace {

constexpr std::int64_t kLongestExact = std::int64_t{1} << 15;  // of a sum (int8_product.h)

/// The one value of all zero points; nullopt if they differ.
std::optional<std::int32_t> one_zero(const HostTensor* zero) {
  if (zero == nullptr) return 0;
  const auto& values = zero->ints();
  if (values.empty() || std::any_of(values.begin(), values.end(), [&](auto v) { return v != values[0]; })) return {};
  return static_cast<std::int32_t>(values[0]);
}

/// Values of an 8-bit tensor as bytes of one signedness, and their zero point moved along.
template <typename T>
struct Bytes {
  std::vector<T> values;
  std::int32_t zero = 0;
};

/// `place(i)`: where element i goes.
template <typename T, typename Place>
Bytes<T> bytes_of(const HostTensor& x, std::int32_t zero, const Place& place) {
  constexpr bool kSigned = std::is_signed_v<T>;
  const bool is_signed = x.type == DataType::kInt8;
  const std::int32_t shift = is_signed == kSigned ? 0 : kSigned ? -128 : 128;
  const auto& from = x.ints();
  Bytes<T> bytes{std::vector<T>(from.size()), zero + shift};
  constexpr std::int64_t kPiece = 1 << 16;
  const auto count = static_cast<std::int64_t>(from.size());
  compute::parallel_for((count + kPiece - 1) / kPiece, [&](std::int64_t piece) {
    for (std::int64_t i = piece * kPiece; i < std::min(count, (piece + 1) * kPiece); ++i) {
      bytes.values[static_cast<std::size_t>(place(i))] = static_cast<T>(from[static_cast<std::size_t>(i)] + shift);
    }
  });
  return bytes;
}

constexpr auto kSamePlace = [](std::int64_t i) { return i; };

/// From [blocks, channels, positions] to [blocks, positions, channels].
struct ChannelsLast {
  std::int64_t channels = 0, positions = 0;
  std::int64_t operator()(std::int64_t i) const {
    const std::int64_t block = i / (channels * positions), c = i / positions % channels, p = i % positions;
    return (block * positions + p) * channels + c;
  }
};

}  // namespace

std::optional<std::vector<double>> byte_products(const HostTensor& a, const HostTensor* a_zero, const HostTensor& b,
                                                 const HostTensor* b_zero, const Shape& out) {
  const auto za = one_zero(a_zero), zb = one_zero(b_zero);
  const std::int64_t m = out[out.size() - 2], n = out.back(), k = a.shape.back();
  if (!za || !zb || k > kLongestExact) return std::nullopt;
  const auto left = bytes_of<std::uint8_t>(a, *za, kSamePlace);
  const auto right = bytes_of<std::int8_t>(b, *zb, kSamePlace);
  std::vector<double> sums(static_cast<std::size_t>(elements_of(out)));
  if (sums.empty()) return sums;
  std::vector<std::int32_t> product(static_cast<std::size_t>(m * n));
  const Box box = whole(Shape(out.begin(), out.end() - 2));
  const auto walk = [&](const Shape& shape) {
    const Shape lead(shape.begin(), shape.end() - 2);
    return broadcast_walk(lead, whole(lead), box);
  };
  const Nest<3> nest(box, {dense_walk(box, box), walk(a.shape), walk(b.shape)});
  nest.for_each_row([&](const std::array<std::int64_t, 3>& at) {
    for (std::int64_t i = 0; i < nest.row_length(); ++i) {
      const auto place = [&](int array) { return at[static_cast<std::size_t>(array)] + i * nest.row_stride(array); };
      compute::int8_product(
          {m, n, k, false, left.zero, right.zero},
          std::span(left.values).subspan(static_cast<std::size_t>(place(1) * m * k), static_cast<std::size_t>(m * k)),
          std::span(right.values).subspan(static_cast<std::size_t>(place(2) * k * n), static_cast<std::size_t>(k * n)),
          product);
      std::copy(product.begin(), product.end(), sums.begin() + place(0) * m * n);
    }
  });
  return sums;
}

std::optional<std::vector<double>> byte_convolution(const HostTensor& x, const HostTensor* x_zero, const HostTensor& w,
                                                    const HostTensor* w_zero, const Window& window, const Shape& out) {
  const int dims = window.dims();
  const auto zx = one_zero(x_zero), zw = one_zero(w_zero);
  const std::int64_t channels = x.shape[1], outputs = out[1];
  const std::int64_t taps = elements_of(Shape(window.kernel.begin(), window.kernel.end()));
  if (!zx || !zw || dims < 1 || dims > 2 || w.shape[1] != channels || channels * taps > kLongestExact) {
    return std::nullopt;
  }
  const std::int64_t plane = elements_of(x.shape, 2, x.shape.size()), positions = elements_of(out, 2, out.size());
  const auto image = bytes_of<std::uint8_t>(x, *zx, ChannelsLast{channels, plane});
  const auto kernel = bytes_of<std::int8_t>(w, *zw, ChannelsLast{channels, taps});
  compute::Int8Convolution s{.in = channels, .out = outputs, .x_zero = image.zero, .w_zero = kernel.zero};
  const auto last = static_cast<std::size_t>(dims - 1);
  s.height = dims == 2 ? x.shape[2] : 1;
  s.width = x.shape.back();
  s.kernel_w = window.kernel[last];
  s.stride_w = window.stride[last];
  s.dilation_w = window.dilation[last];
  s.pad_left = window.pad_begin[last];
  s.pad_right = window.pad_end[last];
  if (dims == 2) {
    s.kernel_h = window.kernel[0];
    s.stride_h = window.stride[0];
    s.dilation_h = window.dilation[0];
    s.pad_top = window.pad_begin[0];
    s.pad_bottom = window.pad_end[0];
  }
  if (s.out_height() * s.out_width() != positions) return std::nullopt;
  std::vector<double> sums(static_cast<std::size_t>(elements_of(out)));
  std::vector<std::int32_t> one(static_cast<std::size_t>(positions * outputs));
  for (std::int64_t n = 0; n < out[0]; ++n) {
    const auto size = static_cast<std::size_t>(channels * plane);
    compute::int8_convolution(s, std::span(image.values).subspan(static_cast<std::size_t>(n) * size, size),
                              kernel.values, one);
    double* to = sums.data() + n * outputs * positions;
    compute::parallel_for(outputs, [&](std::int64_t o) {
      for (std::int64_t p = 0; p < positions; ++p) {
        to[o * positions + p] = one[static_cast<std::size_t>(p * outputs + o)];
      }
    });
  }
  return sums;
}

}  // namespace spillway::workloads
