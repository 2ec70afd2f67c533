// External data: mapped where it is there, tolerated where it is absent, confined to the model's folder.
#include "tests/workloads/onnx_models.h"
#include "workloads/onnx/mapped_file.h"

using namespace spillway;
using namespace spillway::workloads;
using Catch::Contains;
using spillway::testing::TemporaryFolder;
using spillway::workloads::test::error_of;
using spillway::workloads::test::ModelMaker;

namespace {

/// y = x + w, with w [4] at the given place.
ModelMaker external_model(const std::string& location, const std::string& offset, const std::string& length) {
  ModelMaker maker;
  maker.input("x", {1, 4});
  maker.external("w", {4}, location, offset, length);
  maker.node("Add", {"x", "w"}, {"y"});
  maker.output("y");
  return maker;
}

std::string floats(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

Error place_error(const TemporaryFolder& folder, const std::string& location, const std::string& offset = "",
                  const std::string& length = "") {
  const auto path = folder.write("model/model.onnx", external_model(location, offset, length).bytes());
  return error_of([&] { (void)import_onnx(path); });
}

}  // namespace

TEST_CASE("external data is mapped, read at its offset, and shared", "[external]") {
  const TemporaryFolder folder;
  folder.write("data/w.bin", floats({9, 9, 1, 2, 3, 4}));
  auto maker = external_model("data/w.bin", "8", "16");
  maker.external("v", {2}, "data/w.bin", "", "");  // offset 0, the length that the shape asks for
  const auto graph = import_onnx(folder.write("model.onnx", maker.bytes()));
  CHECK(graph.warnings.empty());
  const auto& w = graph.tensors[graph.find_tensor("w")];
  const auto& v = graph.tensors[graph.find_tensor("v")];
  CHECK(materialise(w).floats() == std::vector<float>{1, 2, 3, 4});
  CHECK(materialise(v).floats() == std::vector<float>{9, 9});
  CHECK(std::get<Constant::External>(w.constant->source).file == std::get<Constant::External>(v.constant->source).file);
}

TEST_CASE("an absent file is one warning, whatever the number of tensors", "[external]") {
  const TemporaryFolder folder;
  auto maker = external_model("weights.bin", "0", "16");
  maker.external("v", {1000000}, "weights.bin", "16", "4000000");
  maker.external("u", {4}, "other.bin", "0", "16");
  const auto graph = import_onnx(folder.write("model.onnx", maker.bytes()));
  CHECK(graph.tensors[graph.find_tensor("w")].constant->missing());
  CHECK(graph.tensors[graph.find_tensor("w")].shape == Shape{4});
  REQUIRE(graph.warnings.size() == 2);
  CHECK_THAT(graph.warnings[1],
             Contains("'weights.bin' is absent: 2 tensors (4.0 MB)") && Contains("profiled but not run"));
  CHECK_THAT(error_of([&] { (void)materialise(graph.tensors[graph.find_tensor("w")]); }).what(),
             Contains("'weights.bin', which is absent"));
}

TEST_CASE("external data shorter than it says", "[external][errors]") {
  const TemporaryFolder folder;
  folder.write("model/w.bin", floats({1, 2, 3}));
  const auto error = place_error(folder, "w.bin", "0", "16");
  CHECK(error.place().tensor == "w");
  CHECK_THAT(error.what(), Contains("'w.bin' has 12 bytes when 16 are needed from offset 0 on"));
  CHECK_THAT(place_error(folder, "w.bin", "8").what(), Contains("has 12 bytes when 16 are needed from offset 8 on"));
  CHECK_THAT(place_error(folder, "w.bin", "18446744073709551600").what(),
             Contains("from offset 18446744073709551600 on"));
}

TEST_CASE("external data with offsets and lengths that are none", "[external][errors]") {
  const TemporaryFolder folder;
  folder.write("model/w.bin", floats({1, 2, 3, 4}));
  CHECK_THAT(place_error(folder, "w.bin", "-8").what(), Contains("offset '-8', which is no size"));
  CHECK_THAT(place_error(folder, "w.bin", "0x10").what(), Contains("offset '0x10'"));
  CHECK_THAT(place_error(folder, "w.bin", "99999999999999999999").what(), Contains("offset '99999999999999999999'"));
  CHECK_THAT(place_error(folder, "w.bin", "0", "12").what(),
             Contains("is 12 bytes long when its shape and type need 16"));
  CHECK_THAT(place_error(folder, "", "0", "16").what(), Contains("has no location"));
}

TEST_CASE("external data outside the model's folder", "[external][errors]") {
  const TemporaryFolder folder;
  const auto outside = folder.write("secret.bin", floats({1, 2, 3, 4}));
  folder.write("model/sub/w.bin", floats({1, 2, 3, 4}));
  for (const auto& location :
       {std::string("../secret.bin"), outside, std::string("sub/../../secret.bin"), std::string("..")}) {
    INFO(location);
    CHECK_THAT(place_error(folder, location).what(), Contains("outside the model's folder"));
  }
  std::filesystem::create_symlink(outside, folder.path() / "model/link.bin");
  CHECK_THAT(place_error(folder, "link.bin").what(),
             Contains("is a link to") && Contains("outside the model's folder"));
  std::filesystem::create_directory_symlink(folder.path(), folder.path() / "model/up");
  CHECK_THAT(place_error(folder, "up/secret.bin").what(), Contains("outside the model's folder"));
  // A link that stays inside is fine.
  std::filesystem::create_symlink("sub/w.bin", folder.path() / "model/inner.bin");
  CHECK_NOTHROW(import_onnx(folder.write("model/model.onnx", external_model("inner.bin", "", "").bytes())));
}

TEST_CASE("external data that is no file, or has no printable name", "[external][errors]") {
  const TemporaryFolder folder;
  std::filesystem::create_directories(folder.path() / "model/w.bin");
  CHECK_THAT(place_error(folder, "w.bin").what(), Contains("Is a directory"));
  CHECK_THAT(place_error(folder, "w\n.bin").what(), Contains("not printable"));
  std::filesystem::create_symlink("round", folder.path() / "model/round");
  CHECK_THAT(place_error(folder, "round").what(), Contains("'round'"));
}

TEST_CASE("bytes without a folder never touch the file system", "[external]") {
  const auto bytes = external_model("etc/hostname", "", "").bytes();
  const auto graph = import_onnx_bytes(bytes, "bytes", "");
  CHECK(graph.tensors[graph.find_tensor("w")].constant->missing());
  CHECK_THROWS_AS(import_onnx_bytes(external_model("/etc/hostname", "", "").bytes(), "bytes", ""), Error);
}
