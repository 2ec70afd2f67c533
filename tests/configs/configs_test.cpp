#include "configs/configs.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "tests/configs/expect_error.h"
#include "tests/temporary_files.h"

namespace spillway::configs {
namespace {

/// While it lives a test that runs as root has nobody's rights.
class Nobody {
 public:
  Nobody() {
    if (was_root_) REQUIRE(seteuid(65534) == 0);
  }
  ~Nobody() {
    if (was_root_ && seteuid(0) != 0) std::abort();
  }
  Nobody(const Nobody&) = delete;
  Nobody& operator=(const Nobody&) = delete;

 private:
  bool was_root_ = geteuid() == 0;
};

std::string refused(const std::string& yaml, const std::vector<std::string>& overrides = {}) {
  return test::message_of([&] { (void)parse_config(yaml, "my.yaml", overrides); });
}

TEST_CASE("a mistyped key is an error with file, line, key and the nearest valid key", "[configs]") {
  CHECK(refused("extends: edge-8mb\ndram:\n  channel: 2\n") ==
        "my.yaml:3: dram.channel: unknown key; did you mean 'dram.channels'?");
  CHECK(refused("extends: edge-8mb\nscratchpd:\n  size: 1MiB\n") ==
        "my.yaml:3: scratchpd.size: unknown key; did you mean 'scratchpad.size'?");
  CHECK(refused("extends: edge-8mb\nlanes: 3\n") == "my.yaml:2: lanes: unknown key; did you mean 'vector.lanes'?");
  CHECK(refused("extend: edge-8mb\n") == "my.yaml:1: extend: unknown key; did you mean 'extends'?");
  CHECK(refused("extends: edge-8mb\nmatrix: 64\n") == "my.yaml:2: matrix: is a section and takes no value of its own");
  CHECK(refused("extends: edge-8mb\nclock:\n  rate: 1GHz\n").starts_with("my.yaml:3: clock.rate: unknown key"));
  CHECK(refused("extends: edge-8mb\n\"a\\e[31m\": 1\n").find('\x1b') == std::string::npos);
}

TEST_CASE("a wrong value is an error with its place", "[configs]") {
  CHECK(refused("extends: edge-8mb\nclock: 8MiB\n") ==
        "my.yaml:2: clock: '8MiB': unit 'MiB' does not measure a frequency");
  CHECK(refused("extends: edge-8mb\nclock: fast\n") == "my.yaml:2: clock: 'fast' is not a number");
  CHECK(refused("extends: edge-8mb\nmatrix: {rows: -64}\n") ==
        "my.yaml:2: matrix.rows: is -64 when it should be at least 1");
  CHECK(refused("extends: edge-8mb\nmatrix: {shadow_weights: yes}\n") ==
        "my.yaml:2: matrix.shadow_weights: 'yes' is neither true nor false");
  CHECK(refused("extends: edge-8mb\nmatrix: {dataflow: row-stationary}\n") ==
        "my.yaml:2: matrix.dataflow: unknown dataflow 'row-stationary'");
  CHECK(refused("extends: edge-8mb\nprecision: {weight: int7}\n") ==
        "my.yaml:2: precision.weight: unknown number format 'int7'; did you mean 'int8'?");
  CHECK(refused("extends: edge-8mb\nname: a/b\n") == "my.yaml:2: name: 'a/b' is not a name");
  CHECK(refused("extends: edge-8mb\ndescription: \"a\\tb\\x07\"\n").find("not printable") != std::string::npos);
  CHECK(refused("extends: edge-8mb\ndram: {data_rate: 3200MT/s, bandwidth: 1GB/s}\n")
            .find("one follows from the other") != std::string::npos);
}

TEST_CASE("a config that extends nothing must be complete", "[configs]") {
  const Error error = test::error_of([] { (void)parse_config("clock: 1GHz\nmatrix: {rows: 8}\n", "my.yaml"); });
  CHECK(std::string(error.what()).find("keys are missing: matrix.count, matrix.cols") != std::string::npos);
  CHECK(error.help().find("extends: edge-8mb") != std::string::npos);
}

TEST_CASE("files that cannot be read", "[configs]") {
  const testing::TemporaryFolder folder;
  const auto message = [](const std::string& path) { return test::message_of([&] { (void)load_config(path); }); };
  CHECK(message(folder.path("none.yaml")) == folder.path("none.yaml") + ": no such file");
  CHECK(message(folder.path("")).find("is a folder") != std::string::npos);
  REQUIRE(mkfifo(folder.path("pipe.yaml").c_str(), 0600) == 0);
  CHECK(message(folder.path("pipe.yaml")).find("is not a regular file") != std::string::npos);
  CHECK(message("/dev/zero").find("is not a regular file") != std::string::npos);
  folder.write("big.yaml", std::string(2 << 20, '#'));
  CHECK(message(folder.path("big.yaml")).find("when a config has at most") != std::string::npos);
  REQUIRE(chmod(folder.path("").c_str(), 0755) == 0);
  folder.write("secret.yaml", "extends: edge-8mb\n");
  REQUIRE(chmod(folder.path("secret.yaml").c_str(), 0) == 0);
  {
    const Nobody nobody;  // root reads everything
    CHECK(message(folder.path("secret.yaml")).find("cannot be read: Permission denied") != std::string::npos);
  }
  REQUIRE(chmod(folder.path("").c_str(), 0) == 0);
  {
    const Nobody nobody;
    CHECK(message(folder.path("secret.yaml")).find("cannot be read: Permission denied") != std::string::npos);
  }
  REQUIRE(chmod(folder.path("").c_str(), 0700) == 0);
}

TEST_CASE("extends resolves from the file's folder, and loops are found", "[configs]") {
  const testing::TemporaryFolder folder;
  folder.write("base.yaml", "extends: edge-8mb\nscratchpad: {size: 4MiB}\nclock: 2GHz\n");
  const std::string child = folder.write("sub/child.yaml", "clock: 3GHz\nextends: ../base.yaml\n");
  const NpuConfig npu = load_config(child);
  CHECK(npu.scratchpad.size == 4 << 20);
  CHECK(npu.clock_hz == 3e9);
  CHECK(npu.name == "child");

  folder.write("a.yaml", "extends: b.yaml\n");
  folder.write("b.yaml", "extends: ./sub/../a.yaml\n");
  const std::string loop = test::message_of([&] { (void)load_config(folder.path("a.yaml")); });
  CHECK(loop.find("b.yaml:1: extends: './sub/../a.yaml' extends itself") != std::string::npos);
  folder.write("self.yaml", "extends: self.yaml\n");
  CHECK_THROWS_AS(load_config(folder.path("self.yaml")), Error);

  folder.write("lost.yaml", "name: lost\nextends: gone.yaml\n");
  CHECK(test::message_of([&] { (void)load_config(folder.path("lost.yaml")); }).find("lost.yaml:2: extends: ") !=
        std::string::npos);
  folder.write("typo.yaml", "extends: edge8mb\n");
  CHECK(test::message_of([&] {
          (void)load_config(folder.path("typo.yaml"));
        }).find("typo.yaml:1: extends: unknown NPU 'edge8mb'; did you mean 'edge-8mb'?") != std::string::npos);
  for (int i = 0; i < 20; ++i) {
    folder.write(fmt::format("c{}.yaml", i), fmt::format("extends: c{}.yaml\n", i + 1));
  }
  CHECK(test::message_of([&] { (void)load_config(folder.path("c0.yaml")); }).find("files extend each other") !=
        std::string::npos);
}

TEST_CASE("an error in an extended file names that file", "[configs]") {
  const testing::TemporaryFolder folder;
  folder.write("base.yaml", "extends: edge-8mb\nmatrix: {rows: 0}\n");
  const std::string child = folder.write("child.yaml", "extends: base.yaml\n");
  CHECK(test::message_of([&] { (void)load_config(child); }) ==
        folder.path("base.yaml") + ":2: matrix.rows: is 0 when it should be at least 1");
}

TEST_CASE("overrides go through the same checks, with --set as their place", "[configs]") {
  const auto message = [](const std::string& text) {
    return test::message_of([&] { (void)load_config("edge-8mb", {text}); });
  };
  CHECK(message("scratchpad.siz=4MiB") == "--set scratchpad.siz: unknown key; did you mean 'scratchpad.size'?");
  CHECK(message("scratchpad.size") == "--set: 'scratchpad.size' is not of the form key=value");
  CHECK(message("scratchpad.size=") == "--set scratchpad.size: has no value");
  CHECK(message("=4MiB") == "--set: '=4MiB' names no key");
  CHECK(message("extends=edge-8mb") == "--set extends: cannot be set on the command line");
  CHECK(message("clock=1") == "--set clock: '1' has no unit");
  CHECK(message("precision=fp12") == "--set precision: unknown precision 'fp12'; did you mean 'fp16'?");
}

TEST_CASE("overrides win over files, later ones over earlier ones", "[configs]") {
  CHECK(load_config("edge-8mb", {"scratchpad.size=4MiB"}).scratchpad.size == 4 << 20);
  CHECK(load_config("edge-8mb", {" clock = 2 GHz ", "clock=3GHz"}).clock_hz == 3e9);
  CHECK(load_config("edge-8mb", {"precision=fp16"}).precision == uniform_precision("fp16"));
  CHECK(load_config("edge-8mb", {"precision=fp16", "precision.weight=int8"}).precision.weight == Format::kInt8);
  CHECK(parse_config("extends: edge-8mb\nprecision: fp32\n", "x.yaml").precision == uniform_precision("fp32"));
}

TEST_CASE("bandwidths may be given in bytes per second", "[configs]") {
  CHECK(load_config("edge-8mb", {"dram.bandwidth=25.6GB/s"}).dram.data_rate_mtps == 3200);
  CHECK(load_config("edge-8mb", {"dram.bandwidth=25.6GB/s", "dram.channels=2"}).dram.data_rate_mtps == 6400);
  CHECK(load_config("edge-8mb", {"dram.bandwidth=25.6GB/s", "dram.data_rate=100MT/s"}).dram.data_rate_mtps == 100);
  CHECK(load_config("edge-8mb", {"interconnect.bandwidth=64GB/s", "clock=2GHz"}).interconnect.bytes_per_cycle == 32);
  CHECK(test::message_of([] {
          (void)load_config("edge-8mb", {"dram.bandwidth=0GB/s"});
        }).starts_with("--set dram.bandwidth: needs a data rate that is 0MT/s"));
}

TEST_CASE("an overridden value may mend or break a rule of the file", "[configs]") {
  const std::string broken = "extends: edge-8mb\nmatrix: {cols: 1024, accumulator_size: 4KiB}\n";
  CHECK(refused(broken).starts_with("my.yaml:2: matrix.accumulator_size: half of the accumulators"));
  CHECK_NOTHROW(parse_config(broken, "my.yaml", {"matrix.accumulator_size=8KiB"}));
}

TEST_CASE("text values survive the round trip", "[configs]") {
  const NpuConfig npu =
      parse_config("extends: edge-8mb\ndescription: >\n  say \"hi\" \\\n  to  größe: #1\nname: a.b_c-1\n", "x.yaml");
  CHECK(npu.description == "say \"hi\" \\ to größe: #1");
  CHECK(npu.name == "a.b_c-1");
  CHECK(parse_config(to_yaml(npu), "y.yaml") == npu);
}

}  // namespace
}  // namespace spillway::configs
