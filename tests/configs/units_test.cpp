#include "configs/units.h"

#include <cmath>
#include <random>

#include "configs/configs.h"
#include "tests/configs/expect_error.h"

namespace spillway::configs {
namespace {

TEST_CASE("parse_bytes refuses what is not a size and names what asked", "[configs][units]") {
  const auto message = [](std::string_view text) {
    return test::message_of([&] { (void)parse_bytes(text, "--sram"); });
  };
  CHECK(message("") == "--sram: '' is not a number");
  CHECK(message("MiB") == "--sram: 'MiB' is not a number");
  CHECK(message("inf") == "--sram: 'inf' is not a number");
  CHECK(message("nan") == "--sram: 'nan' is not a number");
  CHECK(message("-nan") == "--sram: '-nan' is not a number");
  CHECK(message("8mib") == "--sram: '8mib': unit 'mib' does not measure a size; did you mean 'MiB'?");
  CHECK(message("8MHz").find("unit 'MHz' does not measure a size") != std::string::npos);
  CHECK(message("8 MiB x").find("unit 'MiB x'") != std::string::npos);
  CHECK(message("0") == "--sram: is 0 bytes when it should be at least 1");
  CHECK(message("-4MiB").find("at least 1") != std::string::npos);
  CHECK(message("1.3KiB") == "--sram: '1.3KiB' is 1331.2 B when it should be a whole number");
  CHECK(message("1e400") == "--sram: '1e400' is too large or too small a number");
  CHECK(message("99999999999999999999") == "--sram: '99999999999999999999' is too large a number");
  CHECK(message("4096TiB").find("at most") != std::string::npos);
}

TEST_CASE("parse_bytes reads decimal and binary units", "[configs][units]") {
  CHECK(parse_bytes("8MiB", "x") == 8388608);
  CHECK(parse_bytes("512KiB", "x") == 524288);
  CHECK(parse_bytes("8388608", "x") == 8388608);
  CHECK(parse_bytes(" 4 GiB ", "x") == 4294967296);
  CHECK(parse_bytes("1.5MB", "x") == 1500000);
  CHECK(parse_bytes("0.5KiB", "x") == 512);
  CHECK(parse_bytes("1B", "x") == 1);
}

TEST_CASE("quantities are read in the base unit of NpuConfig's members", "[configs][units]") {
  CHECK(parse_quantity(Quantity::kFrequency, "1GHz") == 1e9);
  CHECK(parse_quantity(Quantity::kFrequency, "933 MHz") == 933e6);
  CHECK(parse_quantity(Quantity::kTransferRate, "6.4GT/s") == 6400);
  CHECK(parse_quantity(Quantity::kTime, "3.904us") == 3904);
  CHECK(parse_quantity(Quantity::kTime, "500ps") == 0.5);
  CHECK(parse_quantity(Quantity::kEnergyPerByte, "5pJ/bit") == 40);
  CHECK(parse_quantity(Quantity::kPower, "2W") == 2000);
  CHECK(parse_quantity(Quantity::kBytesPerCycle, "51.2GB/s", 0.8e9) == 64);
  CHECK(parse_quantity(Quantity::kBandwidth, "51.2GB/s") == 51.2e9);
  CHECK(parse_quantity(Quantity::kRatio, ".25") == 0.25);
}

TEST_CASE("a number without a needed unit, or with one where none belongs, is refused", "[configs][units]") {
  const auto message = [](Quantity quantity, std::string_view text) {
    return test::message_of([&] { (void)parse_quantity(quantity, text); });
  };
  CHECK(message(Quantity::kFrequency, "1000") == "'1000' has no unit");
  CHECK(message(Quantity::kCount, "4KiB") == "'4KiB' has a unit when it should be a plain number");
  CHECK(message(Quantity::kCount, "2.5") == "'2.5' is 2.5 when it should be a whole number");
  CHECK(message(Quantity::kBytesPerCycle, "51.2GB/s").find("does not measure") != std::string::npos);  // no clock known
}

TEST_CASE("formatted quantities read back as the very same number", "[configs][units]") {
  CHECK(format_quantity(Quantity::kBytes, 8 << 20) == "8MiB");
  CHECK(format_quantity(Quantity::kBytes, 1000) == "1kB");
  CHECK(format_quantity(Quantity::kBytes, 1001) == "1001B");
  CHECK(format_quantity(Quantity::kFrequency, 1e9) == "1GHz");
  CHECK(format_quantity(Quantity::kTime, 18) == "18ns");
  std::mt19937_64 random(7);
  for (const Quantity quantity : {Quantity::kFrequency, Quantity::kTransferRate, Quantity::kTime, Quantity::kEnergy,
                                  Quantity::kEnergyPerByte, Quantity::kPower, Quantity::kRatio, Quantity::kBytes}) {
    for (int i = 0; i < 2000; ++i) {
      double value = std::ldexp(static_cast<double>(random() >> 11), static_cast<int>(random() % 60) - 70);
      if (is_whole(quantity)) value = std::floor(value);
      REQUIRE(parse_quantity(quantity, format_quantity(quantity, value)) == value);
    }
  }
}

TEST_CASE("text from outside is shown safely", "[configs][units]") {
  CHECK(shown("a\x1b[31m\n") == "'a\\x1b[31m\\x0a'");
  CHECK(shown(std::string(1000, 'a')).size() < 70);
}

}  // namespace
}  // namespace spillway::configs
