#include "workloads/compute/int8_product.h"

#include <omp.h>
#include <oneapi/dnnl/dnnl.h>

#include <algorithm>
#include <string>
#include <type_traits>
#include <vector>

#include "configs/error.h"
#include "workloads/compute/narrow.h"
#include "workloads/compute/parallel.h"

namespace spillway::workloads::compute {

namespace {

/// Without VNNI oneDNN multiplies pairs in 16 bits, which saturates (its documentation, "Nuances of int8
/// computations").
bool library_is_exact() { return __builtin_cpu_supports("avx512vnni") != 0; }

constexpr std::int32_t kBias = 128;  // from signed to unsigned bytes

struct Matrices {
  std::int64_t m = 0, n = 0, k = 0;
  bool b_transposed = false;
  std::int64_t b_row = 0, c_row = 0;  ///< elements from one row, as it lies, to the next
  std::int32_t a_zero = 0, b_zero = 0;
};

// Sums wrap around, as those of hardware do, and so does what is added up of them.
std::int32_t wrapped(std::int64_t value) { return static_cast<std::int32_t>(static_cast<std::uint32_t>(value)); }

/// c += a b, on the calling thread, both as the unsigned and signed bytes they are.
void add_product(const Matrices& s, const std::uint8_t* a, const std::int8_t* b, std::int32_t* c) {
  if (library_is_exact()) {
    omp_set_num_threads(1);  // of this thread's calls: the work is shared out here
    const std::int32_t none = 0;
    const dnnl_status_t status = dnnl_gemm_u8s8s32('N', s.b_transposed ? 'T' : 'N', 'F', s.m, s.n, s.k, 1.0F, a, s.k, 0,
                                                   b, s.b_row, 0, 1.0F, c, s.c_row, &none);
    if (status == dnnl_success) return;
    internal_error("oneDNN refuses an integer product: status " + std::to_string(status));
  }
  for (std::int64_t i = 0; i < s.m; ++i) {
    std::int32_t* row = c + i * s.c_row;
    const std::uint8_t* line = a + i * s.k;
    if (s.b_transposed) {
      for (std::int64_t j = 0; j < s.n; ++j) {
        const std::int8_t* column = b + j * s.b_row;
        std::uint32_t sum = 0;
        for (std::int64_t p = 0; p < s.k; ++p) sum += static_cast<std::uint32_t>(line[p] * column[p]);
        row[j] = wrapped(std::int64_t{row[j]} + sum);
      }
      continue;
    }
    for (std::int64_t p = 0; p < s.k; ++p) {
      const std::int32_t factor = line[p];
      const std::int8_t* from = b + p * s.b_row;
      for (std::int64_t j = 0; j < s.n; ++j) row[j] = wrapped(std::int64_t{row[j]} + factor * from[j]);
    }
  }
}

/// The product on the calling thread. The library is slow at zero points, so c starts at what they contribute:
/// sum (a - za)(b - zb) = sum a b - za sum b - zb sum a + k za zb.
void multiply_part(const Matrices& s, const std::uint8_t* a, const std::int8_t* b, std::int32_t* c) {
  std::vector<std::int32_t> of_column(static_cast<std::size_t>(s.n), 0);
  if (s.a_zero != 0) {
    for (std::int64_t j = 0; s.b_transposed && j < s.n; ++j) {
      of_column[static_cast<std::size_t>(j)] = narrow().sum8(s.k, b + j * s.b_row);
    }
    for (std::int64_t p = 0; !s.b_transposed && p < s.k; ++p) {
      narrow().add_columns8(s.n, b + p * s.b_row, of_column.data());
    }
    for (std::int32_t& sum : of_column) {
      sum = wrapped(-std::int64_t{s.a_zero} * sum + std::int64_t{s.a_zero} * s.b_zero * s.k);
    }
  }
  for (std::int64_t i = 0; i < s.m; ++i) {
    std::int32_t* row = c + i * s.c_row;
    std::copy(of_column.begin(), of_column.end(), row);
    if (s.b_zero == 0) continue;
    const std::int64_t of_row = -std::int64_t{s.b_zero} * narrow().sum8_unsigned(s.k, a + i * s.k);
    for (std::int64_t j = 0; j < s.n; ++j) row[j] = wrapped(row[j] + of_row);
  }
  if (s.k > 0) add_product(s, a, b, c);
}

void require(bool holds, const char* what) {
  if (!holds) internal_error(std::string("an integer product's ") + what + " does not have the size that is said");
}

/// The product, on all cores: cut where less of the operands is packed twice.
void multiply(const Matrices& s, const std::uint8_t* a, const std::int8_t* b, std::int32_t* c) {
  constexpr std::int64_t kLeast = 1 << 19;  // multiplications worth a thread's while
  const std::int64_t longest = std::max(s.m, s.n);
  const std::int64_t worth = s.m * s.n * s.k / kLeast;
  const std::int64_t pieces = std::clamp<std::int64_t>(worth, 1, std::min<std::int64_t>(longest, thread_count()));
  // The library works on so many rows or columns at a time.
  constexpr std::int64_t kGrain = 16;
  const std::int64_t piece = ((longest + pieces - 1) / pieces + kGrain - 1) / kGrain * kGrain;
  parallel_for((longest + piece - 1) / piece, [&](std::int64_t i) {
    const std::int64_t first = i * piece, count = std::min(piece, longest - first);
    Matrices part = s;
    if (s.m >= s.n) {
      part.m = count;
      multiply_part(part, a + first * s.k, b, c + first * s.c_row);
    } else {
      part.n = count;
      multiply_part(part, a, b + first * (s.b_transposed ? s.b_row : 1), c + first);
    }
  });
}

/// The signed bytes plus 128, and the zero point with them.
void multiply(Matrices s, const std::int8_t* a, const std::int8_t* b, std::int32_t* c) {
  const std::int64_t bytes = s.m * s.k;
  const Scratch buffer(bytes / 4 + 1);
  auto* biased = reinterpret_cast<std::uint8_t*>(buffer.get());
  constexpr std::int64_t kPiece = 1 << 16;
  parallel_for((bytes + kPiece - 1) / kPiece, [&](std::int64_t i) {
    narrow().biased(std::min(kPiece, bytes - i * kPiece), a + i * kPiece, biased + i * kPiece);
  });
  s.a_zero += kBias;
  multiply(s, static_cast<const std::uint8_t*>(biased), b, c);
}

template <typename A>
void product(const Int8Product& s, std::span<const A> a, std::span<const std::int8_t> b, std::span<std::int32_t> c) {
  require(static_cast<std::int64_t>(a.size()) == s.m * s.k, "first operand");
  require(static_cast<std::int64_t>(b.size()) == s.k * s.n, "second operand");
  require(static_cast<std::int64_t>(c.size()) == s.m * s.n, "result");
  if (c.empty()) return;
  multiply(Matrices{s.m, s.n, s.k, s.b_transposed, s.b_transposed ? s.k : s.n, s.n, s.a_zero, s.b_zero}, a.data(),
           b.data(), c.data());
}

/// What the kernel sees at output position `p`: its taps' channels, one after the other.
template <typename X>
void gather_patch(const Int8Convolution& s, const X* x, std::int64_t p, X* patch) {
  const std::int64_t width = s.out_width();
  const std::int64_t top = p / width * s.stride_h - s.pad_top, left = p % width * s.stride_w - s.pad_left;
  const bool whole_rows = s.dilation_w == 1 && left >= 0 && left + s.kernel_w <= s.width;
  for (std::int64_t i = 0; i < s.kernel_h; ++i, patch += s.kernel_w * s.in) {
    const std::int64_t row = top + i * s.dilation_h;
    if (row < 0 || row >= s.height) {
      std::fill_n(patch, s.kernel_w * s.in, static_cast<X>(s.x_zero));
      continue;
    }
    const X* from = x + (row * s.width + left) * s.in;
    if (whole_rows) {
      std::copy_n(from, s.kernel_w * s.in, patch);
      continue;
    }
    for (std::int64_t j = 0; j < s.kernel_w; ++j) {
      const std::int64_t column = left + j * s.dilation_w;
      if (column < 0 || column >= s.width) {
        std::fill_n(patch + j * s.in, s.in, static_cast<X>(s.x_zero));
      } else {
        std::copy_n(from + j * s.dilation_w * s.in, s.in, patch + j * s.in);
      }
    }
  }
}

template <typename X>
void convolution(const Int8Convolution& s, std::span<const X> x, std::span<const std::int8_t> w,
                 std::span<std::int32_t> y) {
  const std::int64_t k = s.kernel_h * s.kernel_w * s.in, positions = s.out_height() * s.out_width();
  require(static_cast<std::int64_t>(x.size()) == s.height * s.width * s.in, "image");
  require(static_cast<std::int64_t>(w.size()) == s.out * k, "kernel");
  require(static_cast<std::int64_t>(y.size()) == positions * s.out, "result");
  if (y.empty()) return;
  Matrices rows{positions, s.out, k, true, k, s.out, s.x_zero, s.w_zero};
  const bool as_it_lies = s.kernel_h == 1 && s.kernel_w == 1 && s.stride_h == 1 && s.stride_w == 1 &&
                          positions == s.height * s.width && s.pad_top == 0 && s.pad_left == 0;
  if (as_it_lies) return multiply(rows, x.data(), w.data(), y.data());
  // As many patches at once as stay in a core's cache with room for the kernel, but enough that packing that pays.
  constexpr std::int64_t kPatchBytes = std::int64_t{4} << 20, kFewest = 512;
  const std::int64_t most = std::min(positions, std::max(kFewest, kPatchBytes / k));
  const Scratch buffer(most * k / 4 + 1);
  auto* patches = reinterpret_cast<std::uint8_t*>(buffer.get());
  if constexpr (std::is_same_v<X, std::int8_t>) rows.a_zero += kBias;
  for (std::int64_t first = 0; first < positions; first += most) {
    rows.m = std::min(most, positions - first);
    const std::int64_t piece = std::max<std::int64_t>(1, (1 << 14) / k);
    parallel_for((rows.m + piece - 1) / piece, [&](std::int64_t i) {
      for (std::int64_t p = i * piece; p < std::min(rows.m, (i + 1) * piece); ++p) {
        auto* patch = reinterpret_cast<X*>(patches + p * k);
        gather_patch(s, x.data(), first + p, patch);
        if constexpr (std::is_same_v<X, std::int8_t>) narrow().biased(k, patch, patches + p * k);
      }
    });
    multiply(rows, static_cast<const std::uint8_t*>(patches), w.data(), y.data() + first * s.out);
  }
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
