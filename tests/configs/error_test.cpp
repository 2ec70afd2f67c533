#include "configs/error.h"

#include "configs/precision.h"
#include "tests/configs/expect_error.h"

namespace spillway {
namespace {

TEST_CASE("an error's message names its place, outermost first", "[configs][error]") {
  const Error full(ErrorKind::kBadInput, {.file = "m.onnx", .line = 7, .node = "Conv_1", .tensor = "x"}, "is odd",
                   "mend");
  CHECK(std::string(full.what()) == "m.onnx:7: node 'Conv_1': tensor 'x': is odd");
  CHECK(full.help() == "mend");
  CHECK(full.exit_code() == 2);
  CHECK(std::string(Error(ErrorKind::kDoesNotFit, {}, "too big").what()) == "too big");
  CHECK(std::string(Error(ErrorKind::kBadInput, {.file = "a.yaml", .line = 3, .key = "dram.x"}, "bad").what()) ==
        "a.yaml:3: dram.x: bad");
  CHECK(std::string(Error(ErrorKind::kBadInput, {.file = "--set", .key = "dram.x"}, "bad").what()) ==
        "--set dram.x: bad");
}

TEST_CASE("within fills only what is empty", "[configs][error]") {
  const Error inner(ErrorKind::kBadInput, {.node = "n"}, "bad", "help");
  const Error outer = inner.within({.file = "f", .line = 4, .node = "other", .tensor = "t"});
  CHECK(std::string(outer.what()) == "f:4: node 'n': tensor 't': bad");
  CHECK(outer.help() == "help");
  const Error own_file = Error(ErrorKind::kBadInput, {.file = "g"}, "bad").within({.file = "f", .line = 4});
  CHECK(std::string(own_file.what()) == "g: bad");  // the outer line belongs to the outer file
}

TEST_CASE("an internal error has exit code 1", "[configs][error]") {
  CHECK(test::error_of([] { internal_error("queue 3 is empty"); }).exit_code() == 1);
}

TEST_CASE("nearest_name takes the nearest within half of the word", "[configs][error]") {
  const std::vector<std::string> names{"rows", "cols", "channels"};
  CHECK(nearest_name("channel", names) == "channels");
  CHECK(nearest_name("row", names) == "rows");
  CHECK(nearest_name("clos", names) == "cols");  // a transposition is one step
  CHECK(nearest_name("xyzw", names).empty());
  // Three steps from either; the one that starts alike is meant.
  CHECK(nearest_name("--output", {"--input", "--out"}) == "--out");
  CHECK(nearest_name("--output", {"--out", "--input"}) == "--out");
  CHECK(nearest_name("", names).empty());
  CHECK(nearest_name(std::string(100000, 'a'), names).empty());
}

TEST_CASE("formats and precisions by name", "[configs][precision]") {
  using namespace configs;
  for (int i = 0; i < kFormatCount; ++i) {
    const auto format = static_cast<Format>(i);
    CHECK(format_from_name(name_of(format)) == format);
  }
  CHECK(bytes_of(Format::kInt8) == 1);
  CHECK(bytes_of(Format::kBf16) == 2);
  CHECK(bytes_of(Format::kFp32) == 4);
  CHECK(uniform_precision("int8") == Precision{});
  CHECK(uniform_precision("fp32").accumulator == Format::kFp32);
  CHECK(uniform_precision("fp32").vector == Format::kFp32);
  CHECK(uniform_precision("fp16").accumulator == Format::kFp32);
  CHECK(test::message_of([] { (void)format_from_name("fp61"); }) ==
        "unknown number format 'fp61'; did you mean 'fp16'?");
  CHECK(test::error_of([] { (void)uniform_precision("double"); }).help().find("fp32") != std::string::npos);
}

}  // namespace
}  // namespace spillway
