// A saved plan: does the loaded one make the same Program, and is every file that is not one refused?
#include "partitioner/plan_io.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "tests/pipeline/stages.h"
#include "tests/temporary_files.h"
#include "tests/workloads/graph_builder.h"

namespace {

using namespace spillway;
using Json = nlohmann::ordered_json;
using Ints = std::vector<std::int64_t>;

std::string bytes_of(const partitioner::Program& program) {
  const testing::TemporaryFolder folder;
  const std::string path = folder.path("program");
  partitioner::save_program(program, path);
  return folder.read("program");
}

partitioner::Plan load(const std::string& text, const test::Staged& s) {
  return partitioner::plan_from_json(text, s.graph, s.npu, Place{.file = "saved.plan"});
}

void require_same(const test::Staged& s) {
  const std::string text = partitioner::plan_to_json(s.plan, s.graph, s.npu);
  const partitioner::Plan loaded = load(text, s);
  CHECK(bytes_of(partitioner::lower(s.graph, s.npu, loaded)) == bytes_of(s.program));
  CHECK(partitioner::plan_to_json(loaded, s.graph, s.npu) == text);
}

/// A convolution, a group norm in two phases, a skip over two convolutions, a product at the end.
workloads::Graph small_graph(std::int64_t channels = 8) {
  workloads::test::GraphBuilder b;
  const auto conv = [&](workloads::TensorId x) {
    return b.op("Conv", {x, b.random({channels, channels, 3, 3}), b.random({channels})}, {{"pads", Ints{1, 1, 1, 1}}});
  };
  const auto x = b.op("Relu", {b.input("x", {2, channels, 12, 12})});
  const auto y =
      b.op("Sigmoid", {b.op("InstanceNormalization", {conv(x), b.random({channels}), b.random({channels})})});
  const auto z = b.op("Add", {conv(y), x});
  return workloads::canonicalise(b.finish({b.op("Softmax", {z}, {{"axis", std::int64_t{-1}}})}));
}

test::Staged small(configs::Bytes budget = 4 << 10) {
  return test::stage(small_graph(), test::npu_with("edge-8mb", budget), {});
}

/// Loading `text` is an Error(kBadInput) that names the file and holds `part`.
void check_refused(const std::string& text, const test::Staged& s, const std::string& part) {
  try {
    static_cast<void>(load(text, s));
    FAIL("taken: " << part);
  } catch (const Error& error) {
    INFO(error.what());
    CHECK(error.kind() == ErrorKind::kBadInput);
    CHECK(std::string(error.what()).starts_with("saved.plan"));
    CHECK(std::string(error.what()).find(part) != std::string::npos);
    CHECK(!error.help().empty());
  }
}

void check_json_refused(const Json& json, const test::Staged& s, const std::string& part) {
  check_refused(json.dump(), s, part);
}

/// Either refused cleanly, or a plan whose Program is proven. Returns whether it was taken.
bool survives(const std::string& text, const test::Staged& s) {
  try {
    const partitioner::Plan plan = load(text, s);
    test::require_proven(partitioner::lower(s.graph, s.npu, plan));
    return true;
  } catch (const Error& error) {
    INFO(error.what());
    REQUIRE(error.kind() == ErrorKind::kBadInput);
    REQUIRE(!error.help().empty());
    return false;
  }
}

/// Pointers to every value in a document.
void values_of(Json& json, std::vector<Json*>& out) {
  out.push_back(&json);
  if (!json.is_structured()) return;
  for (auto& value : json) values_of(value, out);
}

}  // namespace

TEST_CASE("saved plans of sd-tiny make the same Program", "[pipeline][plan-io]") {
  for (const std::string& name : workloads::zoo_graphs("sd-tiny")) {
    for (const auto strategy : {partitioner::Strategy::kFused, partitioner::Strategy::kLayerByLayer}) {
      for (const configs::Bytes budget : {64 << 10, 256 << 10, 8 << 20}) {
        INFO(name << " at " << budget << " " << partitioner::name_of(strategy));
        require_same(
            test::stage(test::zoo("sd-tiny", name), test::npu_with("edge-8mb", budget), {.strategy = strategy}));
      }
    }
  }
}

TEST_CASE("saved plans of odd graphs make the same Program", "[pipeline][plan-io]") {
  workloads::test::GraphBuilder b;
  const auto x = b.op("Relu", {b.input("x", {1, 10, 4, 16})});
  const auto heads = b.op("Transpose", {x}, {{"perm", Ints{0, 2, 1, 3}}});
  const auto halves = b.ops("Split", {heads}, {{"axis", std::int64_t{3}}}, 2);
  const auto rotated = b.op("Concat", {b.op("Neg", {halves[1]}), halves[0]}, {{"axis", std::int64_t{3}}});
  const auto rotary = workloads::canonicalise(b.finish({rotated}));
  workloads::test::GraphBuilder c;
  const auto y = c.op("Relu", {c.input("y", {1, 96, 14})});
  const auto itself =
      workloads::canonicalise(c.finish({y, c.op("MatMul", {y, c.op("Transpose", {y}, {{"perm", Ints{0, 2, 1}}})})}));
  workloads::test::GraphBuilder d;
  const auto scalar = workloads::canonicalise(d.finish({d.op("Relu", {d.input("z", {})})}));
  for (const configs::Bytes budget : {2 << 10, 64 << 10, 8 << 20}) {
    require_same(test::stage(rotary, test::npu_with("edge-8mb", budget), {}));
    require_same(test::stage(itself, test::npu_with("edge-8mb", budget, "int8"), {}));
    require_same(test::stage(scalar, test::npu_with("edge-8mb", budget), {}));
    for (const auto objective : partitioner::kObjectives) {
      require_same(test::stage(small_graph(), test::npu_with("edge-8mb", budget), {.objective = objective}));
    }
  }
}

TEST_CASE("operators that share a name, and names that are no UTF-8, are told apart", "[pipeline][plan-io]") {
  auto graph = small_graph();
  for (auto& node : graph.nodes) node.name = "same";
  graph.nodes.back().name = "same#1";
  for (auto& tensor : graph.tensors) tensor.name = "t\xff";
  require_same(test::stage(graph, test::npu_with("edge-8mb", 4 << 10), {}));
}

TEST_CASE("a saved plan is a text with a group in a few lines", "[pipeline][plan-io]") {
  const auto s = small();
  const std::string text = partitioner::plan_to_json(s.plan, s.graph, s.npu);
  const Json json = Json::parse(text);
  CHECK(json["schema_version"] == 1);
  CHECK(json["graph"]["operators"] == s.graph.nodes.size());
  CHECK(json["budget_bytes"] == 4096);
  CHECK(json["npu"]["config"]["scratchpad.size"] == "4KiB");
  REQUIRE(json["groups"].size() == s.plan.groups.size());
  // The bytes by tensor are those that the plan predicts.
  for (std::size_t g = 0; g < s.plan.groups.size(); ++g) {
    configs::Bytes sum = 0;
    for (const Json& t : json["groups"][g]["traffic"]) {
      sum += t["read"].get<configs::Bytes>() + t["written"].get<configs::Bytes>();
    }
    CHECK(sum == s.plan.groups[g].moves.total());
  }
  std::size_t lines = 0;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) ++lines;
  CHECK(lines > 5 * s.plan.groups.size());
}

TEST_CASE("a text that is no plan is refused", "[pipeline][plan-io]") {
  const auto s = small();
  const std::string text = partitioner::plan_to_json(s.plan, s.graph, s.npu);
  check_refused("", s, "cut off");
  check_refused(text.substr(0, text.size() / 2), s, "cut off");
  check_refused(text.substr(0, text.size() - 3), s, "saved.plan:");
  check_refused("no plan", s, "saved.plan:1: is not JSON");
  check_refused("{\n \"format\": oops", s, "saved.plan:2: is not JSON");
  check_refused("[]", s, "should be an object");
  check_refused("{}", s, "'format' is missing");
  check_refused(R"({"format":"other"})", s, "format: should be 'spillway plan'");
  check_refused(R"({"format":"spillway plan","schema_version":99})", s,
                "schema_version: is 99 when this program reads 1");
  check_refused(std::string(100000, '['), s, "nested too deep");
  check_refused(std::string(100000, '{'), s, "is not JSON");
}

TEST_CASE("a plan for something else is refused", "[pipeline][plan-io]") {
  const auto s = small();
  const std::string text = partitioner::plan_to_json(s.plan, s.graph, s.npu);
  auto other = small();
  other.graph = small_graph(16);
  check_refused(text, other, "graph: the plan is for");
  other = small();
  other.npu.scratchpad.size = 8 << 10;
  check_refused(text, other, "npu.config.scratchpad.size: the plan is for 4KiB and this config has 8KiB");
  other = small();
  other.npu.matrix.rows = 32;
  other.npu.dma.channels = 4;
  check_refused(text, other, "npu.config.dma.channels: the plan is for 2 and this config has 4; 1 more values differ");
  other = small();
  other.npu.precision = configs::uniform_precision("fp16");
  check_refused(text, other, "npu.config.precision.");
}

TEST_CASE("a plan whose values cannot be is refused with the key", "[pipeline][plan-io]") {
  const auto s = small();
  const Json good = Json::parse(partitioner::plan_to_json(s.plan, s.graph, s.npu));
  REQUIRE(good["groups"].size() >= 2);
  const auto changed = [&](const auto& change) {
    Json json = good;
    change(json);
    return json;
  };
  const auto refused = [&](const std::string& part, const auto& change) {
    check_json_refused(changed(change), s, part);
  };

  refused("groups[0].stages: the graph has no operator 'nobody'",
          [](Json& j) { j["groups"][0]["stages"][0][0] = "nobody"; });
  refused("groups[0].root: 'nowhere' is not among the tensors", [](Json& j) { j["groups"][0]["root"] = "nowhere"; });
  refused("groups[0].tile", [](Json& j) { j["groups"][0]["tile"][0] = 1000; });
  refused("groups[0].tile[0]: is 0 when it should be between", [](Json& j) { j["groups"][0]["tile"][0] = 0; });
  refused("groups[0].tile[0]: is 1.5 when it should be a whole number",
          [](Json& j) { j["groups"][0]["tile"][0] = 1.5; });
  refused("groups[0].tile: has", [](Json& j) { j["groups"][0]["tile"].push_back(1); });
  refused("groups[0].loop_order", [](Json& j) { j["groups"][0]["loop_order"][0] = j["groups"][0]["loop_order"][1]; });
  refused("groups[0].region", [](Json& j) { j["groups"][0]["region"][1][1] = 3; });
  refused("groups[0].steps", [](Json& j) { j["groups"][0]["steps"] = 12345; });
  refused("groups[0].buffers[0].slot_bytes", [](Json& j) { j["groups"][0]["buffers"][0]["slot_bytes"] = -1; });
  refused("groups[0].buffers[0].slot_bytes",
          [](Json& j) { j["groups"][0]["buffers"][0]["slot_bytes"] = std::numeric_limits<std::int64_t>::max(); });
  refused("groups[0].buffers[0]: ", [](Json& j) { j["groups"][0]["buffers"][0]["slots"] = 7; });
  refused("when the budget is 4096 B", [](Json& j) { j["groups"][0]["buffers"][0]["address"] = 4095; });
  refused("groups[0].buffers[0].address",
          [](Json& j) { j["groups"][0]["buffers"][0]["address"] = std::uint64_t{18446744073709551615U}; });
  refused("groups[0]: unknown key \"tyle\"; did you mean 'tile'?", [](Json& j) { j["groups"][0]["tyle"] = 1; });
  refused("overlap", [](Json& j) {
    for (auto& group : j["groups"]) {
      if (group["buffers"].size() < 2) continue;
      group["buffers"][1]["address"] = group["buffers"][0]["address"];
    }
  });
  refused("'pipelined' is unknown", [](Json& j) { j["groups"][0]["overlap"] = "pipelined"; });
  refused("totals.cycles", [](Json& j) { j["totals"]["cycles"] = 1; });
  refused("totals.moves", [](Json& j) { j["totals"]["moves"]["weight_read_bytes"] = 1; });
  refused("totals.peak_scratchpad_bytes", [](Json& j) { j["totals"]["peak_scratchpad_bytes"] = 1; });
  refused("budget_bytes", [](Json& j) { j["budget_bytes"] = 1 << 20; });
  refused("tensors[0]", [](Json& j) { j["tensors"][0]["bytes"] = 1; });
  refused("is listed twice", [](Json& j) { j["tensors"].push_back(j["tensors"][0]); });
}

TEST_CASE("a plan that would make a Program beyond all memory is refused at once", "[pipeline][plan-io]") {
  workloads::test::GraphBuilder b;
  const auto graph = workloads::canonicalise(b.finish({b.op("Relu", {b.input("x", {30000, 30000})})}));
  const auto s = test::stage(graph, test::npu_with("edge-8mb", 0), {});
  Json json = Json::parse(partitioner::plan_to_json(s.plan, s.graph, s.npu));
  json["groups"][0]["tile"] = {1, 1};
  json["groups"][0]["steps"] = 900000000;
  check_json_refused(json, s, "groups[0].tile: the loop takes more than 16777216 steps");
  json["groups"][0]["tile"] = {1, 60};
  json["groups"][0]["steps"] = 15000000;  // and three commands each
  check_json_refused(json, s, "groups[0].tile: the plan comes to more than 16777216 commands");
}

TEST_CASE("a plan that leaves operators out, or runs them too early, is refused", "[pipeline][plan-io]") {
  const auto s = test::stage(small_graph(), test::npu_with("edge-8mb", 64 << 10),
                             {.strategy = partitioner::Strategy::kLayerByLayer});
  const Json good = Json::parse(partitioner::plan_to_json(s.plan, s.graph, s.npu));
  REQUIRE(good["groups"].size() >= 3);
  REQUIRE(!good["residencies"].empty());
  // Figures that only add up are made to.
  const auto totals = [](Json& j) {
    Json moves = Json::object();
    std::int64_t cycles = 0;
    for (const Json& group : j["groups"]) {
      cycles += group["cycles"].get<std::int64_t>();
      for (const auto& [key, value] : group["moves"].items()) {
        moves[key] = moves.value(key, std::int64_t{0}) + value.get<std::int64_t>();
      }
    }
    j["totals"]["moves"] = moves;
    j["totals"]["cycles"] = cycles;
  };
  Json missing = good;
  missing["groups"].erase(missing["groups"].size() - 1);
  missing["residencies"] = Json::array();
  totals(missing);
  missing["totals"]["compulsory_bytes"] = 0;
  check_json_refused(missing, s, "groups");
  Json swapped = good;
  std::swap(swapped["groups"][0], swapped["groups"][1]);
  check_json_refused(swapped, s, "groups[");
  Json twice = good;
  twice["groups"].push_back(twice["groups"].back());
  totals(twice);
  check_json_refused(twice, s, "groups[");
  Json empty = good;
  empty["groups"] = Json::array();
  empty["residencies"] = Json::array();
  totals(empty);
  empty["totals"]["compulsory_bytes"] = 0;
  check_json_refused(empty, s, "is in no group");
  Json late = good;
  late["residencies"][0]["first_group"] = late["residencies"][0]["last_group"];
  check_json_refused(late, s, "groups[");
  Json gone = good;
  gone["residencies"].erase(0);
  check_json_refused(gone, s, "groups[");
}

namespace {

/// x [2, 8] -> Relu -> { Sigmoid -> y, Neg -> z }
workloads::Graph forked_graph() {
  workloads::test::GraphBuilder b;
  const auto a = b.op("Relu", {b.input("x", {2, 8})});
  return workloads::canonicalise(b.finish({b.op("Sigmoid", {a}), b.op("Neg", {a})}));
}

/// One step over rows [row, row + rows), int8: reads the storage `in` and writes `out`, a buffer of 64 bytes each.
partitioner::Group one_step(const partitioner::Layout& layout, std::vector<workloads::NodeId> nodes,
                            partitioner::StorageId in, partitioner::StorageId out, int row, int rows) {
  partitioner::Group group;
  group.name = "by hand";
  group.stages = {{.nodes = std::move(nodes)}};
  group.root = layout.views[layout.storages[out].root].storage;
  group.region = layout.storages[out].whole();
  group.region.set(0, row, rows);
  group.tile.fill(1);
  group.tile[0] = rows, group.tile[1] = 8;
  group.loop_order = {0, 1};
  group.buffers = {{.storage = in, .extent = {rows, 8}, .slots = 1, .slot_bytes = 64, .address = 0},
                   {.storage = out, .extent = {rows, 8}, .slots = 1, .slot_bytes = 64, .address = 64}};
  group.scratchpad_bytes = 128;
  group.steps = 1;
  const auto activation = static_cast<std::size_t>(partitioner::StorageClass::kActivation);
  group.moves.read[activation] = group.moves.read_elements[activation] = 8 * rows;
  group.moves.written[activation] = group.moves.written_elements[activation] = 8 * rows;
  return group;
}

test::Staged by_hand(const std::vector<partitioner::Group>& groups) {
  test::Staged s{
      .graph = forked_graph(), .npu = test::npu_with("edge-8mb", 1 << 10, "int8"), .plan = {}, .program = {}};
  s.plan.graph = s.graph.name;
  s.plan.budget = 1 << 10;
  s.plan.layout = partitioner::make_layout(s.graph, s.npu.precision);
  s.plan.groups = groups;
  for (const auto& group : groups) s.plan.moves += group.moves;
  s.plan.peak_scratchpad = 128;
  return s;
}

}  // namespace

TEST_CASE("groups for a part of the batch, and results that are made again, save and load", "[pipeline][plan-io]") {
  const auto graph = forked_graph();
  const auto layout = partitioner::make_layout(graph, configs::uniform_precision("int8"));
  const auto storage = [&](int node) {
    return layout.views[graph.nodes[static_cast<std::size_t>(node)].outputs[0]].storage;
  };
  const auto x = layout.views[graph.inputs[0]].storage;
  REQUIRE(graph.nodes.size() == 3);
  const auto a = storage(0);
  const auto y = storage(1);
  const auto z = storage(2);

  // Relu for one image after the other; then its two readers.
  const std::vector<partitioner::Group> sliced{one_step(layout, {0}, x, a, 0, 1), one_step(layout, {0}, x, a, 1, 1),
                                               one_step(layout, {1}, a, y, 0, 2), one_step(layout, {2}, a, z, 0, 2)};
  auto s = by_hand(sliced);
  s.program = partitioner::lower(s.graph, s.npu, s.plan);
  test::require_proven(s.program);
  require_same(s);
  const auto refused = [&](const std::vector<partitioner::Group>& groups, const std::string& part) {
    const auto wrong = by_hand(groups);
    check_refused(partitioner::plan_to_json(wrong.plan, wrong.graph, wrong.npu), wrong, part);
  };
  refused({sliced[0], sliced[2], sliced[3]}, "which no group before it has left for it");
  refused({sliced[0], sliced[0], sliced[2], sliced[3]}, "which has been stored before");
  refused({sliced[0], sliced[2], sliced[1], sliced[3]}, "which no group before it has left for it");

  // Relu in both of its readers' groups, its result in neither kept.
  std::vector<partitioner::Group> again{one_step(layout, {0, 1}, x, y, 0, 2), one_step(layout, {0, 2}, x, z, 0, 2)};
  for (auto& group : again) {
    group.dropped = {a};
    group.root = a;
  }
  s = by_hand(again);
  s.program = partitioner::lower(s.graph, s.npu, s.plan);
  test::require_proven(s.program);
  require_same(s);
  Json json = Json::parse(partitioner::plan_to_json(s.plan, s.graph, s.npu));
  json["groups"][1]["dropped"].push_back("x");
  check_json_refused(json, s, "groups[1].dropped: 'x' is not made here");
}

TEST_CASE("no change of a value in a saved plan does harm", "[pipeline][plan-io][fuzz]") {
  std::mt19937 random(20240229);
  const auto pick = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  int changed = 0;
  int taken = 0;  // another name of a group, another address
  for (const configs::Bytes budget : {2 << 10, 4 << 10, 64 << 10}) {
    const auto s = small(budget);
    const Json good = Json::parse(partitioner::plan_to_json(s.plan, s.graph, s.npu));
    for (int round = 0; round < 700; ++round) {
      Json json = good;
      for (std::size_t changes = 1 + pick(2); changes > 0; --changes) {
        std::vector<Json*> all;
        values_of(json, all);
        Json& value = *all[pick(all.size())];
        Json& other = *all[pick(all.size())];
        switch (pick(7)) {
          case 0:
            if (value.is_number_integer()) value = value.get<std::int64_t>() + (random() % 2 == 0 ? 1 : -1);
            break;
          case 1:
            if (value.is_number_integer()) value = value.get<std::int64_t>() * 2;
            break;
          case 2:
            if (value.is_number_integer()) value = std::numeric_limits<std::int64_t>::max() - random() % 2;
            break;
          case 3: {
            const Json copy = other;
            if (value.type() == copy.type() && &value != &json) value = copy;
            break;
          }
          case 4:
            if (value.is_array() && !value.empty()) value.erase(pick(value.size()));
            break;
          case 5:
            if (value.is_array() && value.size() > 1) std::swap(value[0], value[pick(value.size())]);
            break;
          default:
            if (value.is_array() && !value.empty()) value.push_back(value[pick(value.size())]);
            break;
        }
      }
      if (json == good) continue;
      ++changed;
      const std::string text = json.dump();
      INFO(text);
      taken += survives(text, s) ? 1 : 0;
    }
  }
  CHECK(changed > 700);
  CHECK(taken < changed / 4);
}

TEST_CASE("no change of a character in a saved plan does harm", "[pipeline][plan-io][fuzz]") {
  std::mt19937 random(20240301);
  const auto s = small();
  const std::string good = partitioner::plan_to_json(s.plan, s.graph, s.npu);
  const std::string alphabet = "0123456789-+.eE\"[]{},: tnul\\\xff";
  for (int round = 0; round < 1500; ++round) {
    std::string text = good;
    const std::size_t at = random() % text.size();
    switch (random() % 3) {
      case 0:
        text[at] = alphabet[random() % alphabet.size()];
        break;
      case 1:
        text.erase(at, 1 + random() % 4);
        break;
      default:
        text.insert(at, 1, alphabet[random() % alphabet.size()]);
        break;
    }
    INFO("at " << at);
    survives(text, s);
  }
}
