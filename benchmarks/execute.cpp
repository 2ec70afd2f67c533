// The counterpart of onnxruntime/run.mjs: loads a model once, and runs it whenever a line arrives on standard input.
//
//   spillway_execute MODEL.onnx FOLDER THREADS [NPU [PRECISION]]
//
// FOLDER has the inputs as NAME.npy; "run" (or "once": a simulation that keeps nothing from earlier ones) answers
// {"seconds":, "cpu_seconds":, "peak_kb":}, "save" writes the outputs as spillway_NAME.npy there. With the name of an
// NPU, runs are functional simulations of it, in fp32 where no precision is given; integers are calibrated on the
// inputs as the model is loaded.
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>
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

int serve(const std::string& model, const std::string& folder, const std::string& npu_name,
          const std::string& precision) {
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
  std::optional<workloads::Calibration> calibration;
  if (!npu_name.empty()) {
    npu = configs::load_config(npu_name, {});
    npu.precision = configs::uniform_precision(precision);
    const workloads::Graph executed = workloads::canonicalise(graph);
    const auto plan = partitioner::partition(executed, npu, {});
    const auto* feasible = std::get_if<partitioner::Plan>(&plan);
    if (feasible == nullptr) {
      std::fputs("the model does not fit this NPU\n", stderr);
      return 1;
    }
    program = std::make_unique<partitioner::Program>(partitioner::lower(executed, npu, *feasible));
    const bool integers =
        npu.precision.activation == configs::Format::kInt8 || npu.precision.activation == configs::Format::kInt16;
    if (integers) calibration = workloads::calibrate(executed, {inputs}, {});
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
      const simulator::FunctionalOptions options{.calibration = calibration ? &*calibration : nullptr};
      outputs = !simulated       ? workloads::execute(graph, inputs, {}, {.buffers = buffers})
                : line == "once" ? simulator::simulate_functional(*program, npu, inputs, options).outputs
                                 : simulated->run(inputs, options).outputs;
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
    std::fputs("usage: spillway_execute MODEL.onnx FOLDER THREADS [NPU [PRECISION]]\n", stderr);
    return 2;
  }
  try {
    workloads::compute::set_thread_count(std::atoi(argv[3]));
    return serve(argv[1], argv[2], argc > 4 ? argv[4] : "", argc > 5 ? argv[5] : "fp32");
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
