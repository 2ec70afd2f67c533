// What each stage costs, apart: import, canonicalise, partition, lower, check, simulate, on graphs of growing size.
// Cost per operator, per command and per DRAM byte should stay near constant from the text encoder to SDXL's U-Net.
//
//   build/bench/benchmarks/spillway_bench --benchmark_filter=sd15
#include <benchmark/benchmark.h>
#include <sys/resource.h>

#include <string>

#include "simulator/simulator.h"
#include "tests/pipeline/resnet.h"

namespace {

using namespace spillway;

const char* const kGraphs[][2] = {{"sd-tiny", "unet"},     {"sd15", "text_encoder"}, {"sd15", "vae_encoder"},
                                  {"sd15", "vae_decoder"}, {"sd15", "unet"},         {"sdxl", "unet"}};

struct Prepared {
  workloads::Graph exported, graph;
  configs::NpuConfig npu = configs::load_config("edge-8mb");
  partitioner::Plan plan;
  partitioner::Program program;
};

enum class Upto { kImport, kCanonical, kPlan, kProgram };

Prepared prepare(const benchmark::State& state, Upto upto) {
  const auto& name = kGraphs[state.range(0)];
  Prepared p;
  p.exported = workloads::zoo_graph(name[0], name[1]);
  if (upto >= Upto::kCanonical) p.graph = workloads::canonicalise(p.exported);
  if (upto >= Upto::kPlan) p.plan = std::get<partitioner::Plan>(partitioner::partition(p.graph, p.npu));
  if (upto >= Upto::kProgram) p.program = partitioner::lower(p.graph, p.npu, p.plan);
  return p;
}

void finish(benchmark::State& state, std::size_t items, const char* what) {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  state.counters["peak_MB"] = static_cast<double>(usage.ru_maxrss) / 1024;
  state.counters[what] = benchmark::Counter(static_cast<double>(items), benchmark::Counter::kIsIterationInvariantRate);
  state.SetLabel(std::string(kGraphs[state.range(0)][0]) + "/" + kGraphs[state.range(0)][1]);
}

/// Times `stage`, a function whose value is thrown away, over `items` of something.
template <typename Stage>
void measure(benchmark::State& state, std::size_t items, const char* what, Stage stage) {
  for ([[maybe_unused]] auto _ : state) {
    auto value = stage();
    benchmark::DoNotOptimize(value);
  }
  finish(state, items, what);
}

void BM_Import(benchmark::State& state) {  // emits ONNX, serialises, imports
  const auto p = prepare(state, Upto::kImport);
  measure(state, p.exported.nodes.size(), "nodes/s",
          [&] { return workloads::zoo_graph(kGraphs[state.range(0)][0], kGraphs[state.range(0)][1]); });
}

void BM_Canonicalise(benchmark::State& state) {
  const auto p = prepare(state, Upto::kImport);
  measure(state, p.exported.nodes.size(), "nodes/s", [&] { return workloads::canonicalise(p.exported); });
}

void BM_Partition(benchmark::State& state) {
  const auto p = prepare(state, Upto::kCanonical);
  measure(state, p.graph.nodes.size(), "operators/s", [&] { return partitioner::partition(p.graph, p.npu); });
}

/// How planning time grows with the scratchpad: more of it lets more be held and fused, so more is considered.
void BM_PartitionBudget(benchmark::State& state) {
  auto p = prepare(state, Upto::kCanonical);
  p.npu.scratchpad.size = state.range(1) << 10;
  measure(state, p.graph.nodes.size(), "operators/s", [&] { return partitioner::partition(p.graph, p.npu); });
}

/// How it grows with the operators of one and the same kind of network: residual stages of N blocks each.
void BM_PartitionDepth(benchmark::State& state) {
  const auto blocks = static_cast<int>(state.range(0));
  const auto graph = workloads::canonicalise(test::ResNet::build({blocks, blocks, blocks, blocks}, 64, 224));
  const auto npu = configs::load_config("edge-8mb");
  for ([[maybe_unused]] auto _ : state) {
    auto plan = partitioner::partition(graph, npu);
    benchmark::DoNotOptimize(plan);
  }
  state.SetComplexityN(static_cast<benchmark::IterationCount>(graph.nodes.size()));
  state.counters["operators"] = static_cast<double>(graph.nodes.size());
  state.counters["operators/s"] =
      benchmark::Counter(static_cast<double>(graph.nodes.size()), benchmark::Counter::kIsIterationInvariantRate);
}

void BM_Lower(benchmark::State& state) {
  const auto p = prepare(state, Upto::kProgram);
  measure(state, p.program.commands.size(), "commands/s", [&] { return partitioner::lower(p.graph, p.npu, p.plan); });
}

void BM_Check(benchmark::State& state) {
  const auto p = prepare(state, Upto::kProgram);
  measure(state, p.program.commands.size(), "commands/s", [&] { return partitioner::check(p.program); });
}

/// The simulation runs in a child process, so wall time is what counts, and the child reports its own CPU time.
void BM_Simulate(benchmark::State& state) {
  const auto p = prepare(state, Upto::kProgram);
  double host_seconds = 0;
  std::int64_t cycles = 0;
  std::int64_t bytes = 0;
  for ([[maybe_unused]] auto _ : state) {
    const auto result = simulator::simulate(p.program, p.npu);
    host_seconds += result.host_seconds;
    cycles += result.cycles;
    bytes += result.moves.total();
  }
  const auto runs = static_cast<double>(state.iterations());
  state.counters["cpu_s"] = host_seconds / runs;
  state.counters["sim_Mcycles/cpu_s"] = static_cast<double>(cycles) / host_seconds / 1e6;
  state.counters["commands/cpu_s"] = static_cast<double>(p.program.commands.size()) * runs / host_seconds;
  state.counters["DRAM_MB/cpu_s"] = static_cast<double>(bytes) / host_seconds / 1e6;
  finish(state, p.program.commands.size(), "commands/s");
}

void graphs(benchmark::internal::Benchmark* b) {
  for (int i = 0; i < static_cast<int>(std::size(kGraphs)); ++i) b->Arg(i);
  b->Unit(benchmark::kMillisecond);
}

BENCHMARK(BM_Import)->Apply(graphs);
BENCHMARK(BM_Canonicalise)->Apply(graphs);
BENCHMARK(BM_Partition)->Apply(graphs);
BENCHMARK(BM_PartitionBudget)
    ->ArgsProduct({{3, 4}, {512, 1024, 2048, 4096, 8192, 16384, 32768, 65536}})
    ->Unit(benchmark::kMillisecond);
BENCHMARK(BM_PartitionDepth)->RangeMultiplier(2)->Range(2, 64)->Unit(benchmark::kMillisecond)->Complexity();
BENCHMARK(BM_Lower)->Apply(graphs);
BENCHMARK(BM_Check)->Apply(graphs);
BENCHMARK(BM_Simulate)->Apply(graphs)->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
