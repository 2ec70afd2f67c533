// Programs that cannot run are refused with one clear sentence; nothing of the caller's process is harmed.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <thread>

#include "program_builder.h"
#include "simulator/child_process.h"

namespace spillway::simulator::test {

namespace {

/// The error of a run, which must fail.
Error error_of(const partitioner::Program& program, const configs::NpuConfig& npu) {
  try {
    static_cast<void>(simulate(program, npu));
  } catch (const Error& error) {
    return error;
  }
  FAIL("the program ran");
  return {ErrorKind::kInternal, {}, ""};
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("a wait that is never met is a dead-lock that names the command", "[simulator][error]") {
  const auto npu = small_npu();
  ProgramBuilder b(npu);
  const StorageId x = b.storage("x", 64);
  b.load(0, x, 0, 64);
  b.load(1, x, 64, 64, {{0, 5}});
  const Error e = error_of(b.program, npu);
  CHECK(e.kind() == ErrorKind::kInternal);
  INFO(e.what());
  CHECK(contains(e.what(), "dead-locks: command 1 (load of group 'g0') waits for 5 completions of queue 0"));
  CHECK(contains(e.what(), "which has completed 1"));
}

TEST_CASE("a circle of waits is a dead-lock too", "[simulator][error]") {
  const auto npu = small_npu();
  ProgramBuilder b(npu);
  const StorageId x = b.storage("x", 64);
  b.load(0, x, 0, 64, {{1, 1}});
  b.load(1, x, 64, 64, {{0, 1}});
  CHECK(contains(error_of(b.program, npu).what(), "command 0 (load of group 'g0') waits for 1 completions of queue 1"));
}

TEST_CASE("operands out of bounds are refused before anything runs", "[simulator][error]") {
  const auto npu = small_npu();
  ProgramBuilder b(npu);
  const StorageId x = b.storage("x", 64);
  SECTION("beyond the scratchpad") {
    b.load(0, x, npu.scratchpad.size - 63, 64);
    CHECK(contains(error_of(b.program, npu).what(), "command 0 (load): bytes [1048513, 1048577) of 'x' are outside"));
  }
  SECTION("before it") {
    b.load(0, x, -1, 64);
    CHECK(contains(error_of(b.program, npu).what(), "[-1, 63)"));
  }
  SECTION("beyond the storage") {
    b.load(0, x, 0, 64, {}, 1);
    CHECK(contains(error_of(b.program, npu).what(), "reaches outside of 'x'"));
  }
  SECTION("addresses that overflow") {
    b.load(0, x, 0, 64);
    b.program.operand_pool[1].at.stride[0] = INT64_MAX / 4;
    CHECK(contains(error_of(b.program, npu).what(), "overflow"));
  }
  SECTION("another engine's queue") {
    b.load(2, x, 0, 64);
    CHECK(contains(error_of(b.program, npu).what(), "queue 2 of another engine"));
  }
  SECTION("another memory") {
    b.add(CommandKind::kStore, 0, {b.in_dram(x, 0, 64), b.in_scratchpad(x, 0, 0, 64)}, {});
    CHECK(contains(error_of(b.program, npu).what(), "wrong memories"));
  }
  SECTION("a queue that is not there") {
    b.load(0, x, 0, 64, {{9, 1}});
    CHECK(contains(error_of(b.program, npu).what(), "waits for queue 9"));
  }
}

TEST_CASE("a program made for a larger NPU is refused by name", "[simulator][error]") {
  const auto npu = small_npu();
  ProgramBuilder b(npu);
  const StorageId x = b.storage("x", 64);
  b.load(0, x, 0, 64);
  const auto with = [&](auto change) {
    auto other = npu;
    change(other);
    return error_of(b.program, other);
  };
  CHECK(contains(with([](auto& n) { n.scratchpad.size = 1000; }).what(), "1048576 bytes of scratchpad"));
  CHECK(with([](auto& n) { n.scratchpad.size = 1000; }).kind() == ErrorKind::kDoesNotFit);
  CHECK(contains(with([](auto& n) { n.matrix.accumulator_bytes = 1; }).what(), "accumulators"));
  CHECK(contains(with([](auto& n) { n.dram.size = 100; }).what(), "4096 bytes of DRAM when the NPU has 100"));
  CHECK(contains(with([](auto& n) { n.dma.channels = 1; }).what(), "2 DMA channels when the NPU has 1"));
  CHECK(contains(with([](auto& n) { n.matrix.count = 0; }).what(), "matrix engines"));
  CHECK(contains(with([](auto& n) { n.vector.count = 0; }).what(), "vector engines"));
}

TEST_CASE("a child's error arrives with all its fields", "[simulator][child]") {
  try {
    static_cast<void>(run_in_child(
        [](const Tell&) -> std::string {
          throw Error(ErrorKind::kDoesNotFit, Place{"file", 7, "node", "tensor", "key"}, "problem", "help");
        },
        {}));
    FAIL("nothing was thrown");
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::kDoesNotFit);
    CHECK(e.place().file == "file");
    CHECK(e.place().line == 7);
    CHECK(e.place().node == "node");
    CHECK(e.place().tensor == "tensor");
    CHECK(e.place().key == "key");
    CHECK(e.problem() == "problem");
    CHECK(e.help() == "help");
  }
}

TEST_CASE("a child that dies is an internal error that names the signal", "[simulator][child]") {
  const auto dies = [](int signal) {
    try {
      static_cast<void>(run_in_child(
          [signal](const Tell&) -> std::string {
            ::signal(signal, SIG_DFL);
            ::raise(signal);
            return {};
          },
          {}));
    } catch (const Error& e) {
      CHECK(e.kind() == ErrorKind::kInternal);
      return std::string(e.what());
    }
    return std::string();
  };
  CHECK(contains(dies(SIGSEGV), "signal 11"));
  CHECK(contains(dies(SIGKILL), "signal 9"));
}

TEST_CASE("other exceptions of the child keep their words", "[simulator][child]") {
  CHECK_THROWS_WITH(run_in_child([](const Tell&) -> std::string { throw std::length_error("too long"); }, {}),
                    Catch::Contains("too long"));
}

TEST_CASE("large answers and progress come through", "[simulator][child]") {
  std::vector<std::int64_t> told;
  const std::string answer = run_in_child(
      [](const Tell& tell) {
        for (int i = 0; i < 3; ++i) tell(i);
        return std::string(3'000'000, 'x');
      },
      [&](std::int64_t n) { told.push_back(n); });
  CHECK(answer == std::string(3'000'000, 'x'));
  CHECK(told == std::vector<std::int64_t>{0, 1, 2});
}

TEST_CASE("an exception of the listener ends the child and travels on", "[simulator][child]") {
  CHECK_THROWS_WITH(run_in_child(
                        [](const Tell& tell) -> std::string {
                          while (true) tell(1);
                        },
                        [](std::int64_t) { throw std::runtime_error("enough"); }),
                    "enough");
}

TEST_CASE("a child flushes nothing of its parent's and leaves no exit handler run", "[simulator][child]") {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  std::FILE* out = ::fdopen(ends[1], "w");
  std::fputs("once", out);  // stays in the buffer while the child lives
  static_cast<void>(run_in_child([](const Tell&) { return std::string(); }, {}));
  std::fclose(out);
  char text[16] = {};
  CHECK(::read(ends[0], text, sizeof text) == 4);
  ::close(ends[0]);
}

TEST_CASE("two threads simulate at the same time", "[simulator][child]") {
  const auto npu = small_npu();
  ProgramBuilder b(npu);
  const StorageId x = b.storage("x", 64 * 1024);
  for (int i = 0; i < 50; ++i) b.load(i % 2, x, 0, 64 * 1024);
  const Cycles alone = simulate(b.program, npu).cycles;
  std::array<Cycles, 4> together{};
  std::vector<std::thread> threads;
  for (Cycles& cycles : together) {
    threads.emplace_back([&] {
      for (int i = 0; i < 3; ++i) cycles = simulate(b.program, npu).cycles;
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Cycles cycles : together) CHECK(cycles == alone);
}

}  // namespace spillway::simulator::test
