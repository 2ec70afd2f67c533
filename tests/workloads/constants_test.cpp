// Are a constant's elements the same from wherever they come, whole or by the box?
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <numeric>

#include "configs/error.h"
#include "tests/workloads/onnx_models.h"
#include "workloads/decode.h"
#include "workloads/number_formats.h"
#include "workloads/onnx/mapped_file.h"
#include "workloads/random.h"

using namespace spillway;
using namespace spillway::workloads;
using spillway::testing::TemporaryFolder;
using spillway::workloads::test::error_of;

namespace {

Tensor generated(DataType type, const Shape& shape, Generator generator) {
  return Tensor{.name = "w", .type = type, .shape = shape, .constant = Constant{generator}};
}

template <typename T>
std::string raw(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

Tensor external(const std::string& path, DataType type, const Shape& shape, std::size_t offset) {
  const auto bytes = static_cast<std::size_t>(elements_of(shape) * bytes_of(type));
  return Tensor{.name = "w",
                .type = type,
                .shape = shape,
                .constant = Constant{Constant::External{MappedFile::open(path), offset, bytes}}};
}

Box box_of(std::initializer_list<std::pair<int, int>> ranges) {
  Box box;
  for (const auto& [from, count] : ranges) box.set(box.rank++, from, count);
  return box;
}

}  // namespace

TEST_CASE("SplitMix64 mixes as published", "[constants]") {
  // First outputs of SplitMix64 seeded with 1234567 (the reference vector of Rosetta Code and of xoshiro's seeding).
  constexpr std::uint64_t kGolden = 0x9E3779B97F4A7C15ULL;
  CHECK(mix64(1234567 + kGolden) == 6457827717110365317ULL);
  CHECK(mix64(1234567 + 2 * kGolden) == 3203168211198807973ULL);
}

TEST_CASE("generated weights are uniform, seeded, and independent of how they are read", "[constants]") {
  constexpr std::int64_t kCount = 100000;
  const auto tensor = generated(DataType::kFloat32, {kCount}, {.seed = 7, .scale = 0.5F});
  const auto values = materialise(tensor).floats();
  double sum = 0.0;
  double squares = 0.0;
  for (const float v : values) {
    REQUIRE(v >= -0.5F);
    REQUIRE(v < 0.5F);
    sum += v;
    squares += static_cast<double>(v) * v;
  }
  // Uniform on [-a, a): mean 0 with deviation a / sqrt(3 n), mean square a^2 / 3; five deviations each.
  CHECK(std::abs(sum / kCount) < 5 * 0.5 / std::sqrt(3.0 * kCount));
  CHECK(squares / kCount == Approx(0.25 / 3).epsilon(0.01));

  CHECK(materialise(tensor).floats() == values);
  CHECK(materialise(generated(DataType::kFloat32, {kCount}, {.seed = 8, .scale = 0.5F})).floats() != values);
  const auto part = materialise(tensor, box_of({{500, 3}}));
  CHECK(part.floats() == std::vector<float>{values[500], values[501], values[502]});
}

TEST_CASE("generated values are those that the type can store", "[constants]") {
  const Generator generator{.seed = 3, .scale = 1.0F};
  const auto halves = materialise(generated(DataType::kFloat16, {1000}, generator));
  for (const float v : halves.floats()) {
    REQUIRE(float_from_half(half_from_float(v)) == v);
  }
  const auto ones = materialise(generated(DataType::kInt64, {3}, {.kind = Generator::Kind::kConstant, .scale = 5.0F}));
  CHECK(ones.ints() == std::vector<std::int64_t>{5, 5, 5});
}

TEST_CASE("halves convert as IEEE 754 says", "[constants]") {
  CHECK(half_from_float(1.0F) == 0x3C00);
  CHECK(half_from_float(-2.0F) == 0xC000);
  CHECK(half_from_float(65504.0F) == 0x7BFF);
  CHECK(half_from_float(65519.0F) == 0x7BFF);
  CHECK(half_from_float(65520.0F) == 0x7C00);  // ties to even: infinity
  CHECK(half_from_float(0x1p-24F) == 0x0001);
  CHECK(half_from_float(0x1p-25F) == 0x0000);      // tie to even zero
  CHECK(half_from_float(0x1.8p-24F) == 0x0002);    // tie to even two
  CHECK(half_from_float(0x1.002p0F) == 0x3C00);    // 1 + 2^-11: tie, even below
  CHECK(half_from_float(0x1.006p0F) == 0x3C02);    // 1 + 3 * 2^-11: tie, even above
  CHECK(half_from_float(0x1.ff8p-15F) == 0x03FF);  // largest subnormal
  CHECK(half_from_float(0x1.ffcp-15F) == 0x0400);  // tie to even: the smallest normal
  CHECK((half_from_float(NAN) & 0x7FFF) > 0x7C00);
  CHECK(bfloat16_from_float(1.0F) == 0x3F80);
  CHECK(bfloat16_from_float(0x1.01p0F) == 0x3F80);  // tie to even
  CHECK(bfloat16_from_float(0x1.03p0F) == 0x3F82);
  CHECK(std::isnan(float_from_bfloat16(bfloat16_from_float(NAN))));
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const float value = float_from_half(half);
    if (!std::isnan(value)) REQUIRE(half_from_float(value) == half);
  }
}

TEST_CASE("external data of every element type is converted", "[constants]") {
  const TemporaryFolder folder;
  const auto read = [&](DataType type, const std::string& bytes, std::int64_t count) {
    return materialise(external(folder.write("w.bin", "x" + bytes), type, {count}, 1));  // offset 1: unaligned
  };
  using Floats = std::vector<float>;
  using Ints = std::vector<std::int64_t>;
  CHECK(read(DataType::kFloat32, raw<float>({1.5F, -2.0F}), 2).floats() == Floats{1.5F, -2.0F});
  CHECK(read(DataType::kFloat64, raw<double>({0.25, 0.1}), 2).doubles() == std::vector<double>{0.25, 0.1});
  CHECK(read(DataType::kFloat16, raw<std::uint16_t>({0x3C00, 0xC000}), 2).floats() == Floats{1.0F, -2.0F});
  CHECK(read(DataType::kBFloat16, raw<std::uint16_t>({0x3F80, 0xC040}), 2).floats() == Floats{1.0F, -3.0F});
  CHECK(read(DataType::kInt8, raw<std::int8_t>({-1, 127}), 2).ints() == Ints{-1, 127});
  CHECK(read(DataType::kUint8, raw<std::uint8_t>({255, 1}), 2).ints() == Ints{255, 1});
  CHECK(read(DataType::kInt16, raw<std::int16_t>({-300, 5}), 2).ints() == Ints{-300, 5});
  CHECK(read(DataType::kUint16, raw<std::uint16_t>({65535}), 1).ints() == Ints{65535});
  CHECK(read(DataType::kInt32, raw<std::int32_t>({-70000}), 1).ints() == Ints{-70000});
  CHECK(read(DataType::kUint32, raw<std::uint32_t>({4000000000U}), 1).ints() == Ints{4000000000});
  CHECK(read(DataType::kInt64, raw<std::int64_t>({-(1LL << 40)}), 1).ints() == Ints{-(1LL << 40)});
  CHECK(read(DataType::kBool, raw<std::uint8_t>({0, 1, 2}), 3).ints() == Ints{0, 1, 1});
  CHECK(read(DataType::kUint64, raw<std::uint64_t>({9}), 1).ints() == Ints{9});
  CHECK(read(DataType::kUint64, raw<std::uint64_t>({~0ULL}), 1).ints() == Ints{-1});  // by its bits
}

TEST_CASE("a box of a constant is that part of the whole, from every source", "[constants]") {
  const TemporaryFolder folder;
  const Shape shape{3, 4, 5};
  std::vector<float> values(60);
  std::iota(values.begin(), values.end(), 0.0F);
  const auto path = folder.write("w.bin", raw(values));
  auto host = std::make_shared<HostTensor>(make_host_tensor(DataType::kFloat32, shape));
  host->floats() = values;
  const std::vector<Tensor> sources{
      external(path, DataType::kFloat32, shape, 0),
      Tensor{.name = "w", .shape = shape, .constant = Constant{std::shared_ptr<const HostTensor>(host)}},
      generated(DataType::kFloat32, shape, {.seed = 1, .scale = 1.0F})};
  const auto boxes = {box_of({{0, 3}, {0, 4}, {0, 5}}), box_of({{1, 2}, {0, 4}, {0, 5}}),
                      box_of({{1, 1}, {1, 2}, {0, 5}}), box_of({{0, 3}, {1, 2}, {2, 3}}),
                      box_of({{2, 1}, {3, 1}, {4, 1}}), box_of({{0, 2}, {0, 4}, {1, 1}})};
  for (const auto& tensor : sources) {
    const auto all = materialise(tensor).floats();
    for (const auto& box : boxes) {
      const auto part = materialise(tensor, box);
      std::size_t next = 0;
      for (int i = box.begin[0]; i < box.end(0); ++i) {
        for (int j = box.begin[1]; j < box.end(1); ++j) {
          for (int k = box.begin[2]; k < box.end(2); ++k) REQUIRE(part.floats().at(next++) == all[(i * 4 + j) * 5 + k]);
        }
      }
      REQUIRE(next == part.floats().size());
    }
    CHECK(materialise(tensor, box_of({{0, 0}, {0, 4}, {0, 5}})).floats().empty());
  }
  CHECK_THROWS_AS(materialise(sources[0], box_of({{0, 4}, {0, 4}, {0, 5}})), Error);
}

TEST_CASE("a scalar constant has a box of one element", "[constants]") {
  const auto scalar = generated(DataType::kFloat32, {}, {.kind = Generator::Kind::kConstant, .scale = 2.0F});
  CHECK(materialise(scalar).floats() == std::vector<float>{2.0F});
  CHECK(materialise(scalar, Box{}).floats() == std::vector<float>{2.0F});
}

TEST_CASE("absent weights are refused by name, before memory is asked for", "[constants][errors]") {
  const Tensor tensor{
      .name = "w", .shape = {1LL << 30, 1LL << 10}, .constant = Constant{Constant::Missing{"weights.bin"}}};
  const auto error = error_of([&] { (void)materialise(tensor); });
  CHECK(error.place().tensor == "w");
  CHECK(error.problem().find("'weights.bin', which is absent") != std::string::npos);
}

TEST_CASE("a mapped file is refused clearly when it cannot be read", "[constants][errors]") {
  const TemporaryFolder folder;
  CHECK(error_of([&] { (void)MappedFile::open("/nonexistent/w.bin"); }).problem() ==
        "cannot be read: No such file or directory");
  CHECK(error_of([&] { (void)MappedFile::open(folder.path().string()); }).problem() ==
        "cannot be read: Is a directory");
  CHECK(error_of([&] { (void)MappedFile::open("/dev/null"); }).problem() == "cannot be read: not a regular file");
  CHECK(MappedFile::open(folder.write("empty", ""))->size() == 0);
}
