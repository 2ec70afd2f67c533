// What a user does wrong: one clear message, the right exit code, nothing written.
#include <unistd.h>

#include <catch2/catch.hpp>

#include "program.h"

using spillway::test::contains;
using spillway::test::Ran;
using spillway::test::Workplace;

namespace {

/// Bad input: exit code 2, nothing on stdout, "error: ..." and "  help: ...", no file.
void check_refused(const Workplace& place, const Ran& ran, const std::string& message,
                   const std::vector<std::string>& files = {}) {
  INFO("stderr: " << ran.err << "stdout: " << ran.out);
  CHECK(ran.code == 2);
  CHECK(ran.out.empty());
  CHECK(contains(ran.err, message));
  CHECK(ran.err.starts_with("error: "));
  CHECK(contains(ran.err, "\n  help: "));
  CHECK(place.files() == files);
}

}  // namespace

TEST_CASE("a missing file", "[cli][errors]") {
  const Workplace place;
  check_refused(place, place.run("profile absent/model.onnx"), "absent/model.onnx: no such file or folder");
}

TEST_CASE("a zoo name with a slip", "[cli][errors]") {
  const Workplace place;
  check_refused(place, place.run("profile sd-tyny/unet"), "did you mean 'sd-tiny/unet'?");
  check_refused(place, place.run("profile sd-tiny/unett"), "did you mean 'sd-tiny/unet'?");
}

TEST_CASE("a file that is not ONNX", "[cli][errors]") {
  const Workplace place;
  place.write("notes.onnx", "this is a text, not a model\n");
  const Ran ran = place.run("profile notes.onnx");
  CHECK(ran.code == 2);
  CHECK(ran.out.empty());
  CHECK(contains(ran.err, "error: notes.onnx"));
  CHECK(place.files() == std::vector<std::string>{"notes.onnx"});
}

TEST_CASE("an empty file", "[cli][errors]") {
  const Workplace place;
  place.write("empty.onnx", "");
  const Ran ran = place.run("profile empty.onnx");
  CHECK(ran.code == 2);
  CHECK(contains(ran.err, "error: empty.onnx"));
}

TEST_CASE("a truncated ONNX file", "[cli][errors]") {
  const Workplace place;
  REQUIRE(place.run("zoo export sd-tiny --out whole").code == 0);
  const std::string bytes = place.read("whole/vae_decoder/model.onnx");
  REQUIRE(bytes.size() > 1000);
  const Workplace other;
  for (const std::size_t size : {bytes.size() - 1, bytes.size() / 2, std::size_t{10}}) {
    other.write("cut.onnx", bytes.substr(0, size));
    const Ran ran = other.run("profile cut.onnx --no-sensitivity");
    INFO(size << ": " << ran.err);
    CHECK(ran.code == 2);
    CHECK(ran.out.empty());
    CHECK(contains(ran.err, "error: cut.onnx"));
    CHECK(other.files() == std::vector<std::string>{"cut.onnx"});
  }
}

TEST_CASE("a folder without any graph", "[cli][errors]") {
  const Workplace place;
  place.write("stuff/readme.txt", "nothing here");
  check_refused(place, place.run("profile stuff"), "error: stuff: the folder holds no graph", {"stuff/readme.txt"});
}

TEST_CASE("a wrong flag names the nearest", "[cli][errors]") {
  const Workplace place;
  check_refused(place, place.run("profile sd-tiny --srma 8MiB"), "unknown flag '--srma'");
  CHECK(contains(place.run("profile sd-tiny --srma 8MiB").err, "did you mean '--sram'?"));
  CHECK(contains(place.run("profile sd-tiny --no-sensitivty").err, "did you mean '--no-sensitivity'?"));
}

TEST_CASE("a wrong verb names the nearest", "[cli][errors]") {
  const Workplace place;
  check_refused(place, place.run("profle sd-tiny"), "unknown verb 'profle'");
  CHECK(contains(place.run("profle sd-tiny").err, "did you mean 'spillway profile'?"));
  check_refused(place, place.run("zoo exprot sd-tiny"), "did you mean 'spillway zoo export'?");
}

TEST_CASE("no verb, no target, one argument too many", "[cli][errors]") {
  const Workplace place;
  check_refused(place, place.run(""), "a verb is missing");
  check_refused(place, place.run("zoo"), "a verb is missing");
  check_refused(place, place.run("profile"), "TARGET");
  check_refused(place, place.run("profile sd-tiny sd15"), "unexpected argument 'sd15'");
}

TEST_CASE("an unknown preset", "[cli][errors]") {
  const Workplace place;
  check_refused(place, place.run("profile sd-tiny --npu edge-8m"), "edge-8m");
  CHECK(contains(place.run("profile sd-tiny --npu edge-8m").err, "edge-8mb"));
}

TEST_CASE("the --set flag with an unknown key, without a value, of an impossible value", "[cli][errors]") {
  const Workplace place;
  check_refused(place, place.run("profile sd-tiny --set scratchpad.sise=4MiB"), "scratchpad.size");
  check_refused(place, place.run("profile sd-tiny --set scratchpad.size"), "scratchpad.size");
  const Ran ran = place.run("profile sd-tiny --set matrix.rows=0");
  CHECK(ran.code == 2);
  CHECK(contains(ran.err, "matrix.rows"));
}

TEST_CASE("sizes that are none", "[cli][errors]") {
  const Workplace place;
  for (const char* size : {"-8MiB", "0", "many", "8QiB", "99999999999999999999GiB"}) {
    const Ran ran = place.run(std::string("profile sd-tiny --sram=") + size);
    INFO(size << ": " << ran.err);
    CHECK(ran.code == 2);
    CHECK(ran.out.empty());
    CHECK(ran.err.starts_with("error: "));
  }
  CHECK(contains(place.run("profile sd-tiny --sram=-8MiB").err, "-8388608"));
  CHECK(place.files().empty());
}

TEST_CASE("numbers that are none", "[cli][errors]") {
  const Workplace place;
  for (const char* flags : {"--steps 0", "--steps=-3", "--steps ten", "--batch=-1", "--image=-5", "--jobs=-1",
                            "--image 999999999999", "--batch 99999999999999999999"}) {
    const Ran ran = place.run(std::string("profile sd-tiny ") + flags);
    INFO(flags << ": " << ran.err);
    CHECK(ran.code == 2);
    CHECK(ran.out.empty());
    CHECK(ran.err.starts_with("error: "));
  }
  CHECK(place.files().empty());
}

TEST_CASE("choices that are none name the choices", "[cli][errors]") {
  const Workplace place;
  check_refused(place, place.run("profile sd-tiny --strategy fuse"), "did you mean 'fused'?");
  check_refused(place, place.run("profile sd-tiny --objective speed"), "latency, moves, energy, edp");
  check_refused(place, place.run("profile sd-tiny --format yaml"), "table, json");
  const Ran ran = place.run("profile sd-tiny --precision int7");
  CHECK(ran.code == 2);
  CHECK(contains(ran.err, "int7"));
  CHECK(place.files().empty());
}

TEST_CASE("shapes that are none", "[cli][errors]") {
  const Workplace place;
  place.write("x.onnx", "not read before the flags are");
  for (const char* shape : {"batch", "batch=", "=2", "x:", "x:1x", "x:1x-2", "x:axb", "batch=0", "x:1x99999999999"}) {
    const Ran ran = place.run(std::string("profile x.onnx --shape '") + shape + "'");
    INFO(shape << ": " << ran.err);
    CHECK(ran.code == 2);
    CHECK(contains(ran.err, std::string("--shape '") + shape + "'"));
  }
  check_refused(place, place.run("profile sd-tiny --shape batch=2"), "a zoo model has no dimensions left to bind",
                {"x.onnx"});
}

TEST_CASE("values that are none", "[cli][errors]") {
  const Workplace place;
  check_refused(place, place.run("inspect sd-tiny/unet --value sr=1"), "no model of the zoo has an If to decide");
  REQUIRE(place.run("zoo export sd-tiny --out m").code == 0);
  const auto files = place.files();
  check_refused(place, place.run("inspect m/unet/model.onnx --value sr=x"), "'sr=x' is not NAME=INTEGER", files);
  check_refused(place, place.run("inspect m/unet/model.onnx --value =1"), "'=1' is not NAME=INTEGER", files);
  check_refused(place, place.run("inspect m/unet/model.onnx --value sr=1"), "no input 'sr' of one integer", files);
}

TEST_CASE("a folder that cannot be written to is refused before the work", "[cli][errors]") {
  const Workplace place;
  place.write("taken", "mine");
  check_refused(place, place.run("profile sd-tiny --out taken"), "taken", {"taken"});
  check_refused(place, place.run("profile sd-tiny --out taken/deeper"), "Not a directory", {"taken"});
  check_refused(place, place.run("profile sd-tiny --out /proc/nowhere/out --no-sensitivity"), "/proc", {"taken"});
  CHECK(place.read("taken") == "mine");
}

TEST_CASE("a full standard output is an error", "[cli][errors]") {
  if (::access("/dev/full", W_OK) != 0) {
    WARN("skipped: no /dev/full");
    return;
  }
  const Workplace place;
  const Ran ran = place.run("zoo list >/dev/full");
  CHECK(ran.code == 2);
  CHECK(contains(ran.err, "error: standard output: cannot be written"));
}

TEST_CASE("a budget too small is a result: demand, budget, gap, smallest budget, terms, levers", "[cli][errors]") {
  const Workplace place;
  const Ran ran = place.run("profile sd-tiny/unet --sram 1KiB");
  INFO(ran.err);
  CHECK(ran.code == 3);
  CHECK(ran.out.empty());
  CHECK(contains(ran.err, "does not fit: its smallest tile needs"));
  CHECK(contains(ran.err, "the scratchpad has 1 024 B"));
  CHECK(contains(ran.err, " B short"));
  CHECK(contains(ran.err, "smallest budget that would do: "));
  CHECK(contains(ran.err, "  demand\n"));
  CHECK(contains(ran.err, "  help: --sram "));
  CHECK(place.files().empty());
  // The budget that it names does.
  const std::size_t at = ran.err.find("--sram ") + 7;
  const std::string named = ran.err.substr(at, ran.err.find('\n', at) - at);
  CHECK(place.run("partition sd-tiny/unet --sram " + named).code == 0);
}

TEST_CASE("a scratchpad that fits single elements but takes too many commands is refused", "[cli][errors]") {
  const Workplace place;
  const Ran ran = place.run("partition sd15/vae_encoder --sram 20KiB");
  INFO(ran.err);
  CHECK(ran.code == 3);
  CHECK(ran.out.empty());
  CHECK(contains(ran.err, "in 20 480 B of scratchpad the tiles are so small that the plan comes to more than "));
  CHECK(contains(ran.err, "16 777 216 are the most"));
  CHECK(contains(ran.err, "  help: --sram "));
}

TEST_CASE("run refuses what it cannot execute", "[cli][errors]") {
  const Workplace place;
  check_refused(place, place.run("run sd-tiny"), "takes one graph, this has 4");
  check_refused(place, place.run("run sd-tiny/unet --input nothing=x.npy"), "the graph has no input 'nothing'");
  check_refused(place, place.run("run sd-tiny/unet --input sampel=x.npy"), "did you mean 'sample'?");
  check_refused(place, place.run("run sd-tiny/unet --input sample"), "not NAME=FILE.npy");
  check_refused(place, place.run("run sd15/unet --reference --batch 256 --image 1024"), "GB of memory to run when");
  const Ran ran = place.run("run sd-tiny/unet --input sample=absent.npy");
  CHECK(ran.code == 2);
  CHECK(contains(ran.err, "absent.npy"));
  place.write("bad.npy", "no numpy");
  CHECK(place.run("run sd-tiny/unet --input sample=bad.npy").code == 2);
  CHECK(place.files() == std::vector<std::string>{"bad.npy"});
}
