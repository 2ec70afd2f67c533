// Is each command's cost credited to the operators that it ran, with nothing lost?
#include <catch2/catch.hpp>

#include "sample.h"

using namespace spillway;
using namespace spillway::partitioner;

namespace {

/// Load x, load w, multiply, drain with bias into y and apply Silu on top, store z.
struct Machine {
  Program program;
  Plan plan;
  simulator::Result result;

  Machine() {
    const auto profile = test::sample_profile();
    plan = profile.plan;
    // One group that runs both operators.
    plan.groups.resize(1);
    plan.groups[0].stages = {{{0, 1}, true}};
    program.graph = profile.executed;
    program.layout = plan.layout;
    Kernel product, drain;
    product.steps = {{0, {}}};
    drain.steps = {{0, {}}, {1, {}}};
    drain.drain = true;
    program.kernels = {product, drain};
    command(CommandKind::kLoad, {operand(0, Space::kDram), operand(0, Space::kScratchpad)}, 10);
    command(CommandKind::kLoad, {operand(1, Space::kDram), operand(1, Space::kScratchpad)}, 20);
    Command& multiply = command(CommandKind::kMatrix, {operand(0, Space::kScratchpad)}, 100);
    multiply.kernel = 0;
    multiply.matrix = {.m = 2, .n = 4, .k = 8, .batch = 1};
    Command& finish = command(CommandKind::kVector, {operand(2, Space::kAccumulator)}, 1001);
    finish.kernel = 1;
    finish.first_box = 0, finish.boxes = 2;
    workloads::Box box;
    box.rank = 2;
    box.set(0, 0, 2), box.set(1, 0, 4);
    program.box_pool = {box, box};
    const auto silu =
        workloads::operator_of(program.graph.nodes[1]).vector_work(program.graph, program.graph.nodes[1], box);
    finish.vector = silu;
    // The drain adds one multiplication an element.
    finish.vector[static_cast<int>(configs::VectorOp::kAddMul)] += 8;
    for (const auto n : finish.vector) vector_ops += n;
    for (const auto n : silu) silu_ops += n;
    command(CommandKind::kStore, {operand(3, Space::kScratchpad), operand(3, Space::kDram)}, 5);
  }

  std::int64_t vector_ops = 0, silu_ops = 0;

 private:
  Operand operand(StorageId storage, Space space) const {
    Operand o;
    o.storage = storage;
    o.space = space;
    o.format = program.layout.storages[storage].format;
    o.box = program.layout.storages[storage].whole();
    return o;
  }
  Command& command(CommandKind kind, const std::vector<Operand>& operands, configs::Cycles cycles) {
    Command c;
    c.kind = kind;
    c.first_operand = static_cast<std::uint32_t>(program.operand_pool.size());
    c.operands = static_cast<std::uint16_t>(operands.size());
    program.operand_pool.insert(program.operand_pool.end(), operands.begin(), operands.end());
    program.commands.push_back(c);
    result.commands.push_back({.issue = 0, .start = 7, .end = 7 + cycles});
    return program.commands.back();
  }
};

}  // namespace

TEST_CASE("a fused drain is shared by its steps and adds up", "[reports][operators]") {
  const Machine machine;
  const auto uses = reports::operator_uses(machine.program, machine.plan, test::sample_npu(), machine.result);
  REQUIRE(uses.size() == 3);
  CHECK(uses[0].matrix_cycles == 100);
  CHECK(uses[0].macs == 64);
  CHECK(uses[0].vector_ops + uses[1].vector_ops == machine.vector_ops);
  CHECK(uses[1].vector_ops == machine.silu_ops);
  CHECK(uses[0].vector_ops == 8);
  CHECK(uses[0].vector_cycles + uses[1].vector_cycles == 1001);
  CHECK(uses[0].vector_cycles > 0);
  // Silu has an exponential and a division a result: most of the lane-cycles.
  CHECK(uses[1].vector_cycles > uses[0].vector_cycles);
  CHECK(uses[2].commands == 0);
}

TEST_CASE("loads belong to the reader, stores to the writer", "[reports][operators]") {
  const Machine machine;
  const auto uses = reports::operator_uses(machine.program, machine.plan, test::sample_npu(), machine.result);
  CHECK(uses[0].dma_cycles == 30);
  CHECK(uses[0].moves.of(StorageClass::kWeight) == 32);
  CHECK(uses[0].moves.of(StorageClass::kActivation) == 16);
  CHECK(uses[1].dma_cycles == 5);
  CHECK(uses[1].moves.written[static_cast<int>(StorageClass::kActivation)] == 8);
  // The fused group counts for both nodes.
  CHECK(uses[0].groups == std::vector<int>{0});
  CHECK(uses[1].groups == std::vector<int>{0});
}

TEST_CASE("moves by storage", "[reports][operators]") {
  const Machine machine;
  const auto moves = reports::storage_moves(machine.program);
  CHECK(moves[0].read == 16);
  CHECK(moves[1].read == 32);
  CHECK(moves[2].read + moves[2].written == 0);
  CHECK(moves[3].written == 8);
}

TEST_CASE("a Result of another Program is our bug", "[reports][operators]") {
  Machine machine;
  machine.result.commands.pop_back();
  CHECK_THROWS_AS(reports::operator_uses(machine.program, machine.plan, test::sample_npu(), machine.result), Error);
}
