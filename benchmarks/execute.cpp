// The counterpart of onnxruntime/run.mjs: loads a model once, and runs it whenever a line arrives on standard input.
//
//   spillway_execute MODEL.onnx FOLDER THREADS [NPU]
//
// FOLDER has the inputs as NAME.npy; "run" answers {"seconds":, "cpu_seconds":, "peak_kb":}, "save" writes the outputs
// as spillway_NAME.npy there. With the name of an NPU, runs are functional simulations of it in float32.
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>

#include "configs/configs.h"
#include "configs/error.h"
#include "simulator/simulator.h"
#include "workloads/compute/parallel.h"
#include "workloads/execution/value.h"

namespace {

using namespace spillway;

long peak_kb() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::strtol(line.c_str() + 6, nullptr, 10);
  }
  return 0;
}

/// Of all threads and of children that have ended.
double cpu_seconds() {
  double seconds = 0;
  for (const int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage use{};
    ::getrusage(who, &use);
    for (const timeval& t : {use.ru_utime, use.ru_stime}) {
      seconds += static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
    }
  }
  return seconds;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

int serve(const std::string& model, const std::string& folder, const std::string& npu_name) {
  const auto loading = std::chrono::steady_clock::now();
  const workloads::Graph graph = workloads::import_onnx(model);
  workloads::TensorMap inputs;
  for (const auto id : graph.inputs) {
    const std::string& name = graph.tensors[static_cast<std::size_t>(id)].name;
    inputs[name] = workloads::load_npy(folder + "/" + name + ".npy");
  }
  std::unique_ptr<partitioner::Program> program;
  std::unique_ptr<simulator::FunctionalSimulator> simulated;
  configs::NpuConfig npu;
  if (!npu_name.empty()) {
    npu = configs::load_config(npu_name, {});
    npu.precision = configs::uniform_precision("fp32");
    const workloads::Graph executed = workloads::canonicalise(graph);
    const auto plan = partitioner::partition(executed, npu, {});
    const auto* feasible = std::get_if<partitioner::Plan>(&plan);
    if (feasible == nullptr) {
      std::fputs("the model does not fit this NPU\n", stderr);
      return 1;
    }
    program = std::make_unique<partitioner::Program>(partitioner::lower(executed, npu, *feasible));
    simulated = std::make_unique<simulator::FunctionalSimulator>(*program, npu);
  }
  std::printf("{\"ready\": %.4f, \"peak_kb\": %ld}\n", seconds_since(loading), peak_kb());
  std::fflush(stdout);
  workloads::TensorMap outputs;
  const auto buffers = std::make_shared<workloads::BufferPool>();
  for (std::string line; std::getline(std::cin, line);) {
    if (line == "save") {
      for (const auto& [name, tensor] : outputs) workloads::save_npy(folder + "/spillway_" + name + ".npy", tensor);
      std::puts("{}");
    } else {
      const double cpu = cpu_seconds();
      const auto start = std::chrono::steady_clock::now();
      outputs =
          simulated ? simulated->run(inputs).outputs : workloads::execute(graph, inputs, {}, {.buffers = buffers});
      std::printf("{\"seconds\": %.4f, \"cpu_seconds\": %.4f, \"peak_kb\": %ld}\n", seconds_since(start),
                  cpu_seconds() - cpu, peak_kb());
    }
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fputs("usage: spillway_execute MODEL.onnx FOLDER THREADS [NPU]\n", stderr);
    return 2;
  }
  try {
    workloads::compute::set_thread_count(std::atoi(argv[3]));
    return serve(argv[1], argv[2], argc > 4 ? argv[4] : "");
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
