// Program files: what is saved comes back, and what is damaged is refused with one clear message.
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include "configs/error.h"
#include "partitioner/checker.h"
#include "tests/partitioner/small_programs.h"
#include "tests/temporary_files.h"

using namespace spillway;
using namespace spillway::partitioner;
using namespace spillway::partitioner::test;
using Catch::Matchers::Contains;
using spillway::testing::content_of;
using spillway::testing::FileSizeLimit;
using spillway::testing::TemporaryFolder;
namespace fs = std::filesystem;

namespace {

void write_bytes(const std::string& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

std::string disassembly(const Program& program) {
  std::ostringstream out;
  disassemble(program, out);
  return out.str();
}

void set_u64(std::string& bytes, std::size_t at, std::uint64_t value) {
  for (int i = 0; i < 8; ++i) bytes[at + i] = static_cast<char>(value >> (8 * i));
}

/// Makes header and payload agree again, so that damage reaches the decoder. Written from the format's description.
void reseal(std::string& bytes) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (std::size_t i = 32; i < bytes.size(); ++i) {
    hash ^= static_cast<std::uint8_t>(bytes[i]);
    hash *= 0x100000001b3ULL;
  }
  set_u64(bytes, 16, bytes.size() - 32);
  set_u64(bytes, 24, hash);
}

std::string refusal(const std::string& path) {
  try {
    static_cast<void>(load_program(path));
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kBadInput);
    return error.what();
  }
  return "(loaded)";
}

}  // namespace

TEST_CASE("a saved Program comes back the same", "[partitioner][program_io]") {
  const TemporaryFolder scratch;
  for (const Program& program : {convolution_program(), normalisation_program(), concat_program()}) {
    const std::string path = scratch.path(program.name);
    save_program(program, path);
    const Program again = load_program(path);
    CHECK(again.name == program.name);
    CHECK(again.precision == program.precision);
    CHECK(again.scratchpad_bytes == program.scratchpad_bytes);
    CHECK(again.commands.size() == program.commands.size());
    CHECK(again.operand_pool.size() == program.operand_pool.size());
    CHECK(disassembly(again) == disassembly(program));
    CHECK(check(again).empty());
    // Everything that is in the file is in the value: saving it again gives the same bytes.
    save_program(again, path + ".again");
    CHECK(content_of(path) == content_of(path + ".again"));
    CHECK(fs::status(path).permissions() == static_cast<fs::perms>(0644));
  }
}

TEST_CASE("generators travel with a Program, other weights do not", "[partitioner][program_io]") {
  const TemporaryFolder scratch;
  Program program = convolution_program();
  auto values = std::make_shared<workloads::HostTensor>();
  values->shape = {16};
  values->data = std::vector<float>(16, 0.25F);
  program.graph.tensors[2].constant = workloads::Constant{values};
  save_program(program, scratch.path("p"));
  const Program again = load_program(scratch.path("p"));
  CHECK(workloads::materialise(again.graph.tensors[1]).floats() ==
        workloads::materialise(program.graph.tensors[1]).floats());
  CHECK(workloads::materialise(again.graph.tensors[2]).floats() == values->floats());

  auto many = std::make_shared<workloads::HostTensor>();
  many->shape = {16, 16, 3, 3};
  many->data = std::vector<float>(std::size_t{16} * 16 * 9, 0.5F);
  program.graph.tensors[1].constant = workloads::Constant{many};
  save_program(program, scratch.path("q"));
  CHECK(load_program(scratch.path("q")).graph.tensors[1].constant->missing());
  CHECK(check(load_program(scratch.path("q"))).empty());
}

TEST_CASE("the disassembly reads as one line a command", "[partitioner][program_io]") {
  const std::string text = disassembly(convolution_program());
  CHECK(std::count(text.begin(), text.end(), '\n') == 18);
  CHECK_THAT(text, Contains("c2 d0 load act x [0:3,0:8,0:16] dram 0x0 fp32 -> act x [0:3,0:8,0:16] sp 0x2800 fp32\n"));
  CHECK_THAT(text, Contains("c3 m0 matrix {Conv_0} act x [0:3,0:8,0:16] sp 0x2800 fp32 wgt w "));
  CHECK_THAT(text, Contains(" -> act y [0:2,0:8,0:16] acc0 0x0 fp32 m16 n16 k144 b1 wait d0:3\n"));
  CHECK_THAT(text, Contains("c4 v0 vector {drain Conv_0} act y [0:2,0:8,0:16] acc0 0x0 fp32 par b "));
  CHECK_THAT(text, Contains(" wait d0:5,v0:1\n"));
}

TEST_CASE("files that are no Programs are refused by name", "[partitioner][program_io]") {
  const TemporaryFolder scratch;
  const std::string path = scratch.path("program");
  CHECK_THAT(refusal(path), Contains(path) && Contains("cannot open the file"));
  write_bytes(path, "");
  CHECK_THAT(refusal(path), Contains("not a Program file"));
  write_bytes(path, "SPWYPROG");
  CHECK_THAT(refusal(path), Contains("the file has 8 bytes when its header alone has 32"));
  save_program(convolution_program(), path);
  const std::string good = content_of(path);
  std::string bad = good;
  bad[8] = 2;
  write_bytes(path, bad);
  CHECK_THAT(refusal(path), Contains("the file has version 2 when this build reads version 1"));
  write_bytes(path, good.substr(0, good.size() - 1));
  CHECK_THAT(refusal(path), Contains("when its header says"));
  bad = good;
  bad[good.size() / 2] ^= 1;
  write_bytes(path, bad);
  CHECK_THAT(refusal(path), Contains("checksum"));
  bad = good + '\0';
  reseal(bad);
  write_bytes(path, bad);
  CHECK_THAT(refusal(path), Contains("1 bytes follow the last record"));
  CHECK_THAT(refusal(scratch.path().string()), Contains(scratch.path().string()));
}

TEST_CASE("every truncation is refused", "[partitioner][program_io]") {
  const TemporaryFolder scratch;
  const std::string path = scratch.path("program");
  save_program(convolution_program(), path);
  const std::string good = content_of(path);
  for (std::size_t size = 32; size < good.size(); ++size) {
    std::string bad = good.substr(0, size);
    reseal(bad);
    write_bytes(path, bad);
    CAPTURE(size);
    REQUIRE_THAT(refusal(path), Contains(path) && !Contains("(loaded)"));
  }
}

TEST_CASE("damage behind a valid checksum is refused or harmless", "[partitioner][program_io][fuzz]") {
  const TemporaryFolder scratch;
  const std::string path = scratch.path("program");
  std::mt19937 random(5);
  for (const Program& program : {convolution_program(), normalisation_program(), concat_program()}) {
    save_program(program, path);
    const std::string good = content_of(path);
    int refused = 0;
    const auto try_bytes = [&](std::string bad) {
      reseal(bad);
      write_bytes(path, bad);
      try {
        // What loads is safe to use, though it need not be right.
        const Program loaded = load_program(path);
        static_cast<void>(check(loaded));
        static_cast<void>(disassembly(loaded));
      } catch (const Error& error) {
        REQUIRE(error.kind() == ErrorKind::kBadInput);
        ++refused;
      }
    };
    for (std::size_t at = 32; at < good.size(); ++at) {
      for (const int value : {0x00, 0x7F, 0x80, 0xFF, good[at] ^ 1, good[at] ^ 2}) {
        std::string bad = good;
        bad[at] = static_cast<char>(value);
        try_bytes(bad);
      }
    }
    for (int round = 0; round < 500; ++round) {
      std::string bad = good;
      for (int i = 0; i < 3; ++i) {
        const std::size_t at = 32 + random() % (bad.size() - 32);
        switch (random() % 3) {
          case 0:
            bad[at] = static_cast<char>(random());
            break;
          case 1:
            bad.erase(at, 1 + random() % 4);
            break;
          default:
            bad.insert(at, 1 + random() % 4, static_cast<char>(random()));
            break;
        }
      }
      try_bytes(bad);
    }
    CHECK(refused > 0);
  }
}

TEST_CASE("writing a Program is all or nothing", "[partitioner][program_io]") {
  const TemporaryFolder scratch;
  const Program program = convolution_program();
  CHECK_THROWS_WITH(save_program(program, scratch.path("no/such/folder")), Contains("cannot write"));

  // A rename that fails: nothing is left behind.
  const std::string path = scratch.path("program");
  save_program(program, path);
  const std::string before = content_of(path);
  fs::create_directory(scratch.path("folder"));
  CHECK_THROWS_WITH(save_program(program, scratch.path("folder")), Contains("cannot write"));
  CHECK(content_of(path) == before);
  std::size_t files = 0;
  for (const auto& entry : fs::directory_iterator(scratch.path())) files += entry.is_regular_file() ? 1 : 0;
  CHECK(files == 1);

  // A full disk, as far as the process can tell.
  std::string message;
  try {
    const FileSizeLimit limit(before.size() / 2);
    save_program(program, path);
  } catch (const Error& error) {
    message = error.what();
  }
  CHECK_THAT(message, Contains(path) && Contains("cannot write"));
  CHECK(content_of(path) == before);
  CHECK(std::distance(fs::directory_iterator(scratch.path()), fs::directory_iterator()) == 2);
}
