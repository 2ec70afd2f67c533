#include "partitioner/plan_proof.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include "partitioner/held_input.h"
#include "partitioner/region_set.h"
#include "partitioner/search.h"

namespace spillway::partitioner {

namespace {

/// Residencies times groups: a plan of a thousand groups has about a thousand residencies.
constexpr std::int64_t kMostPairs = std::int64_t{1} << 28;

class Prover {
 public:
  Prover(const Plan& plan, const Model& model)
      : plan_(plan),
        model_(model),
        search_(model, plan.objective, plan.strategy == Strategy::kLayerByLayer),
        in_dram_(model.layout.storages.size()),
        slices_(model.graph.nodes.size()) {}

  std::vector<GroupWork> run() {
    if (plan_.budget < 1 || plan_.budget > model_.npu.scratchpad.size) {
      bad_plan("budget_bytes", "is {} when the scratchpad has {}", plan_.budget, model_.npu.scratchpad.size);
    }
    residencies();
    std::vector<GroupWork> works;
    Moves moves;
    Bytes peak = 0;
    std::int64_t commands = 0;
    for (int g = 0; g < static_cast<int>(plan_.groups.size()); ++g) {
      const GroupModel group = group_of(plan_, model_, g);
      live_ = live_at(plan_, g);
      guarded(g, "tile", [&] { require_everything(plan_, group, g); });
      works.push_back(guarded(g, "tile", [&] { return work_of(plan_, group, g, kMostCommands - commands); }));
      commands += works.back().commands;
      if (!(works.back().moves == plan_.groups[g].moves)) {
        bad_plan(key_of(g, "moves"), "are {} bytes when the loop makes them {}", plan_.groups[g].moves.total(),
                 works.back().moves.total());
      }
      moves += works.back().moves;
      buffers(group, g);
      peak = std::max(peak, addresses(g));
      flow(group, g);
      executed(group);
    }
    complete();
    if (!(moves == plan_.moves)) bad_plan("totals.moves", "are not those of the groups");
    if (peak != plan_.peak_scratchpad) {
      bad_plan("totals.peak_scratchpad_bytes", "is {} when it should be {}", plan_.peak_scratchpad, peak);
    }
    return works;
  }

 private:
  const Storage& storage(StorageId s) const { return model_.layout.storages[s]; }

  void residencies() const {
    if (static_cast<std::int64_t>(plan_.residencies.size()) * static_cast<std::int64_t>(plan_.groups.size()) >
        kMostPairs) {
      bad_plan("residencies", "there are {} for {} groups", plan_.residencies.size(), plan_.groups.size());
    }
    for (std::size_t i = 0; i < plan_.residencies.size(); ++i) {
      const Residency& r = plan_.residencies[i];
      const auto key = [&](const char* what) { return fmt::format("residencies[{}].{}", i, what); };
      const Storage& s = storage(r.storage);
      if (r.first_group < 0 || r.last_group < r.first_group || r.last_group >= static_cast<int>(plan_.groups.size())) {
        bad_plan(key("last_group"), "groups {} to {} of {}", r.first_group, r.last_group, plan_.groups.size());
      }
      if (r.part.rank != s.rank || r.part.empty() || !s.whole().contains(r.part)) {
        bad_plan(key("part"), "lies outside '{}'", s.name);
      }
      if (r.bytes < r.part.elements() * s.element_bytes()) {
        bad_plan(key("bytes"), "is {} when '{}' takes {}", r.bytes, s.name, r.part.elements() * s.element_bytes());
      }
    }
  }

  void buffers(const GroupModel& group, int g) {
    const Group& plan = plan_.groups[g];
    Residents residents(group.locals.size(), Home::kDram);
    for (std::size_t l = 0; l < residents.size(); ++l) {
      const Residency* home = home_of(live_, group.locals[l].storage);
      if (home != nullptr) residents[l] = home->stored ? Home::kBoth : Home::kScratchpad;
    }
    Candidate candidate;
    candidate.tile = plan.tile;
    candidate.order = plan.loop_order;
    candidate.pipelining = plan.pipelining;
    const auto expected = guarded(g, "buffers", [&] { return search_.buffers(group, candidate, residents); });
    if (plan.buffers.size() != expected.size()) {
      bad_plan(key_of(g, "buffers"), "there are {} when the loop has {}", plan.buffers.size(), expected.size());
    }
    for (std::size_t b = 0; b < expected.size(); ++b) {
      const Buffer& is = plan.buffers[b];
      const Buffer& should = expected[b];
      const int rank = storage(should.storage).rank;
      if (is.storage == should.storage && is.slots == should.slots && is.slot_bytes == should.slot_bytes &&
          is.accumulates == should.accumulates &&
          std::equal(is.extent.begin(), is.extent.begin() + rank, should.extent.begin())) {
        continue;
      }
      bad_plan(fmt::format("groups[{}].buffers[{}]", g, b),
               "'{}' with {} slots of {} B is not what the loop has here: '{}', {} slots of {} B",
               storage(is.storage).name, is.slots, is.slot_bytes, storage(should.storage).name, should.slots,
               should.slot_bytes);
    }
    if (bytes_of(plan.buffers) != plan.scratchpad_bytes) {
      bad_plan(key_of(g, "scratchpad_bytes"), "is {} when the buffers take {}", plan.scratchpad_bytes,
               bytes_of(plan.buffers));
    }
  }

  /// Everything in the scratchpad while the group runs lies apart and inside. Returns its bytes.
  Bytes addresses(int g) const {
    struct Range {
      Bytes begin = 0, bytes = 0;
      StorageId storage = kNone;
    };
    std::vector<Range> ranges;
    Bytes sum = 0;
    for (const Residency* r : live_) ranges.push_back({r->address, r->bytes, r->storage});
    for (const Buffer& b : plan_.groups[g].buffers) ranges.push_back({b.address, b.slots * b.slot_bytes, b.storage});
    for (const Range& r : ranges) {
      if (r.begin < 0 || r.bytes > plan_.budget || r.begin > plan_.budget - r.bytes) {
        bad_plan(key_of(g, "buffers"), "'{}' takes {} B at address {} when the budget is {} B", storage(r.storage).name,
                 r.bytes, r.begin, plan_.budget);
      }
      sum += r.bytes;
    }
    std::sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) { return a.begin < b.begin; });
    for (std::size_t i = 1; i < ranges.size(); ++i) {
      const Range& a = ranges[i - 1];
      const Range& b = ranges[i];
      if (a.begin + a.bytes <= b.begin) continue;
      bad_plan(key_of(g, "buffers"), "'{}' at {} ({} B) and '{}' at {} overlap", storage(a.storage).name, a.begin,
               a.bytes, storage(b.storage).name, b.begin);
    }
    return sum;
  }

  /// What the group reads is there, and what it makes is new.
  void flow(const GroupModel& group, int g) {
    const auto key = fmt::format("groups[{}]", g);
    std::vector<std::pair<StorageId, Box>> stored;
    for (std::size_t l = 0; l < group.locals.size(); ++l) {
      const Local& local = group.locals[l];
      const Storage& s = storage(local.storage);
      const Box part = group.part_of(static_cast<int>(l));
      const Residency* home = home_of(live_, local.storage);
      if (local.producer == kNone) {
        const bool loaded = home != nullptr && is_loaded(model_, *home) && home->first_group == g;
        if (home != nullptr && ((home->first_group >= g && !loaded) || !home->part.contains(part))) {
          bad_plan(key, "reads '{}' from the scratchpad, where it is not", s.name);
        }
        if (home == nullptr && !s.is_input && !in_dram_[local.storage].covers(part)) {
          bad_plan(key, "reads '{}', which no group before it has left for it", s.name);
        }
        continue;
      }
      if (home != nullptr && (home->first_group != g || !(home->part == part) || !local.stored)) {
        bad_plan(key, "makes '{}', whose place in the scratchpad is another's", s.name);
      }
      if (local.stored && (home == nullptr || home->stored || s.is_output)) {
        if (in_dram_[local.storage].intersects(part))
          bad_plan(key, "stores '{}', which has been stored before", s.name);
        stored.emplace_back(local.storage, part);
      }
    }
    for (const auto& [s, part] : stored) in_dram_[s].add(part);
    for (const Residency* r : live_) {
      if (r->first_group != g) continue;
      const int l = group.local_of(r->storage);
      if (l != kNone && is_loaded(model_, *r)) {
        if (r->part == storage(r->storage).whole() && !r->stored && home_of(live_, r->storage) == r) continue;
        bad_plan(key, "holds '{}', an input, other than whole and once", storage(r->storage).name);
      }
      if (l == kNone || group.locals[l].producer == kNone || home_of(live_, r->storage) != r) {
        bad_plan(key, "does not make '{}', whose residency begins here", storage(r->storage).name);
      }
    }
  }

  void executed(const GroupModel& group) {
    const int count = group.slices();
    const int index = count > 1 ? group.region.begin[0] / group.region.extent[0] : 0;
    for (const NodeId node : group.nodes) {
      auto& done = slices_[node];
      // Statistics may be gathered in parts, but only in parts of one size, each once.
      const bool again = done.count({count, index}) > 0 || (!done.empty() && done.begin()->first != count);
      if (again && model_.op(node).op_class == workloads::OpClass::kStatistics) {
        bad_plan("groups", "'{}' gathers its statistics twice", model_.graph.nodes[node].name);
      }
      done.emplace(count, index);
    }
  }

  /// Whether an operator has been executed over everything.
  [[nodiscard]] bool whole(NodeId node) const {
    const auto& done = slices_[node];
    return std::any_of(done.begin(), done.end(), [&](const auto& slice) {
      return std::distance(done.lower_bound({slice.first, 0}), done.lower_bound({slice.first + 1, 0})) == slice.first;
    });
  }

  void complete() const {
    for (const NodeId node : model_.executed) {
      if (model_.is_virtual(node) || whole(node)) continue;
      bad_plan("groups", "the operator '{}' {}", model_.graph.nodes[node].name,
               slices_[node].empty() ? "is in no group" : "is not run for the whole batch");
    }
    for (std::size_t s = 0; s < model_.layout.storages.size(); ++s) {
      const Storage& output = model_.layout.storages[s];
      if (!output.is_output || model_.producer[s] == kNone || in_dram_[s].covers(output.whole())) continue;
      bad_plan("groups", "the graph's output '{}' is not stored", output.name);
    }
  }

  const Plan& plan_;
  const Model& model_;
  Search search_;
  std::vector<const Residency*> live_;                 // while the group at hand runs
  std::vector<RegionSet> in_dram_;                     // by storage: what groups have stored
  std::vector<std::set<std::pair<int, int>>> slices_;  // by node: of how many slices of the batch which it has run for
};

}  // namespace

std::vector<GroupWork> prove(const Plan& plan, const Model& model) { return Prover(plan, model).run(); }

}  // namespace spillway::partitioner
