#include "sample.h"

namespace spillway::test {

using partitioner::StorageClass;
using simulator::Cause;

namespace {

workloads::Graph sample_graph() {
  workloads::Graph graph;
  graph.name = "graph";
  const auto tensor = [&](const std::string& name, const workloads::Shape& shape) {
    workloads::Tensor t;
    t.name = name;
    t.shape = shape;
    graph.tensors.push_back(t);
    return static_cast<workloads::TensorId>(graph.tensors.size() - 1);
  };
  const auto x = tensor("x", {2, 8}), w = tensor("w", {8, 4}), y = tensor("y", {2, 4}), z = tensor("z", {2, 4}),
             v = tensor("v", {8});
  graph.tensors[w].constant = workloads::Constant{workloads::Generator{}};
  const auto node = [&](const std::string& name, const std::string& op, std::vector<workloads::TensorId> inputs,
                        workloads::TensorId output) {
    workloads::Node n;
    n.name = name;
    n.op = op;
    n.inputs = std::move(inputs);
    n.outputs = {output};
    n.origins = {static_cast<workloads::NodeId>(graph.nodes.size())};
    graph.nodes.push_back(n);
  };
  node(kAwkwardName, "MatMul", {x, w}, y);
  node("act", "Silu", {y}, z);
  node("flat", "Reshape", {z}, v);
  graph.inputs = {x};
  graph.outputs = {v};
  workloads::connect(graph);
  return graph;
}

partitioner::Plan sample_plan() {
  partitioner::Plan plan;
  plan.graph = "graph";
  plan.strategy = partitioner::Strategy::kLayerByLayer;
  plan.budget = 8 << 20;
  plan.compulsory_bytes = 16 + 32 + 8;
  const auto storage = [&](const std::string& name, StorageClass c, std::vector<std::int32_t> extent, bool in, bool out,
                           workloads::TensorId root) {
    partitioner::Storage s;
    s.name = name;
    s.storage_class = c;
    s.rank = static_cast<int>(extent.size());
    for (std::size_t d = 0; d < extent.size(); ++d) s.extent[d] = extent[d];
    s.is_input = in, s.is_output = out;
    s.root = root;
    plan.layout.storages.push_back(s);
  };
  storage("x", StorageClass::kActivation, {2, 8}, true, false, 0);
  storage("w,eight", StorageClass::kWeight, {8, 4}, true, false, 1);
  storage("y", StorageClass::kActivation, {2, 4}, false, false, 2);
  storage("z", StorageClass::kActivation, {2, 4}, false, true, 3);
  plan.layout.views.resize(5);
  for (int t = 0; t < 4; ++t) plan.layout.views[t].storage = t;
  plan.layout.views[4].storage = 3;
  plan.layout.is_view_node = {false, false, true};
  for (int g = 0; g < 2; ++g) {
    partitioner::Group group;
    group.name = g == 0 ? kAwkwardName : "act";
    group.stages.push_back({{g}, g == 0});
    group.root = g == 0 ? 2 : 3;
    group.tile[0] = 1, group.tile[1] = 4;
    group.scratchpad_bytes = 4096;
    group.steps = 2;
    plan.groups.push_back(group);
  }
  return plan;
}

simulator::Result sample_result() {
  simulator::Result result;
  result.cycles = 1000;
  result.macs = 64;
  const auto set = [](auto& causes, Cause cause, configs::Cycles cycles) { causes[static_cast<int>(cause)] = cycles; };
  set(result.bound_by, Cause::kMatrix, 600);
  set(result.bound_by, Cause::kVector, 250);
  set(result.bound_by, Cause::kDram, 100);
  set(result.bound_by, Cause::kDependency, 50);
  result.groups.resize(2);
  auto& first = result.groups[0];
  first.critical = 700, first.macs = 64, first.commands = 4;
  set(first.bound, Cause::kMatrix, 600);
  set(first.bound, Cause::kDram, 100);
  first.moves.read = {32, 16, 0, 0}, first.moves.read_elements = {32, 16, 0, 0};
  first.moves.written = {0, 8, 0, 0}, first.moves.written_elements = {0, 8, 0, 0};
  auto& second = result.groups[1];
  second.critical = 300, second.commands = 3;
  set(second.bound, Cause::kVector, 250);
  set(second.bound, Cause::kDependency, 50);
  second.moves.read = {0, 8, 0, 0}, second.moves.read_elements = {0, 8, 0, 0};
  second.moves.written = {0, 8, 0, 0}, second.moves.written_elements = {0, 8, 0, 0};
  result.moves = first.moves;
  result.moves += second.moves;
  result.vector_ops[static_cast<int>(configs::VectorOp::kAddMul)] = 8;
  result.vector_ops[static_cast<int>(configs::VectorOp::kExp)] = 8;
  result.matrix_cycles = {.ideal = 100, .padding = 300, .fill = 200};
  result.engines.push_back({.name = "dma0", .busy = 100, .waiting = {}, .commands = 4});
  result.engines.push_back({.name = "matrix0", .busy = 600, .waiting = {}, .commands = 2});
  result.engines.push_back({.name = "vector0", .busy = 250, .waiting = {}, .commands = 1});
  for (auto& engine : result.engines) set(engine.waiting, Cause::kIdle, 1000 - engine.busy);
  result.energy = {
      .mac_pj = 1.5, .vector_pj = 2.5, .scratchpad_pj = 3, .accumulator_pj = 1, .dram_pj = 12, .static_pj = 80};
  result.peak_scratchpad = 4096;
  result.peak_dram_activation = 24;
  result.working_buffer = 4120;
  return result;
}

}  // namespace

configs::NpuConfig sample_npu() {
  configs::NpuConfig npu = configs::load_config("edge-8mb");
  return npu;
}

reports::GraphProfile sample_profile(const std::string& model) {
  reports::GraphProfile profile;
  profile.model = model;
  profile.exported = profile.executed = sample_graph();
  profile.statistics.nodes = 4;
  profile.statistics.nodes_without_constant = 3;
  profile.statistics.ops = {{"Constant", 1}, {"MatMul", 1}, {"Reshape", 1}, {"Silu", 1}};
  profile.statistics.parameters = 32;
  profile.statistics.macs = {{"MatMul_weight", 64}};
  profile.statistics.macs_total = 64;
  profile.statistics.output_elements = {{"MatMul", 8}, {"Reshape", 8}, {"Silu", 8}};
  profile.plan = sample_plan();
  profile.result = sample_result();
  profile.plan.moves = profile.result.moves;
  reports::OperatorUse product{.node = 0,
                               .groups = {0},
                               .commands = 4,
                               .matrix_cycles = 600,
                               .vector_cycles = 0,
                               .dma_cycles = 60,
                               .macs = 64,
                               .vector_ops = 0,
                               .moves = profile.result.groups[0].moves};
  reports::OperatorUse silu{.node = 1,
                            .groups = {1},
                            .commands = 3,
                            .matrix_cycles = 0,
                            .vector_cycles = 250,
                            .dma_cycles = 40,
                            .macs = 0,
                            .vector_ops = 16,
                            .moves = profile.result.groups[1].moves};
  profile.operators = {product, silu, reports::OperatorUse{.node = 2, .groups = {}, .moves = {}}};
  profile.storages = {{16, 0}, {32, 0}, {8, 8}, {0, 8}};
  return profile;
}

reports::Report sample_report() {
  reports::Report report;
  report.command = "spillway profile sample";
  report.npu = sample_npu();
  report.graphs = {sample_profile()};
  return report;
}

}  // namespace spillway::test
