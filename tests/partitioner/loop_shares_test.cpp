// Do the shares of a loop's cycles follow from its steps? Steps made up, shares added up by hand.
#include "partitioner/loop_shares.h"

#include <catch2/catch.hpp>

#include "tests/workloads/graph_builder.h"

namespace {

using namespace spillway;
using namespace spillway::partitioner;

/// A group without tensors: its steps only say what they cost.
struct Stepped {
  Graph graph;
  configs::NpuConfig npu = configs::load_config("edge-8mb");
  Layout layout;
  std::unique_ptr<Model> model;
  GroupModel group;

  Stepped() {
    workloads::test::GraphBuilder b;
    graph = workloads::canonicalise(b.finish({b.op("Relu", {b.input("x", {8})})}));
    layout = make_layout(graph, npu.precision);
    model = std::make_unique<Model>(graph, npu, layout);
    group.model = model.get();
  }

  [[nodiscard]] CycleShares shares(const StepCost& step, double times, Pipelining pipelining) const {
    LoopCost loop;
    loop.kinds = {step};
    loop.times = {times};
    return shares_of(loop, group, {}, pipelining);
  }
};

StepCost step(configs::Cycles channel, configs::Cycles bus, configs::Cycles matrix, configs::Cycles vector,
              configs::Cycles compute) {
  StepCost cost;
  cost.load = {channel, bus};
  cost.matrix = matrix;
  cost.vector = vector;
  cost.compute = compute;
  return cost;
}

}  // namespace

TEST_CASE("shares of a loop whose transfers take longest", "[partitioner][explain]") {
  const Stepped s;
  // 10 steps: load 100 (80 at the DRAM's bandwidth), matrix 50 and vector 20, of which 10 wait for the matrix.
  const StepCost slow = step(100, 80, 50, 20, 60);
  const CycleShares single = s.shares(slow, 10, Pipelining::kNone);
  CHECK(single[SpentOn::kSingle] == 1000);
  CHECK(single[SpentOn::kMatrix] == 500);
  CHECK(single[SpentOn::kTurns] == 100);
  CHECK(single.total() == 1600);
  CHECK(single.most() == SpentOn::kSingle);
  // Overlapped only the transfers count, and the first load that nothing hides.
  const CycleShares overlapped = s.shares(slow, 10, Pipelining::kDouble);
  CHECK(overlapped[SpentOn::kDram] == 800);
  CHECK(overlapped[SpentOn::kRequests] == 200);
  CHECK(overlapped[SpentOn::kFill] == 100);
  CHECK(overlapped.total() == 1100);
  CHECK(overlapped.most() == SpentOn::kDram);
}

TEST_CASE("shares of a loop whose engines take longest", "[partitioner][explain]") {
  const Stepped s;
  const StepCost busy = step(100, 80, 200, 150, 250);
  const CycleShares overlapped = s.shares(busy, 4, Pipelining::kDouble);
  CHECK(overlapped[SpentOn::kMatrix] == 800);
  CHECK(overlapped[SpentOn::kTurns] == 200);
  CHECK(overlapped[SpentOn::kFill] == 100);
  CHECK(overlapped.total() == 1100);
  // Pipelined in software no engine waits, until the first tile is through: 250 - 200, after its load of 100.
  const CycleShares pipelined = s.shares(busy, 4, Pipelining::kSoftware);
  CHECK(pipelined[SpentOn::kMatrix] == 800);
  CHECK(pipelined[SpentOn::kTurns] == 0);
  CHECK(pipelined[SpentOn::kFill] == 150);
  const CycleShares vector = s.shares(step(10, 10, 20, 30, 30), 4, Pipelining::kSoftware);
  CHECK(vector[SpentOn::kVector] == 120);
  CHECK(vector[SpentOn::kMatrix] == 0);
}

TEST_CASE("estimated steps add up, rounded", "[partitioner][explain]") {
  const Stepped s;
  for (const double times : {0.3, 1.7, 1000.001}) {
    const CycleShares shares = s.shares(step(7, 5, 3, 2, 4), times, Pipelining::kNone);
    CHECK(shares.total() == std::llround(times * 11));
    for (const auto cycles : shares.cycles) CHECK(cycles >= 0);
  }
}
