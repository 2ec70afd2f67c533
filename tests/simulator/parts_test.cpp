// The plain classes inside the modules, each by itself.
#include <catch2/catch.hpp>
#include <random>

#include "program_builder.h"
#include "simulator/dma_transfer.h"
#include "simulator/link.h"
#include "simulator/program_bounds.h"
#include "simulator/run_cursor.h"
#include "simulator/scratchpad_port.h"
#include "simulator/token_board.h"

namespace spillway::simulator::test {

TEST_CASE("a run cursor visits the runs of for_each_run in pieces", "[simulator][dma]") {
  std::mt19937 random(7);
  const auto draw = [&](int below) { return static_cast<std::int32_t>(random() % static_cast<unsigned>(below)); };
  for (int round = 0; round < 500; ++round) {
    Operand o;
    o.format = configs::Format::kInt16;
    o.box.rank = draw(5);
    std::int64_t stride = 2;
    for (int d = o.box.rank - 1; d >= 0; --d) {
      const std::int32_t extent = 1 + draw(4);
      const std::int32_t part = draw(8) == 0 ? 0 : 1 + draw(extent);
      o.box.set(d, draw(extent - std::min(part, extent) + 1), part);
      o.at.stride[static_cast<std::size_t>(d)] = stride;
      stride *= extent;
    }
    o.at.origin = draw(1000);
    std::vector<std::pair<std::int64_t, std::int64_t>> wanted, found;
    const Bytes limit = 1 + draw(20);
    partitioner::for_each_run(o, [&](std::int64_t address, Bytes bytes) {
      for (Bytes at = 0; at < bytes; at += limit) wanted.emplace_back(address + at, std::min(limit, bytes - at));
    });
    for (RunCursor cursor(o); !cursor.done();) {
      const auto piece = cursor.take(limit);
      found.emplace_back(piece.address, piece.bytes);
    }
    CHECK(found == wanted);
  }
}

TEST_CASE("a link serves one after the other", "[simulator]") {
  Link link;
  CHECK(link.reserve(10, 5) == 15);
  CHECK(link.reserve(11, 5) == 20);
  CHECK(link.reserve(100, 1) == 101);
}

TEST_CASE("DMA gets what the engines leave of the scratchpad port", "[simulator]") {
  ScratchpadPort port({.size = 1024, .banks = 4, .bank_port_bytes = 16}, 2);
  CHECK(port.access(0, 640) == 10);
  port.stream(0, 100, 200, 3200);  // 32 of 64 bytes a cycle
  CHECK(port.access(99, 64) == 100);
  CHECK(port.access(100, 640) == 120);
  port.stream(1, 150, 200, 3200);  // nothing left: one bank of four
  CHECK(port.access(150, 640) == 190);
  CHECK(port.access(200, 640) == 210);
}

TEST_CASE("tokens wake whom they concern", "[simulator]") {
  TokenBoard board(2);
  const std::vector<Wait> waits = {{0, 1}, {1, 2}};
  CHECK(board.first_unmet(waits) == &waits[0]);
  board.await(7, {0, 2});
  board.await(8, {0, 1});
  std::vector<int> woken;
  const auto wake = [&](int engine) { woken.push_back(engine); };
  board.complete(0, wake);
  CHECK(woken == std::vector<int>{8});
  CHECK(board.first_unmet(waits) == &waits[1]);
  board.complete(0, wake);
  CHECK(woken == std::vector<int>{8, 7});
  board.complete(1, wake);
  board.complete(1, wake);
  CHECK(board.first_unmet(waits) == nullptr);
  CHECK(board.completed(1) == 2);
}

TEST_CASE("a window of requests: one a cycle, so many in flight, in order", "[simulator][dma]") {
  RequestWindow window(2);
  window.begin(100, 30, 20);
  CHECK(window.next_issue() == 130);
  window.retire(200, true);
  CHECK(window.next_issue() == 131);
  window.retire(190, true);  // overtakes, but retires after the first
  CHECK(window.next_issue() == 200);
  window.retire(260, false);
  CHECK(window.end() == 260);
  CHECK(window.record().descriptor == 30);
  CHECK(window.record().port == 20 + 60);
  CHECK(window.record().dram == 50);
}

TEST_CASE("byte ranges follow strides of either sign", "[simulator]") {
  Operand o;
  o.format = configs::Format::kInt32;
  o.box.rank = 2;
  o.box.set(0, 1, 3);
  o.box.set(1, 2, 2);
  o.at.origin = 1000;
  o.at.stride = {-100, 4};
  const ByteRange range = byte_range(o);
  CHECK(range.begin == 1000 - 300 + 8);
  CHECK(range.end == 1000 - 100 + 12 + 4);
}

}  // namespace spillway::simulator::test
