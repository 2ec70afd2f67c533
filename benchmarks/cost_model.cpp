// Plans of one graph, best first as predicted, each simulated: a JSON line each, for scripts/cost-model.
//
//   build/bench/benchmarks/spillway_cost_model sd15/unet edge-8mb latency 20 scratchpad.size=4MiB
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "partitioner/energy.h"
#include "simulator/simulator.h"
#include "tests/pipeline/resnet.h"

namespace {

using namespace spillway;

workloads::Graph graph_named(const std::string& name) {
  if (name == "resnet50") return workloads::canonicalise(test::ResNet::build({3, 4, 6, 3}, 64, 224));
  const auto slash = name.find('/');
  if (slash == std::string::npos) throw Error(ErrorKind::kBadInput, Place{.key = name}, "is no MODEL/GRAPH of the zoo");
  return workloads::canonicalise(workloads::zoo_graph(name.substr(0, slash), name.substr(slash + 1)));
}

partitioner::Objective objective_named(const std::string& name) {
  for (const auto objective : partitioner::kObjectives) {
    if (name_of(objective) == name) return objective;
  }
  throw Error(ErrorKind::kBadInput, Place{.key = name}, "is no objective");
}

void print_groups(const partitioner::Plan& plan, const simulator::Result& result) {
  std::cout << ",\"groups\":[";
  for (std::size_t g = 0; g < plan.groups.size(); ++g) {
    const auto& group = plan.groups[g];
    const auto& use = result.groups[g];
    std::cout << (g == 0 ? "" : ",") << "{\"overlap\":\"" << name_of(group.pipelining)
              << "\",\"stages\":" << group.stages.size() << ",\"steps\":" << group.steps
              << ",\"predicted\":" << group.cycles << ",\"simulated\":" << use.critical << ",\"bound\":{";
    for (std::size_t c = 0; c < use.bound.size(); ++c) {
      std::cout << (c == 0 ? "\"" : ",\"") << name_of(static_cast<simulator::Cause>(c)) << "\":" << use.bound[c];
    }
    std::cout << "}}";
  }
  std::cout << "]";
}

void run(const std::string& name, const std::string& npu_name, const std::string& objective, int count,
         const std::vector<std::string>& overrides) {
  const auto graph = graph_named(name);
  const auto npu = configs::load_config(npu_name, overrides);
  partitioner::Options options;
  options.objective = objective_named(objective);
  for (const auto& plan : partitioner::candidates(graph, npu, options, count)) {
    const auto result = simulator::simulate(partitioner::lower(graph, npu, plan), npu);
    std::cout.precision(12);
    std::cout << "{\"predicted_cycles\":" << plan.cycles << ",\"simulated_cycles\":" << result.cycles
              << ",\"predicted_pj\":" << partitioner::energy_of(graph, npu, plan).total_pj()
              << ",\"simulated_pj\":" << result.energy.total_pj() << ",\"predicted_bytes\":" << plan.moves.total()
              << ",\"simulated_bytes\":" << result.moves.total() << ",\"held\":" << plan.residencies.size();
    print_groups(plan, result);
    std::cout << "}\n" << std::flush;
  }
}

}  // namespace

int main(int argc, char** argv) {
  const int count = argc >= 5 ? std::atoi(argv[4]) : 0;
  if (count < 1) {
    std::cerr << "usage: spillway_cost_model GRAPH NPU OBJECTIVE COUNT [KEY=VALUE...]\n";
    return 2;
  }
  try {
    run(argv[1], argv[2], argv[3], count, {argv + 5, argv + argc});
  } catch (const Error& error) {
    std::cerr << "error: " << error.what() << "\n";
    return 2;
  }
  return 0;
}
