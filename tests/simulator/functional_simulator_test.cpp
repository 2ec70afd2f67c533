// One Program on several inputs: every run must be what a run by itself is.
#include <catch2/catch.hpp>
#include <cstring>

#include "simulator/functional/kept_panels.h"
#include "simulator/functional/memory.h"
#include "simulator/simulator.h"

namespace spillway::simulator::test {

namespace {

using workloads::TensorMap;

struct Case {
  workloads::Graph graph;
  configs::NpuConfig npu;
  partitioner::Program program;
};

Case tiny(const std::string& name, const std::string& precision, const std::string& scratchpad) {
  Case made;
  made.graph = workloads::canonicalise(workloads::zoo_graph("sd-tiny", name));
  made.npu = configs::load_config("edge-8mb", {"precision=" + precision, "scratchpad.size=" + scratchpad});
  auto planned = partitioner::partition(made.graph, made.npu);
  REQUIRE(std::holds_alternative<partitioner::Plan>(planned));
  made.program = partitioner::lower(made.graph, made.npu, std::get<partitioner::Plan>(planned));
  return made;
}

TensorMap inputs_of(const workloads::Graph& graph, std::uint64_t seed) {
  TensorMap inputs;
  for (const auto id : graph.inputs) {
    const auto& tensor = graph.tensors[static_cast<std::size_t>(id)];
    inputs[tensor.name] = workloads::random_tensor(tensor.type, tensor.shape, seed++);
  }
  return inputs;
}

void check_same(const FunctionalResult& found, const FunctionalResult& wanted) {
  REQUIRE(found.outputs.size() == wanted.outputs.size());
  for (const auto& [name, tensor] : wanted.outputs) {
    CAPTURE(name);
    CHECK(found.outputs.at(name).data == tensor.data);
  }
  CHECK(found.result.cycles == wanted.result.cycles);
  CHECK(found.result.moves == wanted.result.moves);
  REQUIRE(found.result.commands.size() == wanted.result.commands.size());
  for (std::size_t c = 0; c < wanted.result.commands.size(); ++c) {
    REQUIRE(found.result.commands[c].end == wanted.result.commands[c].end);
  }
}

}  // namespace

TEST_CASE("a simulator that runs again gives what one run by itself does", "[simulator][functional]") {
  for (const char* name : {"text_encoder", "unet"}) {
    const Case c = tiny(name, "fp32", "256KiB");
    for (const Bytes packed : {Bytes{0}, Bytes{64} << 10, FunctionalSimulator::kPacked}) {
      CAPTURE(name, packed);
      FunctionalSimulator simulator(c.program, c.npu, packed);
      for (const std::uint64_t seed : {1, 7, 7, 1}) {
        const TensorMap inputs = inputs_of(c.graph, seed);
        check_same(simulator.run(inputs), simulate_functional(c.program, c.npu, inputs));
      }
    }
  }
}

TEST_CASE("a simulator that runs again takes each run's calibration", "[simulator][functional]") {
  const Case c = tiny("unet", "int8", "256KiB");
  FunctionalSimulator simulator(c.program, c.npu);
  for (const std::uint64_t seed : {1, 7, 1}) {
    const TensorMap inputs = inputs_of(c.graph, seed);
    const auto calibration = workloads::calibrate(c.graph, {inputs}, {.symmetric = seed == 1});
    const FunctionalOptions options{.calibration = &calibration};
    check_same(simulator.run(inputs, options), simulate_functional(c.program, c.npu, inputs, options));
  }
}

TEST_CASE("a simulator that runs again compares layers as one run does", "[simulator][functional]") {
  const Case c = tiny("text_encoder", "fp16", "256KiB");
  FunctionalSimulator simulator(c.program, c.npu);
  for (const bool fidelity : {false, true, true}) {
    const TensorMap inputs = inputs_of(c.graph, 3);
    const FunctionalOptions options{.fidelity = fidelity};
    const FunctionalResult found = simulator.run(inputs, options);
    const FunctionalResult wanted = simulate_functional(c.program, c.npu, inputs, options);
    check_same(found, wanted);
    REQUIRE(found.layers.size() == wanted.layers.size());
    CHECK(found.layers.empty() == !fidelity);
    for (std::size_t i = 0; i < wanted.layers.size(); ++i) {
      CHECK(found.layers[i].tensor == wanted.layers[i].tensor);
      CHECK(found.layers[i].error.sqnr_db() == wanted.layers[i].error.sqnr_db());
    }
  }
}

TEST_CASE("a run that fails leaves nothing behind", "[simulator][functional][error]") {
  const Case c = tiny("text_encoder", "fp32", "256KiB");
  const TensorMap inputs = inputs_of(c.graph, 1);
  FunctionalSimulator simulator(c.program, c.npu);
  CHECK_THROWS_AS(simulator.run({}), Error);
  check_same(simulator.run(inputs), simulate_functional(c.program, c.npu, inputs));
  CHECK_THROWS_AS(simulator.run({}), Error);
  check_same(simulator.run(inputs), simulate_functional(c.program, c.npu, inputs));
}

TEST_CASE("a wrong Program is caught in every run", "[simulator][functional][error]") {
  Case c = tiny("text_encoder", "fp32", "256KiB");
  const auto load = std::find_if(c.program.commands.rbegin(), c.program.commands.rend(),
                                 [](const auto& command) { return command.kind == partitioner::CommandKind::kLoad; });
  REQUIRE(load != c.program.commands.rend());
  partitioner::Operand& target = c.program.operand_pool[load->first_operand + 1];
  target.at.origin = c.program.scratchpad_bytes - target.bytes();
  FunctionalSimulator simulator(c.program, c.npu);
  for (int run = 0; run < 3; ++run) {
    CHECK_THROWS_WITH(simulator.run(inputs_of(c.graph, 1)), Catch::Contains("reads scratchpad address"));
  }
}

TEST_CASE("a promised constant is there when it is needed, and again after a restart", "[simulator][memory]") {
  std::vector<partitioner::Storage> storages(3);
  std::vector<partitioner::Operand> operands(3);
  for (std::size_t s = 0; s < 3; ++s) {
    storages[s].format = configs::Format::kFp32;
    storages[s].rank = 1;
    storages[s].extent[0] = 16;
    storages[s].dram_address = s == 0 ? 0 : 64;  // the third one lies where the second one was
    operands[s].storage = static_cast<partitioner::StorageId>(s);
    operands[s].space = partitioner::Space::kDram;
    operands[s].format = configs::Format::kFp32;
    operands[s].box = storages[s].whole();
    operands[s].at.origin = storages[s].dram_address;
    operands[s].at.stride[0] = 4;
  }
  Memory memory("DRAM", 128, storages, std::make_shared<workloads::BufferPool>());
  const auto set = [&](partitioner::StorageId storage, float value) {
    std::memcpy(memory.write(storages[static_cast<std::size_t>(storage)].dram_address, 64, storage), &value, 4);
  };
  const auto get = [&](partitioner::StorageId storage) {
    float value = 0;
    std::memcpy(&value, memory.read(storages[static_cast<std::size_t>(storage)].dram_address, 64, storage), 4);
    return value;
  };
  const bool kept = GENERATE(false, true);
  int made = 0;
  memory.promise(1, kept, [&] {
    set(1, 2.0F);
    ++made;
  });
  const int what = GENERATE(0, 1, 2, 3, 4);
  for (int run = 0; run < 3; ++run) {
    CAPTURE(kept, what, run);
    memory.restart(3);
    set(0, 1.0F);
    CHECK_THROWS_AS(get(2), WrongRead);
    if (what == 4) {  // another is written in its place before it is needed
      memory.prepare(operands[2], Memory::Use::kWritten);
      set(2, 4.0F);
      memory.prepare(operands[1], Memory::Use::kRead);
      CHECK_THROWS_AS(get(1), WrongRead);
      CHECK_FALSE(memory.constant(operands[1]).has_value());
      CHECK(made == 0);
      continue;
    }
    memory.prepare(operands[1], Memory::Use::kRead);
    CHECK(made == (kept ? 1 : run + 1));
    CHECK(get(1) == 2.0F);
    const auto constant = memory.constant(operands[1]);
    REQUIRE(constant.has_value());
    if (what == 1) {
      memory.prepare(operands[1], Memory::Use::kWritten);
      set(1, 3.0F);
      CHECK(get(1) == 3.0F);
      CHECK_FALSE(memory.constant(operands[1]).has_value());
    } else if (what == 2) {
      memory.forget(1);
      CHECK_THROWS_AS(get(1), WrongRead);
    } else if (what == 3) {
      set(2, 4.0F);
      CHECK_THROWS_AS(get(1), WrongRead);
      CHECK_FALSE(memory.constant(operands[1]).has_value());
      CHECK(get(2) == 4.0F);
    }
    // Whoever was given the constant still has it.
    CHECK(*reinterpret_cast<const float*>(constant->data + 64) == 2.0F);
  }
}

TEST_CASE("a tile of bytes reads as if it had been copied", "[simulator][memory]") {
  std::vector<std::byte> bytes(512);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i % 251);
  partitioner::Operand tile;
  tile.storage = 3;
  tile.format = configs::Format::kInt8;
  tile.box.rank = 2;
  tile.box.set(0, 2, 10);
  tile.box.set(1, 4, 8);
  tile.at.stride = {8, 1};
  Memory::Lent lent;
  lent.lies.stride = {32, 1};
  lent.data = bytes.data();
  Memory memory("scratchpad", 1024);
  REQUIRE(memory.alias(tile, lent));
  REQUIRE(memory.aliased(tile, tile.box) != nullptr);
  for (int row = 2; row < 12; ++row) {
    for (int column = 4; column < 12; ++column) {
      const std::size_t from = static_cast<std::size_t>(row) * 32 + static_cast<std::size_t>(column);
      CHECK(*memory.read(row * 8 + column, 1, 3) == bytes[from]);
    }
  }
  CHECK(memory.aliased(tile, tile.box) == nullptr);
}

TEST_CASE("who wrote a byte before a restart is nobody", "[simulator][memory]") {
  Owners owners(1024);
  owners.set(0, 300, 4);
  owners.set(300, 20, 2);
  owners.clear(5);
  REQUIRE(owners.other_than(4, 0, 300).has_value());
  CHECK(owners.other_than(4, 0, 300)->owner == partitioner::kNone);
  CHECK(owners.other_than(2, 300, 20)->owner == partitioner::kNone);
  owners.set(310, 4, 0);
  CHECK_FALSE(owners.other_than(0, 310, 4).has_value());
  CHECK(owners.other_than(0, 310, 8)->address == 314);
  CHECK(owners.other_than(0, 310, 8)->owner == partitioner::kNone);
  CHECK(owners.other_than(3, 310, 8)->owner == 0);
  constexpr std::int32_t kMany = 1 << 29;
  for (int i = 0; i < 20; ++i) {  // more than there are codes
    owners.clear(kMany);
    CHECK(owners.other_than(0, 0, 1024).has_value());
    owners.set(0, 1024, kMany - 1);
    CHECK_FALSE(owners.other_than(kMany - 1, 0, 1024).has_value());
  }
}

TEST_CASE("packed forms are kept up to a limit", "[simulator][memory]") {
  const std::vector<float> values(64);
  Memory::Lent lent;
  lent.data = reinterpret_cast<const std::byte*>(values.data());
  workloads::Box box{.rank = 1};
  box.set(0, 0, 32);
  workloads::Box other = box;
  other.set(0, 32, 32);
  KeptPanels panels(200);
  const auto first = panels.of(lent, box);
  REQUIRE(first != nullptr);
  CHECK(panels.of(lent, box) == first);
  CHECK(panels.of(lent, other) == nullptr);
  CHECK(panels.of(lent, box) == first);
}

}  // namespace spillway::simulator::test
