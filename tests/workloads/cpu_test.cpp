// The host's own loops: products against sums in 64 bits, functions against the standard library in double, on every
// instruction set that this machine has.
#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <thread>
#include <vector>

#include "workloads/compute/int8_product.h"
#include "workloads/compute/parallel.h"
#include "workloads/compute/product.h"
#include "workloads/compute/simd.h"

namespace spillway::workloads::compute::test {

namespace {

using Random = std::mt19937_64;

std::int64_t pick(Random& random, std::int64_t low, std::int64_t high) {
  return std::uniform_int_distribution<std::int64_t>(low, high)(random);
}

std::vector<float> integers(Random& random, std::int64_t count) {
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& v : values) v = static_cast<float>(pick(random, -8, 8));
  return values;
}

template <typename T>
std::vector<T> any(Random& random, std::int64_t count) {
  std::vector<T> values(static_cast<std::size_t>(count));
  for (T& v : values) v = static_cast<T>(pick(random, std::numeric_limits<T>::min(), std::numeric_limits<T>::max()));
  return values;
}

template <typename A>
void check_products() {
  Random random(7);
  for (int round = 0; round < 60; ++round) {
    Int8Product s{.m = pick(random, 1, 70), .n = pick(random, 1, 70), .k = pick(random, 0, 400)};
    s.b_transposed = round % 2 == 1;
    s.a_zero = static_cast<std::int32_t>(pick(random, std::numeric_limits<A>::min(), std::numeric_limits<A>::max()));
    s.b_zero = round % 3 == 0 ? 0 : static_cast<std::int32_t>(pick(random, -128, 127));
    const auto a = any<A>(random, s.m * s.k);
    const auto b = any<std::int8_t>(random, s.k * s.n);
    std::vector<std::int32_t> c(static_cast<std::size_t>(s.m * s.n), -1);
    int8_product(s, a, b, c);
    std::vector<std::int32_t> wanted;
    for (std::int64_t i = 0; i < s.m; ++i) {
      for (std::int64_t j = 0; j < s.n; ++j) {
        std::int64_t sum = 0;
        for (std::int64_t p = 0; p < s.k; ++p) {
          const auto at = static_cast<std::size_t>(s.b_transposed ? j * s.k + p : p * s.n + j);
          sum += std::int64_t{a[static_cast<std::size_t>(i * s.k + p)] - s.a_zero} * (b[at] - s.b_zero);
        }
        wanted.push_back(static_cast<std::int32_t>(sum));
      }
    }
    CAPTURE(round, s.m, s.n, s.k, s.a_zero, s.b_zero);
    REQUIRE(c == wanted);
  }
}

}  // namespace

TEST_CASE("integer products refuse operands of other sizes", "[cpu][error]") {
  std::vector<std::int8_t> a(6), b(6);
  std::vector<std::int32_t> c(4);
  CHECK_THROWS(int8_product({.m = 2, .n = 2, .k = 4}, std::span<const std::int8_t>(a), b, c));
  CHECK_THROWS(int8_product({.m = 2, .n = 1, .k = 3}, std::span<const std::int8_t>(a), b, c));
}

TEST_CASE("integer products are exact with any zero points", "[cpu]") {
  check_products<std::int8_t>();
  check_products<std::uint8_t>();
}

TEST_CASE("integer products do not saturate on the way", "[cpu]") {
  const std::int64_t k = 1 << 15;
  const std::vector<std::uint8_t> a(static_cast<std::size_t>(k), 255);
  const std::vector<std::int8_t> b(static_cast<std::size_t>(k), -128);
  std::vector<std::int32_t> c(1);
  int8_product({.m = 1, .n = 1, .k = k}, a, b, c);
  CHECK(c[0] == -255 * 128 * k);
  const std::vector<std::int8_t> ones(static_cast<std::size_t>(k), 127);
  int8_product({.m = 1, .n = 1, .k = k, .b_zero = -128}, a, ones, c);
  CHECK(c[0] == 255 * 255 * k);
}

TEST_CASE("integer convolution counts padding as nothing", "[cpu]") {
  Random random(11);
  for (int round = 0; round < 30; ++round) {
    Int8Convolution s{.height = pick(random, 3, 9),
                      .width = pick(random, 3, 9),
                      .in = pick(random, 1, 20),
                      .out = pick(random, 1, 20)};
    s.kernel_h = pick(random, 1, 3), s.kernel_w = pick(random, 1, 3);
    s.stride_h = pick(random, 1, 2), s.stride_w = pick(random, 1, 2), s.dilation_w = s.kernel_w < 3 ? 2 : 1;
    s.pad_top = pick(random, 0, 2), s.pad_left = pick(random, 0, 2), s.pad_bottom = pick(random, 0, 2);
    s.x_zero = static_cast<std::int32_t>(pick(random, 0, 255));
    s.w_zero = static_cast<std::int32_t>(pick(random, -128, 127));
    const auto x = any<std::uint8_t>(random, s.height * s.width * s.in);
    const auto w = any<std::int8_t>(random, s.out * s.kernel_h * s.kernel_w * s.in);
    std::vector<std::int32_t> y(static_cast<std::size_t>(s.out_height() * s.out_width() * s.out)), wanted;
    int8_convolution(s, x, w, y);
    for (std::int64_t p = 0; p < s.out_height() * s.out_width(); ++p) {
      for (std::int64_t o = 0; o < s.out; ++o) {
        std::int64_t sum = 0;
        for (std::int64_t i = 0; i < s.kernel_h; ++i) {
          for (std::int64_t j = 0; j < s.kernel_w; ++j) {
            const std::int64_t row = p / s.out_width() * s.stride_h + i * s.dilation_h - s.pad_top;
            const std::int64_t column = p % s.out_width() * s.stride_w + j * s.dilation_w - s.pad_left;
            if (row < 0 || row >= s.height || column < 0 || column >= s.width) continue;
            for (std::int64_t c = 0; c < s.in; ++c) {
              sum += std::int64_t{x[static_cast<std::size_t>((row * s.width + column) * s.in + c)] - s.x_zero} *
                     (w[static_cast<std::size_t>(((o * s.kernel_h + i) * s.kernel_w + j) * s.in + c)] - s.w_zero);
            }
          }
        }
        wanted.push_back(static_cast<std::int32_t>(sum));
      }
    }
    CAPTURE(round);
    REQUIRE(y == wanted);
  }
}

TEST_CASE("float products on operands of any layout", "[cpu]") {
  Random random(3);
  for (int round = 0; round < 120; ++round) {
    Product p;
    p.m = pick(random, 1, 90), p.n = pick(random, 1, 130), p.k = pick(random, 0, 900);
    const auto a = integers(random, 2 * p.m * p.k + 1), b = integers(random, 2 * p.n * p.k + 1);
    const auto bias_i = integers(random, p.m), bias_j = integers(random, p.n);
    const auto lines = [&](const std::vector<float>& data, std::int64_t count) {
      switch (pick(random, 0, 2)) {
        case 0:
          return Lines{data.data(), p.k, 1};
        case 1:
          return Lines{data.data(), 1, count};
        default:
          return Lines{data.data(), 2, 2 * count};
      }
    };
    p.a = lines(a, p.m);
    p.b = lines(b, p.n);
    std::vector<float> c(static_cast<std::size_t>(2 * p.m * p.n), -1.0F);
    p.c = c.data();
    const auto layout = pick(random, 0, 2);
    p.c_row = layout == 0 ? p.n : layout == 1 ? 1 : 2 * p.n;
    p.c_column = layout == 0 ? 1 : layout == 1 ? p.m : 2;
    p.alpha = round % 2 == 0 ? 1.0F : 0.5F;
    if (round % 3 != 0) p.bias_i = bias_i.data();
    if (round % 5 != 0) p.bias_j = bias_j.data();
    multiply({&p, 1}, round % 4 == 3 ? Sums::kDouble : Sums::kFloat);
    CAPTURE(round, p.m, p.n, p.k, layout);
    for (std::int64_t i = 0; i < p.m; ++i) {
      for (std::int64_t j = 0; j < p.n; ++j) {
        double sum = 0;  // small integers: exact in any order
        for (std::int64_t q = 0; q < p.k; ++q) {
          sum += a[static_cast<std::size_t>(i * p.a.line + q * p.a.k)] *
                 b[static_cast<std::size_t>(j * p.b.line + q * p.b.k)];
        }
        sum *= p.alpha;
        if (p.bias_i != nullptr) sum += bias_i[static_cast<std::size_t>(i)];
        if (p.bias_j != nullptr) sum += bias_j[static_cast<std::size_t>(j)];
        REQUIRE(c[static_cast<std::size_t>(i * p.c_row + j * p.c_column)] == static_cast<float>(sum));
      }
    }
  }
}

TEST_CASE("what follows the sums of a product, in any layout", "[cpu]") {
  Random random(13);
  for (int round = 0; round < 80; ++round) {
    Product p;
    p.m = pick(random, 1, 70), p.n = pick(random, 1, 130), p.k = pick(random, 0, 800);
    const auto a = integers(random, p.m * p.k + 1), b = integers(random, p.n * p.k + 1);
    const auto bias = integers(random, std::max(p.m, p.n));
    p.a = {a.data(), p.k, 1};
    p.b = {b.data(), 1, p.n};
    std::vector<float> c(static_cast<std::size_t>(p.m * p.n));
    p.c = c.data();
    p.c_row = round % 2 == 0 ? p.n : 1;
    p.c_column = round % 2 == 0 ? 1 : p.m;
    if (round % 3 == 0) p.bias_i = bias.data();
    if (round % 5 == 0) p.bias_j = bias.data();
    const auto plus = integers(random, 2 * p.m * p.n);
    for (Addend& addend : p.plus) {
      const std::int64_t rows[] = {p.n, 1, 2 * p.n, 0, 1, 0}, columns[] = {1, p.m, 2, 1, 0, 0};
      const auto layout = pick(random, 0, 6);
      if (layout < 6) addend = {plus.data(), rows[layout], columns[layout]};
    }
    p.rectify = round % 4 < 2;
    multiply({&p, 1}, round % 7 == 6 ? Sums::kDouble : Sums::kFloat);
    CAPTURE(round, p.m, p.n, p.k, p.plus[0].row, p.plus[0].column, p.plus[1].row, p.plus[1].column);
    for (std::int64_t i = 0; i < p.m; ++i) {
      for (std::int64_t j = 0; j < p.n; ++j) {
        double sum = 0;  // small integers: exact in any order
        for (std::int64_t q = 0; q < p.k; ++q) {
          sum += a[static_cast<std::size_t>(i * p.k + q)] * b[static_cast<std::size_t>(q * p.n + j)];
        }
        if (p.bias_i != nullptr) sum += bias[static_cast<std::size_t>(i)];
        if (p.bias_j != nullptr) sum += bias[static_cast<std::size_t>(j)];
        for (const Addend& addend : p.plus) {
          if (addend.data != nullptr) sum += addend.data[i * addend.row + j * addend.column];
        }
        if (p.rectify) sum = std::max(sum, 0.0);
        REQUIRE(c[static_cast<std::size_t>(i * p.c_row + j * p.c_column)] == static_cast<float>(sum));
      }
    }
  }
}

TEST_CASE("rows of runs and of finished tiles, on every instruction set", "[cpu]") {
  for (int set = 0; set < simd_count(); ++set) {
    const Simd& s = simd_at(set);
    Random random(17);
    for (int round = 0; round < 200; ++round) {
      const std::int64_t width = s.lanes * pick(random, 1, s.panel_vectors), step = pick(random, 1, 4), rows = 3;
      std::vector<Run> runs;
      std::vector<float> from = integers(random, rows * 400), wanted(static_cast<std::size_t>(width));
      for (std::int64_t at = pick(random, 0, 3); at < width;) {
        const Run run{at, std::min(pick(random, 1, 40), width - at), pick(random, 0, 200), step};
        if (random() % 4 != 0) runs.push_back(run);
        at += run.count + pick(random, 0, 5);
      }
      std::vector<float> to(static_cast<std::size_t>(rows * (width + 3)), -99.0F);
      s.gather(runs.data(), static_cast<int>(runs.size()), rows, from.data(), 400, width, to.data(), width + 3);
      CAPTURE(s.name, round, width, step);
      for (std::int64_t r = 0; r < rows; ++r) {
        std::fill(wanted.begin(), wanted.end(), 0.0F);
        for (const Run& run : runs) {
          for (std::int64_t i = 0; i < run.count; ++i) {
            wanted[static_cast<std::size_t>(run.to + i)] =
                from[static_cast<std::size_t>(r * 400 + run.from + i * run.step)];
          }
        }
        const auto row = to.begin() + r * (width + 3);
        REQUIRE(std::equal(wanted.begin(), wanted.end(), row));
        REQUIRE(row[width] == -99.0F);
      }
    }
    for (const std::int64_t n : {1, 7, 16, 32, 45}) {
      const auto x = integers(random, 200), bias = integers(random, 9), plus = integers(random, 200);
      for (int form = 0; form < 8; ++form) {
        std::vector<float> y(200, -99.0F);
        s.finish(4, n, x.data(), 48, (form & 4) != 0 ? bias.data() : nullptr, 2,
                 (form & 2) != 0 ? plus.data() : nullptr, 49, (form & 1) != 0, y.data(), 50);
        CAPTURE(s.name, n, form);
        for (std::size_t r = 0; r < 4; ++r) {
          for (std::size_t j = 0; j < static_cast<std::size_t>(n); ++j) {
            float v = x[r * 48 + j];
            if ((form & 4) != 0) v += bias[2 * r];
            if ((form & 2) != 0) v += plus[r * 49 + j];
            if ((form & 1) != 0) v = std::max(v, 0.0F);
            REQUIRE(y[r * 50 + j] == v);
          }
          REQUIRE(y[r * 50 + static_cast<std::size_t>(n)] == -99.0F);
        }
      }
    }
  }
}

TEST_CASE("a product does not depend on the number of threads", "[cpu]") {
  Random random(5);
  std::vector<float> a(200 * 500), b(500 * 300), one(200 * 300), two(200 * 300);
  for (auto* v : {&a, &b}) {
    for (float& x : *v) x = static_cast<float>(pick(random, -1000000, 1000000)) * 1e-5F;
  }
  Product p;
  p.m = 200, p.n = 300, p.k = 500;
  p.a = {a.data(), 500, 1};
  p.b = {b.data(), 1, 300};
  p.c_row = 300;
  const int before = thread_count();
  set_thread_count(1);
  p.c = one.data();
  multiply({&p, 1});
  set_thread_count(3);
  p.c = two.data();
  multiply({&p, 1});
  CHECK(one == two);
  // Few columns: panels are packed once for all rows.
  p.m = 500, p.n = 60, p.k = 200;
  p.a = {a.data(), 200, 1};
  p.b = {b.data(), 1, 60};
  p.c_row = 60;
  multiply({&p, 1});
  set_thread_count(1);
  p.c = one.data();
  multiply({&p, 1});
  set_thread_count(before);
  CHECK(std::equal(one.begin(), one.begin() + 500 * 60, two.begin()));
}

TEST_CASE("loops visit every piece once and pass the first exception on", "[cpu]") {
  std::vector<int> visits(1000, 0);
  parallel_for(1000, [&](std::int64_t i) {
    ++visits[static_cast<std::size_t>(i)];
    parallel_for(3, [](std::int64_t) {});
  });
  CHECK(std::count(visits.begin(), visits.end(), 1) == 1000);
  const auto fail = [](std::int64_t i) {
    if (i == 5 || i == 900) throw std::runtime_error(std::to_string(i));
  };
  CHECK_THROWS_WITH(parallel_for(1000, fail), "5");
}

TEST_CASE("idle threads help with a loop inside of another thread's piece", "[cpu]") {
  const int before = thread_count();
  set_thread_count(2);
  // The first piece's inner pieces wait for one another: they end only if both threads work on them.
  std::atomic<int> met = 0;
  parallel_for(2, [&](std::int64_t i) {
    if (i != 0) return;
    parallel_for(2, [&](std::int64_t) {
      ++met;
      const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
      while (met < 2 && std::chrono::steady_clock::now() < limit) std::this_thread::yield();
    });
  });
  CHECK(met == 2);
  std::vector<std::atomic<int>> visits(6 * 5 * 4);
  parallel_for(6, [&](std::int64_t i) {
    parallel_for(5, [&](std::int64_t j) {
      parallel_for(4, [&](std::int64_t k) { ++visits[static_cast<std::size_t>((i * 5 + j) * 4 + k)]; });
    });
  });
  CHECK(std::all_of(visits.begin(), visits.end(), [](const auto& v) { return v == 1; }));
  const auto fail = [](std::int64_t i) {
    parallel_for(50, [i](std::int64_t j) {
      if (i >= 3 && j >= 7) throw std::runtime_error(std::to_string(i) + " " + std::to_string(j));
    });
  };
  CHECK_THROWS_WITH(parallel_for(20, fail), "3 7");
  set_thread_count(before);
}

TEST_CASE("panels that are kept give the same bits", "[cpu]") {
  std::mt19937 random(5);
  std::uniform_real_distribution<float> draw(-1.0F, 1.0F);
  for (const std::int64_t n : {1, 15, 16, 17, 32, 33, 47, 48, 49, 300}) {
    for (const bool adjacent : {true, false}) {
      CAPTURE(n, adjacent);
      Product p;
      p.m = 150, p.n = n, p.k = 500;
      std::vector<float> a(static_cast<std::size_t>(p.m * p.k)), b(static_cast<std::size_t>(n * p.k));
      for (float& v : a) v = draw(random);
      for (float& v : b) v = draw(random);
      std::vector<float> plain(static_cast<std::size_t>(p.m * n)), kept(plain.size());
      p.a = {a.data(), p.k, 1};
      p.b = adjacent ? Lines{b.data(), 1, n} : Lines{b.data(), p.k, 1};
      p.c = plain.data();
      p.c_row = n;
      multiply({&p, 1});
      PackedPanels panels;
      p.kept_b = &panels;
      p.key_b = {b.data(), n, p.k, p.b.line, p.b.k};
      p.c = kept.data();
      for (int use = 0; use < 3; ++use) {
        std::fill(kept.begin(), kept.end(), 0.0F);
        multiply({&p, 1});
        CHECK(kept == plain);
      }
      // Another part of the operand is another form.
      p.m = 20, p.n = (n + 1) / 2;
      p.key_b.lines = p.n;
      p.c_row = p.n;
      for (int use = 0; use < 2; ++use) {
        multiply({&p, 1});
        bool same = true;
        for (std::int64_t i = 0; i < p.m * p.n; ++i) {
          same = same && kept[static_cast<std::size_t>(i)] == plain[static_cast<std::size_t>(i / p.n * n + i % p.n)];
        }
        CHECK(same);
      }
    }
  }
}

TEST_CASE("vector functions against double precision on every instruction set", "[cpu]") {
  for (int set = 0; set < simd_count(); ++set) {
    const Simd& s = simd_at(set);
    CAPTURE(s.name);
    for (float x = -30.0F; x < 30.0F; x += 0.0137F) {
      float y = 0;
      const double d = x;
      CAPTURE(x);
      s.exp(1, &x, &y);
      REQUIRE(y == Approx(std::exp(d)).epsilon(3e-7));
      s.sigmoid(1, &x, &y);
      REQUIRE(y == Approx(1 / (1 + std::exp(-d))).epsilon(4e-7));
      s.tanh(1, &x, &y);
      REQUIRE(y == Approx(std::tanh(d)).epsilon(4e-7));
      s.erf(1, &x, &y);
      REQUIRE(std::abs(y - std::erf(d)) <= 1.2e-7);
    }
    const float limits[] = {-std::numeric_limits<float>::infinity(), -104.0F, 88.8F,
                            std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()};
    float y[5];
    s.exp(5, limits, y);
    CHECK(y[0] == 0.0F);
    CHECK(y[1] == 0.0F);
    CHECK(std::isinf(y[2]));
    CHECK(std::isinf(y[3]));
    CHECK(std::isnan(y[4]));
    s.erf(5, limits, y);
    CHECK(y[0] == -1.0F);
    CHECK(y[3] == 1.0F);
    CHECK(std::isnan(y[4]));
  }
}

TEST_CASE("an element's result does not depend on where it lies", "[cpu]") {
  for (int set = 0; set < simd_count(); ++set) {
    const Simd& s = simd_at(set);
    CAPTURE(s.name);
    Random random(9);
    std::vector<float> x(77), y(77), one(1);
    for (float& v : x) v = static_cast<float>(pick(random, -4000000, 4000000)) * 1e-6F;
    for (const auto f : {s.exp, s.sigmoid, s.tanh, s.erf, s.gelu}) {
      f(77, x.data(), y.data());
      for (std::size_t i = 0; i < x.size(); ++i) {
        f(1, &x[i], one.data());
        REQUIRE(std::memcmp(&one[0], &y[i], sizeof(float)) == 0);
      }
    }
  }
}

TEST_CASE("transposition of any size, on every instruction set", "[cpu]") {
  for (int set = 0; set < simd_count(); ++set) {
    const Simd& s = simd_at(set);
    for (const std::int64_t rows : {1, 3, 16, 37, 130}) {
      for (const std::int64_t columns : {1, 5, 16, 33, 70}) {
        CAPTURE(s.name, rows, columns);
        std::vector<float> from(static_cast<std::size_t>(rows * (columns + 2))),
            to(static_cast<std::size_t>(columns * (rows + 1)), -1.0F);
        for (std::size_t i = 0; i < from.size(); ++i) from[i] = static_cast<float>(i);
        s.transpose(rows, columns, from.data(), columns + 2, to.data(), rows + 1);
        for (std::int64_t r = 0; r < rows; ++r) {
          for (std::int64_t c = 0; c < columns; ++c) {
            REQUIRE(to[static_cast<std::size_t>(c * (rows + 1) + r)] ==
                    from[static_cast<std::size_t>(r * (columns + 2) + c)]);
          }
        }
        for (std::int64_t c = 0; c < columns; ++c)
          REQUIRE(to[static_cast<std::size_t>(c * (rows + 1) + rows)] == -1.0F);
      }
    }
  }
}

}  // namespace spillway::workloads::compute::test
