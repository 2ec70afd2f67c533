#include "reports/compare_plans.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <set>
#include <utility>

#include "configs/error.h"
#include "reports/format.h"

namespace spillway::reports {

namespace {

using partitioner::PlanDocument;
using Group = PlanDocument::Group;
using GroupChange = PlanComparison::GroupChange;
using TensorChange = PlanComparison::TensorChange;

std::vector<PlanComparison::Setting> settings_of(const PlanDocument& a, const PlanDocument& b) {
  std::vector<PlanComparison::Setting> settings;
  const auto add = [&](const std::string& what, const std::string& x, const std::string& y) {
    if (x != y) settings.push_back({what, x, y});
  };
  add("strategy", std::string(name_of(a.strategy)), std::string(name_of(b.strategy)));
  add("objective", std::string(name_of(a.objective)), std::string(name_of(b.objective)));
  add("budget", binary_bytes(a.budget), binary_bytes(b.budget));
  add("npu", a.npu, b.npu);
  std::map<std::string, std::pair<std::string, std::string>> values;
  for (const auto& [key, value] : a.config) values[key].first = value;
  for (const auto& [key, value] : b.config) values[key].second = value;
  for (const auto& [key, pair] : values) add(key, pair.first, pair.second);
  return settings;
}

// --- groups ---

std::vector<std::string> operators_of(const Group& group) {
  std::vector<std::string> operators;
  for (const auto& stage : group.stages) operators.insert(operators.end(), stage.begin(), stage.end());
  return operators;
}

/// Groups of both plans, linked by their operators: those of the first plan are 0.., the second's follow.
class Links {
 public:
  Links(const PlanDocument& a, const PlanDocument& b) : first_(a.groups.size()), parent_(first_ + b.groups.size()) {
    std::iota(parent_.begin(), parent_.end(), std::size_t{0});
    std::map<std::string, std::array<std::vector<std::size_t>, 2>> where;
    for (std::size_t g = 0; g < a.groups.size(); ++g) {
      for (const std::string& op : operators_of(a.groups[g])) where[op][0].push_back(g);
    }
    for (std::size_t g = 0; g < b.groups.size(); ++g) {
      for (const std::string& op : operators_of(b.groups[g])) where[op][1].push_back(first_ + g);
    }
    // An operator that runs as often in both plans links its groups one by one. One that runs more often in either
    // (made again, or once for each of the batch) says nothing of how groups were cut, as long as another operator
    // does.
    std::vector<bool> linked(parent_.size(), false);
    for (const auto& [op, at] : where) {
      if (at[0].size() != at[1].size()) continue;
      for (std::size_t k = 0; k < at[0].size(); ++k) {
        join(at[0][k], at[1][k]);
        linked[at[0][k]] = linked[at[1][k]] = true;
      }
    }
    for (const auto& [op, at] : where) {
      for (const int side : {0, 1}) {
        for (const std::size_t g : at[side]) {
          if (!linked[g] && !at[1 - side].empty()) join(g, at[1 - side].front());
        }
      }
    }
  }

  /// Sets of linked groups, in the order of their first.
  [[nodiscard]] std::vector<std::pair<std::vector<int>, std::vector<int>>> sets() {
    std::map<std::size_t, std::pair<std::vector<int>, std::vector<int>>> by_root;
    for (std::size_t g = 0; g < parent_.size(); ++g) {
      auto& [a, b] = by_root[find(g)];
      (g < first_ ? a : b).push_back(static_cast<int>(g < first_ ? g : g - first_));
    }
    std::vector<std::pair<std::vector<int>, std::vector<int>>> sets;
    sets.reserve(by_root.size());
    for (auto& [root, set] : by_root) sets.push_back(std::move(set));
    return sets;
  }

 private:
  std::size_t find(std::size_t g) {
    while (parent_[g] != g) g = parent_[g] = parent_[parent_[g]];
    return g;
  }
  /// The smaller index is the root, so that sets come in order.
  void join(std::size_t x, std::size_t y) {
    x = find(x), y = find(y);
    parent_[std::max(x, y)] = std::min(x, y);
  }

  std::size_t first_;
  std::vector<std::size_t> parent_;
};

/// "1 operator more (conv2)", "2 operators less (conv2, ..)".
std::string operators_apart(const std::vector<std::string>& more, const std::vector<std::string>& than,
                            const char* word) {
  std::vector<std::string> extra;
  std::set<std::string> known(than.begin(), than.end());
  for (const std::string& op : more) {
    if (known.count(op) == 0) extra.push_back(op);
  }
  if (extra.empty()) return "";
  return fmt::format("{} operator{} {} ({}{})", extra.size(), extra.size() == 1 ? "" : "s", word, extra.front(),
                     extra.size() > 1 ? ", .." : "");
}

/// What two groups of the same place chose otherwise; empty if nothing.
std::string choice_between(const Group& a, const Group& b) {
  std::vector<std::string> parts;
  const auto add = [&](std::string part) {
    if (!part.empty()) parts.push_back(std::move(part));
  };
  add(operators_apart(operators_of(b), operators_of(a), "more"));
  add(operators_apart(operators_of(a), operators_of(b), "less"));
  if (a.root != b.root) add(fmt::format("loop over {} -> {}", a.root, b.root));
  if (a.region != b.region) add("another part of the batch");
  if (a.tile != b.tile) add(fmt::format("tile {} -> {}", fmt::join(a.tile, "x"), fmt::join(b.tile, "x")));
  if (a.loop_order != b.loop_order) {
    add(fmt::format("loop order {} -> {}", fmt::join(a.loop_order, ","), fmt::join(b.loop_order, ",")));
  }
  if (a.pipelining != b.pipelining) add(fmt::format("{} -> {}", name_of(a.pipelining), name_of(b.pipelining)));
  if (a.dropped != b.dropped) add(fmt::format("drops {} -> {} results", a.dropped.size(), b.dropped.size()));
  if (a.stages != b.stages && parts.empty()) add("other stages");
  return fmt::format("{}", fmt::join(parts, "; "));
}

/// All but addresses, with the loop the same.
bool same_surroundings(const Group& a, const Group& b) {
  const auto same_size = [](const PlanDocument::Buffer& x, const PlanDocument::Buffer& y) {
    return x.storage == y.storage && x.slots == y.slots && x.slot_bytes == y.slot_bytes && x.extent == y.extent;
  };
  return a.moves == b.moves && a.cycles == b.cycles && a.traffic == b.traffic &&
         std::equal(a.buffers.begin(), a.buffers.end(), b.buffers.begin(), b.buffers.end(), same_size);
}

std::string counted(std::size_t n) { return fmt::format("{} group{}", n, n == 1 ? "" : "s"); }

GroupChange change_of(const PlanDocument& a, const PlanDocument& b, std::vector<int> in_a, std::vector<int> in_b) {
  GroupChange change;
  Cycles most = -1;
  for (const int g : in_a) {
    change.cycles_a += a.groups[g].cycles;
    change.moved_a += a.groups[g].moves.total();
    if (a.groups[g].cycles > most) most = a.groups[g].cycles, change.name = a.groups[g].name;
  }
  for (const int g : in_b) {
    change.cycles_b += b.groups[g].cycles;
    change.moved_b += b.groups[g].moves.total();
    if (in_a.empty() && b.groups[g].cycles > most) most = b.groups[g].cycles, change.name = b.groups[g].name;
  }
  if (in_a.size() == 1 && in_b.size() == 1) {
    change.what = choice_between(a.groups[in_a[0]], b.groups[in_b[0]]);
    change.fate = change.what.empty() ? GroupFate::kNeighbours : GroupFate::kChosen;
    if (change.what.empty()) change.what = "the same loop; what it reads or makes lives elsewhere";
  } else {
    change.fate = in_a.size() == 1 ? GroupFate::kSplit : in_b.size() == 1 ? GroupFate::kMerged : GroupFate::kRegrouped;
    change.what = fmt::format("{} -> {}", counted(in_a.size()), in_b.size());
  }
  change.a = std::move(in_a);
  change.b = std::move(in_b);
  return change;
}

void compare_groups(const PlanDocument& a, const PlanDocument& b, PlanComparison& result) {
  for (auto& [in_a, in_b] : Links(a, b).sets()) {
    if (in_a.size() == 1 && in_b.size() == 1) {
      const Group& x = a.groups[in_a[0]];
      const Group& y = b.groups[in_b[0]];
      if (choice_between(x, y).empty() && same_surroundings(x, y)) {
        ++result.unchanged_groups;
        if (x.buffers != y.buffers) ++result.moved_addresses;
        continue;
      }
    }
    result.groups.push_back(change_of(a, b, std::move(in_a), std::move(in_b)));
  }
  std::stable_sort(result.groups.begin(), result.groups.end(), [](const GroupChange& x, const GroupChange& y) {
    const auto key = [](const GroupChange& c) {
      return std::pair(std::abs(c.cycles_b - c.cycles_a), std::abs(c.moved_b - c.moved_a));
    };
    return key(x) > key(y);
  });
}

// --- tensors ---

/// All that a plan does with a tensor.
struct Life {
  PlanDocument::Tensor tensor;
  Bytes read = 0, written = 0;
  int dropped = 0;
  bool held = false;
  std::set<std::vector<std::pair<std::int64_t, std::int64_t>>> parts;  ///< that residencies hold
  Bytes held_bytes = 0;                                                ///< of the different parts
};

std::map<std::string, Life> lives_of(const PlanDocument& plan) {
  std::map<std::string, Life> lives;
  for (const auto& tensor : plan.tensors) lives[tensor.name].tensor = tensor;
  for (const auto& group : plan.groups) {
    for (const auto& t : group.traffic) {
      lives[t.storage].read += t.read;
      lives[t.storage].written += t.written;
    }
    for (const std::string& name : group.dropped) ++lives[name].dropped;
  }
  for (const auto& residency : plan.residencies) {
    Life& life = lives[residency.storage];
    life.held = true;
    if (life.parts.insert(residency.part).second) life.held_bytes += residency.bytes;
  }
  return lives;
}

/// "read 2.25 x": how often all of a tensor comes from DRAM, on average.
std::string reads_of(const Life& life) {
  return fmt::format("read {:.4g} x",
                     static_cast<double>(life.read) / static_cast<double>(std::max<Bytes>(life.tensor.bytes, 1)));
}

std::string fate_of(const Life& life) {
  if (life.tensor.is_input) return life.read == 0 ? "not read" : reads_of(life);
  std::vector<std::string> ways;
  if (life.held) ways.emplace_back(life.held_bytes < life.tensor.bytes ? "held in part" : "held");
  if (life.dropped > 0) ways.emplace_back("made again");
  if (life.read > 0 || (life.written > 0 && !life.tensor.is_output)) ways.emplace_back("through DRAM");
  if (life.read > 0 && life.read != life.tensor.bytes) ways.push_back(reads_of(life));
  if (ways.empty() && life.tensor.is_output) return "stored";
  if (ways.empty()) return "inside a group";
  return fmt::format("{}", fmt::join(ways, ", "));
}

void compare_tensors(const PlanDocument& a, const PlanDocument& b, PlanComparison& result) {
  const auto in_a = lives_of(a);
  const auto in_b = lives_of(b);
  std::set<std::string> names;
  for (const auto& [name, life] : in_a) names.insert(name);
  for (const auto& [name, life] : in_b) names.insert(name);
  for (const std::string& name : names) {
    const auto x = in_a.find(name);
    const auto y = in_b.find(name);
    // A tensor that a plan does not name never leaves the registers there.
    Life apart;
    apart.tensor = x != in_a.end() ? x->second.tensor : y->second.tensor;
    const Life& before = x != in_a.end() ? x->second : apart;
    const Life& after = y != in_b.end() ? y->second : apart;
    TensorChange change;
    change.name = name;
    change.storage_class = apart.tensor.storage_class;
    change.bytes = apart.tensor.bytes;
    change.fate_a = fate_of(before);
    change.fate_b = fate_of(after);
    change.moved_a = before.read + before.written;
    change.moved_b = after.read + after.written;
    if (change.fate_a == change.fate_b && change.moved_a == change.moved_b) continue;
    change.cycles_a = static_cast<double>(change.moved_a) / a.dram_bytes_per_cycle;
    change.cycles_b = static_cast<double>(change.moved_b) / b.dram_bytes_per_cycle;
    result.tensors.push_back(std::move(change));
  }
  std::stable_sort(result.tensors.begin(), result.tensors.end(), [](const TensorChange& x, const TensorChange& y) {
    const auto key = [](const TensorChange& c) { return std::pair(std::abs(c.moved_b - c.moved_a), c.bytes); };
    return key(x) > key(y);
  });
}

/// Residencies of the second plan that differ from the first's in nothing but their address or how long they last. The
/// numbers of groups mean the same only where all groups are.
std::int64_t moved_residencies(const PlanDocument& a, const PlanDocument& b, bool same_groups) {
  using Key = std::pair<std::string, std::vector<std::pair<std::int64_t, std::int64_t>>>;
  std::map<Key, const PlanDocument::Residency*> before;
  for (const auto& r : a.residencies) before[{r.storage, r.part}] = &r;
  std::int64_t moved = 0;
  for (const auto& r : b.residencies) {
    const auto found = before.find({r.storage, r.part});
    if (found == before.end()) continue;
    const auto& was = *found->second;
    const bool same_time = was.first_group == r.first_group && was.last_group == r.last_group;
    if (was.address != r.address || was.bytes != r.bytes || (same_groups && !same_time)) ++moved;
  }
  return moved;
}

PlanComparison::Side side_of(const PlanDocument& plan) {
  return {plan.cycles, plan.moves, plan.peak_scratchpad, static_cast<std::int64_t>(plan.groups.size()),
          static_cast<std::int64_t>(plan.residencies.size())};
}

double growth(std::int64_t from, std::int64_t to) {
  if (to <= from) return 0;
  return from > 0 ? static_cast<double>(to - from) / static_cast<double>(from)
                  : std::numeric_limits<double>::infinity();
}

}  // namespace

std::string_view name_of(GroupFate fate) {
  switch (fate) {
    case GroupFate::kChosen:
      return "other loop";
    case GroupFate::kNeighbours:
      return "same loop";
    case GroupFate::kSplit:
      return "split";
    case GroupFate::kMerged:
      return "merged";
    case GroupFate::kRegrouped:
      return "regrouped";
  }
  internal_error("unknown fate of a group");
}

double PlanComparison::worse_by() const {
  return std::max(growth(a.cycles, b.cycles), growth(a.moves.total(), b.moves.total()));
}

std::optional<PlanComparison> compare_plans(const PlanDocument& a, const PlanDocument& b) {
  if (a.graph_fingerprint != b.graph_fingerprint) return std::nullopt;
  PlanComparison result;
  result.graph = a.graph;
  result.settings = settings_of(a, b);
  result.a = side_of(a);
  result.b = side_of(b);
  compare_groups(a, b, result);
  compare_tensors(a, b, result);
  result.moved_addresses += moved_residencies(a, b, result.groups.empty());
  return result;
}

}  // namespace spillway::reports
