// Does the Program compute? The zoo's smallest model on real data against the reference executor, wrong Programs
// against the error they must give.
#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>

#include "simulator/simulator.h"

namespace spillway::simulator::test {

namespace {

using partitioner::CommandKind;
using partitioner::Operand;
using partitioner::Program;
using partitioner::Space;
using partitioner::Strategy;
using workloads::HostTensor;
using workloads::TensorMap;

configs::NpuConfig fp32_npu(Bytes scratchpad = 8 << 20) {
  auto npu = configs::load_config("edge-8mb");
  npu.precision = configs::uniform_precision("fp32");
  npu.scratchpad.size = scratchpad;
  return npu;
}

Program program_of(const workloads::Graph& graph, const configs::NpuConfig& npu, Strategy strategy) {
  auto planned = partitioner::partition(graph, npu, {.strategy = strategy});
  REQUIRE(std::holds_alternative<partitioner::Plan>(planned));
  return partitioner::lower(graph, npu, std::get<partitioner::Plan>(planned));
}

workloads::Graph tiny(const std::string& graph) {
  return workloads::canonicalise(workloads::zoo_graph("sd-tiny", graph));
}

TensorMap inputs_of(const workloads::Graph& graph) {
  TensorMap inputs;
  std::uint64_t seed = 1;
  for (const auto id : graph.inputs) {
    const auto& tensor = graph.tensors[static_cast<std::size_t>(id)];
    inputs[tensor.name] = workloads::random_tensor(tensor.type, tensor.shape, seed++);
  }
  return inputs;
}

/// |error| at most 2e-5 of the largest reference value, relative L2 at most 1e-5.
void check_close(const HostTensor& found, const HostTensor& wanted) {
  REQUIRE(found.shape == wanted.shape);
  REQUIRE(found.holds_float() == wanted.holds_float());
  if (!wanted.holds_float()) {
    CHECK(found.ints() == wanted.ints());
    return;
  }
  double largest = 0, worst = 0, error = 0, norm = 0;
  for (std::size_t i = 0; i < wanted.floats().size(); ++i) {
    const double w = wanted.floats()[i], d = found.floats()[i] - w;
    largest = std::max(largest, std::abs(w));
    worst = std::max(worst, std::abs(d));
    error += d * d;
    norm += w * w;
  }
  CHECK(worst <= 2e-5 * largest);
  CHECK(std::sqrt(error) <= 1e-5 * std::sqrt(norm));
}

std::string error_of(const Program& program, const configs::NpuConfig& npu, const TensorMap& inputs) {
  try {
    static_cast<void>(simulate_functional(program, npu, inputs));
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("a functional run reproduces the reference executor, tiled and spilled", "[simulator][functional]") {
  for (const char* name : {"text_encoder", "unet", "vae_encoder", "vae_decoder"}) {
    const auto graph = tiny(name);
    const auto inputs = inputs_of(graph);
    const auto reference = workloads::execute(graph, inputs);
    // the smallest budgets are far smaller and make hundreds of thousands of commands
    const Bytes smallest = std::max<Bytes>(partitioner::smallest_budget(graph, fp32_npu()), 24 << 10);
    for (const Strategy strategy : {Strategy::kLayerByLayer, Strategy::kFused}) {
      for (const Bytes times : {1, 4}) {
        CAPTURE(name, times, strategy == Strategy::kFused);
        const auto npu = fp32_npu(smallest * times);
        const auto run = simulate_functional(program_of(graph, npu, strategy), npu, inputs);
        REQUIRE(run.outputs.size() == reference.size());
        for (const auto& [output, wanted] : reference) check_close(run.outputs.at(output), wanted);
      }
    }
  }
}

TEST_CASE("timing does not depend on functional mode", "[simulator][functional]") {
  const auto graph = tiny("unet");
  const auto npu = fp32_npu(256 << 10);
  const auto program = program_of(graph, npu, Strategy::kFused);
  const Result timing = simulate(program, npu);
  const Result functional = simulate_functional(program, npu, inputs_of(graph)).result;
  CHECK(timing.cycles == functional.cycles);
  REQUIRE(timing.commands.size() == functional.commands.size());
  for (std::size_t c = 0; c < timing.commands.size(); ++c) {
    REQUIRE(timing.commands[c].issue == functional.commands[c].issue);
    REQUIRE(timing.commands[c].start == functional.commands[c].start);
    REQUIRE(timing.commands[c].end == functional.commands[c].end);
  }
  CHECK(timing.moves == functional.moves);
  CHECK(timing.energy.total_pj() == functional.energy.total_pj());
}

TEST_CASE("the simulator counts the moves that the plan predicts", "[simulator][functional]") {
  const auto graph = tiny("unet");
  const auto npu = fp32_npu(256 << 10);
  for (const Strategy strategy : {Strategy::kLayerByLayer, Strategy::kFused}) {
    auto planned = partitioner::partition(graph, npu, {.strategy = strategy});
    const auto& plan = std::get<partitioner::Plan>(planned);
    const Result r = simulate(partitioner::lower(graph, npu, plan), npu);
    CHECK(r.moves == plan.moves);
    CHECK(r.peak_scratchpad <= npu.scratchpad.size);
  }
}

TEST_CASE("reading what is not there names command, address and tensor", "[simulator][functional][error]") {
  const auto graph = tiny("vae_decoder");
  const auto npu = fp32_npu();
  const auto good = program_of(graph, npu, Strategy::kFused);
  const auto inputs = inputs_of(graph);
  const auto first_load = [&](Program& p) -> Operand& {
    for (const auto& c : p.commands) {
      if (c.kind == CommandKind::kLoad) return p.operand_pool[c.first_operand + 1];
    }
    FAIL("no load");
    return p.operand_pool[0];
  };
  SECTION("bytes that nothing wrote") {
    auto p = good;
    Operand& target = first_load(p);
    const std::string name = p.layout.storages[static_cast<std::size_t>(target.storage)].name;
    target.at.origin = p.scratchpad_bytes - target.bytes();  // somewhere else
    const std::string what = error_of(p, npu, inputs);
    INFO(what);
    CHECK(what.find("tensor '" + name + "'") != std::string::npos);
    CHECK(what.find("command ") != std::string::npos);
    CHECK(what.find("reads scratchpad address") != std::string::npos);
  }
  SECTION("bytes of another tensor") {
    auto p = good;
    // the second load lands on the first
    std::vector<Operand*> loads;
    for (const auto& c : p.commands) {
      if (c.kind == CommandKind::kLoad) loads.push_back(&p.operand_pool[c.first_operand + 1]);
    }
    REQUIRE(loads.size() > 1);
    std::size_t other = 1;
    while (other < loads.size() && loads[other]->storage == loads[0]->storage) ++other;
    REQUIRE(other < loads.size());
    const auto first_byte = [](const Operand& o) {
      std::int64_t address = 0;
      for (int d = 0; d < o.box.rank; ++d) {
        address += o.at.stride[static_cast<std::size_t>(d)] * o.box.begin[static_cast<std::size_t>(d)];
      }
      return address;
    };
    loads[0]->at.origin = loads[other]->at.origin + first_byte(*loads[other]) - first_byte(*loads[0]);
    const std::string what = error_of(p, npu, inputs);
    INFO(what);
    CHECK((what.find("which holds '") != std::string::npos || what.find("nothing has written") != std::string::npos));
  }
  SECTION("an output that is never stored") {
    auto p = good;
    for (auto& c : p.commands) {
      if (c.kind != CommandKind::kStore) continue;
      p.operand_pool[c.first_operand].box.extent[0] = 0;
      p.operand_pool[c.first_operand + 1].box.extent[0] = 0;
    }
    const std::string what = error_of(p, npu, inputs);
    INFO(what);
    CHECK((what.find("has not stored") != std::string::npos || what.find("nothing has written") != std::string::npos));
  }
}

TEST_CASE("wrong inputs are refused by name", "[simulator][functional][error]") {
  const auto graph = tiny("vae_decoder");
  const auto npu = fp32_npu();
  const auto program = program_of(graph, npu, Strategy::kFused);
  const auto good = inputs_of(graph);
  const std::string name = good.begin()->first;
  auto inputs = good;
  SECTION("missing") {
    inputs.clear();
    CHECK(error_of(program, npu, inputs).find("tensor '" + name + "': input is missing") != std::string::npos);
  }
  SECTION("unknown") {
    inputs["nonsense"] = good.begin()->second;
    CHECK(error_of(program, npu, inputs).find("'nonsense': the graph has no such input") != std::string::npos);
  }
  SECTION("of another shape") {
    inputs[name].shape.push_back(1);
    CHECK(error_of(program, npu, inputs).find("when it should be") != std::string::npos);
  }
  SECTION("of another kind") {
    inputs[name].data = std::vector<std::int64_t>(good.begin()->second.floats().size());
    inputs[name].type = workloads::DataType::kInt64;
    CHECK(error_of(program, npu, inputs).find("int64 when it should be") != std::string::npos);
  }
}

TEST_CASE("a long run tells of its progress", "[simulator][functional]") {
  const auto graph = tiny("unet");
  const auto npu = fp32_npu(128 << 10);
  const auto program = program_of(graph, npu, Strategy::kLayerByLayer);
  std::int64_t last = 0;
  const auto all = static_cast<std::int64_t>(program.commands.size());
  const auto progress = [&](std::int64_t done, std::int64_t of) {
    CHECK(done >= last);
    CHECK(done <= of);
    CHECK(of == all);
    last = done;
  };
  static_cast<void>(simulate_functional(program, npu, inputs_of(graph), {.progress = progress}));
}

}  // namespace spillway::simulator::test
