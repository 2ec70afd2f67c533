// The table of fields: every key changes what it names and nothing is out of its reach.
#include "configs/fields.h"

#include <cstdlib>
#include <fstream>
#include <map>
#include <set>

#include "tests/configs/expect_error.h"

namespace spillway::configs {
namespace {

/// Another legal value for `field` of edge-8mb, and what must change with it for the rules between fields to hold.
std::vector<std::string> change_of(const Field& field, const NpuConfig& npu) {
  static const std::map<std::string, std::vector<std::string>> special{
      {"matrix.dataflow", {}},  // one choice so far
      {"precision.weight", {"precision.weight=fp16", "precision.accumulator=fp32"}},
      {"precision.activation", {"precision.activation=fp16", "precision.accumulator=fp32"}},
      {"precision.accumulator", {"precision.accumulator=fp32"}},
      {"precision.parameter", {"precision.parameter=fp16"}},
      {"precision.vector", {"precision.vector=fp32"}},
      {"dram.trcd", {"dram.trcd=36ns"}},
      {"dram.tras", {"dram.tras=84ns"}},
      {"matrix.rate.int32", {"matrix.rate.int32=0.0625"}},
      {"energy.mac.int32", {"energy.mac.int32=1.51pJ"}},
  };
  if (const auto found = special.find(field.key); found != special.end()) return found->second;
  NpuConfig copy = npu;
  const Target target = field.target(copy);
  if (std::holds_alternative<std::string*>(target)) return {field.key + "=another"};
  if (std::holds_alternative<bool*>(target)) return {field.key + "=false"};
  const double now = parse_quantity(field.quantity, get_field(field, npu), npu.clock_hz);
  return {field.key + "=" + format_quantity(field.quantity, 2 * now)};
}

TEST_CASE("every field can be overridden and changes exactly itself", "[configs][fields]") {
  const NpuConfig before = load_config("edge-8mb");
  for (const Field& field : fields()) {
    INFO(field.key);
    const std::vector<std::string> overrides = change_of(field, before);
    if (overrides.empty()) continue;
    const NpuConfig after = load_config("edge-8mb", overrides);
    CHECK_FALSE(after == before);
    std::set<std::string> meant;
    for (const std::string& text : overrides) meant.insert(text.substr(0, text.find('=')));
    for (const Field& other : fields()) {
      INFO(other.key);
      CHECK((get_field(other, after) != get_field(other, before)) == meant.contains(other.key));
    }
    CHECK(parse_config(to_yaml(after), "x.yaml") == after);
  }
}

TEST_CASE("every number refuses what is just outside its range", "[configs][fields]") {
  const NpuConfig npu = load_config("edge-8mb");
  for (const Field& field : fields()) {
    NpuConfig copy = npu;
    const Target target = field.target(copy);
    if (!std::holds_alternative<int*>(target) && !std::holds_alternative<std::int64_t*>(target) &&
        !std::holds_alternative<double*>(target)) {
      continue;
    }
    INFO(field.key);
    const auto message = [&](double value) {
      const std::string text = field.key + "=" + format_quantity(field.quantity, value);
      INFO(text);
      return test::message_of([&] { (void)load_config("edge-8mb", {text}); });
    };
    const double step = is_whole(field.quantity) ? 1 : field.high / 10;
    CHECK(message(field.high + step).find("when it should be at most") != std::string::npos);
    CHECK(message(-1).find("when it should be at least") != std::string::npos);
    if (field.low > 0 && !field.zero_means_absent) {
      CHECK(message(0).find("when it should be at least") != std::string::npos);
    }
    for (const char* absurd : {"nan", "inf", "-inf", "1e999", "", "many", "0x10", "1e300"}) {
      CHECK_THROWS_AS(load_config("edge-8mb", {field.key + "=" + absurd}), Error);
    }
  }
}

TEST_CASE("every field has a help text and appears in the reference", "[configs][fields]") {
  const std::string reference = config_reference();
  std::set<std::string> keys;
  for (const Field& field : fields()) {
    CHECK(keys.insert(field.key).second);
    CHECK_FALSE(field.help.empty());
    CHECK(("\n" + reference).find("\n" + field.key + "\n") != std::string::npos);
  }
}

// After a change of the table: SPILLWAY_UPDATE=1 ctest -R schema
TEST_CASE("configs/schema.json is the table's", "[configs][fields]") {
  const std::string path = SPILLWAY_SOURCE_DIR "/configs/schema.json";
  if (std::getenv("SPILLWAY_UPDATE") != nullptr) std::ofstream(path) << config_schema();
  std::ifstream stream(path);
  const std::string text{std::istreambuf_iterator<char>(stream), {}};
  CHECK((text == config_schema()));
}

TEST_CASE("rules between fields", "[configs][fields]") {
  const auto message = [](const std::vector<std::string>& overrides) {
    return test::message_of([&] { (void)load_config("edge-8mb", overrides); });
  };
  SECTION("a DRAM row holds whole bursts") {
    CHECK(message({"dram.row_size=16B"}) ==
          "--set dram.row_size: a row of 16 bytes is not a whole number of bursts: a burst of 16 transfers of 16 bits "
          "(32 bytes)");
    CHECK(message({"dram.burst_length=3"}).starts_with("--set dram.burst_length:"));
  }
  SECTION("half of the accumulators holds one row of the array") {
    CHECK(message({"matrix.accumulator_size=511B"}) ==
          "--set matrix.accumulator_size: half of the accumulators is 255 bytes when one row of 64 int32 partial sums "
          "takes 256");
    CHECK_NOTHROW(load_config("edge-8mb", {"matrix.accumulator_size=512B"}));
    CHECK(message({"matrix.accumulator_size=2KiB", "matrix.cols=512"}).starts_with("--set matrix.cols:"));
  }
  SECTION("the array takes the configured formats") {
    CHECK(message({"matrix.rate.int8=0"}) ==
          "--set matrix.rate.int8: the matrix engine does not take int8: matrix.rate.int8 is 0");
    CHECK(message({"precision.weight=int32"}).find("does not take int32") != std::string::npos);
    CHECK(message({"energy.mac.int8=0pJ"}).find("has no energy") != std::string::npos);
  }
  SECTION("partial sums hold the products") {
    CHECK(message({"precision.weight=fp16"}).find("partial sums of fp16 operands cannot be int32") !=
          std::string::npos);
    CHECK(message({"precision.accumulator=int8", "precision.weight=int16"}).find("narrower") != std::string::npos);
  }
  SECTION("others") {
    CHECK(message({"dram.channel_bits=12"}).find("multiple of 8") != std::string::npos);
    CHECK(message({"dma.max_burst=16B"}).find("smaller than a burst") != std::string::npos);
    CHECK(message({"dram.tras=10ns"}).starts_with("--set dram.tras:"));
    CHECK(message({"dram.trfc=4us"}).starts_with("--set dram.trfc:"));
    CHECK(message({"scratchpad.size=256B"}).starts_with("--set scratchpad.size:"));
    CHECK(message({"matrix.rows=65536", "matrix.cols=65536", "matrix.count=8"}).find("cells") != std::string::npos);
    CHECK(message({"precision.vector=int8"}).find("vector arithmetic") != std::string::npos);
    CHECK(message({"dram.size=1MiB"}).starts_with("--set dram.size:"));
  }
}

TEST_CASE("validate holds a config that was changed in place to the same rules", "[configs][fields]") {
  NpuConfig npu = load_config("edge-8mb");
  CHECK_NOTHROW(validate(npu));
  npu.precision = uniform_precision("fp32");
  CHECK_NOTHROW(validate(npu));
  npu.vector.lanes = 0;
  CHECK(test::message_of([&] { validate(npu); }) == "edge-8mb: vector.lanes: is 0 when it should be at least 1");
}

}  // namespace
}  // namespace spillway::configs
