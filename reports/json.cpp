// report.json: versioned, stable key order, units and definitions included. Schema: docs/report-schema.md.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "reports/definitions.h"
#include "reports/derived.h"

namespace spillway::reports {

namespace {

using Json = nlohmann::ordered_json;
using configs::NpuConfig;

/// FNV-1a (Fowler, Noll, Vo): tells two configs apart; not a security measure.
std::string hash_of(const std::string& text) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  return fmt::format("{:016x}", hash);
}

Json json_of(const configs::Precision& precision) {
  return {{"weight", configs::name_of(precision.weight)},
          {"activation", configs::name_of(precision.activation)},
          {"accumulator", configs::name_of(precision.accumulator)},
          {"parameter", configs::name_of(precision.parameter)},
          {"vector", configs::name_of(precision.vector)}};
}

Json json_of(const partitioner::Moves& moves) {
  Json json = Json::object();
  std::int64_t elements = 0;
  for (int c = 0; c < partitioner::kStorageClassCount; ++c) {
    const auto storage_class = static_cast<partitioner::StorageClass>(c);
    json[std::string(partitioner::name_of(storage_class))] = {{"bytes", moves.of(storage_class)},
                                                              {"elements", moves.elements_of(storage_class)},
                                                              {"read_bytes", moves.read[c]},
                                                              {"written_bytes", moves.written[c]},
                                                              {"read_elements", moves.read_elements[c]},
                                                              {"written_elements", moves.written_elements[c]}};
    elements += moves.elements_of(storage_class);
  }
  json["total"] = {{"bytes", moves.total()}, {"elements", elements}};
  return json;
}

template <typename Array>
Json json_by_cause(const Array& cycles) {
  Json json = Json::object();
  for (int c = 0; c < simulator::kCauseCount; ++c) {
    json[std::string(simulator::name_of(static_cast<simulator::Cause>(c)))] = cycles[c];
  }
  return json;
}

Json json_of(const simulator::Energy& energy) {
  return {{"mac", energy.mac_pj},
          {"vector", energy.vector_pj},
          {"scratchpad", energy.scratchpad_pj},
          {"accumulator", energy.accumulator_pj},
          {"dram", energy.dram_pj},
          {"static", energy.static_pj},
          {"total", energy.total_pj()}};
}

Json json_of(const workloads::Graph& graph, const std::vector<workloads::TensorId>& ids) {
  Json json = Json::array();
  for (const auto id : ids) {
    const auto& tensor = graph.tensors[id];
    json.push_back({{"name", tensor.name}, {"type", workloads::name_of(tensor.type)}, {"shape", tensor.shape}});
  }
  return json;
}

Json operators_as_exported(const GraphProfile& profile) {
  const auto& statistics = profile.statistics;
  Json mix = Json::array();
  for (const ExportedRow& row : exported_mix(statistics)) {
    mix.push_back({{"operator", row.op},
                   {"count", row.count},
                   {"macs", row.macs},
                   {"operations", 2 * row.macs},
                   {"output_elements", row.output_elements}});
  }
  const MacSplit split = mac_split(statistics);
  Json largest = Json::array();
  for (const auto& tensor : statistics.largest) {
    largest.push_back(
        {{"name", tensor.name}, {"operator", tensor.op}, {"shape", tensor.shape}, {"elements", tensor.elements}});
  }
  return {{"nodes", statistics.nodes},
          {"nodes_without_constant", statistics.nodes_without_constant},
          {"parameters", statistics.parameters},
          {"parameters_weights_only", statistics.parameters_weights_only},
          {"macs", statistics.macs_total},
          {"macs_by_class", statistics.macs},
          {"macs_with_constant_operand", split.constant},
          {"macs_of_two_activations", split.activations},
          {"matrix_nodes", matrix_nodes(statistics)},
          {"matrix_share_of_operations", matrix_share_of_operations(statistics)},
          {"mix", mix},
          {"largest_activations", largest}};
}

Json operators_as_executed(const GraphProfile& profile) {
  Json mix = Json::array();
  for (const ExecutedRow& row : executed_mix(profile)) {
    mix.push_back({{"operator", row.op},
                   {"count", row.count},
                   {"commands", row.commands},
                   {"macs", row.macs},
                   {"operations", 2 * row.macs},
                   {"vector_ops", row.vector_ops},
                   {"moved_bytes", row.moved},
                   {"matrix_busy_cycles", row.matrix_cycles},
                   {"vector_busy_cycles", row.vector_cycles},
                   {"dma_busy_cycles", row.dma_cycles}});
  }
  return mix;
}

Json json_of_groups(const GraphProfile& profile, const NpuConfig& npu) {
  Json groups = Json::array();
  for (std::size_t g = 0; g < profile.plan.groups.size() && g < profile.result.groups.size(); ++g) {
    const auto& group = profile.plan.groups[g];
    const auto& use = profile.result.groups[g];
    const auto cause = bound_of(use);
    groups.push_back({{"group", g},
                      {"name", group.name},
                      {"bound_by", cause ? Json(simulator::name_of(*cause)) : Json(nullptr)},
                      {"critical_cycles", use.critical},
                      {"critical_cycles_by_cause", json_by_cause(use.bound)},
                      {"first_start_cycle", use.first_start},
                      {"last_end_cycle", use.last_end},
                      {"commands", use.commands},
                      {"macs", use.macs},
                      {"utilisation", utilisation(use, npu)},
                      {"moved_bytes", use.moves.total()},
                      {"scratchpad_bytes", group.scratchpad_bytes},
                      {"steps", group.steps},
                      {"pipelining", partitioner::name_of(group.pipelining)},
                      {"energy_pj", use.energy_pj}});
  }
  return groups;
}

Json json_of_engines(const simulator::Result& result) {
  Json engines = Json::array();
  for (const auto& engine : result.engines) {
    engines.push_back({{"name", engine.name},
                       {"commands", engine.commands},
                       {"busy_cycles", engine.busy},
                       {"waiting_cycles", json_by_cause(engine.waiting)}});
  }
  return engines;
}

Json json_of_vector_ops(const configs::VectorWork& ops) {
  Json json = Json::object();
  for (int c = 0; c < configs::kVectorOpCount; ++c) {
    json[std::string(configs::name_of(static_cast<configs::VectorOp>(c)))] = ops[c];
  }
  json["total"] = total_vector_ops(ops);
  return json;
}

Json json_of_sensitivity(const GraphProfile& profile) {
  Json rows = Json::array();
  for (const SensitivityRow& row : profile.sensitivity) {
    Json json = {{"knob", name_of(row.knob)},
                 {"factor", row.factor},
                 {"setting", row.setting},
                 {"override", row.override_},
                 {"fits", row.fits}};
    if (row.fits) {
      json["cycles"] = row.cycles;
      json["weight_moves_bytes"] = row.weight_moves;
      json["activation_moves_bytes"] = row.activation_moves;
      json["moved_bytes"] = row.total_moves;
      json["energy_pj"] = row.energy_pj;
    } else {
      json["why_not"] = row.why_not;
    }
    rows.push_back(json);
  }
  const Verdict v = verdict(profile);
  Json spent = Json::array();
  for (const int i : v.spent) spent.push_back(name_of(profile.sensitivity[i].knob));
  return {{"rows", rows},
          {"helps_most", v.best < 0 ? Json(nullptr) : Json(name_of(profile.sensitivity[v.best].knob))},
          {"helps_most_gain", v.best_gain},
          {"stopped_helping", spent}};
}

Json json_of_bound(const GraphProfile& profile, const NpuConfig& npu) {
  const LowerBound bound = lower_bound(profile, npu);
  const Loss lost = loss(profile, npu);
  return {{"cycles", bound.cycles},
          {"by", name_of(bound.kind)},
          {"ideal_mac_cycles", bound.macs},
          {"compulsory_bytes_cycles", bound.moves},
          {"vector_ops_cycles", bound.vector},
          {"loss_cycles",
           {{"padding", lost.padding},
            {"fill", lost.fill},
            {"matrix", lost.matrix},
            {"vector", lost.vector},
            {"dram", lost.dram},
            {"port", lost.port},
            {"descriptor", lost.descriptor},
            {"dependency", lost.dependency},
            {"total", lost.total}}}};
}

Json json_of(const GraphProfile& profile, const NpuConfig& npu, const std::string& stem) {
  const auto& result = profile.result;
  const auto& dram = result.dram;
  Json json;
  json["model"] = profile.model;
  json["files"] = {
      {"groups", stem + ".groups.csv"}, {"operators", stem + ".operators.csv"}, {"tensors", stem + ".tensors.csv"}};
  json["batch"] = batch_of(profile.exported);
  json["inputs"] = json_of(profile.exported, profile.exported.inputs);
  json["outputs"] = json_of(profile.exported, profile.exported.outputs);
  json["strategy"] = partitioner::name_of(profile.plan.strategy);
  json["objective"] = partitioner::name_of(profile.plan.objective);
  json["latency_cycles"] = result.cycles;
  json["latency_seconds"] = seconds_of(result.cycles, npu);
  json["bound_by_cycles"] = json_by_cause(result.bound_by);
  json["utilisation"] = utilisation(profile, npu);
  json["useful_macs"] = useful_macs(profile);
  json["macs"] = result.macs;
  json["operations"] = 2 * result.macs;
  json["vector_ops"] = json_of_vector_ops(result.vector_ops);
  json["lower_bound"] = json_of_bound(profile, npu);
  json["moves"] = json_of(result.moves);
  json["predicted_moves"] = json_of(profile.plan.moves);
  json["compulsory_bytes"] = profile.plan.compulsory_bytes;
  json["working_buffer_bytes"] = result.working_buffer;
  json["peak_dram_activation_bytes"] = result.peak_dram_activation;
  json["constant_bytes"] = constant_bytes(profile);
  json["peak_dram_bytes"] = result.peak_dram_activation + constant_bytes(profile);
  json["peak_scratchpad_bytes"] = result.peak_scratchpad;
  json["budget_bytes"] = profile.plan.budget;
  json["scratchpad_read_bytes"] = result.scratchpad_read;
  json["scratchpad_written_bytes"] = result.scratchpad_written;
  json["dram"] = {{"row_hits", dram.row_hits},       {"row_misses", dram.row_misses},   {"refreshes", dram.refreshes},
                  {"turnarounds", dram.turnarounds}, {"burst_bytes", dram.burst_bytes}, {"busy_cycles", dram.busy}};
  json["matrix_cycles"] = {{"ideal", result.matrix_cycles.ideal},
                           {"padding", result.matrix_cycles.padding},
                           {"fill", result.matrix_cycles.fill}};
  json["energy_pj"] = json_of(result.energy);
  json["engines"] = json_of_engines(result);
  json["exported"] = operators_as_exported(profile);
  json["executed"] = operators_as_executed(profile);
  json["groups"] = json_of_groups(profile, npu);
  json["sensitivity"] = profile.sensitivity.empty() ? Json(nullptr) : json_of_sensitivity(profile);
  json["notes"] = profile.notes;
  return json;
}

Json json_of(const PipelineTotal& pipeline) {
  Json lines = Json::array();
  configs::Cycles cycles = 0;
  configs::Bytes moved = 0;
  double energy = 0;
  for (const auto& line : pipeline.lines) {
    lines.push_back({{"what", line.what},
                     {"times", line.times},
                     {"cycles_each", line.cycles},
                     {"moved_bytes_each", line.moves.total()},
                     {"energy_pj_each", line.energy_pj}});
    cycles += line.cycles * line.times;
    moved += line.moves.total() * line.times;
    energy += line.energy_pj * line.times;
  }
  return {{"steps", pipeline.steps},
          {"guidance", pipeline.guidance},
          {"lines", lines},
          {"total_cycles", cycles},
          {"total_moved_bytes", moved},
          {"total_energy_pj", energy},
          {"assumptions", pipeline.assumptions}};
}

}  // namespace

std::string to_json(const Report& report) {
  const NpuConfig& npu = report.npu;
  const std::string config = configs::to_yaml(npu);
  Json json;
  json["schema_version"] = kSchemaVersion;
  json["context"] = {{"tool", "spillway"},
                     {"tool_version", tool_version()},
                     {"command", report.command},
                     {"npu", npu.name},
                     {"clock_hz", npu.clock_hz},
                     {"peak_macs_per_cycle", peak_macs_per_cycle(npu)},
                     {"precision", json_of(npu.precision)},
                     {"config_hash", hash_of(config)},
                     {"config_file", "resolved_config.yaml"}};
  Json definitions = Json::object();
  for (const Definition& d : metric_definitions()) {
    definitions[std::string(d.metric)] = {{"unit", d.unit}, {"definition", d.text}};
  }
  json["definitions"] = definitions;
  json["graphs"] = Json::array();
  const std::vector<std::string> stems = file_stems(report);
  for (std::size_t i = 0; i < report.graphs.size(); ++i) {
    json["graphs"].push_back(json_of(report.graphs[i], npu, stems[i]));
  }
  json["pipeline"] = report.pipeline ? json_of(*report.pipeline) : Json(nullptr);
  // Names from a graph file may not be UTF-8: shown with a replacement mark rather than refused.
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace spillway::reports
