#include "partitioner/plan_io.h"

#include <fmt/format.h>

#include <algorithm>

#include "configs/error.h"
#include "partitioner/plan_labels.h"
#include "partitioner/plan_proof.h"
#include "workloads/key_blocks.h"

namespace spillway::partitioner {

namespace {

using Ranges = std::vector<std::pair<std::int64_t, std::int64_t>>;

Ranges ranges_of(const Box& box) {
  Ranges ranges;
  for (int f = 0; f < box.rank; ++f) ranges.emplace_back(box.begin[f], box.extent[f]);
  return ranges;
}

/// What a Plan is made of, with its names.
struct Names {
  Labels nodes, storages;
  Names(const Graph& graph, const Layout& layout) : nodes(node_labels(graph)), storages(storage_labels(layout)) {}
};

PlanDocument::Group group_record(const Group& group, const GroupWork& work, const Names& names, int rank) {
  PlanDocument::Group g;
  g.name = group.name;
  for (const Stage& stage : group.stages) {
    g.stages.emplace_back();
    for (const NodeId node : stage.nodes) g.stages.back().push_back(names.nodes.of(node));
  }
  g.root = names.storages.of(group.root);
  g.region = ranges_of(group.region);
  g.tile.assign(group.tile.begin(), group.tile.begin() + rank);
  g.loop_order.assign(group.loop_order.begin(), group.loop_order.end());
  g.pipelining = group.pipelining;
  for (const Buffer& buffer : group.buffers) {
    PlanDocument::Buffer b;
    b.storage = names.storages.of(buffer.storage);
    b.slots = buffer.slots;
    b.slot_bytes = buffer.slot_bytes;
    b.address = buffer.address;
    b.accumulates = buffer.accumulates;
    g.buffers.push_back(std::move(b));
  }
  for (const StorageId s : group.dropped) g.dropped.push_back(names.storages.of(s));
  g.scratchpad_bytes = group.scratchpad_bytes;
  g.steps = group.steps;
  g.moves = group.moves;
  g.cycles = group.cycles;
  for (const auto& t : work.traffic) g.traffic.push_back({names.storages.of(t.storage), t.read, t.written});
  return g;
}

/// From a document to the graph's own ids. What is wrong has its key.
class Resolver {
 public:
  Resolver(const PlanDocument& document, const Graph& graph, Layout layout)
      : document_(document), names_(graph, layout) {
    plan_.graph = graph.name;
    plan_.layout = std::move(layout);
  }

  Plan plan() {
    plan_.strategy = document_.strategy;
    plan_.objective = document_.objective;
    plan_.budget = document_.budget;
    plan_.moves = document_.moves;
    plan_.cycles = document_.cycles;
    plan_.compulsory_bytes = document_.compulsory_bytes;
    plan_.peak_scratchpad = document_.peak_scratchpad;
    plan_.allocation = document_.allocation;
    if (plan_.compulsory_bytes > plan_.moves.total()) {
      bad("totals.compulsory_bytes",
          fmt::format("is {} when the plan moves {}", plan_.compulsory_bytes, plan_.moves.total()));
    }
    for (std::size_t i = 0; i < document_.tensors.size(); ++i) tensor(i);
    for (std::size_t i = 0; i < document_.groups.size(); ++i) group(i);
    for (std::size_t i = 0; i < document_.residencies.size(); ++i) residency(i);
    return std::move(plan_);
  }

 private:
  [[noreturn]] static void bad(const std::string& key, const std::string& problem) {
    throw Error(ErrorKind::kBadInput, Place{.key = key}, problem);
  }

  static std::int32_t find(const std::string& key, const char* what, const Labels& labels, const std::string& label) {
    const std::int32_t id = labels.find(label);
    if (id != kNone) return id;
    const std::string nearest = nearest_name(label, labels.all());
    bad(key, fmt::format("the graph has no {} '{}'{}", what, label,
                         nearest.empty() ? "" : fmt::format("; did you mean '{}'?", nearest)));
  }
  StorageId storage(const std::string& key, const std::string& label) const {
    return find(key, "tensor", names_.storages, label);
  }

  void tensor(std::size_t i) const {
    const auto& is = document_.tensors[i];
    const auto key = fmt::format("tensors[{}]", i);
    const Storage& s = plan_.layout.storages[storage(key + ".name", is.name)];
    if (s.storage_class != is.storage_class || s.bytes() != is.bytes || s.is_input != is.is_input ||
        s.is_output != is.is_output) {
      bad(key, fmt::format("'{}' is {} B of class {} when it should be {} B of class {}", is.name, is.bytes,
                           name_of(is.storage_class), s.bytes(), name_of(s.storage_class)));
    }
  }

  /// `entries` answer the factors of a storage.
  void require_rank(const std::string& key, std::size_t entries, const Storage& s) const {
    if (entries == static_cast<std::size_t>(s.rank)) return;
    bad(key, fmt::format("has {} entries when '{}' has {} factors", entries, s.name, s.rank));
  }

  Box box(const std::string& key, const Ranges& ranges, const Storage& s) const {
    require_rank(key, ranges.size(), s);
    Box box;
    box.rank = s.rank;
    for (int f = 0; f < s.rank; ++f) {
      const auto [begin, extent] = ranges[static_cast<std::size_t>(f)];
      if (begin + extent > s.extent[f]) {
        bad(key, fmt::format("entry {} reaches {} when '{}' ends at {}", f, begin + extent, s.name, s.extent[f]));
      }
      box.set(f, static_cast<std::int32_t>(begin), static_cast<std::int32_t>(extent));
    }
    return box;
  }

  void group(std::size_t i) {
    const auto& is = document_.groups[i];
    const auto key = [&](const char* what) { return fmt::format("groups[{}].{}", i, what); };
    Group g;
    g.name = is.name;
    for (const auto& stage : is.stages) {
      g.stages.emplace_back();
      for (const std::string& node : stage) {
        g.stages.back().nodes.push_back(find(key("stages"), "operator", names_.nodes, node));
      }
    }
    g.root = storage(key("root"), is.root);
    const Storage& root = plan_.layout.storages[g.root];
    g.region = box(key("region"), is.region, root);
    require_rank(key("tile"), is.tile.size(), root);
    require_rank(key("loop_order"), is.loop_order.size(), root);
    g.tile.fill(1);
    std::transform(is.tile.begin(), is.tile.end(), g.tile.begin(), [](auto t) { return static_cast<std::int32_t>(t); });
    g.loop_order.assign(is.loop_order.begin(), is.loop_order.end());
    g.pipelining = is.pipelining;
    for (const auto& b : is.buffers) g.buffers.push_back(buffer(key("buffers"), b));
    for (const std::string& s : is.dropped) g.dropped.push_back(storage(key("dropped"), s));
    g.scratchpad_bytes = is.scratchpad_bytes;
    g.steps = is.steps;
    g.moves = is.moves;
    g.cycles = is.cycles;
    plan_.groups.push_back(std::move(g));
  }

  Buffer buffer(const std::string& key, const PlanDocument::Buffer& is) const {
    Buffer b;
    b.storage = storage(key, is.storage);
    const Storage& s = plan_.layout.storages[b.storage];
    require_rank(key, is.extent.size(), s);
    std::transform(is.extent.begin(), is.extent.end(), b.extent.begin(),
                   [](auto e) { return static_cast<std::int32_t>(e); });
    b.slots = static_cast<int>(is.slots);
    b.slot_bytes = is.slot_bytes;
    b.address = is.address;
    b.accumulates = is.accumulates;
    return b;
  }

  void residency(std::size_t i) {
    const auto& is = document_.residencies[i];
    const auto key = [&](const char* what) { return fmt::format("residencies[{}].{}", i, what); };
    Residency r;
    r.storage = storage(key("storage"), is.storage);
    r.part = box(key("part"), is.part, plan_.layout.storages[r.storage]);
    r.first_group = static_cast<int>(is.first_group);
    r.last_group = static_cast<int>(is.last_group);
    r.stored = is.stored;
    r.bytes = is.bytes;
    r.address = is.address;
    plan_.residencies.push_back(r);
  }

  const PlanDocument& document_;
  Names names_;
  Plan plan_;
};

const std::string kHelp =
    "the file has been changed or is another version's; `spillway partition TARGET --save-plan FILE` "
    "writes it anew";

[[noreturn]] void another(const char* key, const std::string& problem, const std::string& help) {
  throw Error(ErrorKind::kBadInput, Place{.key = key}, problem, help);
}

void require_same_graph(const PlanDocument& document, const Graph& graph) {
  if (document.graph_fingerprint == fingerprint(graph)) return;
  another("graph",
          fmt::format("the plan is for '{}' ({} operators, fingerprint {}), this graph is '{}' ({} operators, {})",
                      document.graph, document.operators, document.graph_fingerprint, graph.name, graph.nodes.size(),
                      fingerprint(graph)),
          "give the model, batch and shapes that the plan was made for, or plan anew without --plan");
}

void require_same_npu(const PlanDocument& document, const configs::NpuConfig& npu) {
  const std::string help =
      "give the --npu, --sram, --set and --precision that the plan was made for, or plan anew without "
      "--plan";
  auto planned = document.config;
  auto given = config_values(npu);
  std::sort(planned.begin(), planned.end());
  std::sort(given.begin(), given.end());
  std::size_t others = 0;
  std::string first;
  std::string key;
  for (std::size_t a = 0, b = 0; a < planned.size() || b < given.size();) {
    const bool only_planned = b == given.size() || (a < planned.size() && planned[a].first < given[b].first);
    const bool only_given = a == planned.size() || (b < given.size() && given[b].first < planned[a].first);
    if (!only_planned && !only_given && planned[a].second == given[b].second) {
      ++a, ++b;
      continue;
    }
    if (others++ == 0) {
      key = only_given ? given[b].first : planned[a].first;
      first = fmt::format("the plan is for {} and this config has {}", only_given ? "none" : planned[a].second,
                          only_planned ? "none" : given[b].second);
    }
    if (!only_given) ++a;
    if (!only_planned) ++b;
  }
  if (others > 1) first += fmt::format("; {} more values differ", others - 1);
  if (others > 0) another(("npu.config." + key).c_str(), first, help);
  if (document.dram_bytes_per_cycle != npu.dram_bytes_per_cycle()) {
    another("npu.dram_bytes_per_cycle",
            fmt::format("is {} when the config makes it {}", document.dram_bytes_per_cycle, npu.dram_bytes_per_cycle()),
            kHelp);
  }
}

/// What the file says of each group's traffic, against what its loop does.
void require_traffic(const PlanDocument& document, const std::vector<GroupWork>& works, const Labels& storages) {
  for (std::size_t g = 0; g < works.size(); ++g) {
    const auto& is = document.groups[g].traffic;
    const auto& should = works[g].traffic;
    if (std::equal(is.begin(), is.end(), should.begin(), should.end(), [&](const auto& a, const auto& b) {
          return a.storage == storages.of(b.storage) && a.read == b.read && a.written == b.written;
        })) {
      continue;
    }
    throw Error(ErrorKind::kBadInput, Place{.key = fmt::format("groups[{}].traffic", g)}, "is not what the loop moves",
                kHelp);
  }
}

}  // namespace

PlanDocument document_of(const Plan& plan, const Graph& graph, const configs::NpuConfig& npu) {
  const Model model(graph, npu, plan.layout);
  const Names names(graph, plan.layout);
  PlanDocument d;
  d.graph = graph.name;
  d.key_blocks = graph.key_blocks;
  d.operators = static_cast<std::int64_t>(graph.nodes.size());
  d.graph_fingerprint = fingerprint(graph);
  d.npu = npu.name;
  d.config = config_values(npu);
  d.dram_bytes_per_cycle = npu.dram_bytes_per_cycle();
  d.strategy = plan.strategy;
  d.objective = plan.objective;
  d.budget = plan.budget;
  d.moves = plan.moves;
  d.cycles = plan.cycles;
  d.compulsory_bytes = plan.compulsory_bytes;
  d.peak_scratchpad = plan.peak_scratchpad;
  d.allocation = plan.allocation;
  std::vector<bool> named(plan.layout.storages.size(), false);
  for (std::size_t g = 0; g < plan.groups.size(); ++g) {
    const GroupModel group = group_of(plan, model, static_cast<int>(g));
    const GroupWork work = work_of(plan, group, static_cast<int>(g), std::numeric_limits<std::int64_t>::max());
    for (const Local& local : group.locals) named[local.storage] = true;
    for (const StorageId s : plan.groups[g].dropped) named[s] = true;
    named[plan.groups[g].root] = true;
    d.groups.push_back(group_record(plan.groups[g], work, names, plan.layout.storages[plan.groups[g].root].rank));
    for (std::size_t b = 0; b < plan.groups[g].buffers.size(); ++b) {
      const Buffer& buffer = plan.groups[g].buffers[b];
      const int rank = plan.layout.storages[buffer.storage].rank;
      d.groups.back().buffers[b].extent.assign(buffer.extent.begin(), buffer.extent.begin() + rank);
    }
  }
  for (const Residency& r : plan.residencies) {
    d.residencies.push_back(
        {names.storages.of(r.storage), ranges_of(r.part), r.first_group, r.last_group, r.stored, r.bytes, r.address});
  }
  for (std::size_t s = 0; s < named.size(); ++s) {
    const Storage& storage = plan.layout.storages[s];
    if (!named[s]) continue;
    d.tensors.push_back({names.storages.of(static_cast<StorageId>(s)), storage.storage_class, storage.bytes(),
                         storage.is_input, storage.is_output});
  }
  return d;
}

std::string plan_to_json(const Plan& plan, const Graph& graph, const configs::NpuConfig& npu) {
  return to_json(document_of(plan, graph, npu));
}

Graph graph_of_plan(std::string_view text, const Graph& graph, const Place& place) {
  const PlanDocument document = parse_plan_document(text, place);
  if (document.key_blocks.empty()) return graph;
  try {
    return workloads::in_key_blocks(graph, document.key_blocks);
  } catch (const Error& error) {
    Place at = place;
    at.key = "graph.key_blocks." + error.place().node;
    throw Error(ErrorKind::kBadInput, at, error.problem(), kHelp);
  }
}

Plan plan_from_json(std::string_view text, const Graph& graph, const configs::NpuConfig& npu, const Place& place) {
  const PlanDocument document = parse_plan_document(text, place);
  try {
    require_same_graph(document, graph);
    require_same_npu(document, npu);
    Plan plan = Resolver(document, graph, make_layout(graph, npu.precision)).plan();
    const Model model(graph, npu, plan.layout);
    require_traffic(document, prove(plan, model), storage_labels(plan.layout));
    for (Group& group : plan.groups) {
      for (Stage& stage : group.stages) stage.matrix = model.op(stage.nodes[0]).op_class == workloads::OpClass::kMatrix;
    }
    return plan;
  } catch (const Error& error) {
    const Error placed = error.within(place);
    throw Error(placed.kind(), placed.place(), placed.problem(), placed.help().empty() ? kHelp : placed.help());
  }
}

}  // namespace spillway::partitioner
