// Is DRAM timing right: hit, miss, conflict, overlap, refresh, turnaround, streaming against random access?
#include "simulator/dram_timing.h"

#include <catch2/catch.hpp>
#include <random>
#include <set>

#include "program_builder.h"

namespace spillway::simulator::test {

namespace {

// one channel, 64-byte bursts of 4 cycles, 4 banks, 1 KiB rows
configs::DramConfig dram() { return small_npu().dram; }

/// The n-th address after `address` that lies in another row of its bank.
std::int64_t conflicting(const DramTiming& d, std::int64_t address, int n = 1) {
  const auto here = d.locate(address);
  while (n > 0) {
    address += 1024;
    const auto there = d.locate(address);
    if (there.bank == here.bank && there.row != here.row) --n;
  }
  return address;
}
constexpr double kClock = 1e9;
constexpr double kRcd = 10, kRp = 10, kCl = 10, kRas = 30, kBurst = 4;

}  // namespace

TEST_CASE("a closed row is activated, an open one is hit, another one is precharged first", "[simulator][dram]") {
  DramTiming d(dram(), kClock);
  CHECK(d.serve(0, 0, 64, false) == Approx(kRcd + kCl + kBurst));
  CHECK(d.serve(100, 64, 64, false) == Approx(100 + kCl + kBurst));
  CHECK(d.serve(200, conflicting(d, 0), 64, false) == Approx(200 + kRp + kRcd + kCl + kBurst));
  CHECK(d.use().row_hits == 1);
  CHECK(d.use().row_misses == 2);
}

TEST_CASE("a row stays open for tRAS", "[simulator][dram]") {
  DramTiming d(dram(), kClock);
  CHECK(d.serve(0, 0, 64, false) == Approx(24));
  // activated at 0: no precharge before 30
  CHECK(d.serve(0, conflicting(d, 0), 64, false) == Approx(kRas + kRp + kRcd + kCl + kBurst));
}

TEST_CASE("another bank's activation hides behind a transfer", "[simulator][dram]") {
  DramTiming d(dram(), kClock);
  // a whole row: 16 bursts = 64 cycles of data from 20 to 84; the next row's bank opens meanwhile
  CHECK(d.serve(0, 0, 1024, false) == Approx(84));
  CHECK(d.serve(0, 1024, 64, false) == Approx(84 + kBurst));
}

TEST_CASE("a request that spans rows and channels is cut at both", "[simulator][dram]") {
  auto config = dram();
  config.channels = 2;
  DramTiming d(config, kClock);
  // 256 bytes: two bursts in each of two channels, at the same time
  CHECK(d.serve(0, 0, 256, false) == Approx(kRcd + kCl + 2 * kBurst));
  CHECK(d.use().row_misses == 2);
  CHECK(d.use().row_hits == 2);
  CHECK(d.use().busy == 8);
  // row 0 of both channels is bytes 0 .. 2047
  CHECK(d.serve(1000, 2048 - 128, 256, false) == Approx(1000 + kRcd + kCl + kBurst));
  CHECK(d.use().row_misses == 4);
  CHECK(d.use().burst_bytes == 512);
}

TEST_CASE("partial bursts are whole on the bus", "[simulator][dram]") {
  DramTiming d(dram(), kClock);
  CHECK(d.serve(0, 60, 8, false) == Approx(kRcd + kCl + 2 * kBurst));
  CHECK(d.use().burst_bytes == 128);
  CHECK(d.serve(50, 0, 0, false) == Approx(50));
  CHECK(d.use().burst_bytes == 128);
}

TEST_CASE("changing direction idles the bus", "[simulator][dram]") {
  DramTiming d(dram(), kClock);
  double end = d.serve(0, 0, 1024, false);  // 84: the requests below are there in time to hide their latency
  CHECK(d.serve(0, 0, 64, true) == Approx(end + 7 + kBurst));
  end += 7 + kBurst;
  CHECK(d.serve(0, 0, 64, true) == Approx(end + kBurst));
  end += kBurst;
  CHECK(d.serve(0, 0, 64, false) == Approx(end + 5 + kBurst));
  CHECK(d.use().turnarounds == 2);
}

TEST_CASE("refresh closes all rows for tRFC", "[simulator][dram]") {
  auto config = dram();
  config.trefi_ns = 1000;
  SECTION("not ready just before, ready just after") {
    DramTiming before(config, kClock);
    CHECK(before.serve(975, 0, 64, false) == Approx(975 + kRcd + kCl + kBurst));  // data at 995
    CHECK(before.use().refreshes == 0);
    DramTiming after(config, kClock);
    CHECK(after.serve(980, 0, 64, false) == Approx(1000 + 100 + kRcd + kCl + kBurst));  // data would be at 1000
    CHECK(after.use().refreshes == 1);
  }
  SECTION("a row that was open is closed") {
    DramTiming d(config, kClock);
    d.serve(0, 0, 64, false);
    CHECK(d.serve(1200, 0, 64, false) == Approx(1200 + kRcd + kCl + kBurst));
    CHECK(d.use().row_misses == 2);
  }
  SECTION("idle time is refreshed through") {
    DramTiming d(config, kClock);
    CHECK(d.serve(1e6 + 500, 0, 64, false) == Approx(1e6 + 500 + kRcd + kCl + kBurst));
    CHECK(d.use().refreshes == 1000);
  }
}

TEST_CASE("streaming reaches 90 percent of the peak, random bursts a fraction", "[simulator][dram]") {
  for (const char* preset : {"edge-8mb", "edge-8mb-slow"}) {
    CAPTURE(preset);
    const auto npu = configs::load_config(preset);
    constexpr int kRequests = 20000;
    const auto rate = [&](auto next, Bytes bytes) {  // bytes per cycle with eight requests in flight
      DramTiming d(npu.dram, npu.clock_hz);
      std::array<double, 8> done{};
      double end = 0;
      for (int i = 0; i < kRequests; ++i) {
        double& slot = done[static_cast<std::size_t>(i % 8)];
        slot = d.serve(slot, next(i), bytes, false);
        end = std::max(end, slot);
      }
      return static_cast<double>(kRequests * bytes) / end;
    };
    const double peak = npu.dram_bytes_per_cycle();
    const double streaming = rate([](int i) { return i * 4096LL; }, 4096);
    std::mt19937_64 random(1);
    const double scattered = rate([&](int) { return static_cast<std::int64_t>(random() % (1U << 30)) / 64 * 64; }, 64);
    INFO("streaming " << streaming << ", scattered " << scattered << ", peak " << peak);
    CHECK(streaming > 0.9 * peak);
    CHECK(streaming <= peak);
    CHECK(scattered < 0.5 * peak);
  }
}

TEST_CASE("every row of every bank has one address, neighbours different banks", "[simulator][dram]") {
  auto config = dram();
  config.channels = 3;  // nothing needs to be a power of two
  config.banks = 5;
  const DramTiming d(config, kClock);
  std::set<std::array<std::int64_t, 3>> seen;
  DramTiming::Location before{-1, -1, -1};
  for (std::int64_t row = 0; row < 1000; ++row) {
    for (std::int64_t channel = 0; channel < 3; ++channel) {
      const auto at = d.locate(row * 3 * 1024 + channel * 64);
      CHECK(at.channel == channel);
      CHECK(seen.insert({at.channel, at.bank, at.row}).second);
      CHECK(d.locate(row * 3 * 1024 + 3 * 960 + channel * 64) == at);  // the same row's last burst
      if (channel == 0 && row % 5 != 0) CHECK(at.bank != before.bank);
      if (channel == 0) before = at;
    }
  }
}

TEST_CASE("rows by bank: neighbours alternate, every bank-th conflicts", "[simulator][dram]") {
  DramTiming d(dram(), kClock);
  double neighbours = 0;
  for (int i = 0; i < 64; ++i) neighbours = std::max(neighbours, d.serve(0, i * 1024, 64, false));
  DramTiming e(dram(), kClock);
  double conflicts = 0;
  for (int i = 0; i < 64; ++i) conflicts = std::max(conflicts, e.serve(0, conflicting(e, 0, i + 1), 64, false));
  CHECK(conflicts > 3 * neighbours);
}

}  // namespace spillway::simulator::test
