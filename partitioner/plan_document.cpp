#include "partitioner/plan_document.h"

#include <algorithm>
#include <map>
#include <set>

#include "partitioner/json_reader.h"
#include "workloads/key_blocks.h"

namespace spillway::partitioner {

namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kFormat = "spillway plan";
constexpr std::int64_t kMaxInt32 = std::numeric_limits<std::int32_t>::max();
/// Sums of a few thousand of these do not overflow, and no DRAM or run is near it.
constexpr std::int64_t kLargest = std::int64_t{1} << 52;

// --- writing ---

std::string compact(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

/// A list with an item a line.
template <typename T, typename Each>
std::string lines(const std::vector<T>& items, const std::string& margin, Each each) {
  if (items.empty()) return "[]";
  std::string text = "[\n";
  for (std::size_t i = 0; i < items.size(); ++i) {
    text += margin + each(items[i]) + (i + 1 < items.size() ? ",\n" : "\n");
  }
  return text + margin.substr(1) + "]";
}

/// Figures that are zero are left out.
Json json_of(const Moves& moves) {
  Json json = Json::object();
  const auto add = [&](StorageClass c, const char* what, std::int64_t value) {
    if (value != 0) json[fmt::format("{}_{}", name_of(c), what)] = value;
  };
  for (int k = 0; k < kStorageClassCount; ++k) {
    const auto c = static_cast<StorageClass>(k);
    add(c, "read_bytes", moves.read[k]);
    add(c, "read_elements", moves.read_elements[k]);
    add(c, "written_bytes", moves.written[k]);
    add(c, "written_elements", moves.written_elements[k]);
  }
  return json;
}

std::string text_of(const PlanDocument::Tensor& tensor) {
  Json json = {{"name", tensor.name}, {"class", name_of(tensor.storage_class)}, {"bytes", tensor.bytes}};
  if (tensor.is_input) json["input"] = true;
  if (tensor.is_output) json["output"] = true;
  return compact(json);
}

std::string text_of(const PlanDocument::Buffer& buffer) {
  Json json = {{"storage", buffer.storage},
               {"extent", buffer.extent},
               {"slots", buffer.slots},
               {"slot_bytes", buffer.slot_bytes},
               {"address", buffer.address}};
  if (buffer.accumulates) json["accumulates"] = true;
  return compact(json);
}

std::string text_of(const PlanDocument::Group& group) {
  const std::string margin = "\n   ";
  std::string text = fmt::format("{{\"name\":{},", compact(group.name));
  text += fmt::format("{}\"stages\":{},", margin, compact(group.stages));
  text += fmt::format(R"({}"root":{},"region":{},"tile":{},"loop_order":{},"overlap":{},"steps":{},)", margin,
                      compact(group.root), compact(group.region), compact(group.tile), compact(group.loop_order),
                      compact(name_of(group.pipelining)), group.steps);
  text += fmt::format(R"({}"cycles":{},"scratchpad_bytes":{},"moves":{},)", margin, group.cycles,
                      group.scratchpad_bytes, compact(json_of(group.moves)));
  Json traffic = Json::array();
  for (const auto& t : group.traffic)
    traffic.push_back({{"storage", t.storage}, {"read", t.read}, {"written", t.written}});
  text += fmt::format("{}\"traffic\":{},", margin, compact(traffic));
  if (!group.dropped.empty()) text += fmt::format("{}\"dropped\":{},", margin, compact(group.dropped));
  text += fmt::format("{}\"buffers\":{}}}", margin,
                      lines(group.buffers, "    ", [](const auto& buffer) { return text_of(buffer); }));
  return text;
}

std::string text_of(const PlanDocument::Residency& r) {
  return compact(Json{{"storage", r.storage},
                      {"part", r.part},
                      {"first_group", r.first_group},
                      {"last_group", r.last_group},
                      {"stored", r.stored},
                      {"bytes", r.bytes},
                      {"address", r.address}});
}

// --- reading ---

using Ranges = std::vector<std::pair<std::int64_t, std::int64_t>>;

/// Adds where the sum cannot overflow: every addend has been read with the limit kLargest.
void add_checked(std::int64_t& sum, std::int64_t value, const JsonReader& at) {
  if (__builtin_add_overflow(sum, value, &sum)) at.bad("the sum is too large");
}

Moves moves_of(const JsonReader& json) {
  Moves moves;
  std::map<std::string, std::int64_t*> fields;
  for (int k = 0; k < kStorageClassCount; ++k) {
    const std::string c(name_of(static_cast<StorageClass>(k)));
    fields[c + "_read_bytes"] = &moves.read[k];
    fields[c + "_read_elements"] = &moves.read_elements[k];
    fields[c + "_written_bytes"] = &moves.written[k];
    fields[c + "_written_elements"] = &moves.written_elements[k];
  }
  json.members([&](const std::string& key, const JsonReader& value) {
    const auto field = fields.find(key);
    if (field == fields.end()) value.bad("unknown key");
    *field->second = value.integer(0, kLargest);
  });
  return moves;
}

std::vector<std::int64_t> integers(const JsonReader& json, std::int64_t low, std::int64_t high) {
  std::vector<std::int64_t> values;
  json.items([&](const JsonReader& item) { values.push_back(item.integer(low, high)); }, kMaxRank);
  return values;
}

Ranges ranges(const JsonReader& json) {
  Ranges values;
  const auto add = [&](const JsonReader& item) {
    const auto pair = integers(item, 0, kMaxInt32);
    if (pair.size() != 2) item.bad(fmt::format("has {} entries when it should be [begin, extent]", pair.size()));
    if (pair[1] < 1 || pair[0] + pair[1] > kMaxInt32) item.bad("is empty or reaches too far");
    values.emplace_back(pair[0], pair[1]);
  };
  json.items(add, kMaxRank);
  return values;
}

/// One of the values of an enumeration, by its name.
template <typename Enum>
Enum choice(const JsonReader& json, std::initializer_list<Enum> values) {
  std::vector<std::string> names;
  for (const Enum value : values) {
    if (name_of(value) == json.text()) return value;
    names.emplace_back(name_of(value));
  }
  const std::string nearest = nearest_name(json.text(), names);
  json.bad(fmt::format("'{}' is unknown{}", json.text(),
                       nearest.empty() ? "" : fmt::format("; did you mean '{}'?", nearest)));
}

class DocumentReader {
 public:
  explicit DocumentReader(const JsonReader& root) : root_(root) {}

  PlanDocument read() {
    header();
    root_.at("tensors").items([&](const JsonReader& item) { tensor(item); });
    root_.at("groups").items([&](const JsonReader& item) { group(item); });
    root_.at("residencies").items([&](const JsonReader& item) { residency(item); });
    totals(root_.at("totals"));
    allocation(root_.at("allocation"));
    return std::move(document_);
  }

 private:
  void header() {
    if (root_.at("format").text() != kFormat) root_.at("format").bad(fmt::format("should be '{}'", kFormat));
    const JsonReader version = root_.at("schema_version");
    if (version.integer() != kPlanSchemaVersion) {
      version.bad(fmt::format("is {} when this program reads {}", version.integer(), kPlanSchemaVersion));
    }
    root_.only({"format", "schema_version", "graph", "npu", "strategy", "objective", "budget_bytes", "totals",
                "allocation", "tensors", "groups", "residencies"});
    const JsonReader graph = root_.at("graph");
    graph.only({"name", "key_blocks", "operators", "fingerprint"});
    document_.graph = graph.at("name").text();
    if (graph.has("key_blocks")) {
      graph.at("key_blocks").members([&](const std::string& softmax, const JsonReader& blocks) {
        document_.key_blocks[softmax] = blocks.integer(2, workloads::kMostKeyBlocks);
      });
    }
    document_.operators = graph.at("operators").integer(0, kMaxInt32);
    document_.graph_fingerprint = graph.at("fingerprint").text();
    const JsonReader npu = root_.at("npu");
    npu.only({"name", "dram_bytes_per_cycle", "config"});
    document_.npu = npu.at("name").text();
    document_.dram_bytes_per_cycle = npu.at("dram_bytes_per_cycle").real();
    if (document_.dram_bytes_per_cycle <= 0) npu.at("dram_bytes_per_cycle").bad("should be greater than 0");
    npu.at("config").members(
        [&](const std::string& key, const JsonReader& value) { document_.config.emplace_back(key, value.text()); });
    document_.strategy = choice(root_.at("strategy"), {Strategy::kLayerByLayer, Strategy::kFused});
    document_.objective =
        choice(root_.at("objective"), {Objective::kLatency, Objective::kMoves, Objective::kEnergy, Objective::kEdp});
    document_.budget = root_.at("budget_bytes").integer(1, kLargest);
  }

  void tensor(const JsonReader& json) {
    json.only({"name", "class", "bytes", "input", "output"});
    PlanDocument::Tensor tensor;
    tensor.name = json.at("name").text();
    tensor.storage_class = choice(json.at("class"), {StorageClass::kWeight, StorageClass::kActivation,
                                                     StorageClass::kParameter, StorageClass::kStatistics});
    tensor.bytes = json.at("bytes").integer(0, kLargest);
    if (json.has("input")) tensor.is_input = json.at("input").flag();
    if (json.has("output")) tensor.is_output = json.at("output").flag();
    if (!classes_.emplace(tensor.name, tensor.storage_class).second) json.at("name").bad("is listed twice");
    document_.tensors.push_back(std::move(tensor));
  }

  /// A tensor that is in the list.
  std::string known(const JsonReader& json) const {
    if (classes_.count(json.text()) == 0) json.bad(fmt::format("'{}' is not among the tensors", json.text()));
    return json.text();
  }

  void group(const JsonReader& json) {
    json.only({"name", "stages", "root", "region", "tile", "loop_order", "overlap", "steps", "cycles",
               "scratchpad_bytes", "moves", "traffic", "dropped", "buffers"});
    PlanDocument::Group group;
    group.name = json.at("name").text();
    json.at("stages").items([&](const JsonReader& stage) {
      group.stages.emplace_back();
      stage.items([&](const JsonReader& node) { group.stages.back().push_back(node.text()); });
      if (group.stages.back().empty()) stage.bad("has no operators");
    });
    if (group.stages.empty()) json.at("stages").bad("has no operators");
    group.root = known(json.at("root"));
    group.region = ranges(json.at("region"));
    group.tile = integers(json.at("tile"), 1, kMaxInt32);
    group.loop_order = integers(json.at("loop_order"), 0, kMaxRank - 1);
    group.pipelining = choice(json.at("overlap"), {Pipelining::kNone, Pipelining::kDouble, Pipelining::kSoftware});
    group.steps = json.at("steps").integer(1, kLargest);
    group.cycles = json.at("cycles").integer(0, kLargest);
    group.scratchpad_bytes = json.at("scratchpad_bytes").integer(0, kLargest);
    group.moves = moves_of(json.at("moves"));
    traffic(json, group);
    if (json.has("dropped")) {
      json.at("dropped").items([&](const JsonReader& storage) { group.dropped.push_back(known(storage)); });
    }
    json.at("buffers").items([&](const JsonReader& item) { group.buffers.push_back(buffer(item)); });
    document_.groups.push_back(std::move(group));
  }

  PlanDocument::Buffer buffer(const JsonReader& json) const {
    json.only({"storage", "extent", "slots", "slot_bytes", "address", "accumulates"});
    PlanDocument::Buffer buffer;
    buffer.storage = known(json.at("storage"));
    buffer.extent = integers(json.at("extent"), 0, kMaxInt32);
    buffer.slots = json.at("slots").integer(1, 1 << 16);
    buffer.slot_bytes = json.at("slot_bytes").integer(0, kLargest >> 16);
    buffer.address = json.at("address").integer(0, kLargest);
    buffer.accumulates = json.has("accumulates") && json.at("accumulates").flag();
    return buffer;
  }

  void traffic(const JsonReader& json, PlanDocument::Group& group) const {
    std::array<Bytes, kStorageClassCount> read{}, written{};
    json.at("traffic").items([&](const JsonReader& item) {
      item.only({"storage", "read", "written"});
      PlanDocument::Traffic t;
      t.storage = known(item.at("storage"));
      t.read = item.at("read").integer(0, kLargest);
      t.written = item.at("written").integer(0, kLargest);
      const auto c = static_cast<int>(classes_.at(t.storage));
      add_checked(read[c], t.read, item);
      add_checked(written[c], t.written, item);
      group.traffic.push_back(std::move(t));
    });
    if (read != group.moves.read || written != group.moves.written) {
      json.at("traffic").bad("does not add up to the group's moves");
    }
  }

  void residency(const JsonReader& json) {
    json.only({"storage", "part", "first_group", "last_group", "stored", "bytes", "address"});
    const auto last = static_cast<std::int64_t>(document_.groups.size()) - 1;
    if (last < 0) json.bad("there are no groups");
    PlanDocument::Residency r;
    r.storage = known(json.at("storage"));
    r.part = ranges(json.at("part"));
    r.first_group = json.at("first_group").integer(0, last);
    r.last_group = json.at("last_group").integer(r.first_group, last);
    r.stored = json.at("stored").flag();
    r.bytes = json.at("bytes").integer(0, kLargest);
    r.address = json.at("address").integer(0, kLargest);
    document_.residencies.push_back(std::move(r));
  }

  void allocation(const JsonReader& json) {
    json.only({"algorithm", "peak_demand", "packed_peak", "peak_address", "fragmentation", "colliding_pairs",
               "unavoidable_pairs", "attempts"});
    AllocationReport& report = document_.allocation;
    report.algorithm = json.at("algorithm").text();
    report.peak_demand = json.at("peak_demand").integer(0, kLargest);
    report.packed_peak = json.at("packed_peak").integer(0, kLargest);
    report.peak_address = json.at("peak_address").integer(0, kLargest);
    report.fragmentation = json.at("fragmentation").integer(0, kLargest);
    report.colliding_pairs = static_cast<int>(json.at("colliding_pairs").integer(0, kMaxInt32));
    report.unavoidable_pairs = static_cast<int>(json.at("unavoidable_pairs").integer(0, kMaxInt32));
    json.at("attempts").items([&](const JsonReader& item) {
      item.only({"algorithm", "packed_peak", "colliding_pairs", "fits"});
      report.attempts.push_back({item.at("algorithm").text(), item.at("packed_peak").integer(0, kLargest),
                                 static_cast<int>(item.at("colliding_pairs").integer(0, kMaxInt32)),
                                 item.at("fits").flag()});
    });
  }

  void totals(const JsonReader& json) {
    json.only({"cycles", "compulsory_bytes", "peak_scratchpad_bytes", "moves"});
    document_.cycles = json.at("cycles").integer();
    document_.moves = moves_of(json.at("moves"));
    document_.compulsory_bytes = json.at("compulsory_bytes").integer(0, kLargest);
    document_.peak_scratchpad = json.at("peak_scratchpad_bytes").integer(0, kLargest);
    Moves moves;
    Cycles cycles = 0;
    for (const auto& group : document_.groups) {
      add_checked(cycles, group.cycles, json.at("cycles"));
      for (int c = 0; c < kStorageClassCount; ++c) {
        add_checked(moves.read[c], group.moves.read[c], json.at("moves"));
        add_checked(moves.written[c], group.moves.written[c], json.at("moves"));
        add_checked(moves.read_elements[c], group.moves.read_elements[c], json.at("moves"));
        add_checked(moves.written_elements[c], group.moves.written_elements[c], json.at("moves"));
      }
    }
    if (cycles != document_.cycles) {
      json.at("cycles").bad(fmt::format("is {} when those of the groups add up to {}", document_.cycles, cycles));
    }
    if (!(moves == document_.moves)) json.at("moves").bad("is not the sum of the groups' moves");
  }

  const JsonReader& root_;
  PlanDocument document_;
  std::map<std::string, StorageClass> classes_;
};

const std::string kHelp = "`spillway partition TARGET --save-plan FILE` writes a plan file";

}  // namespace

std::string to_json(const PlanDocument& d) {
  std::string text = "{\n";
  text += fmt::format(" \"format\":\"{}\",\n \"schema_version\":{},\n", kFormat, kPlanSchemaVersion);
  Json graph{{"name", d.graph}};
  if (!d.key_blocks.empty()) graph["key_blocks"] = d.key_blocks;
  graph["operators"] = d.operators;
  graph["fingerprint"] = d.graph_fingerprint;
  text += fmt::format(" \"graph\":{},\n", compact(graph));
  text += fmt::format(" \"npu\":{{\"name\":{},\"dram_bytes_per_cycle\":{},\"config\":{{\n", compact(d.npu),
                      compact(d.dram_bytes_per_cycle));
  for (std::size_t i = 0; i < d.config.size(); ++i) {
    text += fmt::format("  {}:{}{}\n", compact(d.config[i].first), compact(d.config[i].second),
                        i + 1 < d.config.size() ? "," : "");
  }
  text += " }},\n";
  text += fmt::format(" \"strategy\":\"{}\",\n \"objective\":\"{}\",\n \"budget_bytes\":{},\n", name_of(d.strategy),
                      name_of(d.objective), d.budget);
  text += fmt::format(" \"totals\":{},\n", compact(Json{{"cycles", d.cycles},
                                                        {"compulsory_bytes", d.compulsory_bytes},
                                                        {"peak_scratchpad_bytes", d.peak_scratchpad},
                                                        {"moves", json_of(d.moves)}}));
  Json attempts = Json::array();
  for (const AllocationReport::Attempt& a : d.allocation.attempts) {
    attempts.push_back({{"algorithm", a.algorithm},
                        {"packed_peak", a.packed_peak},
                        {"colliding_pairs", a.colliding_pairs},
                        {"fits", a.fits}});
  }
  text += fmt::format(" \"allocation\":{},\n", compact(Json{{"algorithm", d.allocation.algorithm},
                                                            {"peak_demand", d.allocation.peak_demand},
                                                            {"packed_peak", d.allocation.packed_peak},
                                                            {"peak_address", d.allocation.peak_address},
                                                            {"fragmentation", d.allocation.fragmentation},
                                                            {"colliding_pairs", d.allocation.colliding_pairs},
                                                            {"unavoidable_pairs", d.allocation.unavoidable_pairs},
                                                            {"attempts", attempts}}));
  text += fmt::format(" \"tensors\":{},\n", lines(d.tensors, "  ", [](const auto& t) { return text_of(t); }));
  text += fmt::format(" \"groups\":{},\n", lines(d.groups, "  ", [](const auto& g) { return text_of(g); }));
  text +=
      fmt::format(" \"residencies\":{}\n}}\n", lines(d.residencies, "  ", [](const auto& r) { return text_of(r); }));
  return text;
}

PlanDocument parse_plan_document(std::string_view text, const Place& place) {
  const JsonReader::Json json = parse_json(text, place, kHelp);
  const JsonReader root(json, place, kHelp);
  return DocumentReader(root).read();
}

}  // namespace spillway::partitioner
