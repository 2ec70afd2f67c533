// Are NumPy files read and written as NumPy does it?
#include "tests/workloads/onnx_models.h"
#include "workloads/decode.h"

using namespace spillway;
using namespace spillway::workloads;
using Catch::Contains;
using spillway::testing::TemporaryFolder;
using spillway::workloads::test::error_of;

namespace {

/// A version 1.0 file around the given header dictionary and data.
std::string npy(const std::string& dictionary, const std::string& data) {
  std::string result("\x93NUMPY\x01\x00", 8);
  const auto header = dictionary + "\n";
  result += static_cast<char>(header.size() & 0xFF);
  result += static_cast<char>(header.size() >> 8);
  return result + header + data;
}

Error load_error(const std::string& bytes) {
  const TemporaryFolder folder;
  const auto path = folder.write("x.npy", bytes);
  const auto error = error_of([&] { (void)load_npy(path); });
  CHECK(error.place().file == path);
  return error;
}

}  // namespace

TEST_CASE("files as NumPy writes them", "[npy]") {
  const TemporaryFolder folder;
  const std::string two_floats("\0\0\xC0\x3F\0\0\0\xC0", 8);  // 1.5, -2
  const auto floats =
      load_npy(folder.write("f.npy", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), }", two_floats)));
  CHECK(floats.type == DataType::kFloat32);
  CHECK(floats.shape == Shape{2, 1});
  CHECK(floats.floats() == std::vector<float>{1.5F, -2.0F});
  const auto scalar = load_npy(folder.write("s.npy", npy("{'descr': '<i8', 'fortran_order': False, 'shape': (), }",
                                                         std::string("\xFE\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 8))));
  CHECK(scalar.shape.empty());
  CHECK(scalar.ints() == std::vector<std::int64_t>{-2});
  const auto bools = load_npy(folder.write(
      "b.npy", npy("{'descr': '|b1', 'fortran_order': False, 'shape': (3,), }", std::string("\1\0\1", 3))));
  CHECK(bools.type == DataType::kBool);
  CHECK(bools.ints() == std::vector<std::int64_t>{1, 0, 1});
  const auto halves = load_npy(folder.write(
      "h.npy", npy("{'descr': '<f2', 'fortran_order': False, 'shape': (1,), }", std::string("\0\x3E", 2))));
  CHECK(halves.floats() == std::vector<float>{1.5F});
  const auto empty =
      load_npy(folder.write("e.npy", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 3), }", "")));
  CHECK(empty.shape == Shape{0, 3});
}

TEST_CASE("what is written is read back", "[npy]") {
  const TemporaryFolder folder;
  const auto path = (folder.path() / "x.npy").string();
  for (const auto type :
       {DataType::kFloat32, DataType::kFloat64, DataType::kInt8, DataType::kUint8, DataType::kInt16, DataType::kUint16,
        DataType::kInt32, DataType::kUint32, DataType::kInt64, DataType::kUint64, DataType::kBool}) {
    INFO(name_of(type));
    const auto tensor = random_tensor(type, {3, 5}, 1, 100);
    save_npy(path, tensor);
    const auto back = load_npy(path);
    CHECK(back.type == type);
    CHECK(back.shape == tensor.shape);
    CHECK(back.data == tensor.data);
  }
  auto half = make_host_tensor(DataType::kFloat16, {});
  half.floats()[0] = 1.5F;
  save_npy(path, half);
  CHECK(load_npy(path).type == DataType::kFloat32);  // widened
  CHECK(load_npy(path).floats() == half.floats());
  CHECK(load_npy(path).shape.empty());
}

TEST_CASE("the data begin at a multiple of 64 bytes, as the format asks", "[npy]") {
  const TemporaryFolder folder;
  const auto path = (folder.path() / "x.npy").string();
  for (const auto& shape : {Shape{}, Shape{4}, Shape{1, 2, 3}, Shape(8, 1)}) {
    save_npy(path, make_host_tensor(DataType::kFloat32, shape));
    CHECK((std::filesystem::file_size(path) - static_cast<std::size_t>(4 * elements_of(shape))) % 64 == 0);
  }
}

TEST_CASE("golden tensors load", "[npy]") {
  const auto golden = test::kShared + "/golden";
  if (!std::filesystem::exists(golden)) {
    WARN("skipped: " + golden + " is absent");
    return;
  }
  int files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(golden)) {
    if (entry.path().extension() != ".npy") continue;
    INFO(entry.path().string());
    const auto tensor = load_npy(entry.path().string());
    CHECK((tensor.type == DataType::kFloat32 || tensor.type == DataType::kInt32));
    CHECK(elements_of(tensor.shape) > 0);
    ++files;
  }
  CHECK(files > 0);
}

TEST_CASE("files that are broken", "[npy][errors]") {
  const std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }";
  CHECK_THAT(load_error("").what(), Contains("is not a .npy file"));
  CHECK_THAT(load_error("PK\x03\x04 this is a zip").what(), Contains("is not a .npy file"));
  CHECK_THAT(load_error(npy(header, "1234567")).what(), Contains("has 7 bytes of data when shape 2 of float32"));
  CHECK_THAT(load_error(npy(header, "123456789")).what(), Contains("has 9 bytes of data"));
  CHECK_THAT(load_error(npy(header, "12345678").substr(0, 30)).what(), Contains("is truncated: it has 30 bytes"));
  CHECK_THAT(load_error(std::string("\x93NUMPY\x09\x00\x00\x00", 10)).what(), Contains("version 9 when 1 to 3"));
  CHECK_THAT(load_error(npy("{'descr': '>f4', 'fortran_order': False, 'shape': (2,), }", "12345678")).what(),
             Contains("'>f4'"));
  CHECK_THAT(load_error(npy("{'descr': '<f4', 'fortran_order': True, 'shape': (2,), }", "12345678")).what(),
             Contains("Fortran order"));
  CHECK_THAT(load_error(npy("{'descr': '<f4', 'shape': (2,), }", "12345678")).what(),
             Contains("without descr, fortran_order or shape"));
  CHECK_THAT(load_error(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-2,), }", "12345678")).what(),
             Contains("malformed shape"));
  CHECK_THAT(
      load_error(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }", "12345678"))
          .what(),
      Contains("2^62 elements"));
  CHECK_THAT(load_error(npy("{'descr': '<f4", "12345678")).what(), Contains("malformed"));
  CHECK_THAT(load_error(npy("nonsense", "")).what(), Contains("'{' is missing"));
}

TEST_CASE("a file that cannot be written", "[npy][errors]") {
  const auto tensor = make_host_tensor(DataType::kFloat32, {1});
  CHECK_THAT(error_of([&] { save_npy("/nonexistent/x.npy", tensor); }).what(),
             Contains("/nonexistent/x.npy: cannot be written: No such file or directory"));
  if (std::filesystem::exists("/dev/full")) {
    CHECK_THAT(error_of([&] { save_npy("/dev/full", tensor); }).what(), Contains("cannot be written"));
  }
}

TEST_CASE("random tensors are standard normal, or integers below the bound", "[npy]") {
  const auto normal = random_tensor(DataType::kFloat32, {100000}, 5).floats();
  double sum = 0.0;
  double squares = 0.0;
  for (const float v : normal) {
    REQUIRE(std::isfinite(v));
    sum += v;
    squares += static_cast<double>(v) * v;
  }
  CHECK(std::abs(sum / 1e5) < 5 / std::sqrt(1e5));
  CHECK(squares / 1e5 == Approx(1.0).epsilon(0.03));  // deviation of the mean square: sqrt(2 / n) = 0.0045
  CHECK(random_tensor(DataType::kFloat32, {100000}, 5).floats() == normal);
  CHECK(random_tensor(DataType::kFloat32, {100000}, 6).floats() != normal);
  const auto sevens = random_tensor(DataType::kInt32, {1000}, 1, 7);
  for (const auto v : sevens.ints()) REQUIRE((v >= 0 && v < 7));
  const auto bools = random_tensor(DataType::kBool, {1000}, 1);
  for (const auto v : bools.ints()) REQUIRE((v == 0 || v == 1));
}
