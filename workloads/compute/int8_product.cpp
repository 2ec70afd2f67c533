#include "workloads/compute/int8_product.h"

#include <omp.h>
#include <oneapi/dnnl/dnnl.h>

#include <algorithm>
#include <string>
#include <type_traits>
#include <vector>

#include "configs/error.h"
#include "workloads/compute/parallel.h"

namespace spillway::workloads::compute {

namespace {

/// Without VNNI oneDNN multiplies pairs in 16 bits, which saturates (its documentation, "Nuances of int8
/// computations").
bool library_is_exact() { return __builtin_cpu_supports("avx512vnni") != 0; }

struct Matrices {
  std::int64_t m = 0, n = 0, k = 0;
  bool b_transposed = false;
  std::int32_t a_zero = 0, b_zero = 0;
};

/// Rows of the product, on the calling thread.
template <typename A>
void multiply_rows(const Matrices& s, const A* a, const std::int8_t* b, std::int32_t* c) {
  if (s.k > 0 && library_is_exact()) {
    omp_set_num_threads(1);  // of this thread's calls: the rows are shared out here
    const std::int32_t none = 0;
    const char transposed = s.b_transposed ? 'T' : 'N';
    const std::int64_t b_row = s.b_transposed ? s.k : s.n;
    dnnl_status_t status = dnnl_success;
    const auto b_zero = static_cast<std::int8_t>(s.b_zero);
    if constexpr (std::is_same_v<A, std::uint8_t>) {
      status = dnnl_gemm_u8s8s32('N', transposed, 'F', s.m, s.n, s.k, 1.0F, a, s.k, static_cast<std::uint8_t>(s.a_zero),
                                 b, b_row, b_zero, 0.0F, c, s.n, &none);
    } else {
      status = dnnl_gemm_s8s8s32('N', transposed, 'F', s.m, s.n, s.k, 1.0F, a, s.k, static_cast<std::int8_t>(s.a_zero),
                                 b, b_row, b_zero, 0.0F, c, s.n, &none);
    }
    if (status == dnnl_success) return;
    internal_error("oneDNN refuses an integer product: status " + std::to_string(status));
  }
  for (std::int64_t i = 0; i < s.m; ++i) {
    std::int32_t* row = c + i * s.n;
    std::fill_n(row, s.n, 0);
    const A* line = a + i * s.k;
    if (s.b_transposed) {
      for (std::int64_t j = 0; j < s.n; ++j) {
        const std::int8_t* column = b + j * s.k;
        std::uint32_t sum = 0;
        for (std::int64_t p = 0; p < s.k; ++p) {
          sum += static_cast<std::uint32_t>((line[p] - s.a_zero) * (column[p] - s.b_zero));
        }
        row[j] = static_cast<std::int32_t>(sum);
      }
      continue;
    }
    for (std::int64_t p = 0; p < s.k; ++p) {
      const std::int32_t factor = line[p] - s.a_zero;
      const std::int8_t* from = b + p * s.n;
      for (std::int64_t j = 0; j < s.n; ++j) {
        row[j] = static_cast<std::int32_t>(static_cast<std::uint32_t>(row[j]) +
                                           static_cast<std::uint32_t>(factor * (from[j] - s.b_zero)));
      }
    }
  }
}

/// Rows of a block that is worth a thread's while.
std::int64_t block_of(std::int64_t m, std::int64_t n, std::int64_t k) {
  constexpr std::int64_t kLeast = 1 << 20;  // multiplications
  const std::int64_t rows = std::max<std::int64_t>(1, kLeast / std::max<std::int64_t>(1, n * k));
  const std::int64_t even = (m + 4 * thread_count() - 1) / (std::int64_t{4} * thread_count());
  constexpr std::int64_t kFew = 40;  // the library packs b anew for every block
  return std::max({rows, std::min<std::int64_t>(even, 512), std::min(m, kFew)});
}

void require(bool holds, const char* what) {
  if (!holds) internal_error(std::string("an integer product's ") + what + " does not have the size that is said");
}

template <typename A>
void product(const Int8Product& s, std::span<const A> a, std::span<const std::int8_t> b, std::span<std::int32_t> c) {
  require(static_cast<std::int64_t>(a.size()) == s.m * s.k, "first operand");
  require(static_cast<std::int64_t>(b.size()) == s.k * s.n, "second operand");
  require(static_cast<std::int64_t>(c.size()) == s.m * s.n, "result");
  if (c.empty()) return;
  const std::int64_t block = block_of(s.m, s.n, s.k);
  parallel_for((s.m + block - 1) / block, [&](std::int64_t i) {
    const std::int64_t first = i * block;
    const Matrices rows{std::min(block, s.m - first), s.n, s.k, s.b_transposed, s.a_zero, s.b_zero};
    multiply_rows(rows, a.data() + first * s.k, b.data(), c.data() + first * s.n);
  });
}

template <typename X>
void convolution(const Int8Convolution& s, std::span<const X> x, std::span<const std::int8_t> w,
                 std::span<std::int32_t> y) {
  const std::int64_t k = s.kernel_h * s.kernel_w * s.in, width = s.out_width(), positions = s.out_height() * width;
  require(static_cast<std::int64_t>(x.size()) == s.height * s.width * s.in, "image");
  require(static_cast<std::int64_t>(w.size()) == s.out * k, "kernel");
  require(static_cast<std::int64_t>(y.size()) == positions * s.out, "result");
  if (y.empty()) return;
  const std::int64_t block = std::min<std::int64_t>(block_of(positions, s.out, k), 512);
  parallel_for((positions + block - 1) / block, [&](std::int64_t i) {
    const std::int64_t first = i * block, count = std::min(block, positions - first);
    std::vector<X> patches(static_cast<std::size_t>(count * k), static_cast<X>(s.x_zero));
    for (std::int64_t p = 0; p < count; ++p) {
      const std::int64_t top = (first + p) / width * s.stride_h - s.pad_top;
      const std::int64_t left = (first + p) % width * s.stride_w - s.pad_left;
      X* patch = patches.data() + p * k;
      for (std::int64_t tap = 0; tap < s.kernel_h * s.kernel_w; ++tap, patch += s.in) {
        const std::int64_t row = top + tap / s.kernel_w * s.dilation_h;
        const std::int64_t column = left + tap % s.kernel_w * s.dilation_w;
        if (row < 0 || row >= s.height || column < 0 || column >= s.width) continue;
        std::copy_n(x.data() + (row * s.width + column) * s.in, s.in, patch);
      }
    }
    multiply_rows(Matrices{count, s.out, k, true, s.x_zero, s.w_zero}, patches.data(), w.data(),
                  y.data() + first * s.out);
  });
}

}  // namespace

void int8_product(const Int8Product& shape, std::span<const std::int8_t> a, std::span<const std::int8_t> b,
                  std::span<std::int32_t> c) {
  product(shape, a, b, c);
}
void int8_product(const Int8Product& shape, std::span<const std::uint8_t> a, std::span<const std::int8_t> b,
                  std::span<std::int32_t> c) {
  product(shape, a, b, c);
}
void int8_convolution(const Int8Convolution& shape, std::span<const std::int8_t> x, std::span<const std::int8_t> w,
                      std::span<std::int32_t> y) {
  convolution(shape, x, w, y);
}
void int8_convolution(const Int8Convolution& shape, std::span<const std::uint8_t> x, std::span<const std::int8_t> w,
                      std::span<std::int32_t> y) {
  convolution(shape, x, w, y);
}

}  // namespace spillway::workloads::compute
