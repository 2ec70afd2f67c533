// Vector clocks against the transitive closure that they stand for.
#include "partitioner/happens_before.h"

#include <catch2/catch.hpp>
#include <random>

using namespace spillway::partitioner;

namespace {

struct Stream {
  Program program;
  std::vector<std::vector<bool>> before;  // before[b][a]: a precedes b, by closure
};

Stream random_stream(std::mt19937& random, int commands) {
  Stream stream;
  Program& p = stream.program;
  p.queues = Queues{.dma = 2, .matrix = 1, .vector = 1};
  std::vector<std::vector<int>> of_queue(4);
  for (int c = 0; c < commands; ++c) {
    Command command;
    command.queue = static_cast<std::int16_t>(random() % 4);
    command.first_wait = static_cast<std::uint32_t>(p.wait_pool.size());
    std::vector<bool> known(commands, false);
    const auto learn = [&](int other) {
      known[other] = true;
      for (int a = 0; a < commands; ++a) {
        if (stream.before[other][a]) known[a] = true;
      }
    };
    if (!of_queue[command.queue].empty()) learn(of_queue[command.queue].back());
    const auto q = static_cast<std::int32_t>(random() % 4);
    if (random() % 2 == 0 && !of_queue[q].empty()) {
      const auto count = static_cast<std::int32_t>(1 + random() % of_queue[q].size());
      p.wait_pool.push_back({q, count});
      command.waits = 1;
      for (int i = 0; i < count; ++i) learn(of_queue[q][i]);
    }
    of_queue[command.queue].push_back(c);
    p.commands.push_back(command);
    stream.before.push_back(known);
  }
  return stream;
}

}  // namespace

TEST_CASE("clocks order exactly what queues and waits order", "[partitioner][happens_before]") {
  std::mt19937 random(4);
  for (int round = 0; round < 50; ++round) {
    constexpr int kCommands = 40;
    const Stream stream = random_stream(random, kCommands);
    HappensBefore order(stream.program,
                        [](std::int32_t, const Wait&) { FAIL("every wait is for an earlier command"); });
    for (int b = 0; b < kCommands; ++b) {
      order.advance(b);
      for (int a = 0; a < b; ++a) {
        REQUIRE(order.ordered(a, b) == stream.before[b][a]);
        bool all = true;  // a precedes every command from b on
        for (int later = b; later < kCommands; ++later) all = all && stream.before[later][a];
        // Only the next command of each queue is looked at, which is enough: the rest of the queue follows it.
        REQUIRE(order.settled(a) == all);
      }
    }
  }
}

TEST_CASE("a wait for what is not yet in the stream is told", "[partitioner][happens_before]") {
  Program p;
  p.queues = Queues{};
  p.wait_pool = {{1, 1}, {0, 0}, {0, 1}};
  for (std::uint32_t w = 0; w < 3; ++w) {
    Command command;
    command.queue = static_cast<std::int16_t>(w == 0 ? 0 : 1);
    command.first_wait = w;
    command.waits = 1;
    p.commands.push_back(command);
  }
  std::vector<std::int32_t> told;
  const HappensBefore order(p, [&](std::int32_t c, const Wait&) { told.push_back(c); });
  CHECK(told == std::vector<std::int32_t>{0, 1});
}
