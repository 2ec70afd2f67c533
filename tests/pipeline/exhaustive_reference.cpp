#include "tests/pipeline/exhaustive_reference.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace spillway::test {

using namespace partitioner;

namespace {

bool contains(const std::vector<StorageId>& list, StorageId s) {
  return std::find(list.begin(), list.end(), s) != list.end();
}

}  // namespace

ExhaustiveReference::ExhaustiveReference(const Model& model, Search& search, const Sequence& sequence, Bytes budget,
                                         double extra_macs)
    : model_(model), search_(search), sequence_(sequence), budget_(budget), extra_macs_(extra_macs) {
  const std::size_t storages = model.layout.storages.size();
  remakes_.resize(storages);
  base_until_.assign(storages, kNone);
  for (StorageId s = 0; s < static_cast<StorageId>(storages); ++s) {
    if (sequence.maker[s] == kNone || sequence.readers[s].empty() || model.layout.storages[s].is_output) continue;
    remakes_[s] = remake(model, sequence, s);
    if (!remakes_[s]) continue;
    if (static_cast<double>(remakes_[s]->macs) > extra_macs) {
      remakes_[s].reset();
      continue;
    }
    for (const StorageId f : remakes_[s]->frontier) base_until_[f] = std::max(base_until_[f], last_reader(s));
  }
}

std::optional<ExhaustiveReference::Answer> ExhaustiveReference::minimum(double ceiling) {
  ceiling_ = ceiling;
  const int n = sequence_.size();
  layers_.assign(n + 1, {});
  layers_[0][{}] = {};
  Answer answer;
  for (int i = 0; i < n; ++i) {
    for (const auto& from : layers_[i]) {
      for (int j = i + 1; j <= std::min(n, i + kMostPrimitives); ++j) follow(from, i, j);
    }
    answer.states += layers_[i].size();
  }
  const Layer::value_type* best = nullptr;
  for (const auto& end : layers_[n]) {
    if (best == nullptr || end.second.cost < best->second.cost) best = &end;
  }
  if (best == nullptr) return std::nullopt;
  answer.cost = best->second.cost;
  for (const auto* at = best; at->second.before != nullptr; at = at->second.before) {
    answer.how.insert(0, at->second.step);
  }
  return answer;
}

/// [i, j) as the next group, in every way.
void ExhaustiveReference::follow(const Layer::value_type& from, int i, int j) {
  std::vector<StorageId> remade;
  for (const StorageId s : from.first.gone) {
    const auto& readers = sequence_.readers[s];
    if (std::any_of(readers.begin(), readers.end(), [&](int r) { return i <= r && r < j; })) remade.push_back(s);
  }
  std::vector<StorageId> droppable;
  for (StorageId s = 0; s < static_cast<StorageId>(remakes_.size()); ++s) {
    if (remakes_[s] && i <= sequence_.maker[s] && sequence_.maker[s] < j && last_reader(s) >= j) droppable.push_back(s);
  }
  for (unsigned subset = 0; subset < 1U << droppable.size(); ++subset) {
    Step step{i, j, &from, nullptr, {}, {}};
    for (std::size_t k = 0; k < droppable.size(); ++k) {
      if ((subset >> k & 1U) != 0) step.dropped.push_back(droppable[k]);
    }
    step.group = &group_of(i, j, remade, step.dropped);
    if (!step.group->ok) continue;
    const auto macs = static_cast<double>(from.first.macs + step.group->macs);
    if (step.group->macs > 0 && macs > extra_macs_) continue;
    const auto& locals = step.group->model.locals;
    for (int l = 0; l < static_cast<int>(locals.size()); ++l) {
      if (locals[l].producer != kNone && locals[l].stored && last_reader(locals[l].storage) >= j) {
        step.results.push_back(l);
      }
    }
    std::vector<Held> homes;
    choose_homes(step, homes);
  }
}

void ExhaustiveReference::choose_homes(Step& step, std::vector<Held>& homes) {
  if (homes.size() == step.results.size()) {
    take(step, homes);
    return;
  }
  const StorageId s = step.group->model.locals[step.results[homes.size()]].storage;
  const auto with = [&](Home home, int until) {
    homes.push_back({s, home, until});
    choose_homes(step, homes);
    homes.pop_back();
  };
  with(Home::kDram, 0);
  with(Home::kScratchpad, last_reader(s));
  for (const int r : sequence_.readers[s]) {
    if (r >= step.j && r < last_reader(s)) with(Home::kBoth, r);
  }
}

void ExhaustiveReference::take(const Step& step, const std::vector<Held>& homes) {
  const auto& [before, past] = *step.from;
  const auto& locals = step.group->model.locals;
  Bytes available = budget_;
  for (const Held& h : before.held) available -= room(h.storage);
  Residents residents(locals.size(), Home::kDram);
  Situation after = before;
  for (std::size_t r = 0; r < homes.size(); ++r) {
    residents[step.results[r]] = homes[r].home;
    if (homes[r].home != Home::kDram) {
      available -= room(homes[r].storage);
      after.held.push_back(homes[r]);
    }
    if (homes[r].home != Home::kScratchpad) after.stored.push_back(homes[r].storage);
  }
  if (available <= 0) return;
  for (std::size_t l = 0; l < locals.size(); ++l) {
    const StorageId s = locals[l].storage;
    if (locals[l].producer != kNone) {
      // What leaves with the graph is in DRAM, too.
      const bool output = model_.layout.storages[s].is_output && locals[l].stored;
      if (output && !contains(after.stored, s)) after.stored.push_back(s);
      continue;
    }
    if (sequence_.maker[s] == kNone) continue;  // inputs and constants
    const auto h = std::find_if(before.held.begin(), before.held.end(), [&](const Held& x) { return x.storage == s; });
    if (h != before.held.end()) {
      residents[l] = h->home;
    } else if (!contains(before.stored, s)) {
      return;
    }
  }
  after.macs += step.group->macs;
  if (!keep_frontiers(step, after)) return;
  const Candidate* loop =
      search_.best(*step.group->structure, step.group->model, residents, available, Search::Care::kExact);
  if (loop == nullptr) return;
  // What leaves nothing behind need not run.
  const bool runs = std::any_of(locals.begin(), locals.end(), [](const Local& l) { return l.stored; });
  const double score = runs ? loop->score : 0;
  const double cost = past.cost + score;
  if (cost > ceiling_) return;
  for (const StorageId s : step.dropped) after.gone.push_back(s);
  forget(step.j, after);
  const auto [place, fresh] = layers_[step.j].try_emplace(std::move(after));
  if (fresh || cost < place->second.cost) place->second = {cost, step.from, describe(step, homes, score)};
}

/// What a dropped result is made from must be there for as long as the result is read. False where it cannot be.
bool ExhaustiveReference::keep_frontiers(const Step& step, Situation& after) const {
  for (const StorageId s : step.dropped) {
    for (const StorageId f : remake_of(s)->frontier) {
      if (sequence_.maker[f] == kNone || contains(after.stored, f)) continue;
      const auto h = std::find_if(after.held.begin(), after.held.end(), [&](const Held& x) { return x.storage == f; });
      if (h == after.held.end()) return false;
      h->until = std::max(h->until, last_reader(s));
    }
  }
  return true;
}

/// What no longer matters at position j.
void ExhaustiveReference::forget(int j, Situation& s) const {
  std::erase_if(s.held, [&](const Held& h) { return h.until < j; });
  std::erase_if(s.gone, [&](StorageId g) { return last_reader(g) < j; });
  std::erase_if(s.stored, [&](StorageId f) { return last_reader(f) < j && base_until_[f] < j; });
  std::sort(s.held.begin(), s.held.end());
  std::sort(s.gone.begin(), s.gone.end());
  std::sort(s.stored.begin(), s.stored.end());
}

const ExhaustiveReference::Group& ExhaustiveReference::group_of(int i, int j, const std::vector<StorageId>& remade,
                                                                const std::vector<StorageId>& dropped) {
  auto& place = groups_[{i, j, remade, dropped}];
  if (place) return *place;
  place = std::make_unique<Group>();
  std::set<NodeId> nodes;
  for (int p = i; p < j; ++p) nodes.insert(sequence_.primitives[p].begin(), sequence_.primitives[p].end());
  std::vector<StorageId> unkept = dropped;
  for (const StorageId s : remade) {
    const Remake& again = *remake_of(s);
    place->macs += again.macs;
    for (const int p : again.primitives) {
      for (const NodeId node : sequence_.primitives[p]) {
        // Statistics are there from the first time.
        if (model_.op(node).op_class == workloads::OpClass::kStatistics || !nodes.insert(node).second) continue;
        unkept.push_back(model_.output_of(node));
      }
    }
  }
  const auto products = std::count_if(
      nodes.begin(), nodes.end(), [&](NodeId node) { return model_.op(node).op_class == workloads::OpClass::kMatrix; });
  if (products > kMostProducts) return *place;
  place->model = make_group(model_, with_virtual(model_, {nodes.begin(), nodes.end()}), unkept);
  if (!place->model.ok() || place->model.stages.size() > kMostStages) return *place;
  place->structure = &search_.structure_of(place->model);
  place->ok = true;
  return *place;
}

std::string ExhaustiveReference::describe(const Step& step, const std::vector<Held>& homes, double cost) const {
  std::string text = fmt::format("  [{}, {}) {:.0f}", step.i, step.j, cost);
  for (const Held& h : homes) {
    const char* home = h.home == Home::kDram ? "DRAM" : h.home == Home::kBoth ? "both" : "scratchpad";
    text += fmt::format("; {} {}", model_.layout.storages[h.storage].name, home);
    if (h.home == Home::kBoth) text += fmt::format(" until {}", h.until);
  }
  for (const StorageId s : step.dropped) text += fmt::format("; {} dropped", model_.layout.storages[s].name);
  return text + "\n";
}

}  // namespace spillway::test
