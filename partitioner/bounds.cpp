#include "partitioner/bounds.h"

#include <fmt/format.h>

#include <algorithm>

#include "partitioner/dependence.h"
#include "partitioner/max_flow.h"

namespace spillway::partitioner {

Bytes compulsory_bytes(const Graph& graph, const Layout& layout) {
  std::vector<Bytes> read(layout.storages.size(), 0);
  std::vector<bool> made(layout.storages.size(), false);
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    if (layout.is_view_node[n]) continue;
    const Node& node = graph.nodes[n];
    made[layout.views[node.outputs[0]].storage] = true;
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      if (node.inputs[i] == kNone) continue;
      const StorageId s = layout.views[node.inputs[i]].storage;
      const Storage& storage = layout.storages[s];
      if (!storage.is_input) continue;
      // A gathered table is read by as many rows as there are indices.
      const bool gathered = node.op == "Gather" && i == 0 && graph.tensors[node.inputs[i]].is_constant();
      const Bytes rows = graph.output(node).elements() * storage.element_bytes();
      read[s] = std::max(read[s], gathered ? std::min(storage.bytes(), rows) : storage.bytes());
    }
  }
  Bytes bytes = 0;
  for (std::size_t s = 0; s < read.size(); ++s) {
    bytes += read[s];
    if (layout.storages[s].is_output && made[s]) bytes += layout.storages[s].bytes();
  }
  return bytes;
}

namespace {

using Marks = std::vector<bool>;  ///< by storage

/// What is alive when a barrier's operator makes its first element (of one element of the batch).
struct Moment {
  StorageId makes = kNone;
  Marks made;   ///< all of it
  Marks later;  ///< nothing of it
};

class Capacity {
 public:
  Capacity(const Graph& graph, const Layout& layout) : known_(dependences_of(graph, layout)) {
    for (const Storage& storage : layout.storages) bytes_.push_back(storage.bytes() / known_.batch);
    moments_.reserve(known_.barriers.size());
    for (const Barrier& barrier : known_.barriers) moments_.push_back(moment_of(barrier));
    find_reads();
    find_writes();
  }

  [[nodiscard]] Bytes bound(Bytes budget) const {
    Bytes bytes = 0;
    for (const auto* alive : {&reads_, &writes_}) {
      for (const Bytes b : *alive) bytes += std::max<Bytes>(0, b - budget);
    }
    return bytes * known_.batch;
  }

 private:
  Moment moment_of(const Barrier& barrier) const {
    Moment moment{barrier.makes, Marks(bytes_.size(), false), Marks(bytes_.size(), false)};
    for (const StorageId s : barrier.whole) moment.made[s] = true;
    for (std::size_t k = known_.all.size(); k-- > 0;) {
      const Dependence& d = known_.all[k];
      if (d.all_used && moment.made[d.to]) moment.made[d.from] = true;
    }
    moment.later[barrier.makes] = true;
    std::vector<int> pieces(bytes_.size(), 0);
    for (const Dependence& d : known_.all) {
      if (!d.all_wait || !moment.later[d.from]) continue;
      if (++pieces[d.to] >= d.pieces) moment.later[d.to] = true;
    }
    return moment;
  }

  /// Bytes that must be somewhere at the moment, of storages that are `allowed`, for what is made later and among
  /// `ends`. `used` (if asked for): the storages that may hold them.
  Bytes alive(const Moment& moment, const Marks& allowed, const Marks& ends, Marks* used = nullptr) const {
    MaxFlow flow(bytes_);
    for (StorageId s = 0; s < static_cast<StorageId>(bytes_.size()); ++s) {
      if (moment.made[s] && allowed[s]) flow.add_source(s);
    }
    for (const Dependence& d : known_.all) {
      if (!allowed[d.from]) continue;
      if (moment.later[d.to] && ends[d.to]) {
        if (d.all_used) flow.add_sink(d.from);
      } else if (d.even && allowed[d.to]) {
        flow.add_arc(d.from, d.to);
      }
    }
    const Bytes bytes = flow.run();
    if (used != nullptr) {
      for (StorageId s = 0; s < static_cast<StorageId>(bytes_.size()); ++s) (*used)[s] = flow.through(s) > 0;
    }
    return bytes;
  }

  /// Along one chain of moments, each surely before the next.
  void find_reads() {
    const Marks all(bytes_.size(), true);
    const Moment* previous = nullptr;
    for (const Moment& moment : moments_) {
      if (previous != nullptr && !moment.made[previous->makes]) continue;
      if (previous != nullptr) reads_.push_back(alive(*previous, known_.counted, moment.made));
      previous = &moment;
    }
    if (previous != nullptr) reads_.push_back(alive(*previous, known_.counted, all));
  }

  /// Over moments in any order, no storage counted at two of them: the one with most alive first.
  void find_writes() {
    Marks free = known_.counted;
    const Marks all(bytes_.size(), true);
    std::vector<Bytes> most(moments_.size());
    for (std::size_t m = 0; m < moments_.size(); ++m) most[m] = alive(moments_[m], free, all);
    while (true) {
      // What was alive when more storages were free bounds what is now.
      const auto next = std::max_element(most.begin(), most.end());
      if (next == most.end() || *next <= 0) return;
      const std::size_t m = static_cast<std::size_t>(next - most.begin());
      Marks used(bytes_.size(), false);
      const Bytes now = alive(moments_[m], free, all, &used);
      if (now < *next) {
        *next = now;
        continue;
      }
      writes_.push_back(now);
      for (std::size_t s = 0; s < used.size(); ++s) {
        if (used[s]) free[s] = false;
      }
      *next = 0;
    }
  }

  Dependences known_;
  std::vector<Bytes> bytes_;  ///< by storage, of one element of the batch
  std::vector<Moment> moments_;
  std::vector<Bytes> reads_, writes_;  ///< by moment: bytes alive
};

}  // namespace

Bytes capacity_bytes(const Graph& graph, const Layout& layout, Bytes budget) {
  return Capacity(graph, layout).bound(budget);
}

std::vector<LowerBound> lower_bounds(const Graph& graph, const configs::NpuConfig& npu, const Layout& layout) {
  const Bytes compulsory = compulsory_bytes(graph, layout);
  const Bytes capacity = capacity_bytes(graph, layout, npu.scratchpad.size);
  return {{"compulsory", compulsory, "all plans", true, "inputs, weights and outputs cross the DRAM interface once"},
          {"capacity", compulsory + capacity, "plans that make no element twice and no sum in parts", false,
           fmt::format("{} B more are alive than fit when operators start that need whole tensors", capacity)}};
}

}  // namespace spillway::partitioner
