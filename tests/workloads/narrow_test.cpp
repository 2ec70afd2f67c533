// The conversions of narrow.h for every instruction set that this machine has, against the scalar definitions: all
// values of the formats, their midpoints and what lies next to those, random bits, and arrays of every short length.
#include "workloads/compute/narrow.h"

#include <algorithm>
#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <random>
#include <vector>

#include "workloads/compute/simd.h"
#include "workloads/number_formats.h"

namespace {

using namespace spillway::workloads;
using namespace spillway::workloads::compute;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

template <typename Check>
void for_each_table(Check check) {
  for (int i = 0; i < simd_count(); ++i) {
    INFO(narrow_at(i).name);
    check(narrow_at(i));
  }
}

std::vector<float> random_bits(std::size_t count) {
  std::mt19937 random(5);
  std::vector<float> values(count);
  for (float& v : values) v = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
  return values;
}

/// Every value of a format, the midpoint to its neighbour, what lies right beside that, and numbers of every kind.
std::vector<float> telling_values(const std::vector<float>& format) {
  std::vector<float> values = random_bits(1 << 16);
  for (const float special : {0.0F, -0.0F, kInfinity, -kInfinity, std::numeric_limits<float>::quiet_NaN(), 1e-45F,
                              -1e-45F, std::numeric_limits<float>::max(), std::numeric_limits<float>::lowest()}) {
    values.push_back(special);
  }
  for (std::size_t i = 0; i < format.size(); ++i) {
    values.push_back(format[i]);
    if (i + 1 == format.size() || !std::isfinite(format[i]) || !std::isfinite(format[i + 1])) continue;
    const auto middle = static_cast<float>((double{format[i]} + double{format[i + 1]}) / 2);
    values.insert(values.end(), {middle, std::nextafter(middle, -kInfinity), std::nextafter(middle, kInfinity)});
  }
  return values;
}

/// Elements of two arrays with other bits.
template <typename T>
std::size_t differences(const std::vector<T>& a, const std::vector<T>& b) {
  REQUIRE(a.size() == b.size());
  std::size_t count = 0;
  for (std::size_t i = 0; i < a.size(); ++i) count += std::memcmp(&a[i], &b[i], sizeof(T)) != 0 ? 1 : 0;
  return count;
}

template <typename T, typename From, typename Decode, typename Encode>
void check_format(From count, Decode decode, Encode encode, void (*to)(std::int64_t, const float*, T*),
                  const std::function<void(std::int64_t, const T*, float*)>& from) {
  std::vector<T> patterns(static_cast<std::size_t>(count));
  std::vector<float> all(patterns.size()), found(patterns.size());
  for (std::size_t i = 0; i < patterns.size(); ++i) {
    patterns[i] = static_cast<T>(i);
    all[i] = decode(patterns[i]);
  }
  from(count, patterns.data(), found.data());
  CHECK(differences(all, found) == 0);
  const std::vector<float> values = telling_values(all);
  std::vector<T> wanted(values.size()), stored(values.size());
  std::transform(values.begin(), values.end(), wanted.begin(), encode);
  to(static_cast<std::int64_t>(values.size()), values.data(), stored.data());
  CHECK(differences(wanted, stored) == 0);
}

}  // namespace

TEST_CASE("narrow floats are those of the formats, in every instruction set", "[narrow]") {
  for_each_table([](const Narrow& t) {
    check_format<std::uint16_t>(1 << 16, float_from_half, half_from_float, t.to_half, t.from_half);
    check_format<std::uint16_t>(1 << 16, float_from_bfloat16, bfloat16_from_float, t.to_bfloat16, t.from_bfloat16);
    check_format<std::uint8_t>(
        256, [](std::uint8_t v) { return float_from_float8(kE4M3, v); },
        [](float v) { return float8_from_float(kE4M3, v); }, t.to_e4m3,
        [&](std::int64_t n, const std::uint8_t* x, float* y) { t.look_up(n, x, e4m3_values(), y); });
    check_format<std::uint8_t>(
        256, [](std::uint8_t v) { return float_from_float8(kE5M2, v); },
        [](float v) { return float8_from_float(kE5M2, v); }, t.to_e5m2,
        [&](std::int64_t n, const std::uint8_t* x, float* y) { t.look_up(n, x, e5m2_values(), y); });
  });
}

TEST_CASE("rounding in place is storing and reading back", "[narrow]") {
  for_each_table([](const Narrow& t) {
    const std::vector<float> values = random_bits(100'003);
    const auto n = static_cast<std::int64_t>(values.size());
    std::vector<float> wanted = values, found = values;
    for (float& v : wanted) v = float_from_half(half_from_float(v));
    t.round_half(n, found.data(), found.data());
    CHECK(differences(wanted, found) == 0);
    wanted = found = values;
    for (float& v : wanted) v = float_from_bfloat16(bfloat16_from_float(v));
    t.round_bfloat16(n, found.data(), found.data());
    CHECK(differences(wanted, found) == 0);
  });
}

TEST_CASE("integers are rounded, saturated and read back as the quantiser has it", "[narrow]") {
  std::mt19937 random(9);
  for_each_table([&](const Narrow& t) {
    for (int round = 0; round < 40; ++round) {
      const int bits = round % 2 == 0 ? 8 : 16;
      const float high =
          std::ldexp(1.0F + static_cast<float>(random() % 1000) / 1000, static_cast<int>(random() % 60) - 30);
      const Range range{-high * static_cast<float>(random() % 3) / 2, high};
      const Quantiser q = round % 4 < 2 ? symmetric_quantiser(range, bits) : asymmetric_quantiser(range, bits);
      std::vector<float> values = random_bits(4000);
      values.insert(values.end(),
                    {0.0F, -0.0F, kInfinity, -kInfinity, std::numeric_limits<float>::quiet_NaN(), 1e-45F});
      for (int k = -70000; k < 70000; k += 1 + static_cast<int>(random() % 17)) {  // ties, and right beside them
        const float tie = (static_cast<float>(k) + 0.5F) * q.scale;
        values.insert(values.end(), {tie, std::nextafter(tie, -kInfinity), std::nextafter(tie, kInfinity)});
      }
      const auto n = static_cast<std::int64_t>(values.size());
      int wrong = 0;
      const auto check = [&](auto integers, auto encode, auto decode) {
        encode(n, values.data(), q, integers.data());
        std::vector<float> back(values.size());
        decode(n, integers.data(), q, back.data());
        for (std::size_t i = 0; i < values.size(); ++i) {
          wrong += integers[i] == q.encode(values[i]) && back[i] == q.decode(integers[i]) ? 0 : 1;
        }
      };
      if (bits == 8) {
        check(std::vector<std::int8_t>(values.size()), t.encode8, t.decode8);
      } else {
        check(std::vector<std::int16_t>(values.size()), t.encode16, t.decode16);
      }
      CAPTURE(bits, q.scale, q.zero_point);
      CHECK(wrong == 0);
    }
  });
}

TEST_CASE("columns are encoded by a scale each, to the bit", "[narrow]") {
  std::mt19937 random(11);
  const auto any_float = [&](int low, int high) {  // exponents from low on
    const float mantissa = 1 + static_cast<float>(random() % (1U << 23)) * 0x1p-23F;
    return std::ldexp(mantissa, low + static_cast<int>(random() % static_cast<unsigned>(high - low)));
  };
  std::vector<float> values, scales, reciprocals;
  for (int i = 0; i < 400000; ++i) {
    const float scale = i % 3 == 0 ? any_float(-90, 90) : any_float(-12, 0);
    const float tie = (static_cast<float>(static_cast<int>(random() % 300) - 150) + 0.5F) * scale;
    const float value = i % 5 == 0   ? any_float(-120, 120)
                        : i % 5 == 1 ? std::nextafter(tie, -kInfinity)
                        : i % 5 == 2 ? std::nextafter(tie, kInfinity)
                                     : tie;
    values.push_back(i % 7919 == 0 ? (i % 2 == 0 ? kInfinity : std::numeric_limits<float>::quiet_NaN()) : value);
    scales.push_back(scale);
    reciprocals.push_back(1.0F / scale);
  }
  for_each_table([&](const Narrow& t) {
    std::vector<std::int8_t> encoded(values.size());
    t.encode8_columns(static_cast<std::int64_t>(values.size()), values.data(), scales.data(), reciprocals.data(),
                      encoded.data());
    int wrong = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const Quantiser q{.scale = scales[i], .low = -127, .high = 127};
      wrong += encoded[i] == q.encode(values[i]) ? 0 : 1;
    }
    CHECK(wrong == 0);
  });
}

TEST_CASE("short arrays anywhere, sums and extremes", "[narrow]") {
  std::mt19937 random(3);
  std::vector<float> values(400);
  std::vector<std::int8_t> bytes(400);
  std::vector<std::int32_t> sums(400);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(static_cast<int>(random() % 20001) - 10000) / 256;
    bytes[i] = static_cast<std::int8_t>(random());
    sums[i] = static_cast<std::int32_t>(random());
  }
  values[100] = kInfinity;
  values[201] = std::numeric_limits<float>::quiet_NaN();
  const Quantiser q{.scale = 0.37F, .zero_point = -3};
  for_each_table([&](const Narrow& t) {
    for (std::int64_t n = 0; n < 140; ++n) {
      const auto from = static_cast<std::size_t>(random() % 200);
      const auto count = static_cast<std::size_t>(n);
      const std::size_t end = from + count;
      // One more element that nobody may touch.
      std::vector<std::int8_t> encoded(count + 1, 99);
      t.encode8(n, &values[from], q, encoded.data());
      std::vector<float> scaled(count + 1, 99), by_column(count + 1, 99);
      t.scale_sums(n, &sums[from], &values[0], 0, scaled.data());
      t.scale_sums(n, &sums[from], &values[1], 1, by_column.data());
      std::vector<std::int32_t> columns(count + 1, 5);
      t.add_columns8(n, &bytes[from], columns.data());
      std::vector<std::uint8_t> biased(count + 1, 77);
      t.biased(n, &bytes[from], biased.data());
      std::vector<float> most(count + 1, 1);
      t.largest_columns(n, &values[from], most.data());
      float low = -1, high = 1, largest = 0;
      std::int64_t strange = 0;
      std::int32_t sum = 0, unsigned_sum = 0;
      bool right = encoded[count] == 99 && scaled[count] == 99 && by_column[count] == 99 && columns[count] == 5 &&
                   biased[count] == 77 && most[count] == 1;
      for (std::size_t i = from; i < end; ++i) {
        const float v = values[i];
        const std::size_t k = i - from;
        right = right && encoded[k] == q.encode(v) && columns[k] == 5 + bytes[i] && biased[k] == bytes[i] + 128;
        right = right && scaled[k] == static_cast<float>(sums[i]) * values[0];
        right = right && (by_column[k] == static_cast<float>(sums[i]) * values[1 + k] ||
                          (std::isnan(by_column[k]) && std::isnan(static_cast<float>(sums[i]) * values[1 + k])));
        right = right && most[k] == std::max(1.0F, std::isnan(v) ? 0 : std::fabs(v));
        sum += bytes[i];
        unsigned_sum += static_cast<std::uint8_t>(bytes[i]);
        if (!std::isnan(v)) largest = std::max(largest, std::fabs(v));
        if (!std::isfinite(v)) {
          ++strange;
        } else {
          low = std::min(low, v);
          high = std::max(high, v);
        }
      }
      CAPTURE(n, from);
      CHECK(right);
      CHECK(t.sum8(n, &bytes[from]) == sum);
      CHECK(t.sum8_unsigned(n, reinterpret_cast<const std::uint8_t*>(&bytes[from])) == unsigned_sum);
      CHECK(t.largest(n, &values[from]) == largest);
      float found_low = -1, found_high = 1;
      CHECK(t.widen(n, &values[from], &found_low, &found_high) == strange);
      CHECK(found_low == low);
      CHECK(found_high == high);
    }
  });
}
