// Products of 8-bit integers with 32-bit sums, exact: oneDNN's products (VNNI where the processor has it).
#pragma once

#include <cstdint>
#include <span>

namespace spillway::workloads::compute {

/// c[m x n] = (a - a_zero) (b - b_zero), row-major: a [m x k], b [k x n], or [n x k] if `b_transposed`. Sums wrap
/// around as 32-bit hardware's do; they are exact up to k = 2^15. Multithreaded. Throws Error(kInternal) on sizes that
/// do not answer the spans.
struct Int8Product {
  std::int64_t m = 0, n = 0, k = 0;
  bool b_transposed = false;
  std::int32_t a_zero = 0, b_zero = 0;  ///< of the operands' types
};
void int8_product(const Int8Product& shape, std::span<const std::int8_t> a, std::span<const std::int8_t> b,
                  std::span<std::int32_t> c);
void int8_product(const Int8Product& shape, std::span<const std::uint8_t> a, std::span<const std::int8_t> b,
                  std::span<std::int32_t> c);

/// Convolution of one image, channels last: x [height x width x in], w [out x kernel_h x kernel_w x in],
/// y [out_height x out_width x out]. What lies outside of the image counts as x_zero, that is, nothing.
struct Int8Convolution {
  std::int64_t height = 0, width = 0, in = 0, out = 0;
  std::int64_t kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
  std::int64_t pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  std::int32_t x_zero = 0, w_zero = 0;

  [[nodiscard]] std::int64_t out_height() const {
    return (height + pad_top + pad_bottom - dilation_h * (kernel_h - 1) - 1) / stride_h + 1;
  }
  [[nodiscard]] std::int64_t out_width() const {
    return (width + pad_left + pad_right - dilation_w * (kernel_w - 1) - 1) / stride_w + 1;
  }
};
void int8_convolution(const Int8Convolution& shape, std::span<const std::int8_t> x, std::span<const std::int8_t> w,
                      std::span<std::int32_t> y);
void int8_convolution(const Int8Convolution& shape, std::span<const std::uint8_t> x, std::span<const std::int8_t> w,
                      std::span<std::int32_t> y);

}  // namespace spillway::workloads::compute
