// Archives of arrays (.npz) and ONNX tensors (.pb).
#include <catch2/catch.hpp>

#include "configs/error.h"
#include "tests/temporary_files.h"
#include "workloads/workloads.h"

using namespace spillway;
using namespace spillway::workloads;
using Catch::Contains;
using spillway::testing::content_of;
using spillway::testing::TemporaryFolder;

namespace {

/// numpy.savez_compressed(x=numpy.array([[1.5, -2], [0.25, 3]], "f4"), n=numpy.arange(3)): deflated, with 64-bit sizes.
std::string compressed() {
  static constexpr char kBytes[] =
      "\x50\x4b\x03\x04\x14\x00\x00\x00\x08\x00\x00\x00\x21\x00\xa4\x9b\x3c\xce\x55\x00\x00\x00\x90\x00\x00\x00\x05\x00"
      "\x14\x00\x78\x2e\x6e\x70\x79\x01\x00\x10\x00\x90\x00\x00\x00\x00\x00\x00\x00\x55\x00\x00\x00\x00\x00\x00\x00\x9b"
      "\xec\x17\xea\x1b\x10\xc9\xc8\x50\xc6\x50\xad\x9e\x92\x5a\x9c\x5c\xa4\x6e\xa5\xa0\x6e\x93\x66\xa2\xae\xa3\xa0\x9e"
      "\x96\x5f\x54\x52\x94\x98\x17\x9f\x5f\x94\x92\x0a\x12\x77\x4b\xcc\x29\x4e\x05\x8a\x17\x67\x24\x16\xa4\x02\xf9\x1a"
      "\x46\x3a\x0a\x46\x9a\x3a\x0a\xb5\x0a\x64\x03\x2e\x06\x86\x03\xf6\x0c\x40\x82\x81\xa1\xc1\x8e\x81\xc1\xc1\x01\x00"
      "\x50\x4b\x03\x04\x14\x00\x00\x00\x08\x00\x00\x00\x21\x00\xf7\x40\x12\xea\x4c\x00\x00\x00\x98\x00\x00\x00\x05\x00"
      "\x14\x00\x6e\x2e\x6e\x70\x79\x01\x00\x10\x00\x98\x00\x00\x00\x00\x00\x00\x00\x4c\x00\x00\x00\x00\x00\x00\x00\x9b"
      "\xec\x17\xea\x1b\x10\xc9\xc8\x50\xc6\x50\xad\x9e\x92\x5a\x9c\x5c\xa4\x6e\xa5\xa0\x6e\x93\x69\xa1\xae\xa3\xa0\x9e"
      "\x96\x5f\x54\x52\x94\x98\x17\x9f\x5f\x94\x92\x0a\x12\x77\x4b\xcc\x29\x4e\x05\x8a\x17\x67\x24\x16\xa4\x02\xf9\x1a"
      "\xc6\x3a\x9a\x3a\x0a\xb5\x0a\x14\x00\x2e\x06\x28\x60\x84\xd2\x4c\x50\x1a\x00\x50\x4b\x01\x02\x14\x03\x14\x00\x00"
      "\x00\x08\x00\x00\x00\x21\x00\xa4\x9b\x3c\xce\x55\x00\x00\x00\x90\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x00"
      "\x00\x00\x00\x80\x01\x00\x00\x00\x00\x78\x2e\x6e\x70\x79\x50\x4b\x01\x02\x14\x03\x14\x00\x00\x00\x08\x00\x00\x00"
      "\x21\x00\xf7\x40\x12\xea\x4c\x00\x00\x00\x98\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x01"
      "\x8c\x00\x00\x00\x6e\x2e\x6e\x70\x79\x50\x4b\x05\x06\x00\x00\x00\x00\x02\x00\x02\x00\x66\x00\x00\x00\x0f\x01\x00"
      "\x00\x00\x00";
  return {kBytes, sizeof(kBytes) - 1};
}

TensorMap sample() {
  return {{"x", {DataType::kFloat32, {2, 2}, std::vector<float>{1.5F, -2.0F, 0.25F, 3.0F}}},
          {"n", {DataType::kInt64, {3}, std::vector<std::int64_t>{0, 1, 2}}}};
}

void check_sample(const TensorMap& tensors) {
  REQUIRE(tensors.size() == 2);
  for (const auto& [name, wanted] : sample()) {
    CHECK(tensors.at(name).type == wanted.type);
    CHECK(tensors.at(name).shape == wanted.shape);
    CHECK(tensors.at(name).data == wanted.data);
  }
}

}  // namespace

TEST_CASE("archives that NumPy compressed are read", "[npz]") {
  const TemporaryFolder folder;
  check_sample(load_npz(folder.write("a.npz", compressed())));
}

TEST_CASE("damaged archives are refused, wherever they are cut or changed", "[npz][errors]") {
  const TemporaryFolder folder;
  CHECK_THROWS_WITH(load_npz(folder.write("b.npz", "")), Contains("b.npz") && Contains("is not a .npz file"));
  const std::string whole = compressed();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    INFO(size);
    CHECK_THROWS_AS(load_npz(folder.write("cut.npz", whole.substr(0, size))), Error);
  }
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const int bit : {1, 64, 128}) {
      std::string changed = whole;
      changed[at] = static_cast<char>(changed[at] ^ bit);
      try {
        // Names, dates and versions have no checksum.
        const auto read = load_npz(folder.write("changed.npz", changed)).size();
        CHECK(read <= sample().size());
      } catch (const Error& error) {
        CHECK(error.kind() == ErrorKind::kBadInput);
      }
    }
  }
}

TEST_CASE("a written archive is read back, and the same tensors give the same bytes", "[npz]") {
  const TemporaryFolder folder;
  const auto path = (folder.path() / "x.npz").string();
  save_npz(path, sample());
  check_sample(load_npz(path));
  const std::string first = content_of(path);
  save_npz(path, sample());
  CHECK(content_of(path) == first);
}

TEST_CASE("ONNX tensors of every type are written and read back", "[pb]") {
  const TemporaryFolder folder;
  const auto path = (folder.path() / "x.pb").string();
  for (const auto type :
       {DataType::kFloat32, DataType::kFloat64, DataType::kInt8, DataType::kUint8, DataType::kInt16, DataType::kUint16,
        DataType::kInt32, DataType::kUint32, DataType::kInt64, DataType::kUint64, DataType::kBool}) {
    INFO(name_of(type));
    const auto tensor = random_tensor(type, {3, 5}, 1, 100);
    save_pb(path, {"a name", tensor});
    const auto back = load_pb(path);
    CHECK(back.name == "a name");
    CHECK(back.tensor.type == type);
    CHECK(back.tensor.shape == tensor.shape);
    CHECK(back.tensor.data == tensor.data);
  }
  const HostTensor half{DataType::kFloat16, {2}, std::vector<float>{1.5F, 0.1F}};
  save_pb(path, {"", half});
  CHECK(load_pb(path).tensor.floats() == std::vector<float>{1.5F, 0.0999755859375F});  // rounded to its format
  CHECK_THROWS_WITH(load_pb(folder.write("not.pb", "\xff\xff\xff")), Contains("is not an ONNX tensor"));
}
