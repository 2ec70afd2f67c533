// Products of a U-Net's sizes: float32 against 8-bit integers, on the same threads.
#include <benchmark/benchmark.h>

#include <vector>

#include "workloads/compute/int8_product.h"
#include "workloads/compute/product.h"

namespace {

using namespace spillway::workloads::compute;

void count(benchmark::State& state) {
  state.counters["operations/s"] =
      benchmark::Counter(2.0 * static_cast<double>(state.range(0) * state.range(1) * state.range(2)),
                         benchmark::Counter::kIsIterationInvariantRate, benchmark::Counter::OneK::kIs1000);
}

void float_product(benchmark::State& state) {
  const std::int64_t m = state.range(0), n = state.range(1), k = state.range(2);
  std::vector<float> a(static_cast<std::size_t>(m * k), 0.5F), b(static_cast<std::size_t>(k * n), 0.25F);
  std::vector<float> c(static_cast<std::size_t>(m * n));
  Product p;
  p.m = m, p.n = n, p.k = k;
  p.a = {a.data(), k, 1};
  p.b = {b.data(), 1, n};
  p.c = c.data();
  p.c_row = n;
  for (auto _ : state) {
    multiply({&p, 1});
    benchmark::DoNotOptimize(c.data());
  }
  count(state);
}

void integer_product(benchmark::State& state) {
  const std::int64_t m = state.range(0), n = state.range(1), k = state.range(2);
  const std::vector<std::uint8_t> a(static_cast<std::size_t>(m * k), 200);
  const std::vector<std::int8_t> b(static_cast<std::size_t>(k * n), -5);
  std::vector<std::int32_t> c(static_cast<std::size_t>(m * n));
  for (auto _ : state) {
    int8_product({.m = m, .n = n, .k = k, .a_zero = 128}, a, b, c);
    benchmark::DoNotOptimize(c.data());
  }
  count(state);
}

void sizes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"m", "n", "k"})->Unit(benchmark::kMillisecond)->UseRealTime();
  b->Args({4096, 320, 320})->Args({4096, 320, 2880})->Args({1024, 1280, 1280})->Args({77, 768, 768});
}
BENCHMARK(float_product)->Apply(sizes);
BENCHMARK(integer_product)->Apply(sizes);

}  // namespace

BENCHMARK_MAIN();
